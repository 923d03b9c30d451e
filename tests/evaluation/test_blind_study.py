"""Blind studies of the toy generator, whose colors tell the sides."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.evaluation.blind_answers import (
    ANSWER_COLUMNS,
    Rate,
    instructions,
    load_key,
    load_seed,
    rates,
    read_answers,
)
from jaxedit.evaluation.blind_study import BlindConfig, write_blind_study
from jaxedit.evaluation.in_places import Placing
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.images import to_uint8

CONFIG = BlindConfig(("red", "blue"), faces=5, amount=2.0, seed=0, size=16, pairs_per_sheet=4)
METHODS = (
    LinearDirections("ours", ("red", "blue"), np.eye(6, dtype=np.float32)[[0, 2]]),
    LinearDirections("theirs", ("red",), np.eye(6, dtype=np.float32)[:1]),
)


@pytest.fixture(scope="module")
def study(toy, toy_w, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    key = write_blind_study(
        toy, METHODS, toy_w, CONFIG, out=folder / "reader", key_out=folder / "key", progress=False
    )
    return folder, key


def answered(folder, key, change=lambda rows: None):
    rows = [[p.pair, p.attribute, p.side, "same", "none", "same", "nothing", p.side, ""] for p in key.pairs]
    change(rows)
    lines = [f"# study {key.study}", "\t".join(("pair", "attribute", *ANSWER_COLUMNS, "notes"))]
    path = folder / "filled.tsv"
    path.write_text("\n".join([*lines, *("\t".join(row) for row in rows)]))
    return path


def test_the_sides_are_those_of_the_key_and_the_reader_cannot_tell(study, toy, toy_w):
    folder, key = study
    assert len(key.pairs) == 15 and load_key(folder / "key") == key
    assert {p.side for p in key.pairs} == {"L", "R"}
    assert sorted((p.method, p.face) for p in key.pairs if p.attribute == "red") == sorted(
        (name, face) for name in ("ours", "theirs") for face in range(5)
    )
    names = sorted(path.name for path in (folder / "reader" / "sheets").iterdir())
    assert names == [
        "blue_0010-0013.png", "blue_0014-0014.png", "red_0000-0003.png", "red_0004-0007.png", "red_0008-0009.png"
    ]  # fmt: skip
    with Image.open(folder / "reader" / "sheets" / "red_0000-0003.png") as sheet:
        pixels = np.asarray(sheet)
    left, right = pixels[14 + 22 + 8, 14 + 8], pixels[14 + 22 + 8, 14 + 16 + 4 + 8]
    assert (left[0] > right[0]) == (key.pairs[0].side == "L") and left[2] == right[2]
    told = "".join(path.read_text() for path in (folder / "reader").iterdir() if path.is_file())
    assert "ours" not in told and "theirs" not in told and '"seed"' not in told


def test_the_reader_is_told_what_more_of_an_attribute_is():
    told = instructions(("yaw", "freckles"))
    assert "- `yaw`: the head turned to the image's right" in told and "`freckles`:" not in told


def test_edits_at_places(study, toy, toy_w, places, tmp_path):
    folder, key = study
    folders = {"out": tmp_path / "reader", "key_out": tmp_path / "key", "progress": False}
    placing = Placing.of(toy, METHODS, places)
    kept = write_blind_study(placing.generator, placing.methods, toy_w, CONFIG, **folders)
    assert kept == key == load_key(tmp_path / "key")
    sheets = [read_sheet(root / "reader" / "sheets" / "red_0000-0003.png") for root in (folder, tmp_path)]
    plain, kept_pair = (sheet[14 + 22 : 14 + 22 + 16, 14 : 14 + 36].astype(int) for sheet in sheets)
    np.testing.assert_array_equal(kept_pair[:, :6], plain[:, :6])
    np.testing.assert_array_equal(kept_pair[:, 20:26], plain[:, 20:26])
    face = np.asarray(to_uint8(toy.synthesis(toy_w[key.pairs[0].face][None])))[0]
    np.testing.assert_array_equal(kept_pair[:, 14:16], face[:, 14:16])
    np.testing.assert_array_equal(kept_pair[:, 34:36], face[:, 14:16])
    with pytest.raises(InputError, match="in_places"):
        write_blind_study(toy, METHODS, toy_w, CONFIG, **folders)


def read_sheet(path):
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_it_resumes_and_keeps_answers(study, toy, toy_w):
    folder, key = study
    sheet = folder / "reader" / "sheets" / "blue_0014-0014.png"
    content = sheet.read_bytes()
    sheet.unlink()
    (folder / "reader" / "answers.tsv").write_text("begun")
    places = {"out": folder / "reader", "key_out": folder / "key", "progress": False}
    assert write_blind_study(toy, METHODS, toy_w, CONFIG, **places) == key
    assert sheet.read_bytes() == content and (folder / "reader" / "answers.tsv").read_text() == "begun"
    with pytest.raises(InputError, match="another study"):
        write_blind_study(toy, METHODS, toy_w + 1, CONFIG, **places)
    with pytest.raises(InputError, match="apart from the sheets"):
        write_blind_study(toy, METHODS, toy_w, CONFIG, out=folder / "a", key_out=folder / "a" / "key")
    with pytest.raises(InputError, match="'green': expected one of blue, red"):
        write_blind_study(
            toy, METHODS, toy_w, BlindConfig(("green",), 5), out=folder / "b", key_out=folder / "c"
        )


def test_sides_are_a_secret_of_the_key_unless_a_seed_is_given(toy, toy_w, tmp_path):
    def write(name, key_name=None, **changes):
        config = dataclasses.replace(CONFIG, **{"attributes": ("red",), "seed": None} | changes)
        places = {
            "out": tmp_path / name,
            "key_out": tmp_path / (key_name or f"{name}-key"),
            "progress": False,
        }
        return write_blind_study(toy, METHODS, toy_w, config, **places)

    sides = [[(p.method, p.face, p.side) for p in write(name).pairs] for name in ("a", "b")]
    assert sides[0] != sides[1]
    assert write("a").pairs == load_key(tmp_path / "a-key").pairs  # the secret is found again
    assert write("c", seed=3).pairs == write("d", seed=3).pairs != write("e", seed=4).pairs
    secret = load_seed(tmp_path / "a-key")
    assert len(secret) == 32 and load_seed(tmp_path / "c-key") == 3
    told = "".join(path.read_text() for path in (tmp_path / "a").iterdir() if path.is_file())
    assert secret not in told
    with pytest.raises(InputError, match=r"other: expected the key of the sheets in .*a, found none"):
        write("a", "other")
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="another"):  # the key of another study
        write("a", "b-key")
    with pytest.raises(InputError, match="another study"):
        write("c", "new-key", seed=5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(InputError, match="full: expected a new or empty folder"):
        write("full", "new-key")
    assert not (tmp_path / "new-key").exists()


def test_what_does_not_belong_to_the_generator_is_refused(toy, toy_w, tmp_path):
    narrow = [LinearDirections("theirs", ("red",), np.eye(5, dtype=np.float32)[:1])]
    with pytest.raises(InputError, match=r"directions 'theirs': expected directions of shape \[6\]"):
        write_blind_study(
            toy, narrow, toy_w, BlindConfig(("red",), 5), out=tmp_path / "a", key_out=tmp_path / "b"
        )
    assert not list(tmp_path.iterdir())


def test_rates(study):
    folder, key = study

    def change(rows):
        rows[0][2:8] = ["=", "other", "both", "changed", "something", "="]

    found = rates(key, read_answers(answered(folder, key, change), key))
    one = found[key.pairs[0].method, "red"]
    assert [(one[t].hits, one[t].count) for t in one] == [
        (4, 5), (1, 5), (1, 5), (1, 5), (1, 5), (4, 5), (4, 4)
    ]  # fmt: skip
    assert (
        found["ours", "blue"]["right side"] == Rate(5, 5) and found["ours", "all"]["right side"].count == 10
    )
    # Wilson (1927), as in tables: 4 of 5 and 0 of 10.
    np.testing.assert_allclose(Rate(4, 5).interval, (0.3755, 0.9638), atol=1e-4)
    np.testing.assert_allclose(Rate(0, 10).interval, (0, 0.2775), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), "expected answers to 15 pairs, 1 are missing: 0014"),
        (lambda rows: rows.append(rows[0]), "line 18: pair 0000: expected each once"),
        (
            lambda rows: rows[3].__setitem__(2, "left"),
            "line 6: pair 0003: more: expected one of L R =, found 'left'",
        ),
        (
            lambda rows: rows[3].__setitem__(3, ""),
            "pair 0003: person: expected one of same other, found 'nothing'",
        ),
        (
            lambda rows: rows[3].__setitem__(0, "0077"),
            "expected a pair of the study with its attribute, found '0077'",
        ),
    ],
)
def test_wrong_answers_are_refused_in_one_line(study, change, message):
    folder, key = study
    with pytest.raises(InputError, match=message):
        read_answers(answered(folder, key, change), key)


def test_another_study_is_refused(study, run):
    folder, key = study
    path = answered(folder, key)
    code, printed, err = run("blind", "score", path, "--key", folder / "key")
    assert code == 0, err
    assert "5/5 [57, 100]" in printed
    os.mkfifo(folder / "pipe")
    code, _, err = run("blind", "score", folder / "pipe", "--key", folder / "key")
    assert code == 2 and "expected the answers of a blind study, found a pipe" in err
    path.write_text(path.read_text().replace(key.study, "0" * 12))
    code, _, err = run("blind", "score", path, "--key", folder / "key")
    assert code == 2 and f"expected answers to study {key.study}, whose key this is" in err
    code, _, err = run("blind", "score", path, "--key", folder / "reader")
    assert code == 2 and "expected a folder of key of a blind study" in err
