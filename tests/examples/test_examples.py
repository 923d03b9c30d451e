"""The examples run, at small sizes, and open as notebooks."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conversion.foreign_torch import official_module, write_pickle
from tests.conversion.official_fixtures import fixture_params

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def run(name: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, np.float32)


@pytest.fixture(scope="module")
def small_generator(tmp_path_factory) -> Path:
    """A StyleGAN2 of 64² in a folder, as `jaxedit convert` writes it."""
    folder = tmp_path_factory.mktemp("generator")
    params, options = fixture_params("stylegan2_ada_64")
    (folder / "network.pkl").write_bytes(write_pickle({"G_ema": official_module(params, options)}))
    code = "from jaxedit.cli import main; main()"
    command = [sys.executable, "-c", code, "convert", "network.pkl", "--out", "small"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "small"


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_is_short_and_opens_as_a_notebook(script):
    text = script.read_text()
    assert len(text.splitlines()) < 60
    cells = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    assert cells[0] == ""  # nothing stands before the first cell
    kinds, bodies = cells[1::2], cells[2::2]
    assert set(kinds) == {"", " [markdown]"}
    assert kinds[0] == " [markdown]"
    assert bodies[0].startswith("# # ")
    for kind, body in zip(kinds, bodies, strict=True):
        if kind:
            assert all(line.startswith("#") for line in body.splitlines() if line), body
        else:
            assert ast.parse(body).body, "a cell of code without code"


@pytest.mark.slow
def test_edit_a_face(tmp_path):
    ages = dict(re.findall(r"(\w+): \[(.*?)\] years", run("01_edit_a_face.py", tmp_path)))
    assert all(abs(float(age) - 60) < 1.5 for age in ages["sixty"].split())
    assert pixels(tmp_path / "faces.png").shape == (2048, 3072, 3)


@pytest.mark.slow
def test_photo(tmp_path):
    printed = run("02_photo.py", tmp_path, NUM_STEPS="4")
    assert "(1024, 1024, 3) uint8" in printed
    assert "lpips" in printed
    assert pixels(tmp_path / "photo.png").shape == (1024, 3072, 3)


@pytest.mark.slow
def test_own_axes(tmp_path, small_generator):
    printed = run("03_own_axes.py", tmp_path, NUM_SAMPLES="512", GENERATOR=str(small_generator))
    assert "axis_label_correlation" in printed
    colder, _, warmer = np.split(pixels(tmp_path / "warmth.png"), 3, axis=1)
    warmth = [(half[..., 0] - half[..., 2]).mean() for half in (colder, warmer)]
    assert warmth[1] > warmth[0] + 1
    assert (tmp_path / "axes").is_dir()


@pytest.mark.slow
def test_refine_axes(tmp_path):
    leakage = dict(re.findall(r"^(plain|refined) (\S+)$", run("04_refine_axes.py", tmp_path), re.MULTILINE))
    assert float(leakage["refined"]) < 0.8 * float(leakage["plain"])
    assert (tmp_path / "refined-axes").is_dir()


@pytest.mark.slow
def test_devices(tmp_path):
    printed = run("05_devices.py", tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert "2 devices of 1 processes" in printed
    assert len(list(tmp_path.glob("older_*.png"))) == 4
