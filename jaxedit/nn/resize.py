"""Resizing of images and feature maps. Everything is differentiable and NHWC.

Two ways to make an image smaller: the mean over whole pixels where the sizes divide (`average_pool`), and an
antialiased filter for any other size (`resample`). `shrink` chooses between them. `resize_bilinear_tfjs` repeats what
the original of a network does, and aliases.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Filter = Literal["triangle", "cubic"]
"""Of `resample`: the triangle never overshoots; the cubic (Keys 1981, a = -1/2) keeps more detail."""


def average_pool(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch height_out width_out channels"]:
    """Mean over squares of `factor` × `factor` pixels; rows and columns that fill no square are left out."""
    if factor == 1:
        return x
    # Sums of strided slices: XLA on CPU is slow at reduce_window and at reshapes that split two axes.
    x = x[:, : x.shape[1] // factor * factor, : x.shape[2] // factor * factor]
    rows = sum((x[:, i::factor] for i in range(1, factor)), x[:, ::factor])
    return sum((rows[:, :, i::factor] for i in range(1, factor)), rows[:, :, ::factor]) / factor**2


def shrink(images: Float[Array, "batch side side channels"], size: int) -> Float[Array, "batch _ _ channels"]:
    """Square images with at most `size` pixels a side.

    The side is halved by averaging as long as the result is not below `size`; a triangle filter does the rest. Images
    of `size` pixels or fewer stay as they are.
    """
    while images.shape[1] % 2 == 0 and images.shape[1] // 2 >= size:
        images = average_pool(images, 2)
    return images if images.shape[1] <= size else resample(images, size)


def resample(
    images: Float[Array, "batch side side channels"],
    size: int,
    *,
    start: tuple[float, float] = (0.0, 0.0),
    extent: float = 1.0,
    kind: Filter = "triangle",
) -> Float[Array, "batch {size} {size} channels"]:
    """A square part of square images at another size, with a filter that widens where it shrinks (antialiasing).

    Args:
        images: square images.
        size: pixels a side of the result.
        start: left and top edge of the part, in fractions of the side.
        extent: its side, in fractions of the side.
        kind: the filter.
    """
    side = images.shape[1]
    columns, left = _filter_matrix(side, start[0] * side, extent * side, size, kind)
    rows, top = _filter_matrix(side, start[1] * side, extent * side, size, kind)
    return _filtered(images, rows, top, columns, left)


def resample_box(
    images: Float[Array, "batch height width channels"],
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    *,
    kind: Filter = "triangle",
) -> Float[Array, "batch height_out width_out channels"]:
    """A rectangular part of images at another size, antialiased as `resample`.

    Args:
        images: of any shape.
        box: left, top, right and bottom edge, in fractions of width and height.
        size: height and width of the result in pixels.
        kind: the filter.
    """
    height, width = images.shape[1:3]
    columns, left = _filter_matrix(width, box[0] * width, (box[2] - box[0]) * width, size[1], kind)
    rows, top = _filter_matrix(height, box[1] * height, (box[3] - box[1]) * height, size[0], kind)
    return _filtered(images, rows, top, columns, left)


def _filtered(images: Array, rows: np.ndarray, top: int, columns: np.ndarray, left: int) -> Array:
    """Both filters on the part that they need."""
    part = images[:, top : top + rows.shape[1], left : left + columns.shape[1]]
    exact = jax.lax.Precision.HIGHEST
    part = jnp.einsum("oh,bhwc->bowc", rows, part, precision=exact)
    return jnp.einsum("pw,bowc->bopc", columns, part, precision=exact)


@functools.lru_cache
def _filter_matrix(
    length: int, start: float, extent: float, size: int, kind: Filter
) -> tuple[np.ndarray, int]:
    """Filter weights [size, span], and the first of the `span` input pixels that they are for."""
    step = extent / size
    centers = start + (np.arange(size) + 0.5) * step - 0.5
    distances = np.abs(np.arange(length) - centers[:, None]) / max(step, 1.0)
    weights = np.maximum(0, 1 - distances) if kind == "triangle" else _cubic(distances)
    weights /= weights.sum(1, keepdims=True)
    used = np.flatnonzero(weights.any(0))
    first, last = used[0], used[-1] + 1
    return weights[:, first:last].astype(np.float32), int(first)


def _cubic(x: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel for a = -1/2: Keys, *Cubic Convolution Interpolation*, IEEE TASSP 1981, eq. 15."""
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resize_bilinear_tfjs(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b {size} {size} c"]:
    """Resize to a square as `tf.image.resizeBilinear` of TensorFlow.js does by default.

    Output pixel i takes its value at i · in / out, between two neighbors: no antialiasing, no half-pixel centers.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        if length == size:
            continue
        position = np.arange(size) * (length / size)
        low = np.floor(position).astype(np.int32)
        high = np.minimum(low + 1, length - 1)
        fraction = (position - low).astype(np.float32).reshape([-1] + [1] * (3 - axis))
        below, above = jnp.take(x, low, axis=axis), jnp.take(x, high, axis=axis)
        x = below + (above - below) * fraction
    return x


def pad_to_square(x: Float[Array, "b h w c"], value: float) -> Float[Array, "b side side c"]:
    """Pad the shorter side equally at both ends; of an odd amount the end gets the larger half."""
    height, width = x.shape[1:3]
    missing = abs(height - width)
    ends = (missing - (missing + 1) // 2, (missing + 1) // 2)
    none = (0, 0)
    padding = (none, none, ends, none) if height > width else (none, ends, none, none)
    return jnp.pad(x, padding, constant_values=value) if missing else x
