"""`jaxedit edit` with many photographs, and `jaxedit read`: options, the hand-over, the exit code."""

import sys

import numpy as np
import pytest
from PIL import Image

from jaxedit.cli import app
from jaxedit.photographs import edit_photos as module
from jaxedit.photographs import read_photos
from jaxedit.photographs.edit_photos import EditedPhotos
from jaxedit.photographs.read_photos import PhotoReadings


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments, command="edit"):
        monkeypatch.setattr(sys, "argv", ["jaxedit", command, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            app.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("option", ["--compare", "--face=2", "--where=person", "--directions=x.npz"])
def test_options_of_one_photograph(run, folder, option):
    code, _, error = run("--photo", folder, "smile=1", option)
    assert (
        code == 2
        and f"{option.split('=2')[0].split('=x')[0]}: expected with one photograph, got it with many" in error
    )


def test_a_batch_of_one(run, folder):
    code, _, error = run("--photo", folder / "a.png", "smile=1", "--batch-size", 2)
    assert code == 2 and "--batch-size: expected with many photographs" in error


def test_the_run(run, folder, monkeypatch):
    asked = []

    def stand_in(photos, out, generator, axes, edits, config, *, generator_name):
        asked.append((sorted(path.name for path in photos), str(out), edits, config, generator_name))
        return EditedPhotos(
            out / "results.csv", out / "index.html", (), {folder / "b.png": "b.png: no face found"}
        )

    monkeypatch.setattr(module, "edit_photos", stand_in)
    code, out, error = run(
        "--photo", folder / "a.png", "--photo", folder / "b.png", "smile=1", "--raw", "--layers=0-3"
    )
    assert code == 2 and "left out: b.png: no face found" in error
    assert out.split() == ["edited/results.csv", "edited/index.html"]
    ((names, where, edits, config, generator),) = asked
    assert (names, where, generator) == (["a.png", "b.png"], "edited", "mobile-stylegan-ffhq")
    assert (dict(edits.amounts), edits.units, list(edits.layers)) == ({"smile": 1.0}, "raw", [0, 1, 2, 3])
    assert config.limits is not None and not config.all_faces and config.batch_size == 1


def test_read(run, folder, monkeypatch):
    asked = []

    def stand_in(photos, out, generator, axes, config, *, generator_name, classifier, sort):
        asked.append(
            (len(photos), str(out), config.batch_size, generator_name, sort, "age" in classifier.names)
        )
        row = {"photo": "a.png", "face": 1, "unusual": 61.5, "lpips": 0.08}
        files = (out / name for name in ("readings.csv", "readings.json", "index.html"))
        return PhotoReadings((row,), ("photo",), *files, {})

    monkeypatch.setattr(read_photos, "read_photos", stand_in)
    code, out, _ = run(folder, "--sort", "age network", "--batch-size", 2, command="read")
    assert code == 0 and out.splitlines()[0] == "a.png, face 1: unusual 62 %, LPIPS 0.08"
    assert "readings/readings.csv" in out
    assert asked == [(2, "readings", 2, "mobile-stylegan-ffhq", "age network", True)]
