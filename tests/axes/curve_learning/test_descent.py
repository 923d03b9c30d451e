"""Curves learned through "images" of a linear model in which the effect of each layer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes import fit_pca
from jaxedit.axes.curve_learning.calibration import calibrated, measured_slope, mixture, unmixed
from jaxedit.axes.curve_learning.config import default_groups
from jaxedit.axes.curve_learning.descent import DescentState, of_sides
from jaxedit.axes.curve_learning.loss import (
    ColumnWeights,
    EditBatch,
    EditModel,
    ImageLossConfig,
    along_curve,
    column_weights,
    derivatives,
    image_gradients,
    image_loss,
)
from jaxedit.axes.curve_learning.preconditioner import Moments
from jaxedit.axes.layer_curves import pseudo_huber
from jaxedit.errors import InputError

COLUMNS = ("age", "smile", "age@second")
GROUPS = jnp.asarray([0, 0, 1, 1])
CONFIG = ImageLossConfig(identity=(0.5,))


class LinearImages:
    """An "image" of 4 layers of width 6 is their numbers; a network is a matrix and a curvature."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        self.pca = fit_pca(random.randn(400, 6).astype(np.float32) * np.geomspace(2, 0.5, 6), 5)
        self.attributes = jnp.asarray(random.randn(24, 3) / 5, jnp.float32)
        self.identity = jnp.asarray(random.randn(24, 4) / 8, jnp.float32)
        self.w = random.randn(64, 6).astype(np.float32)
        self.render = jax.tree_util.Partial(lambda w_plus: w_plus.reshape(len(w_plus), 1, -1, 1) / 10)
        self.reader = jax.tree_util.Partial(self._read, self.attributes, self.identity)
        self.model = EditModel(self.render, self.reader, self.pca, GROUPS)

    @staticmethod
    def _read(attributes, identity, images):
        numbers = images.reshape(len(images), -1) * 10
        seen = numbers @ attributes
        return seen + 0.05 * jnp.tanh(seen) ** 2, (numbers @ identity,)

    def before(self, w):
        return self.reader(jnp.clip(self.render(jnp.repeat(jnp.asarray(w)[:, None], 4, axis=1)), -1, 1))


@pytest.fixture(scope="module")
def linear():
    return LinearImages()


@pytest.fixture(scope="module")
def moments(linear):
    column_rows, descriptor_rows = [], []
    random = np.random.RandomState(1)
    for w in linear.w:
        signs = np.zeros((5, 4), np.float32)
        signs[3:] = random.choice([-1, 1], (2, 4))
        cotangents = (jnp.asarray(np.eye(5, 3, dtype=np.float32))[None], (jnp.asarray(signs)[None],))
        rows = derivatives(linear.model, jnp.asarray(w)[None], jnp.zeros((1, 2, 5)), cotangents)
        rows = np.asarray(rows).reshape(5, -1)
        column_rows.append(rows[:3])
        descriptor_rows.append(rows[3:4])
    return Moments.of(np.stack(column_rows), [np.concatenate(descriptor_rows)])


def test_derivatives_are_those_of_the_readings(linear):
    w = jnp.asarray(linear.w[3])
    row = np.asarray(
        derivatives(
            linear.model, w[None], jnp.zeros((1, 2, 5)), (jnp.eye(1, 3)[None], (jnp.zeros((1, 1, 4)),))
        )
    )[0, 0]
    move = np.random.RandomState(2).randn(2, 5).astype(np.float32)
    scale = np.sqrt(np.asarray(linear.pca.explained_variance[:5]))
    change = ((move * scale) @ np.asarray(linear.pca.components[:5]))[np.asarray(GROUPS)]
    seen = [linear.reader(linear.render(w + s * 1e-2 * change[None]))[0][0, 0] for s in (-1, 1)]
    np.testing.assert_allclose((row * move).sum(), float(seen[1] - seen[0]) / 2e-2, rtol=2e-2, atol=1e-3)


