"""Shifted views of feature maps: what depthwise convolutions and poolings add up.

XLA on CPU runs grouped convolutions and `reduce_window` several times slower than the arithmetic they stand for, so
both are written as sums and maxima of these views.
"""

from collections.abc import Iterator

import jax.numpy as jnp
from jaxtyping import Array, Float


def shifted_views(
    x: Float[Array, "*batch height width channels"], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[Float[Array, "*batch height_out width_out channels"]]:
    """One view for each place in the window, row by row; without padding.

    Args:
        x: feature maps.
        window: height and width of the window in pixels.
        stride: from one window to the next in pixels, down and across.
    """
    last = [
        (length - size) // step * step
        for length, size, step in zip(x.shape[-3:-1], window, stride, strict=True)
    ]
    for row in range(window[0]):
        for column in range(window[1]):
            rows = slice(row, row + last[0] + 1, stride[0])
            yield x[..., rows, slice(column, column + last[1] + 1, stride[1]), :]


def pad_same(
    x: Float[Array, "batch height width channels"],
    window: tuple[int, int],
    stride: tuple[int, int],
    value: float = 0.0,
) -> Float[Array, "batch padded_height padded_width channels"]:
    """Padding "SAME" of TensorFlow: ceil(length / stride) windows fit, and the odd row or column goes to the end."""
    pairs = []
    for length, size, step in zip(x.shape[1:3], window, stride, strict=True):
        total = max((-(-length // step) - 1) * step + size - length, 0)
        pairs.append((total // 2, total - total // 2))
    return jnp.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value)
