"""`jaxedit edit` with many photographs: options, the hand-over, the exit code."""

import sys

import numpy as np
import pytest
from PIL import Image

from jaxedit.cli import app
from jaxedit.photographs import edit_photos as module
from jaxedit.photographs.edit_photos import EditedPhotos


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxedit", "edit", *map(str, arguments)])
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


@pytest.mark.parametrize("option", ["--compare", "--face=2", "--keep-background", "--directions=x.npz"])
def test_options_of_one_photograph(run, folder, option):
    code, _, error = run("--photo", folder, "smile=1", option)
    assert code == 2 and f"{option.split('=')[0]}: expected with one photograph, got it with many" in error


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