def test_columns_of_one_attribute_share_its_weight():
    weights = column_weights("smile", COLUMNS, {"age": 1.0}, default=0.2)
    np.testing.assert_allclose(weights.target, [0, 1, 0])
    np.testing.assert_allclose(weights.others, [0.5, 0, 0.5])
    weights = column_weights("age", COLUMNS, {"age": 1.0}, default=0.2)
    np.testing.assert_allclose(weights.target, [0.5, 0, 0.5])
    np.testing.assert_allclose(weights.others, [0, 0.2, 0], atol=1e-7)
    with pytest.raises(InputError, match="hat"):
        column_weights("hat", COLUMNS, {})


def test_the_loss_of_one_image():
    weights = ColumnWeights(jnp.asarray([1.0, 0.0]), jnp.asarray([0.0, 2.0]))
    config = ImageLossConfig(target=3.0, others=0.5, mean=2.0, identity=(4.0,), length=0.1)
    loss = image_loss(
        jnp.asarray([1.5, 0.3]),
        jnp.asarray([0.0, 0.1]),
        [jnp.asarray(0.25)],
        jnp.ones((2, 5)),
        jnp.asarray(1.0),
        weights,
        jnp.asarray([9.0, 0.1]),
        config,
    )
    huber, others, mean, identity, length = 0.5 * 0.5**2, 2 * 0.2**2, 2 * 0.1 * 0.2, 0.25, 10.0
    np.testing.assert_allclose(
        loss, 3 * huber + 0.5 * others + 2 * mean + 4 * identity + 0.1 * length, rtol=1e-5
    )


def descend(linear, moments, batches):
    weights = column_weights("age", COLUMNS, {"smile": 1.0})
    inverse = moments.inverse(weights, CONFIG, damping=0.1)
    state = DescentState.begin(np.zeros((2, 5), np.float32), 3)
    random = np.random.RandomState(5)
    losses = []
    for _ in range(batches):
        amounts = np.float32([-1, 1, -0.5, 0.5]) * np.float32(random.uniform(0.5, 2))
        some = linear.w[random.randint(len(linear.w), size=4)]
        positions, descriptors = linear.before(some)
        batch = EditBatch(jnp.asarray(some), amounts, positions, descriptors, state.means(amounts))
        found, read = image_gradients(linear.model, state.curve, weights, batch, CONFIG)
        gradients = [(np.asarray(found[0][i]), np.asarray(found[1][i])) for i in range(4)]
        losses += np.asarray(read["loss"]).tolist()
        state = state.updated(inverse, amounts, gradients, np.asarray(read["changes"]), rate=0.3)
    return state, losses


def test_gradients_of_a_batch_are_those_of_each_image_alone(linear):
    weights = column_weights("age", COLUMNS, {"smile": 1.0})
    curve = tuple(jnp.asarray(np.random.RandomState(i).randn(2, 5), jnp.float32) for i in (3, 4))
    amounts, means = np.float32([-1.5, 0.7, 1.0]), np.zeros((3, 3), np.float32)
    positions, descriptors = linear.before(linear.w[:3])
    whole = image_gradients(
        linear.model, curve, weights, EditBatch(linear.w[:3], amounts, positions, descriptors, means), CONFIG
    )[0]
    for i in range(3):
        some = slice(i, i + 1)
        batch = EditBatch(
            linear.w[some], amounts[some], positions[some], (descriptors[0][some],), means[some]
        )
        alone = image_gradients(linear.model, curve, weights, batch, CONFIG)[0]
        for one, all_ in zip(alone, whole, strict=True):
            np.testing.assert_allclose(one[0], all_[i], rtol=1e-5, atol=1e-6)


def effect(linear, curve, amount):
    scale = jnp.sqrt(linear.pca.explained_variance[:5])
    move = along_curve(tuple(jnp.asarray(c, jnp.float32) for c in curve), jnp.asarray([amount]))[0]
    w_plus = jnp.asarray(linear.w)[:, None] + ((move * scale) @ linear.pca.components[:5])[GROUPS][None]
    return np.asarray(linear.reader(linear.render(w_plus))[0] - linear.before(linear.w)[0]).mean(0)


def test_the_descent_moves_the_target_and_little_else(linear, moments):
    state, losses = descend(linear, moments, 120)
    assert np.mean(losses[-40:]) < 0.5 * np.mean(losses[:8])
    for amount in (-1.0, 1.0):
        age, smile, second = effect(linear, (state.mean_tangent, state.mean_curvature), amount) / amount
        assert (age + second) / 2 > 0.6
        assert abs(smile) < 0.15 * (age + second) / 2


