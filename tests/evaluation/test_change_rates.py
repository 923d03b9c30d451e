"""Target change rate, attribute preservation rate and identity preservation score, against numbers by hand."""

import numpy as np
import pytest
from scipy.special import ndtri

from jaxedit.evaluation import EvaluationConfig, Evaluators, LinearDirections, evaluate, measurement
from jaxedit.evaluation.change_rates import (
    EditedSides,
    change_rates_of_faces,
    edited_sides,
    score_change_rates,
)
from jaxedit.evaluation.statistics import resampling_weights
from tests.evaluation.conftest import NAMES, W_DIM

# Target and two others, of four faces: two below the median of the target, one above, one at it (which goes up).
BEFORE = np.array([[-0.5, 1.0, 0.2], [-1.0, -0.3, 0.4], [0.7, 0.1, -0.2], [0.0, 2.0, -1.0]])
DOWN = np.array([[-1.5, -9.0, -9.0], [-2.0, 9.0, -9.0], [-0.1, -0.1, -0.3], [-1.0, -9.0, 9.0]])
UP = np.array([[0.4, 0.9, -0.1], [-0.2, 0.1, 0.3], [1.9, -9.0, 9.0], [0.5, 1.5, -0.5]])
SIMILARITY = np.array([[0.1, 0.2, 0.6, 0.3], [0.9, 0.8, 0.0, 0.7]])


def sides(share: float = 1.0, faces: int = 4) -> EditedSides:
    """The faces moved by a share of the edit."""
    positions = np.stack([BEFORE + share * (moved - BEFORE) for moved in (DOWN, UP)])
    return EditedSides(positions[:, :faces], {"one": 1 - share * (1 - SIMILARITY[:, :faces])})


def test_each_face_goes_towards_the_other_class():
    changed, preserved, similarity = change_rates_of_faces(BEFORE, sides(), 0, [1, 2])
    # The second face stays below the median; the others cross it.
    assert changed.tolist() == [1, 0, 1, 1]
    # Of the first face the last attribute falls below its median, of the second and third the middle one moves over.
    assert preserved.tolist() == [0.5, 0.5, 0.5, 1]
    assert similarity["one"].tolist() == [0.9, 0.8, 0.6, 0.7]


def test_of_some_attributes():
    assert change_rates_of_faces(BEFORE, sides(), 0, [2])[1].tolist() == [0, 1, 1, 1]
    changed, preserved, _ = change_rates_of_faces(BEFORE, sides(), 2, [0])
    # By the third attribute, the first two faces go down and the others up.
    assert changed.tolist() == [1, 1, 1, 0]
    assert preserved.tolist() == [1, 1, 1, 0]


def test_rates_along_the_strength_and_their_intervals():
    weights = resampling_weights(4, 500, 0)
    along = {1.0: sides(faces=2), 0.5: sides(0.5, 2), 2.0: sides(2.0, 2)}
    rates = score_change_rates(BEFORE, sides(), along, 0, [1, 2], weights)
    assert rates.target_change.value == 0.75
    assert rates.attribute_preservation.value == 0.625
    assert rates.identity_preservation["one"].value == pytest.approx(0.75)
    assert rates.target_change.low < 0.75 < rates.target_change.high
    curve = rates.curve
    assert curve.strengths == (0, 0.5, 1, 2)
    # First face: -0.5, -0.05, 0.4, 1.3. Second face: -1, -0.6, -0.2, 0.6.
    assert curve.target_change.tolist() == [0, 0, 0.5, 1]
    # First face: the third attribute 0.2, 0.05, -0.1, -0.4. Second face: the second one -0.3, -0.1, 0.1, 0.5.
    assert curve.attribute_preservation.tolist() == [1, 1, 0.5, 0.5]
    np.testing.assert_allclose(curve.identity_preservation["one"], [1, 0.925, 0.85, 0.7])


