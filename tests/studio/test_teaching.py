"""Teaching with features that hold the thing to learn."""

import dataclasses

import numpy as np
import pytest

import jaxedit
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.errors import InputError
from jaxedit.studio.new_slider import (
    TaughtLabels,
    alike_of,
    learn_with,
    load_taught,
    with_curve_of,
    with_taught,
)
from jaxedit.studio.teaching import Teaching, checked_name


class KnownFeatures:
    """A pool whose first feature is the thing."""

    def __init__(self, count=300, share=0.2):
        rng = np.random.default_rng(0)
        self.truth = rng.random(count) < share
        features = rng.normal(size=(count, 20)).astype(np.float16)
        features[:, 0] += 4 * self.truth
        self.features, self.count = {"image": features}, count

    def wait_for(self, count):
        return self.count

    def of(self, rows):
        return {name: x[rows] for name, x in self.features.items()}

    def scores(self, weights, bias):
        return sum(self.features[n].astype(np.float32) @ w for n, w in weights.items()) + bias


@pytest.fixture
def teaching():
    return Teaching("hat", KnownFeatures())


def marked(teaching, pages):
    for _ in range(pages):
        rows = teaching.next_page()
        teaching.mark({row: bool(teaching.pool.truth[row]) for row in rows})
        if teaching.missing() is None:
            quality = teaching.learn()
    return quality


def test_marks_become_a_classifier_with_its_quality_in_words(teaching):
    quality = marked(teaching, 4)
    assert quality.auc > 0.95 and quality.num_yes + quality.num_no == 120
    assert "of 100 faces" in quality.in_words() and "good enough" in quality.in_words()
    scores = teaching.scores()
    assert scores[teaching.pool.truth].min() > np.median(scores)


def test_no_face_is_shown_twice_until_all_were(teaching):
    pages = [teaching.next_page() for _ in range(10)]
    assert len({row for page in pages for row in page}) == 300
    with pytest.raises(InputError, match="all were"):
        teaching.next_page()


def test_half_of_a_page_are_the_faces_of_which_the_classifier_is_least_sure(teaching):
    marked(teaching, 3)
    free = np.array([row for row in range(300) if row not in teaching.shown])
    unsure = free[np.argsort(np.abs(teaching.scores()[free]))][:15]
    page = teaching.next_page()
    assert len(page) == 30 and set(unsure.tolist()) <= set(page)


def test_a_wrong_mark_is_doubted(teaching):
    marked(teaching, 4)
    row = next(row for row, mark in teaching.marks.items() if mark)
    teaching.mark({row: False})
    teaching.learn()
    assert row in teaching.doubtful()
    teaching.mark({row: None})
    assert row not in teaching.marks


def test_too_few_marks_and_strange_ones_are_named(teaching):
    rows = teaching.next_page()
    teaching.mark({rows[0]: True})
    assert teaching.missing() == "Mark 4 more yes and 5 more no, then it begins to learn."
    with pytest.raises(InputError, match="expected marks"):
        teaching.scores()
    with pytest.raises(InputError, match="faces that were shown"):
        teaching.mark({-1: True})


@pytest.mark.parametrize("name", ["", "x", "1st", "../axes", "a/b", "ä b", "x" * 50, "age", "Age "])
def test_names_that_are_none_or_taken_are_refused(name):
    with pytest.raises(InputError, match="name"):
        checked_name(name, ["age"])


@pytest.fixture(scope="module")
def taught(small_dataset):
    rows = np.arange(250)
    return TaughtLabels("height", rows, 2 * np.asarray(small_dataset.w)[rows, 2])


def test_a_taught_axis_stands_beside_the_others(small_axes, small_dataset, small_config, taught, tmp_path):
    axes = learn_with(small_axes, small_dataset, taught, small_config)
    assert axes.attribute_names == ("age", "smile", "height") and axes.attribute_units[2] == "log-odds"
    w = np.asarray(small_dataset.w[250:])
    assert np.corrcoef(np.asarray(axes.read(w))[:, 2], w[:, 2])[0, 1] > 0.9
    moved = np.asarray(axes.edit(w, {"height": 1.0})).reshape(len(w), -1, 8).mean(1) - w
    assert moved[:, 2].mean() > 3 * np.abs(moved[:, :2].mean(0)).max()
    axes.save(tmp_path / "axes")
    assert jaxedit.load_axes(tmp_path / "axes").attribute_names == axes.attribute_names


