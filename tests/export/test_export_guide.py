"""The guide on exports, followed to the letter; its script runs where this library is not imported."""

import re

import pytest

from tests.docs.pages import DOCS, commands, python_code, run_command, run_python

GUIDE = DOCS / "guides" / "export.md"
WITHOUT_LIBRARY = """
import sys
assert not any(name.split(".")[0] in ("jaxedit", "flax") for name in sys.modules)
assert image.shape == (2, 1024, 1024, 3)
"""


@pytest.mark.slow
def test_the_guide(tmp_path):
    script, sharing = python_code(GUIDE)
    imported = {
        name for line in re.findall("^import (.*)$", script, re.MULTILINE) for name in line.split(", ")
    }
    assert imported == {"json", "jax", "jax.export", "numpy as np"}
    assert len([line for line in script.splitlines() if line]) == 10
    for command in commands(GUIDE):
        if not command.startswith(
            "jaxedit web "
        ):  # which serves without end; the browser's tests are its own
            run_command(command, tmp_path)
    run_python(script + WITHOUT_LIBRARY, tmp_path)
    run_python(sharing + "\nassert again.attribute_names == axes.attribute_names", tmp_path)
