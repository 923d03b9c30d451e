"""Curves learnt through "images" of a small world in which what a style input does is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes import fit_pca
from jaxedit.axes.curve_learning.image_loss import (
    ColumnWeights,
    Curve,
    ImageLossConfig,
    Moments,
    calibrated,
    column_weights,
    derivatives,
    gradient,
    image_loss,
    place,
)
from jaxedit.axes.layer_curves import pseudo_huber
from jaxedit.errors import InputError

COLUMNS = ("age", "smile", "age@second")
GROUPS = jnp.asarray([0, 0, 1, 1])
CONFIG = ImageLossConfig(identity=(0.5,))


class World:
    """A "image" of 4 style inputs of width 6 is their numbers; a network is a matrix and a bend."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        self.pca = fit_pca(random.randn(400, 6).astype(np.float32) * np.geomspace(2, 0.5, 6), 5)
        self.attributes = jnp.asarray(random.randn(24, 3) / 5, jnp.float32)
        self.identity = jnp.asarray(random.randn(24, 4) / 8, jnp.float32)
        self.w = random.randn(64, 6).astype(np.float32)
        self.render = jax.tree_util.Partial(lambda w_plus: w_plus.reshape(len(w_plus), 1, -1, 1) / 10)
        self.look = jax.tree_util.Partial(self._look, self.attributes, self.identity)

    @staticmethod
    def _look(attributes, identity, images):
        numbers = images.reshape(len(images), -1) * 10
        seen = numbers @ attributes
        return seen + 0.05 * jnp.tanh(seen) ** 2, (numbers @ identity,)

    def before(self, w):
        return self.look(jnp.clip(self.render(jnp.repeat(jnp.asarray(w)[:, None], 4, axis=1)), -1, 1))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def moments(world):
    column_rows, descriptor_rows = [], []
    random = np.random.RandomState(1)
    for w in world.w:
        signs = np.zeros((5, 4), np.float32)
        signs[3:] = random.choice([-1, 1], (2, 4))
        rows = derivatives(
            world.render,
            world.look,
            world.pca,
            GROUPS,
            jnp.asarray(w),
            jnp.zeros((2, 5)),
            (jnp.asarray(np.eye(5, 3, dtype=np.float32)), (jnp.asarray(signs),)),
        )
        rows = np.asarray(rows).reshape(5, -1)
        column_rows.append(rows[:3])
        descriptor_rows.append(rows[3:4])
    return Moments.of(np.stack(column_rows), np.stack(descriptor_rows))


def test_derivatives_are_those_of_what_is_seen(world):
    w = jnp.asarray(world.w[3])
    row = np.asarray(
        derivatives(
            world.render,
            world.look,
            world.pca,
            GROUPS,
            w,
            jnp.zeros((2, 5)),
            (jnp.eye(1, 3), (jnp.zeros((1, 4)),)),
        )
    )[0]
    move = np.random.RandomState(2).randn(2, 5).astype(np.float32)
    scale = np.sqrt(np.asarray(world.pca.explained_variance[:5]))
    change = ((move * scale) @ np.asarray(world.pca.components[:5]))[np.asarray(GROUPS)]
    seen = [world.look(world.render(w + s * 1e-2 * change[None]))[0][0, 0] for s in (-1, 1)]
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


def descend(world, moments, batches):
    weights = column_weights("age", COLUMNS, {"smile": 1.0})
    inverse = moments.inverse(weights, CONFIG, damping=0.1)
    curve = Curve(np.zeros((2, 5), np.float32), 3, inverse, rate=0.3)
    random = np.random.RandomState(5)
    losses = []
    for _ in range(batches):
        amounts = np.float32([-1, 1, -0.5, 0.5]) * np.float32(random.uniform(0.5, 2))
        some = world.w[random.randint(len(world.w), size=4)]
        before = world.before(some)
        gradients, changes = [], []
        for i in range(4):
            found, seen = gradient(
                world.render,
                world.look,
                world.pca,
                GROUPS,
                curve.current,
                jnp.asarray(some[i : i + 1]),
                jnp.asarray(amounts[i : i + 1]),
                (before[0][i : i + 1], (before[1][0][i : i + 1],)),
                weights,
                jnp.asarray(curve.means(amounts)[i : i + 1]),
                CONFIG,
            )
            gradients.append(tuple(np.asarray(g) for g in found))
            changes.append(np.asarray(seen["changes"][0]))
            losses.append(float(seen["loss"][0]))
        curve.take(amounts, gradients, np.stack(changes))
    return curve, losses


