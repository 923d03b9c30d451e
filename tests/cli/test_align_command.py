import json

import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.inversion import align_folder, align_photos, find_photos


@pytest.fixture(scope="module")
def face() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def pair(face) -> Image.Image:
    """The same face twice, the second time smaller."""
    both = Image.new("RGB", (832, 512))
    both.paste(face)
    both.paste(face.resize((320, 320), Image.Resampling.LANCZOS), (512, 0))
    return both


def test_help_shows_examples(run):
    code, out, _ = run("align", "--help")
    assert code == 0
    assert "Examples:\n    jaxedit align" in out


def test_one_photo(run, face, tmp_path):
    face.save(tmp_path / "one.jpg", quality=95)
    code, out, _ = run("align", tmp_path / "one.jpg", "--out", tmp_path / "crops", "--size", 256)
    assert (code, out) == (0, f"{tmp_path / 'crops' / 'one.png'}\n")
    assert sorted(p.name for p in (tmp_path / "crops").iterdir()) == ["one.json", "one.png"]
    crop = Image.open(tmp_path / "crops" / "one.png")
    assert (crop.size, crop.mode) == ((256, 256), "RGB")
    record = json.loads((tmp_path / "crops" / "one.json").read_text())
    (found,) = record["faces"]
    assert (record["photo"], record["size"], found["file"]) == ("one.jpg", 256, "one.png")
    assert np.shape(found["quad"]) == (4, 2)
    assert np.shape(found["landmarks"]) == (68, 2)
    assert np.shape(found["box"]) == (4,)
    assert found["score"] > 0.8


def test_folder_and_resume(run, face, pair, tmp_path, monkeypatch):
    folder, out = tmp_path / "photos", tmp_path / "crops"
    folder.mkdir()
    face.save(folder / "a.png")
    pair.save(folder / "b.png")
    (folder / "notes.txt").write_text("not an image")
    command = ("align", folder, "--out", out, "--size", 128)
    code, printed, _ = run(*command)
    assert code == 0
    assert [line.rsplit("/", 1)[1] for line in printed.splitlines()] == ["a.png", "b.png", "b_2.png"]
    quads = [face["quad"] for face in json.loads((out / "b.json").read_text())["faces"]]
    assert np.ptp(quads[0], axis=0).sum() > 1.3 * np.ptp(quads[1], axis=0).sum()

    done = []
    real = align_folder.align
    monkeypatch.setattr(
        align_folder, "align", lambda photo, *a, **k: done.append(photo.path.name) or real(photo, *a, **k)
    )
    assert run(*command)[:2] == (0, printed)
    assert done == []
    (out / "b_2.png").unlink()  # stopped on the way
    (out / "a.json").write_text("{")
    assert run(*command)[:2] == (0, printed)
    assert done == ["a.png", "b.png"]
    face.resize((400, 400)).save(folder / "a.png")  # another image under the name
    assert run(*command)[:2] == (0, printed)
    assert done == ["a.png", "b.png", "a.png"]
    code, printed, _ = run(*command, "--largest")
    assert [line.rsplit("/", 1)[1] for line in printed.splitlines()] == ["a.png", "b.png"]


def test_further_faces_do_not_take_the_name_of_another_photo(face, pair, tmp_path):
    pair.save(tmp_path / "x.png")
    face.save(tmp_path / "x_2.png")
    summary = align_photos(find_photos([tmp_path]), tmp_path / "crops", size=64, progress=False)
    assert [crop.name for crop in summary.crops] == ["x.png", "x_3.png", "x_2.png"]


def test_photo_without_a_face(run, tmp_path):
    Image.fromarray(skimage.data.coffee()).save(tmp_path / "coffee.png")
    code, out, err = run("align", tmp_path / "coffee.png", "--out", tmp_path / "crops")
    assert (code, out) == (2, "")
    assert err.endswith("coffee.png: no face found\n")


def test_one_bad_photo_stops_no_other(run, face, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no image")
    face.save(tmp_path / "photos" / "b.png")
    code, out, err = run("align", tmp_path / "photos", "--out", tmp_path / "crops", "--size", 64)
    assert code == 2
    assert out == f"{tmp_path / 'crops' / 'b.png'}\n"
    assert "a.jpg: expected an image" in err
    assert err.endswith("jaxedit: error: 1 of 2 photos gave no crop (see above)\n")


def test_wrong_input(run, face, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "a.png", tmp_path / "other" / "A.jpg"):
        face.save(path)
    out = tmp_path / "crops"
    for arguments, message in [
        ([tmp_path / "absent.jpg"], "absent.jpg: expected an image or a folder of images, found nothing"),
        ([tmp_path / "empty"], "expected a folder with images, found none"),
        ([tmp_path / "a.png", tmp_path / "other"], "the same name"),
        ([tmp_path / "a.png", "--size", 63], "size: expected 64 … 4096, got 63"),
    ]:
        code, printed, err = run("align", *arguments, "--out", out)
        assert (code, printed) == (2, "")
        assert message in err
    code, _, err = run("align", tmp_path / "a.png", "--out", tmp_path)
    assert code == 2
    assert "another folder" in err
    code, _, err = run("align", tmp_path / "a.png", "--out", tmp_path / "other" / "A.jpg")
    assert code == 1
    assert "expected a folder" in err
    assert not out.exists()


def test_a_photo_named_twice_is_one(face, tmp_path):
    face.save(tmp_path / "a.png")
    assert find_photos([tmp_path / "a.png", tmp_path]) == [tmp_path / "a.png"]
    with pytest.raises(InputError, match="found nothing"):
        find_photos([tmp_path / "b.png"])
