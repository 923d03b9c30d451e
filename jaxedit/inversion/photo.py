"""Photographs from files, as upright 8-bit RGB in sRGB whatever the camera or program wrote."""

import functools
import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, UnidentifiedImageError

from jaxedit.errors import InputError

MIN_SIDE = 64
"""Smallest side of a photograph in pixels."""

MAX_PIXELS = 80_000_000
"""Largest photograph in pixels: its float copies still fit a small machine. Pillow's own limit holds too."""

MAX_BYTES = 2 * 10**9
"""Largest file: `MAX_PIXELS` of four floats each are 1.3 GB."""

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
# Not everything that Pillow reads: for PostScript it runs another program.

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → the transposition that makes the image upright."""


def photo_endings() -> set[str]:
    """Endings of file names, in lower case with the dot, that `load_photo` reads."""
    return {
        ending for ending, format_ in Image.registered_extensions().items() if format_ in _known_formats()
    }


class Photo:
    """A photograph in a file. The file is read once, when its hash or its pixels are first asked for.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal.

        Raises:
            InputError: if the file is missing, cannot be read or is larger than 2 GB.
        """
        return hashlib.sha256(self._content).hexdigest()

    @functools.cached_property
    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """The pixels as `load_photo` describes them.

        Raises:
            InputError: as `load_photo` does.
        """
        return _decoded(self._content, self.path)

    @functools.cached_property
    def _content(self) -> bytes:
        try:
            size = self.path.stat().st_size
            if size > MAX_BYTES:
                raise InputError(
                    f"{self.path}: expected an image of {MAX_BYTES / 1e9:.0f} GB at most, found {size / 1e9:.1f} GB"
                )
            return self.path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{self.path}: expected an image, found nothing") from None
        except OSError as error:
            raise InputError(f"{self.path}: expected an image that can be read: {error}") from error


def load_photo(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph as upright RGB in sRGB.

    The orientation of its EXIF data and its color profile are applied, transparency is laid over white, and gray,
    palette, CMYK and 16-bit images are converted. Of an animation the first frame is taken. Floating-point images must
    lie in 0…1 or in 0…255.

    Args:
        path: AVIF, BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TGA, TIFF or WebP.

    Raises:
        InputError: if the file is missing, damaged or no image, is smaller than 64 pixels a side, is larger than 80
            million pixels, 2 GB or Pillow's own limit, or holds numbers that are no colors.
    """
    return Photo(path).pixels


def _decoded(content: bytes, path: Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        # Pillow warns at half the size that it calls an attack: an error here too.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_known_formats()) as image:
                _check_size(image, path)
                image.load()
                return np.array(_as_rgb(_upright(image), path))
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: expected an image, found a file that is none or of an unknown format"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: too large an image: {error}") from None
    except Exception as error:
        # Pillow's decoders raise nearly anything at damaged files: SyntaxError, struct.error, EOFError, IndexError, …
        raise InputError(f"{path}: expected an image, found one that cannot be read: {error}") from error


def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(format_ for format_ in _FORMATS if format_ in Image.OPEN)  # older Pillows lack some


def _check_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise InputError(f"{path}: expected {MIN_SIDE} pixels a side or more, found {width} × {height}")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: expected {MAX_PIXELS // 10**6} million pixels or fewer, found {width} × {height}"
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except (
        Exception
    ):  # the parser raises nearly anything at damaged EXIF data; the image is readable all the same
        orientation = None
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image, path: Path) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = Image.fromarray(_as_bytes(np.asarray(image), path))
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    return _in_srgb(image, profile).convert("RGB")


def _as_bytes(values: np.ndarray, path: Path) -> UInt8[np.ndarray, "height width"]:
    """Gray values of more than eight bits, scaled to bytes."""
    if not np.isfinite(values).all():
        raise InputError(f"{path}: expected finite gray values, found NaN or infinity")
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        most = 1.0 if high <= 1 else 255.0
        expected = "floating-point gray values in 0…1 or 0…255"
    else:
        most, expected = 65535.0, "integer gray values of 16 bits"
    if low < 0 or high > most:
        raise InputError(f"{path}: expected {expected}, found {low} … {high}")
    return np.round(values.astype(np.float64) * (255 / most)).astype(np.uint8)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from the color space of an embedded profile; a damaged or unsuitable profile is ignored."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return image if converted is None else converted


def list_photos(paths: Sequence[str | Path]) -> list[Path]:
    """List photographs: files as they are, folders as the images directly in them, sorted by name; each file once.

    Raises:
        InputError: if a folder holds no images.
    """
    endings = photo_endings()
    photos: dict[Path, Path] = {}
    for path in map(Path, paths):
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in endings and p.is_file())
            if not inside:
                raise InputError(f"{path}: expected a folder with images, found none")
        for photo in inside:
            photos.setdefault(photo.absolute(), photo)
    return list(photos.values())
