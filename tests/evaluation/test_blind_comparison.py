"""Blind comparisons with the toy generator: equal change, sheets, key, rates."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.evaluation.blind_answers import Rate, read_answers
from jaxedit.evaluation.blind_comparison import (
    COMPARED_COLUMNS,
    amounts_of_equal_change,
    comparison_rates,
    load_comparison_key,
    write_blind_comparison,
)
from jaxedit.evaluation.blind_study import BlindConfig, StudyFolders
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.in_places import Placing
from jaxedit.evaluation.methods import LinearDirections

RED = np.eye(6, dtype=np.float32)[:1]
METHODS = (LinearDirections("ours", ("red",), RED), LinearDirections("theirs", ("red",), 0.5 * RED))
CONFIG = BlindConfig(("red",), faces=4, amount=0.6, seed=0, size=16, pairs_per_sheet=4)


@pytest.fixture(scope="module")
def evaluators(classifier):
    return Evaluators(classifier, {"red": np.random.RandomState(0).randn(4000).astype(np.float32)})


@pytest.fixture(scope="module")
def amounts(toy, toy_w, evaluators):
    return amounts_of_equal_change(toy, METHODS, toy_w[:4], evaluators, ("red",), change=0.6, progress=False)


@pytest.fixture(scope="module")
def study(toy, toy_w, amounts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    folders = StudyFolders(folder / "reader", folder / "key")
    return folder, write_blind_comparison(
        toy, METHODS, toy_w[:4], amounts, CONFIG, folders=folders, progress=False
    )


def test_a_method_of_half_the_unit_moves_twice_as_far(amounts):
    assert amounts["ours"]["red up"] > 0 > amounts["ours"]["red down"]
    for where in ("red up", "red down"):
        assert amounts["theirs"][where] == pytest.approx(2 * amounts["ours"][where], rel=0.15)


def test_a_change_out_of_reach_is_refused(toy, toy_w, evaluators):
    weak = LinearDirections("weak", ("red",), 1e-3 * RED)
    with pytest.raises(InputError, match=r"method 'weak': expected a change of red down by 0.6"):
        amounts_of_equal_change(toy, [weak], toy_w[:4], evaluators, ("red",), change=0.6, progress=False)
    with pytest.raises(InputError, match="classifier: expected the attribute 'hat'"):
        amounts_of_equal_change(toy, [weak], toy_w[:4], evaluators, ("hat",), change=0.6, progress=False)


def test_a_pair_shows_both_methods_around_the_face(study):
    folder, key = study
    assert load_comparison_key(folder / "key") == key
    assert [pair.attribute for pair in key.pairs] == ["red up"] * 4 + ["red down"] * 4
    assert {(pair.left, pair.right) for pair in key.pairs} == {("ours", "theirs"), ("theirs", "ours")}
    with Image.open(folder / "reader" / "sheets" / "red_up_0000-0003.png") as sheet:
        row = np.asarray(sheet)[14 + 22 + 8].astype(int)
    left, middle, right = (row[14 + 8 + 20 * i][0] for i in range(3))
    # Red went up on both sides, and as far.
    assert left > middle + 3 and right > middle + 3 and abs(left - right) <= 0.25 * (left - middle)
    told = "".join(path.read_text() for path in (folder / "reader").iterdir() if path.is_file())
    assert "ours" not in told and "theirs" not in told and "before" not in told.partition("|")[0]


def test_rates_and_the_command(study, run):
    folder, key = study
    rows = []
    for i, pair in enumerate(key.pairs):
        ours = "L" if pair.left == "ours" else "R"
        theirs = "R" if ours == "L" else "L"
        clearer = "=" if i == 0 else theirs
        rows.append((pair.pair, pair.attribute, clearer, ours, theirs, "both", ours, "a note"))
    lines = [f"# study {key.study}", "\t".join(("pair", "attribute", *COMPARED_COLUMNS, "notes"))]
    path = folder / "filled.tsv"
    path.write_text("\n".join([*lines, *("\t".join(row) for row in rows)]))
    found = comparison_rates(key, read_answers(path, key))
    assert found["ours", "all"] == {
        "preferred": Rate(8, 8),
        "clearer": Rate(0, 7),
        "other person": Rate(0, 8),
        "flaw": Rate(0, 8),
        "background": Rate(8, 8),
    }
    assert found["theirs", "red up"]["clearer"] == Rate(3, 3)
    assert found["theirs", "all"]["other person"] == Rate(8, 8)
    code, printed, err = run("blind", "score", path, "--key", folder / "key")
    assert code == 0, err
    assert "8/8 [68, 100]" in printed and "its edit is kept" in printed


class OnlyUp(LinearDirections):
    """Takes nothing away, as what is worn by nobody."""

    def edit(self, w, attribute, amounts):
        return super().edit(w, attribute, jnp.maximum(amounts, 0))


def test_a_direction_out_of_reach_is_left_out(toy, toy_w, evaluators, tmp_path):
    methods = (METHODS[0], OnlyUp("theirs", ("red",), np.eye(6, dtype=np.float32)[:1]))
    found = amounts_of_equal_change(toy, methods, toy_w[:4], evaluators, ("red",), change=0.6, progress=False)
    assert [list(mine) for mine in found.values()] == [["red up"]] * 2
    folders = StudyFolders(tmp_path / "a", tmp_path / "b")
    key = write_blind_comparison(toy, methods, toy_w[:4], found, CONFIG, folders=folders, progress=False)
    assert {pair.attribute for pair in key.pairs} == {"red up"}


def test_two_methods_with_the_attribute_are_needed(toy, toy_w, amounts, tmp_path):
    folders = StudyFolders(tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="methods: expected two"):
        write_blind_comparison(toy, METHODS[:1], toy_w[:4], amounts, CONFIG, folders=folders)
    other = dataclasses.replace(METHODS[1], attribute_names=("blue",))
    with pytest.raises(InputError, match="attribute 'red': expected it of both methods, 'theirs' lacks it"):
        write_blind_comparison(toy, (METHODS[0], other), toy_w[:4], amounts, CONFIG, folders=folders)
    assert not (tmp_path / "a").exists()


def test_edits_at_places(study, toy, toy_w, amounts, places, tmp_path):
    folder, key = study
    options = {"folders": StudyFolders(tmp_path / "reader", tmp_path / "key"), "progress": False}
    placing = Placing.of(toy, METHODS, places, person_alone=True)
    drawn = (placing.generator, placing.methods)
    assert write_blind_comparison(*drawn, toy_w[:4], amounts, CONFIG, **options) == key
    (sheet, *_) = sorted((folder / "reader" / "sheets").iterdir())
    with Image.open(sheet) as plain, Image.open(tmp_path / "reader" / "sheets" / sheet.name) as kept:
        plain, kept = (np.asarray(image)[14 + 22 : 14 + 38, 14 : 14 + 56] for image in (plain, kept))
    np.testing.assert_array_equal(kept[:, :6], plain[:, :6])
    np.testing.assert_array_equal(kept[:, 20:36], plain[:, 20:36])
    np.testing.assert_array_equal(kept[:, 14:16], kept[:, 34:36])
    np.testing.assert_array_equal(kept[:, 54:56], kept[:, 34:36])
    with pytest.raises(InputError, match="in_places"):
        write_blind_comparison(toy, METHODS, toy_w[:4], amounts, CONFIG, **options)
