"""The places of a face as soft shapes about its 68 landmarks (iBUG scheme).

A shape is a set of strokes, or a polygon that is filled. It is 1 up to a distance from its lines and fades to 0 over
another. The unit of both is the size of the face: the distance of the eyes, or nine tenths of that from the eyes to the
mouth, whichever is larger, since the first shrinks as a head turns.
"Left" and "right" are those of the image, "down" is from the eyes to the mouth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxedit.attributes.faces.geometry import EYE_LEFT, EYE_RIGHT

Point = Float[Array, "batch 2"]
Mask = Float[Array, "batch rows columns"]

_MOUTH_CORNERS = (48, 54)
_TINY = 1e-9


class Face(NamedTuple):
    """Landmarks of faces in fractions of the image's side, with what the shapes measure by."""

    landmarks: Float[Array, "batch 68 2"]
    middle: Point
    """Of the eyes."""
    across: Point
    """From the left to the right eye."""
    down: Point
    """From the middle of the eyes to that of the mouth."""

    @classmethod
    def of(cls, landmarks: Float[Array, "batch 68 2"]) -> "Face":
        """A face by its landmarks."""
        left, right = landmarks[:, EYE_LEFT].mean(1), landmarks[:, EYE_RIGHT].mean(1)
        middle = (left + right) / 2
        mouth = landmarks[:, jnp.array(_MOUTH_CORNERS)].mean(1)
        return cls(landmarks, middle, right - left, mouth - middle)

    @property
    def unit(self) -> Float[Array, " batch"]:
        """The size of the face."""
        return jnp.maximum(jnp.linalg.norm(self.across, axis=1), 0.9 * jnp.linalg.norm(self.down, axis=1))

    def point(self, index: int, across: float = 0.0, down: float = 0.0) -> Point:
        """A landmark, moved along both directions of the face by parts of their lengths."""
        return self.landmarks[:, index] + across * self.across + down * self.down

    def depth(self, size: int) -> Mask:
        """How far down each cell lies: 0 at the eyes, 1 at the mouth."""
        offsets = cells(size) - self.middle[:, None, None]
        length = jnp.maximum(jnp.sum(self.down**2, -1), _TINY)
        return jnp.einsum("brcx,bx->brc", offsets, self.down) / length[:, None, None]


def cells(size: int) -> Float[Array, "{size} {size} 2"]:
    """Positions (x, y) of the cells' centers, in fractions of the image's side."""
    centers = (jnp.arange(size) + 0.5) / size
    rows, columns = jnp.meshgrid(centers, centers, indexing="ij")
    return jnp.stack([columns, rows], -1)


def strokes(
    face: Face, lines: Sequence[tuple[Point, Point]], size: int, *, reach: float, fade: float
) -> Mask:
    """What lies about some lines.

    Args:
        face: whose unit counts.
        lines: their two ends.
        size: cells a side.
        reach: distance up to which the mask is 1.
        fade: width over which it falls to 0.
    """
    return _faded(face, _distance(lines, size), reach, fade)


def polygon(face: Face, corners: Sequence[Point], size: int, *, reach: float, fade: float) -> Mask:
    """The inside of a polygon, and what lies about it; a negative reach leaves a rim inside out.

    Args:
        face: whose unit counts.
        corners: in order.
        size: cells a side.
        reach: distance from the sides, inward below 0, up to which the mask is 1.
        fade: width over which it falls to 0.
    """
    lines = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    distance = _distance(lines, size)
    return _faded(face, jnp.where(_inside(lines, size), -distance, distance), reach, fade)


def _faded(face: Face, distance: Mask, reach: float, fade: float) -> Mask:
    share = jnp.clip(1 - (distance / face.unit[:, None, None] - reach) / fade, 0, 1)
    return share * share * (3 - 2 * share)


def _distance(lines: Sequence[tuple[Point, Point]], size: int) -> Mask:
    """To the nearest of the lines."""
    at = cells(size)
    nearest = []
    for start, end in lines:
        first, along = start[:, None, None], (end - start)[:, None, None]
        part = jnp.sum((at - first) * along, -1) / jnp.maximum(jnp.sum(along**2, -1), _TINY)
        foot = first + jnp.clip(part, 0, 1)[..., None] * along
        nearest.append(jnp.sum((at - foot) ** 2, -1))
    return jnp.sqrt(jnp.min(jnp.stack(nearest), 0) + _TINY)


def _inside(lines: Sequence[tuple[Point, Point]], size: int) -> Bool[Array, "batch rows columns"]:
    """Which cells a line to the left would leave the polygon an odd number of times from."""
    x, y = jnp.moveaxis(cells(size), -1, 0)
    inside = jnp.zeros((), bool)
    for start, end in lines:
        (x0, y0), (x1, y1) = ([p[:, i, None, None] for i in (0, 1)] for p in (start, end))
        rise = jnp.where(y1 == y0, 1.0, y1 - y0)
        crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / rise + x0)
        inside = inside ^ crosses
    return inside
