import csv
import dataclasses
import json
import os

import jax
import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.person.mask import PersonMask
from jaxedit.attributes.person.places import FacePlaces
from jaxedit.errors import InputError
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.face_limits import FaceLimits, FacePlace
from jaxedit.inversion.photo import list_photos
from jaxedit.inversion.project_photos import PhotoProjectionConfig
from jaxedit.photographs import edit_photos as module
from jaxedit.photographs.edit_photos import PhotoEdits, edit_photos
from tests.attributes.person.fakes import LeftHalf, person_at
from tests.inversion.photo_files import exif_data
from tests.inversion.test_project_photos import photo as saved_photo

CONFIG = ProjectionConfig(num_steps=4, num_w_steps=2)
LIMITS = FaceLimits(min_side=64)


@pytest.fixture
def run(small, axes, stand_in, tmp_path):
    def run(photos, amounts=None, limits=LIMITS, pastes=False, in_places=False, along=axes, **options):
        config = PhotoProjectionConfig(CONFIG, limits=limits, **options)
        edits = PhotoEdits(amounts or {"height": 1.0}, in_places=in_places, pastes=pastes)
        return edit_photos(
            photos, tmp_path / "out", small, along, edits, config, generator_name="cats", progress=False
        )

    return run


def photo(path, value, score=90, side=64):
    return saved_photo(path, value, side, other=score)


def rows(result):
    return list(csv.DictReader(result.table.read_text("utf-8-sig").splitlines()))


def test_a_folder_of_photographs(run, tmp_path, stand_in):
    folder = tmp_path / "Über uns"
    photo(folder / "Zoë & 王.png", 1)
    photo(folder / "b.png", 2)
    photo(folder / "hidden.png", 1, score=30)
    photo(folder / "nobody.png", 0)
    (folder / "text.jpg").write_text("no image")
    result = run(list_photos([folder]), all_faces=True, batch_size=2)
    assert [(row["photo"], row["face"], row["status"]) for row in rows(result)] == [
        ("Zoë & 王.png", "1", "edited"),
        ("b.png", "1", "edited"),
        ("b.png", "2", "edited"),
        ("hidden.png", "1", "left out"),
        ("nobody.png", "", "left out"),
        ("text.jpg", "", "left out"),
    ]
    first, *_, hidden, nobody, text = rows(result)
    assert "hidden or unclear" in hidden["reason"] and "0.30" in hidden["reason"]
    assert "no face found" in nobody["reason"] and "expected an image" in text["reason"]
    assert float(first["height after"]) > float(first["height before"]) + 1
    assert float(first["lpips"]) > 0 and first["file"] == "Zoë & 王/edited.png"
    assert sorted(path.parent.name for path in result.edited) == ["Zoë & 王", "b", "b_2"]
    assert all(Image.open(path).size == (64, 64) for path in result.edited)
    page = result.page.read_text()
    assert "Zo%C3%AB%20%26%20%E7%8E%8B/edited.jpg" in page and "Zoë &amp; 王.png" in page
    assert "hidden or unclear" in page


def test_a_second_run_renders_nothing(run, tmp_path, stand_in, monkeypatch):
    photos = [photo(tmp_path / "a.png", 1)]
    first = run(photos)
    before = first.edited[0].stat().st_mtime_ns, rows(first)
    with monkeypatch.context() as patch:
        patch.setattr(module, "render", None)  # not called
        second = run(photos)
    assert (second.edited[0].stat().st_mtime_ns, rows(second)) == before
    # Other amounts: edited anew, not projected again.
    third = run(photos, {"height": -1.0, "smile": 1.0})
    assert "smile after" in rows(third)[0] and len(stand_in.batches) == 1
    assert float(rows(third)[0]["height after"]) < float(before[1][0]["height after"])


def test_tuned_faces_are_edited_with_their_own_generator(run, tmp_path, stand_in):
    photos = [photo(tmp_path / "a.png", 1), photo(tmp_path / "b.png", 2)]
    nothing = {"height": 0.0}
    plain = [np.asarray(Image.open(path)).astype(int) for path in run(photos, nothing).edited]
    tuning = TuningConfig(num_steps=3, learning_rate=0.02, identity_weight=0.0, locality_weight=0.0)
    result = run(photos, nothing, tuning=tuning)
    for path, untuned, row in zip(result.edited, plain, rows(result), strict=True):
        tuned = np.asarray(Image.open(path)).astype(int)
        np.testing.assert_allclose(tuned, np.asarray(Image.open(path.parent / "tuned.png")), atol=1)
        assert np.abs(tuned - untuned).mean() > 0.5
        metrics = json.loads((path.parent / "metrics.json").read_text())
        assert float(row["lpips"]) == pytest.approx(metrics["tuned_metrics"]["lpips"], abs=1e-3)
    again = run(photos, nothing)  # without a tuning: as before
    for path, untuned in zip(again.edited, plain, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)).astype(int), untuned)


