import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.generators.stylegan3 import filtered_lrelu
from jaxedit.generators.stylegan3.filtered_lrelu import Resampling, filtered_leaky_relu
from tests.generators.random_weights import normal

CASES = [(2, 2, 9, 18, 20, 1), (4, 2, -6, 26, 15, 1), (4, 2, -2, 20, 13, 2), (2, 2, -11, 12, 20, 2)]


def by_definition(x: np.ndarray, up_taps: np.ndarray, down_terms: np.ndarray, spec: Resampling) -> np.ndarray:
    """Zeros between the pixels, filter, activation, two-dimensional filter, every n-th pixel: in float64."""
    batch, size, _, channels = x.shape
    down_taps = sum(np.outer(rows, columns) for rows, columns in down_terms.astype(np.float64))
    length = (spec.size - 1) * spec.down + len(down_taps)
    room = max(length, spec.up * size) + 2 * (len(up_taps) + abs(spec.padding))
    sparse = np.zeros((batch, room, room, channels))
    origin = len(up_taps) + abs(spec.padding)
    ends = origin + spec.up * size
    sparse[:, origin : ends : spec.up, origin : ends : spec.up] = x
    flipped = up_taps[::-1].astype(np.float64) * spec.up
    for axis in (1, 2):
        starts = [origin - spec.padding + j for j in range(len(flipped))]
        sparse = sum(
            tap * np.take(sparse, np.arange(start, start + length), axis=axis)
            for tap, start in zip(flipped, starts, strict=True)
        )
    y = np.where(sparse > 0, sparse, spec.slope * sparse) * spec.gain
    y = np.clip(y, -spec.clamp, spec.clamp)
    last = (spec.size - 1) * spec.down + 1
    out = np.zeros((batch, spec.size, spec.size, channels))
    for i, row in enumerate(down_taps[::-1, ::-1]):
        for j, tap in enumerate(row):
            out += tap * y[:, i : i + last : spec.down, j : j + last : spec.down]
    return out


@pytest.fixture(params=["tile after tile", "all tiles at once"])
def order(request, monkeypatch):
    """Both orders, on any device."""
    in_sequence = request.param == "tile after tile"

    def branch(function, *operands):
        return functools.partial(function, largest=8, in_sequence=in_sequence)(*operands)

    monkeypatch.setattr(filtered_lrelu, "_branch", branch)


@pytest.mark.parametrize(("up", "down", "padding", "size", "before", "rank"), CASES)
def test_values_and_gradient_follow_the_definition(order, up, down, padding, size, before, rank):
    random = np.random.RandomState(0)
    spec = Resampling(up, down, padding, size, clamp=3.0)
    up_taps = (random.standard_normal(6 * up) / 6).astype(np.float32)
    down_terms = (random.standard_normal((rank, 2, 6 * down)) / 6).astype(np.float32)
    x, direction = random.standard_normal((2, 2, before, before, 3))
    expected = by_definition(x, up_taps, down_terms, spec)
    cotangent = random.standard_normal(expected.shape).astype(np.float32)

    @jax.jit
    def value_and_gradient(x, cotangent):
        y, transposed = jax.vjp(lambda x: filtered_leaky_relu(x, up_taps, down_terms, spec), x)
        return y, transposed(cotangent)[0]

    up_taps, down_terms = jnp.asarray(up_taps), jnp.asarray(down_terms)
    y, gradient = value_and_gradient(jnp.asarray(x, jnp.float32), jnp.asarray(cotangent))
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())
    step = 1e-6
    filters = np.asarray(up_taps), np.asarray(down_terms)
    ends = [by_definition(x + sign * step * direction, *filters, spec) for sign in (1, -1)]
    slope = np.vdot((ends[0] - ends[1]) / (2 * step), cotangent)
    assert np.vdot(np.asarray(gradient, np.float64), direction) == pytest.approx(slope, rel=2e-3)


def test_a_factor_of_one_has_one_tap():
    x = normal(1, 5, 5, 2)
    spec = Resampling(1, 1, 0, 5, gain=1.0, slope=0.5, clamp=None)
    y = filtered_leaky_relu(x, jnp.ones(1), jnp.ones((1, 2, 1)), spec)
    np.testing.assert_allclose(y, jnp.where(x > 0, x, x / 2), rtol=1e-6)
