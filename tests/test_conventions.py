"""What CONTRIBUTING asks of every file: it is short, and its public functions take few parameters."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES, MAX_PARAMETERS = 400, 8
FOLDERS = ("benchmarks", "examples", "jaxedit", "tests", "weights_conversion")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
LIBRARY = [
    path
    for path in FILES
    # Commands have an option for each parameter.
    if path.is_relative_to(ROOT / "weights_conversion")
    or (path.is_relative_to(ROOT / "jaxedit") and not path.is_relative_to(ROOT / "jaxedit" / "cli"))
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_long(folder):
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    some = {name: length for name, length in lengths.items() if name.startswith(f"{folder}/")}
    assert some
    assert {name: length for name, length in some.items() if length > MAX_LINES} == {}


def test_public_functions_take_few_parameters():
    many, count = {}, 0
    for path in LIBRARY:
        for where, node, is_method in functions(ast.parse(path.read_text())):
            arguments = node.args
            number = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - is_method
            count += 1
            if number > MAX_PARAMETERS:
                many[f"{name_of(path)}: {where}"] = number
    assert count > 500
    assert many == {}


def functions(tree: ast.AST, where: str = "", *, in_class: bool = False):
    """Public functions and methods, constructors included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node, f"{where}{node.name}.", in_class=True)
        elif isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
            yield f"{where}{node.name}", node, int(in_class and not static)


def test_test_modules_have_names_of_their_own():
    """pytest imports them by their names alone."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if names.count(name) > 1] == []
