"""Folders that a command may not write are refused before it begins; devices that fail are named."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.cli import main
from jaxedit.errors import InputError
from jaxedit.evaluation.report.published import load_numbers
from jaxedit.storage.checkpoints import save_checkpoint


def refused(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["jaxedit", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (1, 2)
    message = capsys.readouterr().err
    assert len(message.strip().splitlines()) == 1
    return message


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("axes", ("convert", "no-such-file.pkl", "--out", "X")),
        ("axes", ("convert", "no-such-file.pkl", "--format", "safetensors", "--out", "X")),
        ("generator", ("learn", "--out", "X")),
        ("generator", ("refine", "--out", "X")),
        ("generator", ("label", "--out", "X")),
        ("labels", ("evaluate", "--out", "X")),
    ],
)
def test_folders_of_another_kind_are_refused_before_work_begins(
    kind, arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path / "home"))  # nothing is fetched
    folder = tmp_path / "X"
    save_checkpoint(folder, kind=kind, config={}, arrays={"a": np.ones(2)}, file_format="npz")
    before = content(tmp_path)
    message = refused(monkeypatch, capsys, *(str(folder) if part == "X" else part for part in arguments))
    assert "X: expected " in message
    assert content(tmp_path) == before


def test_foreign_files_beside_a_state_are_refused_too(tmp_path, monkeypatch, capsys):
    for state, command in (("axes.training", "learn"), ("axes.refinement", "refine")):
        (tmp_path / state).mkdir()
        (tmp_path / state / "notes.txt").write_text("mine")
        assert f"{state}: expected " in refused(monkeypatch, capsys, command, "--out", str(tmp_path / "axes"))


def test_a_wrong_seed_leaves_nothing(tmp_path, monkeypatch, capsys):
    message = refused(monkeypatch, capsys, "label", "--out", str(tmp_path / "labels"), "-s", "-1")
    assert "seed: expected 0" in message
    assert not list(tmp_path.iterdir())


def test_a_pipe_of_settings_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="expected a JSON file of a refinement config, found a pipe"):
        RefinementConfig.load(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="expected the numbers of an evaluation, found a pipe"):
        load_numbers(tmp_path / "pipe.json")


def test_a_device_that_fails_is_named_in_one_line(tmp_path):
    save_checkpoint(tmp_path / "x", kind="generator", config={"family": "x"}, arrays={"a": np.ones(2)})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from jaxedit.cli import main; main()",
            "export",
            str(tmp_path / "x"),
            "-o",
            "y",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "no_such_device", "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("jaxedit: error: JAX cannot use its devices: ")
    assert len(done.stderr.splitlines()) == 1