def test_a_rescaled_curve_reaches_with_one_what_took_more():
    state = DescentState.begin(np.ones((2, 5), np.float32), 3)._replace(
        mean_curvature=np.full((2, 5), 0.3),
        sums=np.array([[-0.5, 0, -1.1], [3.0, 0, 1.0]]),
        counts=np.array([1.0, 4.0]),
    )
    gains = state.gains(column_weights("age", COLUMNS, {}))
    np.testing.assert_allclose(gains, [0.8, 0.5])
    rescaled = tuple(jnp.asarray(c, jnp.float32) for c in state.rescaled(gains))
    before = jnp.ones((2, 5)), jnp.full((2, 5), 0.4 * 0.3)
    np.testing.assert_allclose(
        along_curve(rescaled, jnp.asarray([-1.0, 1.0])),
        along_curve(before, jnp.asarray([-1.25, 2.0])),
        rtol=1e-5,
    )


def test_a_curve_of_two_sides_leads_where_each_of_them_does():
    random = np.random.default_rng(3)
    down, up = (tuple(random.normal(size=(2, 4)) for _ in range(2)) for _ in range(2))
    both = of_sides(down, up)
    for amount, wanted in ((-1.5, down), (1.5, up)):
        for curve in (both, wanted):
            assert all(part.shape == (2, 4) for part in curve)
        at = [along_curve(tuple(map(jnp.asarray, curve)), jnp.asarray([amount])) for curve in (both, wanted)]
        np.testing.assert_allclose(at[0], at[1], atol=1e-5)


def test_the_first_tangent_changes_the_target_by_one(linear, moments):
    tangent = moments.first_tangent(column_weights("smile", COLUMNS, {"age": 1.0}), CONFIG, damping=0.1)
    np.testing.assert_allclose(moments.column_means[1] @ tangent, 1.0, rtol=1e-6)
    age, smile, _ = effect(linear, (tangent.reshape(2, 5), np.zeros((2, 5))), 1.0)
    assert abs(age) < 0.5 * smile


def test_a_descent_resumes_from_its_state(linear, moments):
    weights = column_weights("age", COLUMNS, {"smile": 1.0})
    inverse = moments.inverse(weights, CONFIG, damping=0.1)
    state = resumed = DescentState.begin(np.ones((2, 5), np.float32), 3)
    random = np.random.RandomState(0)
    for number in range(14):
        amounts = np.float32([-1, 1])
        gradients = [(random.randn(2, 5), random.randn(2, 5)) for _ in range(2)]
        if number == 3:  # a derivative without a value is passed over
            gradients[0] = (np.full((2, 5), np.nan), gradients[0][1])
        changes = random.randn(2, 3)
        state = state.updated(inverse, amounts, gradients, changes)
        resumed = DescentState(**resumed._asdict()).updated(inverse, amounts, gradients, changes)
    for name, value in state._asdict().items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(value, getattr(resumed, name))
    assert not np.array_equal(state.tangent, state.mean_tangent)


def test_calibration_makes_both_sides_one_and_the_others_none():
    random = np.random.RandomState(3)
    curves = random.randn(2, 2, 2, 5)
    amount, phi = 1.0, float(pseudo_huber(jnp.float32(1.0)))
    # Effects of either side are linear in the place that the curve has there.
    response = {-1: random.randn(10, 2), 1: random.randn(10, 2)}
    places = {s: (s * amount * curves[0] + phi * curves[1]).reshape(2, -1) for s in (-1, 1)}
    for s in (-1, 1):  # so that the diagonal is near one
        response[s] = np.linalg.pinv(places[s]) @ np.array([[s * 0.8, s * 0.3], [s * -0.2, s * 1.2]])
    seen = np.stack([s * np.repeat((places[s] @ response[s])[:, None], 50, axis=1) for s in (-1, 1)])
    tangent, curvature = calibrated((curves[0], curves[1]), seen, amount)
    for s in (-1, 1):
        after = s * ((s * amount * tangent + phi * curvature).reshape(2, -1) @ response[s])
        np.testing.assert_allclose(after, np.eye(2), atol=1e-6)
    # What chance may have made is left alone.
    noise = np.stack([np.repeat(np.eye(2)[:, None], 50, axis=1) for _ in range(2)])
    noise = noise + random.randn(*noise.shape)
    noise -= noise.mean(2, keepdims=True) - np.eye(2)[None, :, None]
    unchanged = calibrated((curves[0], curves[1]), noise, amount)
    np.testing.assert_allclose(unchanged[0], curves[0], atol=1e-6)


