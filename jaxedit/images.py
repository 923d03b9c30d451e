"""Images at the library's edge: float32 in [-1, 1] inside, uint8 outside."""

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxedit.errors import InputError, OutputError
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.paths import as_path

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 92},
    # A sixth of the time of PNG's usual level 6, for files that are a tenth larger.
    "PNG": {"compress_level": 2},
}

_MOST_OVERSHOOT = 10.0  # generators overshoot [-1, 1] by less


def check_range(values: np.ndarray, name: str, *, is_photo: bool = True) -> None:
    """Check that floats are colors in [-1, 1], or overshoot as a generator's images do.

    Args:
        values: colors.
        name: of the argument in errors.
        is_photo: whether they are a photograph, which has some color below the middle: one without is in 0…1.

    Raises:
        InputError: if they are not finite, or in another range such as 0…255 or 0…1.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    hint = None
    if max(-low, high) > _MOST_OVERSHOOT:
        hint = "if they are in 0…255, give uint8, or x / 127.5 - 1"
    elif is_photo and 0 <= low < high <= 1:
        hint = "if they are in 0…1, give 2 * x - 1"
    if hint is not None:
        raise InputError(f"{name}: expected floats in [-1, 1], got {low:.4g} … {high:.4g}: {hint}")


@jax.jit
def to_uint8(
    images: Float[Array, "*batch height width channels"],
) -> UInt8[Array, "*batch height width channels"]:
    """From [-1, 1] to 0…255, rounded; values outside are clipped.

    Examples:
        >>> import jax.numpy as jnp
        >>> to_uint8(jnp.asarray([[[-1.0, 0.0, 1.0], [2.0, 0.5, -0.5]]])).tolist()
        [[[0, 128, 255], [255, 191, 64]]]
    """
    return jnp.round(jnp.clip(images * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)


def from_pixels(
    images: Float[Array, "*batch height width channels"] | UInt8[Array, "*batch height width channels"],
) -> Float[Array, "*batch height width channels"]:
    """uint8 images from 0…255 to [-1, 1]; floats are clipped to [-1, 1]."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 127.5 - 1
    return jnp.clip(images.astype(jnp.float32), -1, 1)


def save_image(
    image: Float[Array | np.ndarray, "height width channels"]
    | UInt8[Array | np.ndarray, "height width channels"],
    path: str | Path,
) -> Path:
    """Write one image. The file appears only when it is whole.

    Args:
        image: floats in [-1, 1], or uint8; gray, gray with alpha, RGB or RGBA.
        path: of the file; its ending (`.png`, `.jpg`, …) chooses the format.

    Raises:
        InputError: if the image has other than 1 to 4 channels, or is neither bytes nor floats in [-1, 1].
        OutputError: if the format is unknown, has no alpha where the image has it, or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_image(jnp.zeros((4, 6, 3)), f"{folder}/gray.png").name
        'gray.png'
    """
    path = as_path(path)
    pixels = np.asarray(image)
    if pixels.ndim != 3 or not pixels.size:
        hint = ": save one at a time" if pixels.ndim == 4 else ""
        raise InputError(f"image: expected [height, width, channels], got {list(pixels.shape)}{hint}")
    if pixels.dtype != np.uint8:
        if not jnp.issubdtype(pixels.dtype, jnp.floating):
            raise InputError(f"image: expected uint8, or floats in [-1, 1], got {pixels.dtype}")
        check_range(pixels, "image", is_photo=False)
        pixels = np.asarray(to_uint8(jnp.asarray(pixels)))
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None:
        raise OutputError(f"{path}: expected a file name that ends in an image format such as .png or .jpg")
    channels = pixels.shape[-1]
    if not 1 <= channels <= 4:
        raise InputError(f"image: expected 1 to 4 channels, got shape {list(pixels.shape)}")
    if channels in (2, 4) and image_format == "JPEG":
        raise OutputError(
            f"{path}: expected a format with alpha, such as .png, for an image of {channels} channels"
        )
    buffer = io.BytesIO()
    drawn = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    drawn.save(buffer, image_format, **_SAVE_OPTIONS.get(image_format, {}))
    return write_atomically(path, buffer.getvalue())
