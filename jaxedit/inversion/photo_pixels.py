"""Images of Pillow as upright 8-bit RGB in sRGB, strip by strip, so that only one copy of the whole is made."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from jaxedit.errors import InputError

_STRIP_PIXELS = 2**20

_ORIENTATION_TAG = 0x0112
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation → the view of the pixels that is upright."""


def rgb_pixels(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels as they lie in the file, in sRGB; transparency is laid over white.

    Args:
        image: an image whose pixels are loaded, of any mode.
        name: of the image in errors.

    Raises:
        InputError: if gray values of more than eight bits are no colors.
    """
    as_bytes = _gray_scale(image, name)
    to_srgb = _transform_to_srgb(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    top = 0
    for strip in _strips(image):
        if as_bytes is not None:
            strip = Image.fromarray(as_bytes(np.asarray(strip)))
        pixels[top : top + strip.height] = np.asarray(_as_rgb(strip, to_srgb))
        top += strip.height
    return pixels


def upright(
    pixels: UInt8[np.ndarray, "height width 3"], orientation: int | None
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pixels turned and mirrored as the EXIF orientation says."""
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def orientation_of(image: Image.Image) -> int | None:
    """The EXIF orientation of a loaded image, if it has one that can be read."""
    try:
        return image.getexif().get(_ORIENTATION_TAG)
    except (
        Exception
    ):  # the parser raises nearly anything at damaged EXIF data; the image is readable all the same
        return None


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _as_rgb(image: Image.Image, to_srgb: ImageCms.ImageCmsTransform | None) -> Image.Image:
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    if to_srgb is not None:
        image = to_srgb.apply(image)
    return image.convert("RGB")


def _gray_scale(image: Image.Image, name: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """How gray values of more than eight bits become bytes; None for images of bytes."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return None
    low, high = np.inf, -np.inf
    for strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise InputError(f"{name}: expected finite gray values, found NaN or infinity")
        low, high = min(low, values.min()), max(high, values.max())
    if image.mode == "F":
        most = 1.0 if high <= 1 else 255.0
        expected = "floating-point gray values in 0…1 or 0…255"
    else:
        most, expected = 65535.0, "integer gray values of 16 bits"
    if low < 0 or high > most:
        raise InputError(f"{name}: expected {expected}, found {low} … {high}")
    return lambda values: np.round(values.astype(np.float64) * (255 / most)).astype(np.uint8)


def _transform_to_srgb(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """From the color space of an embedded profile; None without one, and for a damaged or unsuitable one."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    mode = "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
