import numpy as np
import pytest

from jaxedit.evaluation.equal_change import amount_of_change, isotonic
from jaxedit.evaluation.independent_scores import score_independent
from jaxedit.evaluation.scores import score_calibration
from jaxedit.evaluation.statistics import (
    Estimate,
    FaceChanges,
    both_sides,
    monotone_share,
    resampling_weights,
)

NAMES = ("target", "one", "two")


def _changes(changes, num_resamples=200, target="target", names=NAMES):
    return FaceChanges.make(
        resampling_weights(changes.shape[1], num_resamples, 0), np.asarray(changes, float), names, target, 1.0
    )


def test_leakage_by_hand():
    changes = np.asarray([[[2.0, 0.5, -0.3], [2.0, 0.3, 0.1]], [[1.0, 0.0, 0.2], [1.0, 0.4, -0.2]]])
    of_faces = _changes(changes)
    np.testing.assert_allclose(
        of_faces.leakage(["one", "two"])[0], [(0.4 + 0.1) / 2 / 2, (0.2 + 0.0) / 2 / 1]
    )
    np.testing.assert_allclose(
        of_faces.absolute_leakage(["one", "two"])[0], [(0.4 + 0.2) / 2 / 2, (0.2 + 0.2) / 2 / 1]
    )


def test_a_direction_without_change_is_left_out():
    changes = np.zeros((2, 4, 3))
    changes[1] = [1.0, 0.2, 0.0]
    leakage = both_sides(_changes(changes).leakage(["one", "two"]))
    np.testing.assert_allclose(leakage, 0.1)
    changes[1, :, 0] = 0.05
    assert np.isnan(both_sides(_changes(changes).leakage(["one", "two"]))).all()


def test_intervals_cover_what_they_estimate():
    """Leakage of a population, (0.4 + 0.2) / 2, from many samples of 60 faces."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        changes = np.asarray([1.0, 0.4, -0.2]) + 0.3 * rng.standard_normal((2, 60, 3))
        estimate = Estimate.of(both_sides(_changes(changes, 300).leakage(["one", "two"])))
        covered.append(estimate.low <= 0.3 <= estimate.high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_the_floor_is_the_leakage_by_chance():
    rng = np.random.default_rng(1)
    found, floors = [], []
    for _ in range(100):
        changes = np.asarray([1.0, 0.0, 0.0]) + np.asarray([0.0, 0.5, 0.2]) * rng.standard_normal((2, 50, 3))
        of_faces = _changes(changes, 1)
        found.append(both_sides(of_faces.leakage(["one", "two"]))[0])
        floors.append(of_faces.leakage_floor(["one", "two"]))
    assert np.mean(floors) == pytest.approx(np.mean(found), rel=0.1)


def test_differences_are_paired():
    rng = np.random.default_rng(2)
    common = rng.standard_normal(100)
    weights = resampling_weights(100, 500, 0)
    one, other = Estimate.of(weights @ (common + 0.1)), Estimate.of(weights @ common)
    difference = one.minus(other)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert one.high - one.low > 0.3
    assert Estimate.mean([one, other]).value == pytest.approx(one.value - 0.05)


def test_resamples_are_those_of_the_seed():
    np.testing.assert_array_equal(resampling_weights(5, 3, 1), resampling_weights(5, 3, 1))
    assert (resampling_weights(5, 3, 1) != resampling_weights(5, 3, 2)).any()
    np.testing.assert_allclose(resampling_weights(5, 3, 1).sum(1), 1)


@pytest.mark.parametrize(
    ("amounts", "changes", "expected"),
    [
        ((1, 2, 4), (0.5, 1.5, 3), 1.5),  # between two
        ((1, 2, 4), (2, 3, 4), 0.5),  # below the least
        ((1, 2, 4), (0.2, 0.4, 0.8), 5.0),  # a little beyond
        ((1, 2, 4), (0.1, 0.2, 0.4), 4.0),  # out of reach: as far as was tried
        ((1, 2, 4), (1.5, -2, -3), 2 / 3),  # a collapse beyond does not count
        ((1, 2, 4), (0.2, 0.6, -3), 2.0),  # out of reach: the most
        ((1, 2, 4), (-0.2, -0.6, -3), 1.0),  # the wrong way
        ((2, 1, 2), (1.0, 0.5, 2.0), 1.5),  # any order, and an amount twice
    ],
)
def test_amounts_of_equal_change(amounts, changes, expected):
    assert amount_of_change(np.asarray(amounts, float), np.asarray(changes, float), 1.0) == pytest.approx(
        expected
    )


def test_isotonic_regression():
    values = np.asarray([0.0, 2.0, 1.0, 3.0, 2.0, 2.5])
    np.testing.assert_allclose(isotonic(values, np.ones(6)), [0, 1.5, 1.5, 2.5, 2.5, 2.5])
    np.testing.assert_allclose(isotonic(values[:3], np.asarray([1.0, 1.0, 3.0])), [0, 1.25, 1.25])


def test_monotone_faces():
    weights = resampling_weights(4, 50, 0)
    rising = np.linspace(-1, 1, 9)
    slipping, falling = rising.copy(), rising.copy()
    slipping[5] = slipping[4] - 0.019
    falling[5] = falling[4] - 0.021
    share = monotone_share(weights, np.stack([rising, slipping, falling, -rising], axis=1))
    assert share.value == 0.5
    assert share.low < 0.5 < share.high


def test_calibration_by_hand():
    seen = np.asarray([[1.0, 3.0], [2.0, 6.0]])
    result = score_calibration(resampling_weights(2, 10, 0), np.asarray([2.0, 3.0]), seen)
    np.testing.assert_allclose(result.mean, [2, 4])
    assert result.mean_absolute_error.value == pytest.approx((1 + 1 + 1 + 3) / 4)


def test_columns_of_one_attribute_are_averaged():
    labels = _changes(np.broadcast_to(np.asarray([1.0, 0.2, 0.0]), (2, 5, 3)))
    changes = np.broadcast_to(np.asarray([0.4, 0.6, 0.3, 0.9]), (2, 5, 4))
    columns = ("target@a", "target@b", "one@a", "unasked@a")
    scores = score_independent(
        labels, changes, columns, [c.split("@")[0] for c in columns], "target", ("target", "one", "two"), 1.0
    )
    assert scores.attribute_names == ("one",)
    assert scores.target_change is not None
    assert scores.target_change.value == pytest.approx(0.5)
    assert scores.leakage is not None
    assert scores.leakage.value == pytest.approx(0.3 / 0.5)
    assert scores.leakage_at_labels is not None
    assert scores.leakage_at_labels.value == pytest.approx(0.3)
    assert scores.labels_leakage is not None
    assert scores.labels_leakage.value == pytest.approx(0.2)
    assert scores.column_effects["target@b"].value == pytest.approx(0.6)


def test_independent_networks_that_do_not_measure_the_target():
    labels = _changes(np.broadcast_to(np.asarray([0.5, 0.2, 0.0]), (2, 5, 3)))
    scores = score_independent(labels, np.full((2, 5, 1), 0.1), ["one@a"], ["one"], "target", NAMES, 1.0)
    assert scores.target_change is None
    assert scores.leakage is None
    assert scores.leakage_at_labels is not None
    assert scores.leakage_at_labels.value == pytest.approx(0.2)
