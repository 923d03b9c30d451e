"""Convolutions that are fast on a CPU too: `conv_2d`, and `depthwise_conv` with one kernel for each channel.

XLA on CPU brings convolutions into the form that its fast routine takes only outside of loops. The gradient that
`jax.grad` makes of a convolution has another form, so that inside a `lax.scan` it runs as plain nested loops, several
times as slow. `conv_2d` writes its gradient in the right form at once. `depthwise_conv` is shifted multiply-adds,
because XLA's grouped convolution takes many times as long on a CPU.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.nn.platform_branch import platform_branch
from jaxedit.nn.windows import shifted_views

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

    in_images = platform_branch(cotangent, kernel, cpu=to_images, default=to_images_elsewhere)
    return in_images, jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](cotangent)[0]


conv_2d.defvjp(_forward, _backward)


def depthwise_conv(
    x: Float[Array, "*batch height width channels"],
    kernel: Float[Array, "rows columns channels"],
    stride: tuple[int, int] = (1, 1),
) -> Float[Array, "*batch height_out width_out channels"]:
    """Each channel convolved (correlated) with its own kernel, without padding.

    Every XLA backend fuses the shifted multiply-adds into one pass. Give it an array that stands in memory: fused with
    what made its input (a padding, an upsampling) that work is repeated for each place in the kernel.

    Args:
        x: feature maps.
        kernel: one for each channel.
        stride: in pixels, down and across.
    """
    taps = kernel.reshape(-1, kernel.shape[-1])
    views = shifted_views(x, (kernel.shape[0], kernel.shape[1]), stride)
    return sum((view * tap for view, tap in zip(views, taps, strict=True)), start=jnp.zeros((), x.dtype))
