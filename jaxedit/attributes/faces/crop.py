"""The face square of FFHQ-style images, and crops of the size that the face networks need.

Images aligned as FFHQ (Karras et al., *A Style-Based Generator Architecture*, CVPR 2019: eyes and mouth at fixed
places) need no detector: the face lies in one fixed square.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxedit.errors import InputError
from jaxedit.images import from_pixels
from jaxedit.nn.resize import average_pool, resample

FACE_LEFT, FACE_TOP, FACE_SIDE = 76 / 512, 110 / 512, 360 / 512
"""The face square, in fractions of the image's side; level with the middle, so that mirroring keeps it."""

CROP_SIZE = 160
"""Side of the crops in pixels: above the 112 and 150 that the networks resize to without antialiasing."""

MIN_SIZE = 128
"""Smallest side of an image in pixels; from 256 on the crops are not enlarged."""

_POOLED = 512


def prepare_images(images: Shaped[Array, "batch height width channels"]) -> Float[Array, "batch side side 3"]:
    """Images, uint8 or floats, as floats clipped to [-1, 1].

    1024², 2048², … are averaged to 512², which is cheap and loses nothing here.

    Raises:
        InputError: if the images are not square RGB of 128 pixels or more, or neither floats nor uint8.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise InputError(f"images: expected [batch, side, side, 3] (square RGB), got {images.shape}")
    side = images.shape[1]
    if side < MIN_SIZE:
        raise InputError(f"images: expected {MIN_SIZE} pixels a side or more, got {side}")
    if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(f"images: expected floats in [-1, 1] or uint8, got {images.dtype}")
    images = from_pixels(images)
    return average_pool(images, side // _POOLED) if side % _POOLED == 0 else images


def crop_faces(images: Shaped[Array, "batch height width channels"]) -> Float[Array, "batch 160 160 3"]:
    """The face squares of FFHQ-style images in [-1, 1], antialiased, 160 pixels a side.

    Raises:
        InputError: if the images are not square RGB of 128 pixels or more.
    """
    start = (FACE_LEFT, FACE_TOP)
    return resample(prepare_images(images), CROP_SIZE, start=start, extent=FACE_SIDE)
