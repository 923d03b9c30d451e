"""The pages that users read, and the code blocks in them."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

FEW_STEPS = ["--num-steps", "4"]
"""Of a projection, instead of minutes."""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """The page as a path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0, f"{name_of(page)}: a fence is left open"
    return [
        Block(*found) for found in re.findall(r"^ *```(.*?)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    ]


def python_code(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return [block.text for block in blocks(page) if block.language == "python"]


def shell_lines(page: Path) -> list[str]:
    """The shell lines of a page, continued lines joined, comments and blank lines left out."""
    shell = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    lines = (line.strip() for line in shell.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def commands(page: Path) -> list[str]:
    """The `jaxedit` commands that a page gives as whole lines."""
    return [line for line in shell_lines(page) if line.startswith("jaxedit ")]


def run_command(command: str, folder: Path, *more: str) -> str:
    """Run a `jaxedit` command in a folder, with further arguments; what it prints.

    The file or folder that `--out` names must be there afterwards.
    """
    arguments = shlex.split(command, comments=True)[1:]
    out = _run(folder, "-c", "from jaxedit.cli import main; main()", *arguments, *more)
    for flag, value in itertools.pairwise(arguments):
        if flag in ("--out", "-o"):
            assert (folder / value).exists(), f"{command} made no {value}"
    return out


def run_python(code: str, folder: Path, **environment: str) -> str:
    """Run Python code in a folder; what it prints."""
    return _run(folder, "-c", code, **environment)


def _run(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shortened(code: str, changes: dict[str, str]) -> str:
    """Code with smaller numbers; each must be there."""
    for before, after in changes.items():
        assert before in code, f"expected {before!r} in the code"
        code = code.replace(before, after)
    return code
