"""The examples in the docstrings give what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import jaxedit

PACKAGE = Path(jaxedit.__file__).parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "jaxedit.")
    if not module.ispkg
    and ">>> " in (PACKAGE.parent / Path(*module.name.split("."))).with_suffix(".py").read_text()
]


def test_there_are_examples():
    assert "jaxedit.labels.labeling" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
