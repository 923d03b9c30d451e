"""What the generator cannot draw of a photograph: where its reconstruction differs, as a viewer would see it.

The map is LPIPS before its mean over the image: the squared differences of the features of crop and reconstruction,
summed over the layers of the network. A blot or a sticker stands out of it, because no latent draws one; so do hands,
microphones, and an unusual background.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.images import from_pixels
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import resample

MAP_SIDE = 64
"""Cells of a map a side."""

_SIDE = 256  # pixels a side of the images that are compared
_SMOOTHED = 7  # cells a side over which a place is averaged
_FACE_CENTER, _FACE_RADII = (
    (0.5, 0.56),
    (0.27, 0.32),
)  # of the face in crops like those of FFHQ, in sides of the crop


@dataclasses.dataclass(frozen=True)
class Spot:
    """The place in the face that is least explained.

    Attributes:
        x: of its middle, in fractions of the crop's width.
        y: likewise of its height.
        strength: mean of the map over it.
    """

    x: float
    y: float
    strength: float


def unexplained_map(
    crop: UInt8[np.ndarray, "height width 3"], reconstruction: UInt8[np.ndarray, "side side 3"]
) -> Float[np.ndarray, "cells cells"]:
    """The map of a crop and its reconstruction, `MAP_SIDE` cells a side: 0 where they look alike. Its mean is about
    their LPIPS.

    Args:
        crop: square, of 32 pixels a side or more.
        reconstruction: likewise.

    Raises:
        DownloadError, OutputError: if the network cannot be fetched or stored.
    """
    a, b = (resample(from_pixels(jnp.asarray(x))[None], _SIDE) for x in (crop, reconstruction))
    return np.asarray(_map(_network(), a, b)[0])


def strongest_spot(heat: Float[np.ndarray, "side side"]) -> Spot:
    """The place within the face where the map is largest.

    Hair, clothes and background are drawn worse in most photographs, so they are left to the eye.
    """
    side = len(heat)
    smooth = _box_mean(heat, max(1, round(_SMOOTHED * side / MAP_SIDE)))
    y, x = (np.indices(heat.shape) + 0.5) / side
    squares = [
        ((place - middle) / radius) ** 2
        for place, middle, radius in zip((x, y), _FACE_CENTER, _FACE_RADII, strict=True)
    ]
    inside = np.where(squares[0] + squares[1] < 1, smooth, -np.inf)
    best = np.unravel_index(int(inside.argmax()), inside.shape)
    return Spot(float(x[best]), float(y[best]), float(smooth[best]))


def heat_image(
    crop: UInt8[np.ndarray, "side side 3"], heat: Float[np.ndarray, "cells cells"]
) -> UInt8[np.ndarray, "side side 3"]:
    """The crop in gray, with the map over it in yellow and red. One scale for all: 0 is gray, 1 and more is red."""
    gray = crop @ np.asarray([0.299, 0.587, 0.114])
    strength = jax.image.resize(jnp.asarray(heat, jnp.float32), crop.shape[:2], "linear")
    share = np.clip(np.asarray(strength), 0, 1)[..., None]
    color = np.concatenate([np.full_like(share, 255), 220 * (1 - share), np.zeros_like(share)], -1)
    cover = np.minimum(1.2 * share, 0.85)
    return np.round((1 - cover) * (0.85 * gray[..., None]) + cover * color).astype(np.uint8)


def _box_mean(values: Float[np.ndarray, "side side"], size: int) -> Float[np.ndarray, "side side"]:
    padded = np.pad(values.astype(np.float64), ((size // 2, size - 1 - size // 2),) * 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return windows.mean((2, 3))


@functools.cache
def _network() -> LPIPS:
    return LPIPS.from_pretrained("alex")


@jax.jit
def _map(
    network: LPIPS, a: Float[Array, "batch side side 3"], b: Float[Array, "batch side side 3"]
) -> Float[Array, "batch cells cells"]:
    with jax.default_matmul_precision("float32"):
        total = jnp.zeros((a.shape[0], MAP_SIDE, MAP_SIDE), jnp.float32)
        for one, other in zip(network.features(a), network.features(b), strict=True):
            difference = jnp.square(one - other).sum(3)
            total = total + jax.image.resize(difference, total.shape, "linear", antialias=True)
        return total
