"""Sheets of edited images of the toy generator, whose colors tell the edits."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.evaluation.blind_study import StudyFolders
from jaxedit.evaluation.edited_sheets import (
    EditedImage,
    EditedSheetsConfig,
    load_edit_key,
    write_edited_sheets,
)
from jaxedit.evaluation.in_places import Placing
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.images import save_image, to_uint8
from jaxedit.labels.rubric import Column, Rubric
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.marked_images import load_marked_images

RUBRIC = Rubric((Column("warm", "yes-no"), Column("light", "ordinal", ("no", "some", "much"))))
CONFIG = EditedSheetsConfig(("red", "blue"), faces=4, amount=2.0, seed=3, size=16, columns=3, rows=2)
METHOD = LinearDirections("ours", ("red", "blue"), np.eye(6, dtype=np.float32)[[0, 2]])


def write(toy, folder, config=CONFIG, **options):
    placing = Placing.of(toy, (METHOD,), **({"places": None} | options))
    folders = StudyFolders(folder / "read", folder / "read-key")
    return write_edited_sheets(placing, RUBRIC, config, folders, generator_name="toy", progress=False)


@pytest.fixture(scope="module")
def written(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edited")
    return folder, write(toy, folder)


def pixels(folder, number):
    with Image.open(folder / "read" / "images" / f"{number:04d}.png") as image:
        return np.asarray(image)


def test_each_image_shows_what_the_key_says(written, toy):
    folder, shown = written
    assert load_edit_key(folder / "read-key") == shown
    # Two attributes on four faces of their own, up and down, and every third face unedited.
    assert sorted(shown) == sorted(
        EditedImage(name, amount, face)
        for face in range(8)
        for name in (("red", "blue")[face // 4],)
        for amount in ((2.0, -2.0) if face % 3 else (2.0, -2.0, 0.0))
    )
    w = toy.mapping(sample_z(3, 8, 6), truncation_psi=0.7)
    for number, image in enumerate(shown):
        moved = w[image.face] + image.amount * np.eye(6)[0 if image.attribute == "red" else 2]
        np.testing.assert_array_equal(
            pixels(folder, number), np.asarray(to_uint8(toy.synthesis(moved[None])))[0]
        )


def test_the_reader_cannot_tell_what_was_edited(written):
    folder, shown = written
    files = sorted(path.relative_to(folder / "read").as_posix() for path in (folder / "read").rglob("*.*"))
    assert [x for x in files if not x.startswith("images/")] == [
        "instructions.md", "rubric.toml", "run.json", "sheets/000000-000005.png", "sheets/000006-000011.png",
        "sheets/000012-000017.png", "sheets/000018-000018.png", "table.tsv",
    ]  # fmt: skip
    for name in ("instructions.md", "run.json", "table.tsv", "rubric.toml"):
        text = (folder / "read" / name).read_text()
        assert not any(word in text for word in ("red", "blue", "2.0", "seed", "key"))
    assert (folder / "read" / "table.tsv").read_text().splitlines()[:2] == [
        "index\twarm\tlight\tnotes",
        "0\t\t\t",
    ]
    # The order is not that of the attributes or of the faces.
    assert list(shown) != sorted(shown) and [x.face for x in shown] != sorted(x.face for x in shown)


def test_interrupted_sheets_resume(toy, written, tmp_path):
    folder, shown = written
    before = {path: path.stat().st_mtime_ns for path in (folder / "read").rglob("*.png")}
    gone = folder / "read" / "images" / "0007.png"
    content = gone.read_bytes()
    gone.unlink()
    assert write(toy, folder, dataclasses.replace(CONFIG, batch_size=2)) == shown
    assert gone.read_bytes() == content
    assert {path for path, time in before.items() if path.stat().st_mtime_ns != time} == {gone}
    with pytest.raises(InputError, match="another amount"):
        write(toy, folder, dataclasses.replace(CONFIG, amount=1.0))
    assert write(toy, tmp_path) != shown  # another secret, another order
    (tmp_path / "read-key" / "run.json").unlink()
    with pytest.raises(InputError, match="nobody knows what they show"):
        write(toy, tmp_path)


def test_edits_at_places_leave_the_rest(toy, written, places, tmp_path):
    _, shown = written
    config = dataclasses.replace(CONFIG, attributes=("red",), faces=1)
    shown = write(toy, tmp_path, config, places=places)
    plain = pixels(tmp_path, [x.amount for x in shown].index(0))
    for number, image in enumerate(shown):
        np.testing.assert_array_equal(pixels(tmp_path, number)[:, 10:], plain[:, 10:])
        change = pixels(tmp_path, number)[:, :6, 0].astype(float).mean() - plain[:, :6, 0].mean()
        assert np.sign(round(change)) == np.sign(image.amount)


def test_wrong_settings_are_refused(toy, tmp_path):
    for change, message in (
        ({"attributes": ()}, "attributes: expected one or more, each once, got none"),
        ({"attributes": ("red", "red")}, "each once"),
        ({"amount": 0.0}, "amount: expected a number above 0"),
        ({"faces": 0}, "faces: expected 1 or more"),
        ({"seed": -1}, "seed"),
        ({"truncation_psi": 3.0}, "truncation_psi"),
    ):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(CONFIG, **change)
    with pytest.raises(InputError, match="attribute 'hat': expected one of red, blue"):
        write(toy, tmp_path, dataclasses.replace(CONFIG, attributes=("hat",)))
    assert not list(tmp_path.iterdir())
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "run.json").write_text(
        '{"kind": "key of edited images", "format": 1, "request": {"images": [1]}}'
    )
    with pytest.raises(InputError, match="damaged"):
        load_edit_key(tmp_path / "key")


def test_marks_of_the_files_come_back(written):
    folder, shown = written
    table = folder / "read" / "table.tsv"
    empty = table.read_text()
    with pytest.raises(InputError, match="the table has not been filled in"):
        load_marked_images(folder / "read")
    table.write_text("index\twarm\tlight\n" + "".join(f"{i}\t{i % 2}\t9\n" for i in range(2, 19)))
    marked = load_marked_images(folder / "read", side=16)
    assert marked.attribute_names == ("warm", "light") and marked.names[0] == "2"
    assert marked.kinds == tuple("edited" if x.amount else "unedited" for x in shown[2:])
    assert marked.groups.tolist() == [x.face for x in shown[2:]]
    np.testing.assert_array_equal(marked.images[3], pixels(folder, 5))
    assert np.isnan(marked.values[:, 1]).all() and marked.values[:3, 0].tolist() == [0, 1, 0]
    assert load_marked_images(folder / "read", side=32).images.shape == (17, 32, 32, 3)
    table.write_text("index\twarm\n19\t1\n")
    with pytest.raises(InputError, match="expected the key of image 19"):
        load_marked_images(folder / "read")
    table.write_text(empty)


def test_photographs_are_marked_by_their_names(tmp_path):
    (tmp_path / "table.csv").write_text("file,warm\na.png,1\nb.jpg,\nc.png,0\n")
    save_image(np.full((20, 20, 3), 40, np.uint8), tmp_path / "a.png")
    save_image(np.full((8, 8, 3), 90, np.uint8), tmp_path / "images" / "c.png")
    marked = load_marked_images(tmp_path / "table.csv", rubric=RUBRIC, side=10)
    assert marked.names == ("a.png", "c.png") and marked.kinds == ("file", "file")
    assert marked.values[:, 0].tolist() == [1, 0] and marked.images[:, 4, 4, 0].tolist() == [40, 90]
    save_image(np.zeros((20, 24, 3), np.uint8), tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: expected a square image.*24 × 20.*jaxedit align"):
        load_marked_images(tmp_path / "table.csv", rubric=RUBRIC)
    (tmp_path / "a.png").unlink()
    with pytest.raises(
        InputError, match=r"a\.png: expected an image, which .*table.csv names, found nothing"
    ):
        load_marked_images(tmp_path / "table.csv", rubric=RUBRIC)
    with pytest.raises(InputError, match="expected marks of image files, found those of latents"):
        load_marked_images("mobile-stylegan-ffhq")
