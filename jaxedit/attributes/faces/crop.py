"""Where the face is in an FFHQ-style image, and resampling of images to what the face networks need.

Images aligned as FFHQ is (Karras et al., CVPR 2019: eyes and mouth at fixed places) need no detector: the
face lies in one fixed square.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError

FACE_LEFT, FACE_TOP, FACE_SIDE = 76 / 512, 110 / 512, 360 / 512
"""The face square, in fractions of the image's side; level with the middle, so that mirroring keeps it."""

CROP_SIZE = 160
"""Side of the crops in pixels: above the 112 and 150 that the networks resize to without antialiasing."""

MIN_SIZE = 128
"""Smallest image that is taken; from 256 on the crops are not enlarged."""

_POOLED = 512


def prepare_images(images: Float[Array, "batch height width 3"]) -> Float[Array, "batch side side 3"]:
    """Clip to [-1, 1], and bring 1024², 2048², … to 512² by averaging, which is cheap and loses nothing here.

    Raises:
        InputError: if the images are not square RGB of 128 pixels or more.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise InputError(f"images: expected [batch, side, side, 3] (square RGB), got {images.shape}")
    side = images.shape[1]
    if side < MIN_SIZE:
        raise InputError(f"images: expected {MIN_SIZE} pixels a side or more, got {side}")
    images = jnp.clip(images.astype(jnp.float32), -1, 1)
    if side > _POOLED and side % _POOLED == 0:
        factor = side // _POOLED
        # Sums of strided slices: XLA on CPU is slow at reduce_window and at reshapes that split two axes.
        rows = sum((images[:, i::factor] for i in range(1, factor)), images[:, ::factor])
        images = sum((rows[:, :, i::factor] for i in range(1, factor)), rows[:, :, ::factor]) / factor**2
    return images


def crop_faces(images: Float[Array, "batch height width 3"]) -> Float[Array, "batch 160 160 3"]:
    """The face squares of FFHQ-style images in [-1, 1], antialiased, 160 pixels a side.

    Raises:
        InputError: if the images are not square RGB of 128 pixels or more.
    """
    start = (FACE_LEFT, FACE_TOP)
    return resample(prepare_images(images), start=start, extent=FACE_SIDE, size=CROP_SIZE)


def resample(
    images: Float[Array, "batch side side 3"], *, start: tuple[float, float], extent: float, size: int
) -> Float[Array, "batch {size} {size} 3"]:
    """A square part of square images, with a triangle filter that widens where it shrinks (antialiasing).

    Args:
        images: square images.
        start: left and top edge of the part, in fractions of the side.
        extent: its side, in fractions of the side.
        size: pixels a side of the result.
    """
    side = images.shape[1]
    columns, left = _filter_matrix(side, start[0] * side, extent * side, size)
    rows, top = _filter_matrix(side, start[1] * side, extent * side, size)
    part = images[:, top : top + rows.shape[1], left : left + columns.shape[1]]
    exact = jax.lax.Precision.HIGHEST
    part = jnp.einsum("oh,bhwc->bowc", rows, part, precision=exact)
    return jnp.einsum("pw,bowc->bopc", columns, part, precision=exact)


@functools.lru_cache
def _filter_matrix(length: int, start: float, extent: float, size: int) -> tuple[np.ndarray, int]:
    """Filter weights [size, span], and the first of the `span` input pixels that they are for."""
    step = extent / size
    centers = start + (np.arange(size) + 0.5) * step - 0.5
    reach = max(step, 1.0)
    weights = np.maximum(0, 1 - np.abs(np.arange(length) - centers[:, None]) / reach)
    weights /= weights.sum(1, keepdims=True)
    used = np.flatnonzero(weights.any(0))
    first, last = used[0], used[-1] + 1
    return weights[:, first:last].astype(np.float32), int(first)
