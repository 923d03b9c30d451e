"""The hand-written gradient equals that of `jax.lax.conv_general_dilated`."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.nn.convolution import conv_2d


def plain(x, kernel, stride, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, stride, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(height, width, window):
    random = np.random.RandomState(0)
    x = random.randn(2, height, width, 3).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(random.randn(*window, 3, 5).astype(np.float32))


@pytest.mark.parametrize(
    ("height", "width", "window", "stride", "padding"),
    [
        (9, 8, (3, 3), (1, 1), ((1, 1), (1, 1))),
        (9, 8, (3, 3), (2, 2), ((0, 1), (1, 0))),
        (10, 7, (3, 2), (2, 1), ((0, 0), (0, 0))),
        (23, 30, (11, 11), (4, 4), ((2, 2), (2, 2))),
        (16, 17, (1, 1), (2, 2), ((0, 0), (0, 0))),
        (6, 7, (5, 5), (1, 1), ((2, 2), (2, 2))),
    ],
)
def test_value_and_gradients(height, width, window, stride, padding):
    x, kernel = arrays(height, width, window)

    def measured(function):
        def loss(x, kernel):
            y = function(x, kernel, stride, padding)
            return (
                y * jnp.cos(jnp.arange(y.size).reshape(y.shape))
            ).sum()  # each output has a weight of its own

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(x, kernel)

    for ours, theirs in zip(*(jax.tree.leaves(measured(f)) for f in (conv_2d, plain)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_batches_of_batches():
    x, kernel = arrays(9, 8, (3, 3))
    arguments = ((2, 2), ((1, 1), (1, 1)))
    many = jnp.stack([x, -x, 2 * x])
    gradient = jax.grad(lambda x: jnp.square(conv_2d(x, kernel, *arguments)).sum())
    together = jax.vmap(gradient)(many)
    np.testing.assert_allclose(together, jnp.stack([gradient(one) for one in many]), rtol=1e-5, atol=1e-4)


def test_second_derivatives():
    x, kernel = arrays(6, 5, (3, 3))
    arguments = ((2, 2), ((1, 1), (1, 1)))

    def curvature(function):
        slope = jax.grad(lambda x: (function(x, kernel, *arguments) ** 3).sum())
        return jax.grad(lambda x: jnp.square(slope(x)).sum())(x)

    np.testing.assert_allclose(curvature(conv_2d), curvature(plain), rtol=1e-4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of XLA's compiler for CPUs")
def test_no_slow_form_inside_a_loop():
    x, kernel = arrays(9, 8, (3, 3))

    def program(function):
        def step(x, _):
            y = jax.grad(lambda x: jnp.square(function(x, kernel, (1, 1), ((1, 1), (1, 1)))).sum())(x)
            return x - 0.1 * y, None

        return jax.jit(lambda x: jax.lax.scan(step, x, None, length=3)[0]).lower(x).compile().as_text()

    assert set(re.findall(r"dim_labels=(\S+?),", program(conv_2d))) == {"b01f_01io->b01f"}