def some_curves(num_ws):
    rng = np.random.default_rng(0)
    return LayerCurves(
        rng.normal(size=(2, num_ws, 6)).astype(np.float32),
        np.zeros((2, num_ws, 6), np.float32),
        np.array([[-2.0, 2.0]] * 2, np.float32),
        np.ones(2, np.float32),
        np.arange(num_ws, dtype=np.int32),
    )


def test_a_taught_copy_of_a_slider_moves_as_that_does(
    small_generator, small_axes, small_dataset, small_config
):
    w = np.asarray(small_dataset.w)
    noise = 0.5 * np.random.default_rng(0).normal(size=250)
    older = TaughtLabels("older", np.arange(250), 2 * w[:250, 0] + noise)
    assert "age" in alike_of(with_taught(small_dataset, older), older.name)
    axes = dataclasses.replace(small_axes, curves=some_curves(small_generator.num_ws))
    both = learn_with(axes, small_dataset, older, small_config)
    moved = (np.asarray(both.edit(w[250:], {"older": 1.0})) - w[250:, None]).mean((0, 1))
    assert moved[0] > 0.5 and moved[0] > 1.5 * np.abs(moved[1:]).max()


def test_what_goes_with_what_says_the_same_is_alike_too():
    rng = np.random.default_rng(0)
    hair, other = rng.normal(size=(2, 2000))
    background = 0.4 * hair + rng.normal(size=2000)
    black = -0.6 * hair + rng.normal(size=2000) * 0.8
    taught = 0.9 * hair + 0.2 * background + 0.25 * rng.normal(size=2000)
    values = np.stack([hair, black, background, other, taught], axis=1).astype(np.float32)
    names = ("lightness", "black", "background", "age", "light_hair")
    dataset = jaxedit.LabelledLatents(rng.normal(size=(2000, 4)).astype(np.float32), values, names, ("",) * 5)
    assert abs(np.corrcoef(taught, background)[0, 1]) > 0.5 > abs(np.corrcoef(hair, background)[0, 1])
    assert alike_of(dataset, "light_hair") == {"lightness", "black"}


def test_curves_and_ranges_of_the_others_stay(
    small_generator, small_axes, small_dataset, small_config, taught
):
    num_ws, curves = small_generator.num_ws, some_curves(small_generator.num_ws)
    ranges = np.array([[-1.0, 2.0], [-2.0, 1.0]], np.float32)
    axes = learn_with(
        dataclasses.replace(small_axes, curves=curves, ranges=ranges), small_dataset, taught, small_config
    )
    np.testing.assert_array_equal(axes.curves.tangents[:2], curves.tangents)
    assert axes.range("age") == (-1.0, 2.0) and axes.range("height") is None
    w = np.asarray(small_dataset.w[250:260])
    whole = np.asarray(axes.edit(w, {"height": 1.0}))
    assert whole.shape == (10, num_ws, 8)
    assert (whole - w[:, None]).mean((0, 1))[2] > 0.1

    # A refinement that ends now replaces one curve, though "height" came meanwhile.
    other = dataclasses.replace(curves, tangents=curves.tangents + 1, slopes=curves.slopes * 0.5)
    merged = with_curve_of(axes, dataclasses.replace(small_axes, curves=other), "smile")
    np.testing.assert_array_equal(merged.curves.tangents[1], other.tangents[1])
    np.testing.assert_array_equal(merged.curves.slopes[:2], [curves.slopes[0], other.slopes[1]])
    np.testing.assert_array_equal(
        np.asarray(merged.curves.tangents)[[0, 2]], np.asarray(axes.curves.tangents)[[0, 2]]
    )
    with pytest.raises(InputError, match="hat: expected axes with its curve"):
        with_curve_of(axes, small_axes, "hat")


def test_taught_labels_come_back_from_their_folder(tmp_path, taught, small_dataset):
    taught.save(tmp_path)
    (found,) = load_taught(tmp_path)
    assert found.name == "height"
    np.testing.assert_array_equal(found.values, taught.values)
    both = with_taught(small_dataset, found)
    assert both.attribute_names == ("age", "smile", "height") and both.known_counts[2] == 250


def test_too_few_labels_a_taken_name_and_other_latents_are_refused(small_axes, small_dataset, taught):
    few = TaughtLabels("height", taught.rows[:20], taught.values[:20])
    with pytest.raises(InputError, match="100 labeled faces"):
        with_taught(small_dataset, few)
    with pytest.raises(InputError, match="slider already"):
        learn_with(small_axes, small_dataset, dataclasses.replace(taught, name="age"))
    with pytest.raises(InputError, match="those of others"):
        with_taught(small_dataset, dataclasses.replace(taught, rows=taught.rows + 300))