def effect(world, curve, amount):
    scale = jnp.sqrt(world.pca.explained_variance[:5])
    move = place(tuple(jnp.asarray(c, jnp.float32) for c in curve), jnp.asarray([amount]))[0]
    w_plus = jnp.asarray(world.w)[:, None] + ((move * scale) @ world.pca.components[:5])[GROUPS][None]
    return np.asarray(world.look(world.render(w_plus))[0] - world.before(world.w)[0]).mean(0)


def test_the_descent_moves_the_target_and_little_else(world, moments):
    curve, losses = descend(world, moments, 120)
    assert np.mean(losses[-40:]) < 0.5 * np.mean(losses[:8])
    for amount in (-1.0, 1.0):
        age, smile, second = (
            effect(world, (curve.state["mean_step"], curve.state["mean_bend"]), amount) / amount
        )
        assert (age + second) / 2 > 0.6
        assert abs(smile) < 0.15 * (age + second) / 2


def test_a_rescaled_curve_reaches_with_one_what_took_more():
    curve = Curve(np.ones((2, 5), np.float32), 3, np.eye(10))
    curve.state["mean_bend"] = np.full((2, 5), 0.3)
    curve.state["sums"], curve.state["counts"] = (
        np.array([[-0.5, 0, -1.1], [3.0, 0, 1.0]]),
        np.array([1.0, 4.0]),
    )
    gains = curve.gains(column_weights("age", COLUMNS, {}))
    np.testing.assert_allclose(gains, [0.8, 0.5])
    rescaled = tuple(jnp.asarray(c, jnp.float32) for c in curve.rescaled(gains))
    before = jnp.ones((2, 5)), jnp.full((2, 5), 0.4 * 0.3)
    np.testing.assert_allclose(
        place(rescaled, jnp.asarray([-1.0, 1.0])), place(before, jnp.asarray([-1.25, 2.0])), rtol=1e-5
    )


def test_the_first_step_changes_the_target_by_one(world, moments):
    step = moments.first_step(column_weights("smile", COLUMNS, {"age": 1.0}), CONFIG, damping=0.1)
    np.testing.assert_allclose(moments.column_means[1] @ step, 1.0, rtol=1e-6)
    age, smile, _ = effect(world, (step.reshape(2, 5), np.zeros((2, 5))), 1.0)
    assert abs(age) < 0.5 * smile


def test_a_curve_goes_on_from_its_state(world, moments):
    weights = column_weights("age", COLUMNS, {"smile": 1.0})
    inverse = moments.inverse(weights, CONFIG, damping=0.1)
    curves = [Curve(np.ones((2, 5), np.float32), 3, inverse) for _ in range(2)]
    random = np.random.RandomState(0)
    for number in range(14):
        amounts = np.float32([-1, 1])
        gradients = [(random.randn(2, 5), random.randn(2, 5)) for _ in range(2)]
        if number == 3:  # a derivative without a value is passed over
            gradients[0] = (np.full((2, 5), np.nan), gradients[0][1])
        changes = random.randn(2, 3)
        for curve in curves:
            curve.take(amounts, gradients, changes)
        again = Curve(np.zeros((2, 5), np.float32), 3, inverse)
        again.state = dict(curves[1].state)
        curves[1] = again
    for name, value in curves[0].state.items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(value, curves[1].state[name])
    assert not np.array_equal(curves[0].state["step"], curves[0].state["mean_step"])


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
    step, bend = calibrated((curves[0], curves[1]), seen, amount)
    for s in (-1, 1):
        after = s * ((s * amount * step + phi * bend).reshape(2, -1) @ response[s])
        np.testing.assert_allclose(after, np.eye(2), atol=1e-6)
    # What chance may have made is left alone.
    noise = np.stack([np.repeat(np.eye(2)[:, None], 50, axis=1) for _ in range(2)])
    noise = noise + random.randn(*noise.shape)
    noise -= noise.mean(2, keepdims=True) - np.eye(2)[None, :, None]
    unchanged = calibrated((curves[0], curves[1]), noise, amount)
    np.testing.assert_allclose(unchanged[0], curves[0], atol=1e-6)
