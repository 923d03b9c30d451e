"""Convolution of networks and generators that are differentiated inside compiled loops.

XLA on CPU brings convolutions into the form that its fast routine takes only outside of loops. The gradient that
`jax.grad` makes of a convolution has another form, so that inside a `lax.scan` it runs as plain nested loops, several
times as slow. Here the gradient is written in the right form at once.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Rows of zeros above and below, columns left and right."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_2d(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "rows columns c d"],
    stride: tuple[int, int],
    padding: Padding,
) -> Float[Array, "b h2 w2 d"]:
    """The convolution (correlation) of images with a kernel; differentiable in reverse mode.

    Args:
        x: images.
        kernel: weights.
        stride: in pixels, down and across.
        padding: with zeros.
    """
    return jax.lax.conv_general_dilated(x, kernel, stride, padding, dimension_numbers=_DIMENSIONS)


def _forward(
    x: Array, kernel: Array, stride: tuple[int, int], padding: Padding
) -> tuple[Array, tuple[Array, Array]]:
    return conv_2d(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: tuple[int, int], padding: Padding, kept: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array]:
    x, kernel = kept

    def plain(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, stride, padding, dimension_numbers=_DIMENSIONS)

    def to_images(cotangent: Array, kernel: Array) -> Array:
        around = []
        for axis in range(2):
            window, before = kernel.shape[axis], kernel.shape[axis] - 1 - padding[axis][0]
            spread = (cotangent.shape[1 + axis] - 1) * stride[axis] + 1
            around.append((before, x.shape[1 + axis] - spread - before + window - 1))
        turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
        return jax.lax.conv_general_dilated(
            cotangent, turned, (1, 1), around, lhs_dilation=stride, dimension_numbers=_DIMENSIONS
        )

    def to_images_elsewhere(cotangent: Array, kernel: Array) -> Array:
        return jax.vjp(lambda x: plain(x, kernel), x)[1](cotangent)[0]

    in_images = jax.lax.platform_dependent(cotangent, kernel, cpu=to_images, default=to_images_elsewhere)
    return in_images, jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](cotangent)[0]


conv_2d.defvjp(_forward, _backward)