def test_similarities_that_were_not_read_or_are_damaged_are_left_out():
    positions = np.stack([DOWN, UP, DOWN])
    whole = {"similarity.one": np.arange(12).reshape(3, 4) / 12, "similarity.two": np.full((3, 4), np.nan)}
    found = edited_sides(
        whole | {"similarity.three": np.ones((2, 4))}, positions, (2, 1), ["one", "two", "three", "four"], 3
    )
    assert found.similarity.keys() == {"one"}
    np.testing.assert_allclose(found.similarity["one"], np.array([[8, 9, 10], [4, 5, 6]]) / 12)
    np.testing.assert_array_equal(found.positions, np.stack([DOWN, UP])[:, :3])


def test_a_network_that_some_strengths_lack_has_no_curve():
    bare = EditedSides(sides().positions, {})
    rates = score_change_rates(
        BEFORE, sides(), {1.0: sides(), 2.0: bare}, 0, [1], resampling_weights(4, 10, 0)
    )
    assert rates.curve.identity_preservation == {}
    assert rates.identity_preservation.keys() == {"one"}


FACES = np.random.RandomState(3).standard_normal((40, W_DIM)).astype(np.float32)
DIRECTIONS = np.eye(3, W_DIM, dtype=np.float32)
DIRECTIONS[0, 1] = 0.2


def mean_color(images):
    return images.mean((1, 2))


@pytest.fixture
def run(toy, classifier, tmp_path):
    normal = ndtri((np.arange(4000) + 0.5) / 4000).astype(np.float32)
    evaluators = Evaluators(classifier, dict.fromkeys(NAMES, normal), identity={"color": mean_color})
    config = EvaluationConfig(targets=["red"], pilot=8, num_resamples=50, batch_size=16, sheet_faces=0)
    methods = [LinearDirections("linear", NAMES, DIRECTIONS)]
    return lambda: evaluate(toy, methods, FACES, evaluators, config, out=tmp_path / "run", progress=False)


def test_change_rates_of_straight_directions(run):
    """Red moves by the strength, green by a fifth of it; the descriptor is the color itself."""
    rates = run().cells["linear", "red"].rates
    faces = FACES
    side = np.where(faces[:, :1] <= 0, 1, -1)
    for strength, changed, preserved, similar in zip(
        rates.curve.strengths,
        rates.curve.target_change,
        rates.curve.attribute_preservation,
        rates.curve.identity_preservation["color"],
        strict=True,
    ):
        before = faces[:8, :3].astype(np.float64)
        after = before + strength * side[:8] * DIRECTIONS[0, :3]
        kept = (before > 0) == (after > 0)
        assert changed == pytest.approx(1 - kept[:, 0].mean(), abs=1 / 8 + 1e-9)
        assert preserved == pytest.approx(kept[:, 1:].mean(), abs=1 / 16 + 1e-9)
        cosines = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
        assert similar == pytest.approx(cosines.mean(), abs=0.05)
    assert rates.curve.strengths == (0, 0.5, 1, 1.5, 2)
    crossing = np.abs(faces[:, 0]) < 1
    assert rates.target_change.value == pytest.approx(crossing.mean(), abs=0.08)


def test_readings_of_earlier_versions_lack_the_identity_preservation_alone(run, monkeypatch):
    whole = run()
    for path in (whole.folder / "measurements" / "linear" / "red").glob("*.npz"):
        with np.load(path) as file:
            kept = {key: file[key] for key in file.files if not key.startswith("similarity.")}
        np.savez(path, **kept)
    monkeypatch.setattr(measurement, "_read_images", None)  # rendering would fail
    again = run()
    old, new = again.cells["linear", "red"].rates, whole.cells["linear", "red"].rates
    assert old.identity_preservation == old.curve.identity_preservation == {}
    assert old.target_change == new.target_change
    assert old.attribute_preservation == new.attribute_preservation
    assert "IPS" in whole.summary() and "IPS" not in again.summary()
