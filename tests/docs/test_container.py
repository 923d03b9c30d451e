"""The container file by its parts: what it copies suffices for what it installs, and its commands exist."""

import fnmatch
import json
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from jaxedit import cli
from jaxedit.storage import download

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = (ROOT / "Containerfile").read_text().splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in LINES if line and not line.startswith("#")]


def arguments(step):
    return [rest for name, rest in STEPS if name == step]


def copied():
    return [part for rest in arguments("COPY") for part in rest.split()[:-1]]


def test_its_python_is_one_that_the_project_takes():
    (image,) = arguments("FROM")
    version = image.removeprefix("python:").removesuffix("-slim")
    assert version in SpecifierSet(PROJECT["project"]["requires-python"])


def test_it_copies_all_that_the_package_is_built_from():
    needed = {
        "pyproject.toml",
        PROJECT["project"]["readme"],
        *PROJECT["project"]["license-files"],
        *PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }
    assert needed == set(copied())
    assert all((ROOT / part).exists() for part in needed)
    assert PROJECT["tool"]["hatch"]["version"]["path"].split("/")[0] in needed


def test_what_it_copies_is_not_left_out():
    rules = (ROOT / ".dockerignore").read_text().split()
    for part in copied():
        left_out = False
        for rule in rules:
            if fnmatch.fnmatch(part, rule.removeprefix("!")):
                left_out = not rule.startswith("!")
        assert left_out is False, part


def test_its_extras_exist():
    (install,) = [rest for rest in arguments("RUN") if rest.startswith("pip install")]
    extras = shlex.split(install)[-1].removeprefix(".[").removesuffix("]").split(",")
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"])


def test_it_starts_the_command_as_a_user_without_rights():
    assert json.loads(arguments("ENTRYPOINT")[0])[0] in PROJECT["project"]["scripts"]
    names = [name for name, _ in STEPS]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert arguments("USER") == ["jaxedit"] and "useradd --create-home jaxedit" in arguments("RUN")[-1]
    assert f"{download._ENVIRONMENT}=/cache" in arguments("ENV")[0].split()


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("#   docker run")])
def test_the_commands_in_it_are_those_of_this_version(line, monkeypatch, capsys):
    words = shlex.split(line.removeprefix("#").replace("$PWD", "/here"))
    command = words[words.index("jaxedit") + 1 :]
    monkeypatch.setattr(sys, "argv", ["jaxedit", command[0], "--help"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    shown = capsys.readouterr().out
    assert exit_.value.code == 0
    assert all(word in shown for word in command if word.startswith("--"))
