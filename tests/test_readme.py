"""Every command and every line of Python in the README does what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jaxedit ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def test_the_readme_has_commands():
    assert len(COMMANDS) >= 6
    assert len(blocks("python")) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder):
    arguments = shlex.split(command)[1:]
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


def test_python(folder):
    code = "\n".join(blocks("python"))
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


@pytest.mark.parametrize("name", ["synthesis", "axis_learning", "latents", "picture_effects", "gpu_suite"])
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
