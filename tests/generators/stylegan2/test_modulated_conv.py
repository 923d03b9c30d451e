import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.generators.stylegan2.modulated_conv import (
    conv_up,
    conv_up_merged,
    demodulation,
    merged_kernels,
    upsample,
)
from tests.generators.random_weights import normal


def with_margin(x: jax.Array) -> jax.Array:
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def by_definition(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Zeros between the pixels, convolution with the kernel, then with the filter: in float64, pixel by pixel."""
    batch, height, width, _ = x.shape
    sparse = np.zeros((batch, 2 * height + 4, 2 * width + 4, x.shape[3]))
    sparse[:, 2 : 2 + 2 * height : 2, 2 : 2 + 2 * width : 2] = x
    full = np.zeros((batch, 2 * height + 4, 2 * width + 4, weight.shape[3]))
    for i in range(3):
        for j in range(3):
            moved = np.roll(sparse, (i, j), axis=(1, 2))
            full += moved @ weight[i, j]
    taps = np.array([1, 3, 3, 1]) / 4
    out = np.zeros((batch, 2 * height, 2 * width, weight.shape[3]))
    for i in range(4):
        for j in range(4):
            out += taps[i] * taps[j] * full[:, 1 + i : 1 + i + 2 * height, 1 + j : 1 + j + 2 * width]
    return out


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 3), (1, 2)])
def test_both_forms_of_the_upsampling_convolution_follow_the_definition(height, width):
    x = normal(2, height, width, 4)
    weight = normal(3, 3, 4, 5, seed=1)
    expected = by_definition(np.asarray(x, np.float64), np.asarray(weight, np.float64))
    np.testing.assert_allclose(conv_up(x, weight), expected, atol=2e-5)
    np.testing.assert_allclose(conv_up_merged(with_margin(x), merged_kernels(weight)), expected, atol=2e-5)


def test_upsampling_is_the_convolution_with_a_kernel_of_one_pixel():
    x = normal(2, 6, 5, 3)
    one = jnp.zeros((3, 3, 3, 3)).at[1, 1].set(jnp.eye(3))
    np.testing.assert_allclose(upsample(with_margin(x)), conv_up(x, one), atol=1e-6)


def test_upsampling_keeps_what_is_constant():
    x = jnp.ones((1, 6, 6, 2)) * jnp.asarray([1.0, -2.0])
    np.testing.assert_allclose(upsample(with_margin(x))[:, 1:-1, 1:-1], jnp.ones((1, 10, 10, 2)) * x[0, 0, 0])


def test_demodulation_gives_unit_length_to_each_image_s_kernel():
    weight = normal(3, 3, 6, 4)
    style = normal(3, 6, seed=1) + 1
    modulated = weight[None] * style[:, None, None, :, None]
    lengths = jnp.sqrt(jnp.sum(modulated**2, axis=(1, 2, 3)))
    np.testing.assert_allclose(demodulation(weight, style) * lengths, jnp.ones((3, 4)), rtol=1e-5)
