"""Images of Pillow as upright 8-bit RGB in sRGB, strip by strip, so that only one copy of the whole is made."""

import dataclasses
import functools
import io
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from jaxedit.errors import InputError

_STRIP_PIXELS = 2**20

ORIENTATION_TAG = 0x0112
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

_AS_STORED = _UPRIGHT | {6: _UPRIGHT[8], 8: _UPRIGHT[6]}
"""EXIF orientation → the view of upright pixels that lies as in the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class ColorProfile:
    """The color profile of an image, as far as colors can be converted from it.

    Attributes:
        mode: mode of Pillow of the colors that the profile describes.
        content: the profile.
    """

    mode: Literal["L", "RGB", "CMYK"]
    content: bytes

    @classmethod
    def of(cls, image: Image.Image) -> "ColorProfile | None":
        """The embedded profile; None without one, and for a damaged or unsuitable one."""
        content = image.info.get("icc_profile")
        if not content:
            return None
        try:
            space = ImageCms.ImageCmsProfile(io.BytesIO(content)).profile.xcolor_space.strip()
            mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(space)
            if mode is None or (mode == "CMYK") != (image.mode == "CMYK"):
                return None
            if mode == "L" and image.mode not in ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"):
                return None
            profile = cls(mode, content)  # type: ignore[arg-type]
            profile.to_srgb  # noqa: B018
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return None
        return profile

    @functools.cached_property
    def to_srgb(self) -> ImageCms.ImageCmsTransform:
        """From the colors of the profile to those of sRGB."""
        return ImageCms.buildTransform(self._opened(), ImageCms.createProfile("sRGB"), self.mode, "RGB")

    @functools.cached_property
    def from_srgb(self) -> ImageCms.ImageCmsTransform:
        """From the colors of sRGB to those of the profile.

        Raises:
            ImageCms.PyCMSError: if the profile is for reading alone.
        """
        return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), self._opened(), "RGB", self.mode)

    def _opened(self) -> ImageCms.ImageCmsProfile:
        return ImageCms.ImageCmsProfile(io.BytesIO(self.content))


def upright_pixels(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels in sRGB, turned and mirrored as the EXIF orientation says; transparency is laid over white.

    Args:
        image: an image whose pixels are loaded, of any mode.
        name: of the image in errors.

    Raises:
        InputError: if gray values of more than eight bits are no colors.
    """
    orientation = orientation_of(image)
    is_turned = orientation in (5, 6, 7, 8)
    pixels = np.empty(
        (image.width, image.height, 3) if is_turned else (image.height, image.width, 3), np.uint8
    )
    stored = as_stored(pixels, orientation)
    for top, strip in srgb_strips(image, name):
        stored[top : top + len(strip)] = strip
    return pixels


def srgb_strips(image: Image.Image, name: str) -> Iterator[tuple[int, UInt8[np.ndarray, "rows width 3"]]]:
    """The pixels as they lie in the file, in sRGB, some rows at a time; transparency is laid over white.

    Args:
        image: an image whose pixels are loaded, of any mode.
        name: of the image in errors.

    Yields:
        The first row of a strip, and its pixels.

    Raises:
        InputError: if gray values of more than eight bits are no colors.
    """
    most = largest_gray(image, name)
    profile = ColorProfile.of(image)
    for top, strip in strips(image):
        if most is not None:
            values = np.asarray(strip).astype(np.float64)
            strip = Image.fromarray(np.round(values * (255 / most)).astype(np.uint8))
        yield top, np.asarray(_as_srgb(strip, profile))


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Some rows of an image at a time: the first row of the strip, and the strip."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def as_stored(
    pixels: UInt8[np.ndarray, "height width 3"], orientation: int | None
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The view of upright pixels that lies as in a file of this EXIF orientation."""
    turn = _AS_STORED.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else turn(pixels)


def orientation_of(image: Image.Image) -> int | None:
    """The EXIF orientation of a loaded image, if it has one that can be read."""
    try:
        return image.getexif().get(ORIENTATION_TAG)
    except (
        Exception
    ):  # the parser raises nearly anything at damaged EXIF data; the image is readable all the same
        return None


def largest_gray(image: Image.Image, name: str) -> float | None:
    """White of an image whose gray values have more than eight bits; None for images of bytes.

    Raises:
        InputError: if the values are no colors.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return None
    low, high = np.inf, -np.inf
    for _, strip in strips(image):
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
    return most


def _as_srgb(image: Image.Image, profile: ColorProfile | None) -> Image.Image:
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    if profile is not None:
        image = profile.to_srgb.apply(image.convert(profile.mode))
    return image.convert("RGB")
