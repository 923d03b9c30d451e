"""Every benchmark can be imported, and its command line has help."""

import importlib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("speed", "quality")
    for path in (ROOT / "benchmarks" / folder).glob("*.py")
    if "import typer" in path.read_text()
)


def test_scripts_are_found():
    assert "benchmarks.speed.synthesis" in SCRIPTS
    assert len(SCRIPTS) >= 8


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_describes_every_option(name):
    app = typer.Typer(rich_markup_mode=None)
    app.command()(importlib.import_module(name).main)
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    options = [line.split() for line in result.output.splitlines() if line.startswith("  --")]
    assert options
    assert all(len(words) >= 3 for words in options), result.output


def test_modules_without_a_command_are_imported():
    for package in ("peers", "speed", "quality"):
        for path in (ROOT / "benchmarks" / package).glob("*.py"):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
