"""The guide to axes on a generator of one's own, followed to the letter on a small official pickle."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.user_classifier import load_classifier
from jaxedit.errors import InputError
from tests.conversion.foreign_torch import official_module, write_pickle
from tests.conversion.official_fixtures import fixture_params

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "own_axes.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the guide is followed: its classifier, and a pickle as the official training writes it."""
    folder = tmp_path_factory.mktemp("guide")
    params, options = fixture_params("stylegan2_ada_64")
    (folder / "network.pkl").write_bytes(write_pickle({"G_ema": official_module(params, options)}))
    (folder / "my_attributes.py").write_text(blocks("python")[0])
    return folder


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands(folder):
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jaxedit")]
    assert [shlex.split(command)[1] for command in commands] == ["convert", "info", "label", "learn", "edit"]
    for command in commands:
        arguments = shlex.split(command.replace("4096", "512"))[1:]
        if arguments[0] == "learn":
            arguments += ["--num-steps", "300"]
        out = run(folder, "-c", "from jaxedit.cli import main; main()", *arguments)
        if arguments[0] == "info":
            assert "architecture: skip" in out
    with Image.open(folder / "warmer.png") as image:
        before, after = np.split(np.asarray(image, np.float32), 2, axis=1)
    assert before.shape == (64, 64, 3)
    warmth = [(half[..., 0] - half[..., 2]).mean() for half in (before, after)]
    assert warmth[1] > warmth[0] + 1


def test_the_python_code(folder):
    code = "\n".join(blocks("python")[1:]).replace("4096", "512").replace("my-labels", "labels-too")
    run(folder, "-c", code.replace("AxesConfig()", "AxesConfig(num_steps=300)"))
    assert (folder / "warmer_too.png").stat().st_size > 1000


def test_a_classifier_that_is_none(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import missing_module\n")
    with pytest.raises(
        InputError, match=r"mine.py fails: ModuleNotFoundError: No module named 'missing_module'"
    ):
        load_classifier(f"{file}:Mine")
    file.write_text("number = 3\nnames = ('a',)\n")
    with pytest.raises(InputError, match=r"expected number of .* to have names and to be callable"):
        load_classifier(f"{file}:number")
    with pytest.raises(InputError, match=r"expected Mine in .*, found no such name"):
        load_classifier(f"{file}:Mine")
    for where in ("mine", str(file)):
        with pytest.raises(InputError, match=r"classifier: expected FILE.py:NAME, got"):
            load_classifier(where)
    with pytest.raises(
        InputError, match=r"absent\.py: expected a Python file with a classifier, found nothing"
    ):
        load_classifier(f"{tmp_path}/absent.py:Mine")
