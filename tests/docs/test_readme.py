"""Every command and every line of Python in the README does what it says."""

import pytest
from PIL import Image
from skimage import data

from tests.docs.pages import FEW_STEPS, ROOT, commands, python_code, run_command, run_python

pytestmark = pytest.mark.slow

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the README is followed: with a photograph."""
    folder = tmp_path_factory.mktemp("readme")
    Image.fromarray(data.astronaut()).save(folder / "portrait.jpg", quality=95)
    return folder


COMMANDS = [line for line in commands(README) if not line.startswith("jaxedit studio")]
"""All but the one that serves until it is stopped; `tests/studio/test_studio_page.py` opens its page."""


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder):
    run_command(command, folder, *(FEW_STEPS if "--photo" in command else []))


def test_python(folder):
    printed = run_python("\n".join(python_code(README)), folder)
    assert (folder / "older.png").stat().st_size > 100_000
    assert (folder / "labels" / "labels.npz").exists()
    assert "axis_label_correlation" in printed
