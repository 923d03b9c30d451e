"""What the pages say can be followed: commands parse, targets, files and names are there."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import typer.main

import jaxedit
from jaxedit.cli.app import app
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, commands, name_of, python_code, shell_lines

README = ROOT / "README.md"
EXECUTED = {"README.md", "docs/ablations.md"} | {name_of(page) for page in (DOCS / "guides").glob("*.md")}
"""Pages whose Python is run: see the other modules of this folder, and `tests/benchmarks/test_ablations.py`."""

OTHER_LINES = (
    r"source \.venv/bin/activate",
    r"git clone REPOSITORY jaxedit && cd jaxedit",
    r"gcloud compute tpus tpu-vm ssh my-slice --zone=\S+ --worker=all +--command=\"jaxedit [^\"]+\"",
    r"JAX_COORDINATOR_ADDRESS=\S+ JAX_NUM_PROCESSES=\d JAX_PROCESS_ID=\d jaxedit .+",
)
"""Shell lines that cannot be run in a test: they need a terminal, or other machines."""

FOLDER = r"`((?:jaxedit|weights_conversion|benchmarks|tests|docs|examples)/[\w/.]*)`"


def ids(pages):
    return {"argvalues": pages, "ids": [name_of(page) for page in pages]}


def check_jaxedit(command: str) -> None:
    """Whether a command has these options, with values of these types."""
    _, name, *arguments = shlex.split(command, comments=True)
    if name in ("COMMAND", "--help"):
        return
    group = typer.main.get_command(app)
    group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def check_make(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in shlex.split(line, comments=True)[1:]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"


def check_module(line: str) -> None:
    """Whether a module is there and mentions these options."""
    module, *arguments = shlex.split(line, comments=True)[2:]
    if module == "pytest":
        assert (ROOT / arguments[0]).exists(), line
        return
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    for option in (argument for argument in arguments if argument.startswith("--")):
        name = option.removeprefix("--")
        assert name.replace("-", "_") in source, f"{module} knows no {option}"


@pytest.mark.parametrize("page", **ids(PAGES))
def test_blocks_have_a_language_that_is_checked(page):
    for block in blocks(page):
        assert block.language in ("sh", "python", "text"), (
            f"{name_of(page)}: {block.language or 'no language'}"
        )
    if python_code(page):
        assert name_of(page) in EXECUTED


@pytest.mark.parametrize("page", **ids([page for page in PAGES if shell_lines(page)]))
def test_shell_lines(page):
    for line in shell_lines(page):
        if line.startswith("jaxedit "):
            check_jaxedit(line)
        elif line.startswith("make "):
            check_make(line)
        elif re.match(r"(\.venv/bin/)?python -m ", line):
            check_module(line)
        else:
            assert any(re.fullmatch(pattern, line) for pattern in OTHER_LINES), f"not checked: {line}"
            inner = re.search(r"\bjaxedit (label|project) [^\"]+", line)
            if inner:
                check_jaxedit(inner[0])


def test_an_option_that_is_missing_is_found():
    with pytest.raises(Exception, match="no-such-option"):
        check_jaxedit("jaxedit label --out labels --no-such-option")
    with pytest.raises(AssertionError, match="no target"):
        check_make("make nothing")


@pytest.mark.parametrize("page", **ids([page for page in PAGES if page.parent == ROOT]))
def test_links_of_pages_outside_the_site(page):
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (ROOT / path).exists(), f"{name_of(page)} links to {path}"


def test_the_readme_is_short_and_names_what_matters_first():
    text = README.read_text()
    assert len(text.split()) <= 900
    assert {"make demo", "make test"} <= {line.split("#")[0].strip() for line in shell_lines(README)}
    assert len(commands(README)) >= 4
    assert len(python_code(README)) >= 2
    assert text.index("non-commercial") < text.index("```")


def test_every_public_name_has_an_entry_in_the_api():
    api = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    entries = set(re.findall(r"^::: (\S+)$", api, re.MULTILINE))
    modules = {"evaluation", "parallel"}  # their functions have entries of their own
    missing = [
        name
        for name in jaxedit.__all__
        if name not in {"__version__", *modules} and f"jaxedit.{name}" not in entries
    ]
    assert not missing
    index = (DOCS / "api" / "index.md").read_text()
    assert not [name for name in jaxedit.__all__ if name != "__version__" and name not in index]
    for name in modules:
        assert any(entry.startswith(f"jaxedit.{name}.") for entry in entries)


def test_files_that_pages_name_are_there():
    for page in PAGES:
        if name_of(page) in ("CHANGELOG.md", "docs/changelog.md"):
            continue
        for path in re.findall(FOLDER, page.read_text()):
            assert (ROOT / path).exists(), f"{name_of(page)} names {path}"
        for file in re.findall(r"`(\w+_cpu\.json)`", page.read_text()):
            assert (ROOT / "benchmarks" / "results" / file).exists(), f"{name_of(page)} names {file}"


BENCHMARKS = (
    "speed.synthesis",
    "speed.axis_learning",
    "speed.latents",
    "speed.projection",
    "speed.synthesis_stylegan3",
    "speed.gpu_parts",
    "speed.gpu_suite",
    "quality.image_effects",
)

_HELP_OF_EACH = """
import contextlib, io, json, runpy, sys
def help_of(name):
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
        except SystemExit as exit_:
            return exit_.code, printed.getvalue()
        except Exception as error:
            return repr(error), printed.getvalue()
    return "no exit", printed.getvalue()
print(json.dumps({name: help_of(name) for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def helps():
    """Exit code and help of each benchmark, from one process that imports JAX once."""
    command = [sys.executable, "-c", _HELP_OF_EACH, *BENCHMARKS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_say_what_they_do(helps, name):
    # Without their peers (an extra) they still parse; `synthesis` and `axis_learning` import those inside.
    code, printed = helps[name]
    assert code == 0
    assert "--json" in printed