def test_an_attribute_with_a_place_changes_the_face_there(run, tmp_path, stand_in, monkeypatch):
    photos = [photo(tmp_path / "a.png", 1)]
    original = np.asarray(Image.open(run(photos, {"smile": 0.0}).edited[0])).astype(int)
    whole = np.asarray(Image.open(run(photos, {"smile": 2.0}).edited[0])).astype(int)
    monkeypatch.setattr(FacePlaces, "from_pretrained", staticmethod(LeftHalf))
    drawn = np.asarray(Image.open(run(photos, {"smile": 2.0}, in_places=True).edited[0])).astype(int)
    np.testing.assert_array_equal(drawn[:, 34:], original[:, 34:])
    assert np.abs(drawn - original)[:, :30].mean() > 1 and np.abs(whole - original)[:, 34:].mean() > 1
    assert len(stand_in.batches) == 1  # one projection for all of them


def test_edits_along_other_axes_are_made_again(run, axes, tmp_path):
    photos = [photo(tmp_path / "a.png", 1)]
    first = run(photos).edited[0]
    before, seen = (first.parent / "edit.json").read_text(), first.read_bytes()
    run(photos)
    assert (first.parent / "edit.json").read_text() == before
    # Of the same labels and the same PCA: only the way of the edits differs, as after a refinement.
    other = dataclasses.replace(axes, autoencoder=jax.tree.map(lambda x: 1.2 * x, axes.autoencoder))
    run(photos, along=other)
    assert (first.parent / "edit.json").read_text() != before
    assert first.read_bytes() != seen


def test_faces_are_pasted_into_their_photographs(run, tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(PersonMask, "from_pretrained", lambda: person_at(np.ones((8, 8))))
    (tmp_path / "x").mkdir()
    pixels = np.full((96, 80, 3), 2, np.uint8)
    pixels[-1, -1] = 90
    exif = b"Exif\0\0" + exif_data(orientation=1)
    Image.fromarray(pixels).save(tmp_path / "x" / "both.png", exif=exif)
    (tmp_path / "x" / "gif.gif").write_bytes(b"GIF89a")
    Image.fromarray(pixels // 2).quantize().save(tmp_path / "x" / "gif.gif")
    photos = list_photos([tmp_path / "x"])
    result = run(photos, all_faces=True, pastes=True, limits=None)
    assert [path.name for path in result.edited] == ["both.png", "gif.png"]
    with Image.open(result.edited[0]) as image:
        written = np.asarray(image)
        assert image.getexif()[0x010F] == "Maker" and not image.getexif().get_ifd(0x8825)
    changed = (written != pixels).any(-1)
    assert changed[:64, :64].any() and not changed[64:].any() and not changed[:, 64:].any()
    first = rows(result)[0]
    assert float(first["changed"]) == pytest.approx(changed.mean(), rel=1e-3)
    assert (first["file"], first["face_file"]) == ("both.png", "both/edited.png")
    before = result.edited[0].stat().st_mtime_ns
    assert run(photos, all_faces=True, pastes=True, limits=None).edited[0].stat().st_mtime_ns == before
    # Nobody in the crop: reported, and the others are not stopped.
    monkeypatch.setattr(PersonMask, "from_pretrained", lambda: person_at(np.zeros((8, 8))))
    again = run(photos, {"height": -1.0}, pastes=True, limits=None)
    assert {row["status"] for row in rows(again)} == {"not pasted"}
    assert all("expected a person" in reason for reason in again.failures.values())


def test_unknown_attributes_are_named_before_the_work(run, tmp_path, stand_in):
    with pytest.raises(InputError, match="beard"):
        run([photo(tmp_path / "a.png", 1)], {"beard": 1.0})
    with pytest.raises(InputError, match="one or more"):
        run([])
    assert stand_in.aligned == []


def test_a_name_that_is_no_text(run, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        photo(path, 1)
    except OSError:
        pytest.skip("the file system takes no such names")
    result = run([path])
    assert rows(result)[0]["photo"] == "caf�.png"
    assert "caf%E9/edited.jpg" in result.page.read_text()


def face(**changes):
    quad = np.asarray([[0, 0], [0, 200], [200, 200], [200, 0]], float)
    return FacePlace(**{"quad": quad, "landmarks": None, "score": 0.9} | changes)


def test_limits_of_a_face():
    limits = FaceLimits()
    assert limits.problem(face()) is None
    assert "too small: its crop has 100 pixels" in limits.problem(face(quad=face().quad / 2))
    level = np.full((68, 2), 50.0)
    level[36:42], level[42:48], level[[48, 54]], level[30] = (70, 80), (130, 80), (100, 140), (100, 115)
    level[36], level[45], level[[0, 16]] = (60, 80), (140, 80), (100, 85)
    assert limits.problem(face(landmarks=level)) is None
    assert "hidden or unclear" in limits.problem(face(landmarks=level, score=0.3))
    level[30] = (135, 115)
    assert "turned to a side by" in limits.problem(face(landmarks=level))
    with pytest.raises(InputError, match="max_yaw"):
        FaceLimits(max_yaw=np.nan)