def test_the_slope_beyond_the_ends_is_the_gain_there():
    positions = np.linspace(-2.5, 2.5, 401)
    reached = positions + np.array([[-1], [1]])
    changes = np.where(np.abs(reached) > 2, 0.6 * 0.9, 0.9)
    np.testing.assert_allclose(measured_slope(positions, changes, (-2.0, 2.0)), 0.6, atol=0.01)
    # Without an edit that leads beyond the ends nothing is known of them.
    np.testing.assert_allclose(measured_slope(np.zeros(50), np.ones((2, 50)), (-2.0, 2.0)), 0.5)
    assert measured_slope(positions, np.zeros_like(changes), (-2.0, 2.0)) == 0.5


def test_default_groups():
    assert default_groups(16) == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5)
    assert default_groups(10) == (0, 0, 1, 1, 2, 2, 3, 3, 3, 3)
    for num_ws in range(1, 40):
        groups = default_groups(num_ws)
        assert len(groups) == num_ws
        assert set(groups) == set(range(max(groups) + 1))


def test_a_mixture_is_the_inverse_unless_curves_nearly_go_together():
    random = np.random.RandomState(4)
    effects = np.diag([0.8, 1.0, 1.3, 0.6]) + 0.1 * random.randn(4, 4)
    np.testing.assert_array_equal(mixture(effects), np.linalg.inv(effects))
    near = np.array([[0.9, 0.75, 0.6], [0.55, 1.0, 0.0], [0.55, 0.0, 0.95]])
    assert np.abs(np.linalg.inv(near)).max() > 5
    weights = mixture(near)
    assert np.abs(weights).max() < 2
    # Still better than no mixture.
    off = 1 - np.eye(3)
    assert np.abs(weights @ near * off).sum() < 0.7 * np.abs(np.diag(1 / np.diag(near)) @ near * off).sum()
    assert np.isfinite(mixture(np.ones((2, 2)))).all()


def test_things_that_appear_are_taken_out_of_curves_of_shape():
    random = np.random.default_rng(0)
    hair, glasses = ((random.normal(size=(2, 3)), random.normal(size=(2, 3))) for _ in range(2))
    both = {"hair": hair, "glasses": glasses}
    phi = 2**0.5 - 1

    def ends(curve):
        return phi * curve[1] - curve[0], phi * curve[1] + curve[0]

    # Longer hair comes with a half of what the curve of glasses makes; its own change is small, and stays.
    effects = np.repeat(np.array([[0.2, 0.4], [-0.3, 0.8]])[:, None], 9, axis=1)
    found = unmixed(both, effects, ("hair", "glasses"))
    np.testing.assert_allclose(ends(found["hair"])[1], ends(hair)[1] - 0.5 * ends(glasses)[1], atol=1e-6)
    np.testing.assert_allclose(ends(found["hair"])[0], ends(hair)[0], atol=1e-6)  # downwards nothing appears
    np.testing.assert_allclose(found["glasses"], glasses, atol=1e-6)  # what it makes disappear is left to it
    np.testing.assert_allclose(
        unmixed(both, effects, ("hair",))["hair"], hair, atol=1e-6
    )  # nothing else is held
    weak = effects * np.array([1, 0.5])  # glasses whose own curve hardly draws them
    np.testing.assert_allclose(unmixed(both, weak, ("hair", "glasses"))["hair"], hair, atol=1e-6)
    # What chance may have made is not taken out.
    noisy = np.repeat(np.array([[0.2, 0.0], [0.0, 0.8]])[:, None], 9, axis=1)
    noisy[0, :, 1] = random.normal(size=9) * 3 - 1
    np.testing.assert_allclose(unmixed(both, noisy, ("hair", "glasses"))["hair"], hair, atol=1e-6)
