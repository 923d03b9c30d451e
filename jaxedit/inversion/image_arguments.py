"""Images as callers give them: converted where their meaning is clear, refused by shape, type and range where not."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.images import check_range, from_pixels
from jaxedit.inversion.photo_pixels import upright_pixels

ImageLike = Array | np.ndarray | Image.Image
"""One image: an image of Pillow, or an array, uint8 or floats in [-1, 1]: [height, width, 3] (RGB), [height, width, 4]
(RGBA, uint8 alone), [height, width, 1] or [height, width] (gray)."""

ImagesLike = ImageLike | Sequence[ImageLike]
"""One image, a list of images of one size, or an array [batch, height, width, channels]."""


def as_pixels(image: Any, name: str = "image") -> UInt8[np.ndarray, "height width 3"]:
    """One image as RGB bytes. Transparency is laid over white; EXIF data of Pillow's images are applied.

    Args:
        image: as `ImageLike` describes it.
        name: of the argument in errors.

    Raises:
        InputError: if it is something else, or if its floats are not finite or not in [-1, 1].

    Examples:
        >>> import numpy as np
        >>> as_pixels(np.zeros((64, 80), np.float32)).shape
        (64, 80, 3)
    """
    array = _as_rgb_array(image, name)
    if array.ndim != 3:
        raise InputError(f"{name}: expected one image [height, width, 3], got {_described(array)}")
    return array if array.dtype == np.uint8 else _to_bytes(array)


def as_batch(
    images: Any, name: str = "images", *, min_side: int, max_side: int
) -> Float[Array, "batch side side 3"]:
    """Square images as a batch of floats in [-1, 1].

    Args:
        images: as `ImagesLike` describes them.
        name: of the argument in errors.
        min_side: smallest height and width, in pixels.
        max_side: largest.

    Raises:
        InputError: if they are something else, of several sizes, not square, or of another size; if floats are not
            finite or not in [-1, 1].
    """
    if isinstance(images, list | tuple):
        each = [_as_rgb_array(image, f"{name}[{i}]") for i, image in enumerate(images)]
        shapes = sorted({array.shape for array in each})
        if len(shapes) != 1 or len(shapes[0]) != 3:
            raise InputError(
                f"{name}: expected images of one size, got {', '.join(map(str, shapes)) or 'none'}"
            )
        if len({array.dtype for array in each}) > 1:
            each = [np.asarray(from_pixels(jnp.asarray(array))) for array in each]
        batch = np.stack(each)
    else:
        array = _as_rgb_array(images, name)
        batch = array if array.ndim == 4 else array[None]
    height, width = batch.shape[1:3]
    if height != width:
        raise InputError(
            f"{name}: expected [batch, side, side, 3] (square RGB), got {list(batch.shape)}: `jaxedit.align` cuts "
            "squares"
        )
    if not min_side <= height <= max_side:
        bound = (
            f"{min_side} pixels a side or more" if height < min_side else f"{max_side} pixels a side or fewer"
        )
        raise InputError(f"{name}: expected {bound}, got {height}")
    return from_pixels(jnp.asarray(batch))


def _as_rgb_array(image: Any, name: str) -> np.ndarray:
    """[height, width, 3] or [batch, height, width, 3], uint8 or finite floats in about [-1, 1]."""
    if isinstance(image, Image.Image):
        try:
            image.load()
        except Exception as error:  # Pillow's decoders raise nearly anything at damaged files
            raise InputError(f"{name}: expected an image that can be read: {error}") from error
        return upright_pixels(image, name)
    if not hasattr(image, "__array__"):
        hint = ": `jaxedit.inversion.load_photo` reads files" if isinstance(image, str) else ""
        raise InputError(f"{name}: expected an array or an image of Pillow, got {type(image).__name__}{hint}")
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 3, 4) or not array.size:
        first = array.shape[-3] if array.ndim >= 3 else 0
        hint = ", whose channels come first: they come last here" if first in (1, 3, 4) else ""
        raise InputError(
            f"{name}: expected [height, width, 3] (RGB; or RGBA, or gray), got {_described(array)}{hint}"
        )
    is_float = jnp.issubdtype(array.dtype, jnp.floating)
    if not is_float and array.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8, or floats in [-1, 1], got {_described(array)}")
    if is_float:
        array = array.astype(np.float32)
        if array.ndim == 4 and not (is_finite := np.isfinite(array).all((1, 2, 3))).all():
            raise InputError(
                f"{name}: expected finite numbers, got NaN or infinity in image {int((~is_finite).argmax())}"
            )
        check_range(array, name)
    if array.shape[-1] == 4:
        if is_float:
            raise InputError(f"{name}: expected RGBA as uint8, got {_described(array)}")
        alpha = array[..., 3:].astype(np.uint32)
        over_white = array[..., :3] * alpha + 255 * (255 - alpha)
        return ((over_white + 127) // 255).astype(np.uint8)
    return np.repeat(array, 3, -1) if array.shape[-1] == 1 else array


def _to_bytes(array: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    return np.round(np.clip(array * 127.5 + 127.5, 0, 255)).astype(np.uint8)


def _described(array: np.ndarray) -> str:
    return f"{list(array.shape)} of {array.dtype}"
