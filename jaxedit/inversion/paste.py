"""Paste back: an edited face in the photograph that it comes from.

With P the photograph, R its reconstruction by the generator and E the edited image, the last two brought back through
the inverse of the crop,

    pasted = P + fade · person · ((1 − moved) · (E − R)  +  moved · (E − P)).

`E − R` keeps what the generator cannot draw: pores, jewelry, single
hairs. Where the edit moved something these would stay behind as ghosts, so there the edited image itself is taken.
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8
from PIL import Image

from jaxedit.attributes.person.background import edited_layer
from jaxedit.attributes.person.mask import PersonMask
from jaxedit.errors import InputError
from jaxedit.images import from_pixels
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.ffhq_crop import MIN_SIZE, cut_quad
from jaxedit.inversion.image_arguments import ImageLike, as_pixels
from jaxedit.nn.resize import resample

_GRID = 128
"""Cells a side on which the motion is measured."""

_WINDOW = 9
"""Cells of the windows in which structures are compared, and half of what a moved one reaches around it."""

_CONTRAST = 1e-3
"""Variance of lightness in a window (of values in [-1, 1]) below which it shows no structure that could move."""

_MOVED = (0.05, 0.3)
"""Dissimilarities below the first count as not moved, above the second as moved."""

_BORDER = 0.08
"""Width of the fade at the crop's edges, in fractions of its side."""

_PERSON_MARGIN = 0.02
"""How far around the person the photograph gives way, in fractions of the crop's side: photographs are sharpened, and
what is left of the bright rim of a head that turned would show."""

_FEWEST = 0.01
"""Part of the crop that the smallest person fills."""


Blend = Literal["measured", "edited", "change"]
"""What is pasted: the edited image where the edit moved something, and elsewhere its change ("measured"); or one of the
two everywhere."""


