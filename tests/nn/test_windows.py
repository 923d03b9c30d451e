import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.nn.convolution import depthwise_conv
from jaxedit.nn.pooling import max_pool_3x3
from jaxedit.nn.windows import pad_same
from tests.generators.random_weights import normal


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("window", [(3, 3), (1, 4), (2, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_depthwise_convolution_agrees_with_the_grouped_one(stride, size, window, padding):
    x = normal(2, size, size + 2, 5)
    kernel = normal(*window, 5, seed=1)
    strides = (stride, stride)
    grouped = jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=5,
    )
    padded = pad_same(x, window, strides) if padding == "SAME" else x
    np.testing.assert_allclose(depthwise_conv(padded, kernel, strides), grouped, atol=1e-5)


def test_depthwise_convolution_of_one_image():
    x = normal(3, 9, 7, 6)
    kernel = normal(3, 3, 6, seed=1)
    np.testing.assert_array_equal(depthwise_conv(x[1], kernel), depthwise_conv(x, kernel)[1])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_maximum_agrees_with_that_of_xla(stride, size, padding):
    x = normal(2, size, size, 5)
    window = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)
    np.testing.assert_array_equal(max_pool_3x3(x, stride=stride, padding=padding), window)
