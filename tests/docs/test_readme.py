"""Every command and every line of Python in the README does what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from tests.conversion.foreign_torch import official_module, write_pickle
from tests.conversion.official_fixtures import fixture_params

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jaxedit ")]


FEW_STEPS = ["--num-steps", "4"]  # instead of minutes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the README is followed: with a photograph, and a checkpoint as the official training writes it."""
    folder = tmp_path_factory.mktemp("readme")
    Image.fromarray(data.astronaut()).save(folder / "portrait.jpg", quality=95)
    params, options = fixture_params("stylegan2_ada_64")
    (folder / "stylegan2.pkl").write_bytes(write_pickle({"G_ema": official_module(params, options)}))
    return folder


def test_the_readme_has_commands():
    assert len(COMMANDS) >= 6
    assert len(blocks("python")) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder):
    arguments = shlex.split(command, comments=True)[1:]
    if arguments[0] == "project" or "--photo" in arguments:
        arguments += FEW_STEPS
    done = subprocess.run(
        [sys.executable, "-c", "from jaxedit.cli import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"--out (\S+)", command):
        assert (folder / name).exists(), f"{command} made no {name}"


@pytest.mark.slow
def test_python(folder):
    code = "\n".join(blocks("python"))
    assert "ProjectionConfig.fast()" in code
    code = code.replace("ProjectionConfig.fast()", "ProjectionConfig.fast(num_steps=4, num_w_steps=2)")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "older.png").stat().st_size > 100_000
    assert (folder / "labels" / "labels.npz").exists()
    assert "axis_label_correlation" in done.stdout


def test_make_targets_and_files():
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), f"README links to {path}"


@pytest.mark.parametrize(
    "name", ["synthesis", "axis_learning", "latents", "image_effects", "projection", "gpu_suite"]
)
def test_benchmarks_say_what_they_do(name):
    # Without their peers (an extra) they still parse; `synthesis` and `axis_learning` import those inside.
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