@dataclasses.dataclass(frozen=True, eq=False)
class PastedPhoto:
    """A photograph with an edited face in it.

    Attributes:
        pixels: the photograph, RGB. Pixels outside `changed` are what they were, bit for bit.
        changed: which pixels differ.
        part_moved: part of the person in the crop where the edited image itself was taken; elsewhere the change was
            added to the photograph.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    changed: Bool[np.ndarray, "height width"]
    part_moved: float

    def describe(self, before: UInt8[np.ndarray, "height width 3"]) -> str:
        """How much changed, in words.

        Args:
            before: the photograph as it was.
        """
        part = float(self.changed.mean())
        if not part:
            return "no pixel changed"
        difference = np.abs(self.pixels[self.changed].astype(np.int16) - before[self.changed])
        mean = float(difference.mean())
        return f"changed {100 * part:.1f} % of the photograph, by {mean:.1f} of 255 levels on average"


def paste_back(
    photo: ImageLike,
    face: AlignedFace | Float[np.ndarray, "4 2"],
    edited: ImageLike,
    *,
    reconstruction: ImageLike | None = None,
    person: PersonMask | None = None,
    blend: Blend = "measured",
) -> PastedPhoto:
    """Put an edited face back into its photograph.

    Several faces of one photograph are pasted one after the other, each into the result of the last one.

    Args:
        photo: the photograph, as `align` takes its pixels.
        face: the face as `align` found it, or the corners of its crop in the photograph: top left, bottom left, bottom
            right, top right.
        edited: the edited crop, square, uint8 or floats in [-1, 1].
        reconstruction: what the generator makes of the unedited latent, of the same size. None: the edited image is
            taken everywhere.
        person: finds the person; by default `PersonMask.from_pretrained()`.
        blend: what is pasted.

    Raises:
        InputError: if an image is none, the edited one is not square, sizes differ, the crop does not lie about the
            photograph, or no person is in it.
        DownloadError, OutputError: if the network cannot be fetched or stored.
    """
    pixels = as_pixels(photo, "photo")
    quad = np.asarray(face.quad if isinstance(face, AlignedFace) else face, np.float64)
    after = as_pixels(edited, "edited")
    size = after.shape[0]
    if after.shape[1] != size:
        raise InputError(f"edited: expected a square image, got {list(after.shape)}")
    before = None if reconstruction is None else as_pixels(reconstruction, "reconstruction")
    if before is not None and before.shape != after.shape:
        raise InputError(f"reconstruction: expected {list(after.shape)}, got {list(before.shape)}")
    if size < MIN_SIZE:
        after, size = _enlarged(after), MIN_SIZE
        before = None if before is None else _enlarged(before)
    crop = cut_quad(pixels, quad, size)
    person = PersonMask.from_pretrained() if person is None else person
    if before is None:
        blend = "edited"
    layers, part, moved = _layers(
        person, crop[None], after[None], None if before is None else before[None], blend
    )
    if float(part) < _FEWEST:
        raise InputError("photo: expected a person in the crop, found none")
    faded = np.asarray(layers)[0] * _border_fade(pixels.shape, quad, size)[..., None]
    return PastedPhoto(*_laid_over(pixels, quad, faded), float(moved))


def _enlarged(image: UInt8[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "64 64 3"]:
    return np.asarray(Image.fromarray(image).resize((MIN_SIZE, MIN_SIZE), Image.Resampling.BICUBIC))


@functools.partial(jax.jit, static_argnames="blend")
def _layers(
    person: PersonMask,
    crop: UInt8[Array, "1 size size 3"],
    edited: UInt8[Array, "1 size size 3"],
    reconstruction: UInt8[Array, "1 size size 3"] | None,
    blend: Blend,
) -> tuple[Float[Array, "1 size size 4"], Float[Array, ""], Float[Array, ""]]:
    """What comes over the photograph, without the fade.

    Returns:
        Colors to add, 0…255, and in the last channel how much of the photograph's own gives way to them, 0…1; the part
        of the crop that shows a person; the part of that where the edited image was taken.
    """
    shown = [from_pixels(image) for image in (crop, edited, reconstruction) if image is not None]
    before, after = shown[:2]
    masks = jnp.split(person(jnp.concatenate(shown)), len(shown))  # one call, which is compiled once
    layer, opaque = edited_layer(before, after, *masks[:2], margin=_PERSON_MARGIN)
    part = masks[0].mean()
    moved = jnp.ones((1, _GRID, _GRID))
    change = jnp.zeros_like(before)
    if blend != "edited" and reconstruction is not None:
        drawn = shown[2]
        drawn_layer, drawn_opaque = edited_layer(drawn, after, masks[2], masks[1], margin=_PERSON_MARGIN)
        change = drawn_opaque * (drawn_layer - drawn)
        moved = motion(drawn, after) if blend == "measured" else 0 * moved
    seen = resample(masks[0][..., None], _GRID)[..., 0]
    weight = resample(moved[..., None], crop.shape[1])
    alpha = weight * opaque
    colors = alpha * (layer * 127.5 + 127.5) + (1 - weight) * change * 127.5
    return jnp.concatenate([colors, alpha], -1), part, jnp.sum(seen * moved) / jnp.maximum(seen.sum(), 1)


def motion(
    before: Float[Array, "batch side side 3"], after: Float[Array, "batch side side 3"]
) -> Float[Array, "batch 128 128"]:
    """Where structures moved, appeared or vanished between two images: 0 … 1, smooth.

    In each window the structures of both lightnesses are compared by their correlation:

        dissimilarity = 1 − (cov(b, a) + k) / (√(var(b) var(a)) + k)

    so that light, color and contrast may change, and flat skin counts as at rest.

    Args:
        before: images in [-1, 1].
        after: likewise.
    """
    b, a = (resample(images, _GRID).mean(-1) for images in (before, after))
    mean_b, mean_a = _window_mean(b), _window_mean(a)
    variances = _window_mean(b * b) - mean_b**2, _window_mean(a * a) - mean_a**2
    covariance = _window_mean(b * a) - mean_b * mean_a
    spread = jnp.sqrt(jnp.maximum(variances[0] * variances[1], 1e-12))
    dissimilarity = 1 - (covariance + _CONTRAST) / (spread + _CONTRAST)
    moved = jnp.clip((dissimilarity - _MOVED[0]) / (_MOVED[1] - _MOVED[0]), 0, 1)
    window = (1, _WINDOW, _WINDOW)
    grown = jax.lax.reduce_window(moved, -jnp.inf, jax.lax.max, window, (1, 1, 1), "SAME")
    return _window_mean(grown)


def _window_mean(cells: Float[Array, "batch rows columns"]) -> Float[Array, "batch rows columns"]:
    rows, columns = (_window_weights(length) for length in cells.shape[1:])
    return jnp.einsum("rh,bhw,cw->brc", rows, cells, columns, precision=jax.lax.Precision.HIGHEST)


def _window_weights(length: int) -> Float[np.ndarray, "{length} {length}"]:
    near = np.abs(np.arange(length)[:, None] - np.arange(length)) <= _WINDOW // 2
    return (near / near.sum(1, keepdims=True)).astype(np.float32)


def _border_fade(
    shape: tuple[int, ...], quad: Float[np.ndarray, "4 2"], size: int
) -> Float[np.ndarray, "{size} {size}"]:
    """1 inside the crop, 0 at its edges, but for edges that lie outside the photograph."""
    height, width = shape[:2]
    centers = (np.arange(size) + 0.5) / size
    ramp = np.clip(centers / _BORDER, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    corners = {"top": (0, 3), "left": (0, 1), "bottom": (1, 2), "right": (3, 2)}
    sides = {"top": ramp[:, None], "left": ramp[None], "bottom": ramp[::-1, None], "right": ramp[None, ::-1]}
    fade = np.ones((size, size))
    for name, (first, last) in corners.items():
        along = quad[first] + np.linspace(0, 1, 65)[:, None] * (quad[last] - quad[first])
        if ((along > 0) & (along < [width, height])).all(1).any():
            fade = fade * sides[name]
    return fade.astype(np.float32)


def _laid_over(
    photo: UInt8[np.ndarray, "height width 3"],
    quad: Float[np.ndarray, "4 2"],
    layers: Float[np.ndarray, "size size 4"],
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """The photograph under the layers of its crop, and which pixels differ."""
    height, width = photo.shape[:2]
    side = float(np.hypot(*(quad[3] - quad[0])))
    size = min(layers.shape[0], max(1, round(side)))
    low = np.clip(np.floor(quad.min(0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(quad.max(0)), 0, (width, height)).astype(int)
    # From the photograph to the crop: (x − corner) · edge / side², in units of the crop's side.
    across, down = (quad[3] - quad[0]) / side**2 * size, (quad[1] - quad[0]) / side**2 * size
    offset = low - quad[0]
    data = (*across, float(across @ offset), *down, float(down @ offset))
    region = (int(high[0] - low[0]), int(high[1] - low[1]))
    channels = []
    for i in range(4):
        channel = Image.fromarray(np.ascontiguousarray(layers[..., i]))
        channel = channel.resize((size, size), Image.Resampling.BILINEAR)  # widens where it shrinks
        channels.append(
            np.asarray(channel.transform(region, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))
        )
    result = photo.copy()
    place = np.s_[low[1] : high[1], low[0] : high[0]]
    *colors, alpha = channels
    mixed = photo[place] * (1 - alpha[..., None]) + np.stack(colors, -1)
    result[place] = np.round(np.clip(mixed, 0, 255)).astype(np.uint8)
    return result, (result != photo).any(-1)
