import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import jaxedit
from jaxedit.errors import InputError
from jaxedit.inversion.photo import Photo, list_photos
from jaxedit.latents.latent_files import load_latent_file, save_latent_file
from jaxedit.storage.arrays import read_arrays, write_arrays
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.checkpoints import read_metadata, save_checkpoint
from jaxedit.storage.paths import as_path
from jaxedit.storage.runs import RunFolder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_the_home_folder_is_expanded_as_in_a_shell(home):
    assert as_path("~/x") == as_path(Path("~/x")) == home / "x"
    assert as_path("~") == home
    for literal in ("a/~/x", "x~", "~no-such-user-here/x"):
        assert as_path(literal) == Path(literal)


@pytest.mark.parametrize("wrong", ["", "a\0b", b"x", 3, None])
def test_what_is_no_path_is_refused(wrong):
    with pytest.raises(InputError, match="path: expected"):
        as_path.__wrapped__(wrong)


def test_everything_that_takes_a_path_expands_it(home, run, tmp_path):
    write_atomically("~/a/bytes", b"x")
    jaxedit.save_image(np.zeros((64, 64, 3), np.uint8), "~/a/image.png")
    write_arrays("~/a/arrays.npz", {"x": np.ones(2)}, {}, kind="thing")
    save_latent_file("~/a/latent.npz", np.zeros((4, 8), np.float32), about={}, quad=np.zeros((4, 2)))
    save_checkpoint("~/a/checkpoint", kind="thing", config={}, arrays={"x": np.ones(2)})
    RunFolder.open("~/a/run", kind="labels", request={"x": 1})
    assert sorted(path.name for path in (home / "a").iterdir()) == [
        *("arrays.npz", "bytes", "checkpoint", "image.png", "latent.npz", "run")
    ]
    assert Photo("~/a/image.png").pixels.shape == (64, 64, 3)
    assert list_photos(["~/a/image.png"]) == [home / "a" / "image.png"]
    assert read_arrays("~/a/arrays.npz", kind="thing", expected="a thing")[0]["x"].sum() == 2
    assert load_latent_file("~/a/latent.npz").w.shape == (1, 4, 8)
    assert read_metadata("~/a/checkpoint")["kind"] == "thing"
    # On the command line the shell leaves a `~` after an equals sign as it is.
    code, printed, _ = run("info", "~/a/checkpoint")
    assert code == 0 and printed.startswith("thing")
    code, _, err = run("align", "~/a/image.png", "--out=~/a/image.png")
    assert code == 1 and f"{home}/a/image.png: expected a folder" in err
    for name in ("load_generator", "load_labelled_latents", "load_axes"):
        with pytest.raises(ValueError, match=re.escape(f"{home}/a/checkpoint")):  # found, and of another kind
            getattr(jaxedit, name)("~/a/checkpoint")
    assert not (tmp_path / "~").exists()


def test_only_regular_files_are_read(tmp_path, run):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder").mkdir()
    for path, kind in [
        (tmp_path / "pipe.jpg", "a pipe, a socket or a device"),
        (Path("/dev/zero"), "a pipe, a socket or a device"),
        (tmp_path / "folder", "a folder"),
        (tmp_path / "absent", "nothing"),
    ]:
        with pytest.raises(InputError, match=f"found {kind}"):
            _ = Photo(path).sha256
    code, _, err = run("align", tmp_path / "pipe.jpg", "--out", tmp_path / "out")
    assert code == 2 and "pipe.jpg: expected an image, found a pipe" in err
    code, _, err = run("edit", "age=1", "--latent", tmp_path / "pipe.jpg", "--out", tmp_path / "x.png")
    assert code == 2 and "found a pipe" in err
    assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == '["folder", "pipe.jpg"]'
