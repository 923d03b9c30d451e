"""Codes of methods, and their DCI, MIG and SAP."""

import numpy as np
import pytest
from scipy.special import ndtri

from jaxedit.evaluation import AxesMethod, Evaluation, EvaluationConfig, Evaluators, evaluate
from jaxedit.evaluation.code_scores import CHANCE, LABELS, SCORES, codes_of, score_codes, score_methods
from jaxedit.evaluation.in_places import placed
from jaxedit.evaluation.methods import LinearDirections
from tests.evaluation.conftest import NAMES, W_DIM

W = np.random.RandomState(5).standard_normal((400, W_DIM)).astype(np.float32)
DIRECTIONS = np.zeros((3, W_DIM), np.float32)
DIRECTIONS[:, :3] = [[2, 0, 0], [0, 1, 1], [0, 0, 0.5]]
LINEAR = LinearDirections("linear", NAMES, DIRECTIONS)


def test_codes_of_directions_are_positions_along_them():
    expected = np.stack([W[:, 0] / 2, (W[:, 1] + W[:, 2]) / 2, 2 * W[:, 2]], 1)
    np.testing.assert_allclose(codes_of(LINEAR, W, NAMES, batch_size=7), expected, atol=1e-5)
    np.testing.assert_allclose(
        codes_of(placed(LINEAR, 4), W, ["blue"], batch_size=7), expected[:, 2:], atol=1e-5
    )


def test_in_w_plus_each_layer_counts():
    layers = np.zeros((1, 4, W_DIM), np.float32)
    layers[0, 1, 0], layers[0, 2, 1] = 1.0, 2.0
    method = LinearDirections("layers", ("red",), layers)
    expected = (W[:, 0] + 2 * W[:, 1]) / 5
    np.testing.assert_allclose(codes_of(method, W, ["red"], batch_size=16)[:, 0], expected, atol=1e-5)


def test_moves_that_differ_are_averaged():
    class Curved(LinearDirections):
        """Moves by the amount along the direction, and by its square along another, which ±1 cancel."""

        def edit(self, w, attribute, amounts):
            return super().edit(w, attribute, amounts).at[:, 4].add(amounts**2)

    np.testing.assert_allclose(
        codes_of(Curved("curved", NAMES, DIRECTIONS), W, NAMES, batch_size=64),
        codes_of(LINEAR, W, NAMES, batch_size=64),
        atol=1e-5,
    )


def test_codes_of_axes_are_those_of_their_encoder(toy_axes):
    codes = codes_of(AxesMethod("axes", toy_axes), W, ["blue", "red"], batch_size=8)
    np.testing.assert_allclose(codes, np.asarray(toy_axes.encode(W))[:, [2, 0]], atol=1e-6)


def test_scores_by_hand():
    """Codes that equal independent factors, up to scale, and codes that mix two of them."""
    factors = W[:, :3]
    exact = score_codes(factors * np.array([2, -1, 3], np.float32), factors)
    assert tuple(exact) == SCORES
    # What is left are correlations of so few samples by chance.
    assert exact["disentanglement"] > 0.95 and exact["completeness"] > 0.95
    assert exact["informativeness"] == pytest.approx(1, abs=0.01)
    assert exact["sap"] == pytest.approx(1, abs=0.03)
    mixed = factors @ np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]], np.float32)
    found = score_codes(mixed, factors)
    # Each of the first two factors is explained in halves by two codes: SAP has nothing, the third has all.
    assert found["sap"] == pytest.approx(1 / 3, abs=0.06)
    # Two of three codes matter for two factors alike: their entropy to the base 3 is log 2 / log 3.
    expected = 1 - (2 / 3) * np.log(2) / np.log(3)
    assert found["disentanglement"] == pytest.approx(expected, abs=0.08)
    assert found["mig"] < exact["mig"] / 2


def test_methods_are_scored_on_what_all_of_them_have():
    columns = dict(enumerate(W[:, :3].T))
    scores = score_methods({"all": columns, "two": {0: W[:, 0], 2: W[:, 2]}}, W[:, :3], NAMES)
    assert scores is not None
    assert scores.attributes == ("red", "blue")
    assert list(scores.rows) == [LABELS, "all", "two", CHANCE]
    assert scores.rows["all"] == scores.rows["two"] == scores.rows[LABELS]
    assert scores.rows[CHANCE]["sap"] < 0.05 < scores.rows[LABELS]["sap"]
    assert score_methods({"all": columns, "one": {0: W[:, 0], 3: W[:, 2]}}, W[:, :4], (*NAMES, "hue")) is None
    assert (
        score_methods({"all": {key: values[:39] for key, values in columns.items()}}, W[:39, :3], NAMES)
        is None
    )
    assert score_methods({}, W[:, :3], NAMES) is None


def test_an_evaluation_scores_the_codes_of_its_methods(toy, classifier, toy_axes, tmp_path):
    normal = ndtri((np.arange(400) + 0.5) / 400).astype(np.float32)

    methods = [AxesMethod("axes", toy_axes), LINEAR, LinearDirections("red alone", ("red",), DIRECTIONS[:1])]
    config = EvaluationConfig(targets=["red"], pilot=4, num_resamples=20, batch_size=16, sheet_faces=0)
    result = evaluate(
        toy, methods, W[:60], Evaluators(classifier, dict.fromkeys(NAMES, normal)), config,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert result.codes is not None
    assert result.codes.attributes == NAMES
    assert list(result.codes.rows) == [LABELS, "axes", "linear", CHANCE], "one attribute alone is passed over"
    assert (
        result.codes.rows["axes"]["sap"]
        > result.codes.rows["linear"]["sap"]
        > result.codes.rows[CHANCE]["sap"]
    )
    assert result.to_json()["codes"]["attributes"] == list(NAMES)
    assert "codes of red, green, blue" in result.summary()
    (tmp_path / "run" / "measurements" / "axes" / "codes.npz").unlink()
    again = Evaluation.load(tmp_path / "run")
    assert again.codes is not None and list(again.codes.rows) == [LABELS, "linear", CHANCE]
