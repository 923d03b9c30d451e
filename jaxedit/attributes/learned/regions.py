"""Frozen features of the regions of an image, pooled to small grids.

A region is cut out at the resolution that its detail needs: a whole face shows its hair at 256², and its teeth only
in a crop of the mouth. Two layers of a frozen network give the features (`jaxedit.attributes.learned.frozen`); each
pixel's are brought to unit length, so that they tell what is there and not how strong its contrast is.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.learned.frozen import FrozenMaps
from jaxedit.errors import InputError
from jaxedit.nn.layers import unit_length
from jaxedit.nn.resize import resample_box

_TINY = 1e-6
_COLOR_GRID = 16


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of an image, and how its features are pooled.

    Attributes:
        name: of the region.
        box: left, top, right and bottom edge, in fractions of the image's side.
        size: height and width in pixels that the part is resized to.
        grids: rows and columns of the pooled features of the finer and of the coarser map.
    """

    name: str
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    grids: tuple[tuple[int, int], tuple[int, int]]


IMAGE = Region("image", (0.0, 0.0, 1.0, 1.0), (256, 256), ((8, 8), (6, 6)))
"""The whole image."""

_EYES = (0.246, 0.363, 0.754, 0.566)
_MOUTH = (0.334, 0.578, 0.666, 0.812)
_LEFT_EAR = (0.098, 0.422, 0.363, 0.797)
_RIGHT_EAR = (0.637, 0.422, 0.902, 0.797)
_HAIR = (0.148, 0.0, 0.852, 0.371)

FACE_REGIONS = (
    IMAGE,
    Region("eyes", _EYES, (80, 200), ((4, 8), (3, 6))),
    Region("mouth", _MOUTH, (96, 136), ((4, 6), (3, 4))),
    Region("left ear", _LEFT_EAR, (144, 102), ((6, 4), (4, 3))),
    Region("right ear", _RIGHT_EAR, (144, 102), ((6, 4), (4, 3))),
    Region("hair", _HAIR, (100, 190), ((4, 8), (3, 6))),
)
"""Regions of images aligned as FFHQ is, of 256 pixels a side; left and right are those of the image."""

FINE_FACE_REGIONS = (
    IMAGE,
    Region("eyes", _EYES, (160, 400), ((4, 8), (3, 6))),
    Region("mouth", _MOUTH, (192, 272), ((4, 6), (3, 4))),
    Region("left ear", _LEFT_EAR, (240, 170), ((6, 4), (4, 3))),
    Region("right ear", _RIGHT_EAR, (240, 170), ((6, 4), (4, 3))),
    Region("hair", _HAIR, (136, 256), ((4, 8), (3, 6))),
)
"""The same for images of 512 pixels and more a side, at twice the cost: earrings and teeth are small."""

COLORS = "colors"
"""Name of the last features: the colors of the image on a grid of 16 × 16."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["network"], meta_fields=["regions", "side"])
@dataclasses.dataclass(frozen=True)
class RegionFeatures:
    """Images [batch, side, side, 3] in [-1, 1] to features of each region; a pytree and a pure function.

    Attributes:
        network: the frozen network.
        regions: the regions.
        side: pixels a side that images are brought to first, so that larger and smaller ones are read alike; None for
            the images as they are.
    """

    __no_type_check__ = True

    network: FrozenMaps
    regions: tuple[Region, ...] = (IMAGE,)
    side: int | None = 256

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the regions, and "colors"."""
        return (*(region.name for region in self.regions), COLORS)

    def __call__(
        self, images: Float[Array, "batch side side 3"]
    ) -> dict[str, Float[Array, "batch num_features"]]:
        """The features of each region by its name.

        Raises:
            InputError: if the images are not square RGB.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
            raise InputError(
                f"images: expected [batch, side, side, 3] (square RGB), got {list(images.shape)}"
            )
        images = jnp.clip(images.astype(jnp.float32), -1, 1)
        if self.side is not None and images.shape[1] != self.side:
            images = resample_box(images, (0.0, 0.0, 1.0, 1.0), (self.side, self.side))
        found = {region.name: self._features(images, region) for region in self.regions}
        small = resample_box(images, (0.0, 0.0, 1.0, 1.0), (_COLOR_GRID, _COLOR_GRID))
        return found | {COLORS: small.reshape(len(images), -1)}

    def _features(self, images: Array, region: Region) -> Float[Array, "batch num_features"]:
        maps = self.network.maps(resample_box(images, region.box, region.size))
        pooled = [
            _pool(unit_length(layer.astype(jnp.float32), tiny=_TINY), grid)
            for layer, grid in zip(maps, region.grids, strict=True)
        ]
        return jnp.concatenate(pooled, axis=1)


def _pool(x: Float[Array, "b h w c"], grid: tuple[int, int]) -> Float[Array, "b features"]:
    """Means over a grid of equal cells, whose edges may cut pixels."""
    rows, columns = (_cells(length, count) for length, count in zip(x.shape[1:3], grid, strict=True))
    return jnp.einsum("bhwc,ih,jw->bijc", x, rows, columns).reshape(len(x), -1)


@functools.lru_cache
def _cells(length: int, count: int) -> Float[np.ndarray, "count length"]:
    """The share of each of `length` pixels in each of `count` cells, normalized to a mean."""
    edges = np.linspace(0, length, count + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(overlap, 0)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)
