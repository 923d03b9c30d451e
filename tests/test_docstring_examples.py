"""The examples in the docstrings give what they say, and what users meet first has one."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import jaxedit

PACKAGE = Path(jaxedit.__file__).parent
FILES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text()
}

MET_FIRST = (
    "AttributeAxes.edit",
    "AttributeAxes.read",
    "AxesConfig",
    "LabelledLatents",
    "ProjectionConfig",
    "Annotations",
    "align",
    "data_mesh",
    "fit_pca",
    "join_latents",
    "label",
    "learn_axes",
    "learn_axes_sweep",
    "load_annotations",
    "load_axes",
    "load_generator",
    "load_labelled_latents",
    "over_batch",
    "project",
    "refine_axes",
    "save_generator",
    "save_image",
    "to_uint8",
    "tune",
)


@pytest.mark.parametrize("name", MET_FIRST)
def test_what_users_meet_first_has_an_example(name):
    thing = jaxedit
    for part in name.split("."):
        thing = getattr(thing, part)
    assert ">>> " in (thing.__doc__ or "")


SLOW = {"inversion/align.py", "inversion/project.py", "inversion/tuning.py"}
"""Examples that compile for long."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in FILES]
)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("jaxedit." + name.removesuffix(".py").replace("/", "."))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    # From the source, since compiled functions hide their docstrings from doctest.
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            if ">>> " in text:
                where = getattr(node, "name", name)
                runner.run(doctest.DocTestParser().get_doctest(text, dict(vars(module)), where, name, 0))
    assert runner.tries > 0
    assert runner.failures == 0
