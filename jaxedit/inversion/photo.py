"""Photographs from files, as upright 8-bit RGB in sRGB whatever the camera or program wrote."""

import functools
import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from jaxedit.errors import InputError, JaxeditError, LeftOutWarning
from jaxedit.inversion.photo_pixels import upright_pixels
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import check_regular

MIN_SIDE = 64
"""Smallest side of a photograph in pixels."""

MAX_PIXELS = 120_000_000
"""Largest photograph in pixels: its copies still fit a small machine. A lower limit of Pillow's holds too."""

MAX_BYTES = 2 * 10**9
"""Largest file: `MAX_PIXELS` of four floats each are 1.9 GB."""

MAX_SCANS = 64
"""Most scans of a JPEG. Cameras and programs write up to some ten; each costs the time of the whole image."""

_FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
# Not everything that Pillow reads: for PostScript it runs another program.

_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")

_OPTIONAL_ENDINGS = {".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"}
"""Of formats whose reader may be missing: such photographs are named, not passed over."""

_JPEG = b"\xff\xd8\xff"
_FIRST_BYTES = (_JPEG, b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # not a stuffed or filled byte, not a restart

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


def photo_endings() -> set[str]:
    """Endings of file names, in lower case with the dot, that `load_photo` reads, or names the missing reader of."""
    Image.init()
    known = _known_formats()
    return _OPTIONAL_ENDINGS | {
        ending for ending, format_ in Image.registered_extensions().items() if format_ in known
    }


class Photo:
    """A photograph in a file. The file is read once, when its hash or its pixels are first asked for.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal.

        Raises:
            InputError: if the file is missing, cannot be read, is no regular file or is larger than 2 GB.
        """
        return hashlib.sha256(self.content).hexdigest()

    def keep_pixels(self, image: Image.Image) -> None:
        """Take the pixels from the file's image, which was opened for something else too."""
        self.__dict__["pixels"] = upright_pixels(image, str(self.path))

    def forget_pixels(self) -> None:
        """Make room. The pixels are decoded again when they are next asked for."""
        self.__dict__.pop("pixels", None)

    @functools.cached_property
    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """The pixels as `load_photo` describes them.

        Raises:
            InputError: as `load_photo` does.
        """
        return _decoded(self.content, self.path)

    @functools.cached_property
    def content(self) -> bytes:
        """The file, as it is.

        Raises:
            InputError: as `sha256` does.
        """
        size = check_regular(self.path, expected="an image").stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"{self.path}: expected an image of {MAX_BYTES / 1e9:.0f} GB at most, found {size / 1e9:.1f} GB"
            )
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path}: expected an image that can be read: {error}") from error


def load_photo(path: str | Path, *, min_side: int = MIN_SIDE) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph as upright RGB in sRGB.

    The orientation of its EXIF data and its color profile are applied, transparency is laid over white, and gray,
    palette, CMYK and 16-bit images are converted. Of a TIFF of several pages, and of a photograph with further images
    (depth, gain map), the first is taken. Floating-point images must lie in 0…1 or in 0…255.

    Args:
        path: BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TGA, TIFF or WebP; AVIF with Pillow 11.3 or newer; HEIC with the
            package `pillow-heif`.
        min_side: smallest height and width.

    Raises:
        InputError: if the file is missing, damaged, an animation, no image or no regular file, is smaller than
            `min_side`, is larger than 120 million pixels, 2 GB or a lower limit of Pillow's, is a JPEG of more than 64
            scans, or holds numbers that are no colors; if the reader of its format is not installed.
    """
    photo = Photo(path)
    return _decoded(photo.content, photo.path, min_side)


def _decoded(content: bytes, path: Path, min_side: int = MIN_SIDE) -> UInt8[np.ndarray, "height width 3"]:
    with opened(content, path, min_side) as image:
        return upright_pixels(image, str(path))


@contextmanager
def opened(content: bytes, path: Path, min_side: int = MIN_SIDE) -> Iterator[Image.Image]:
    """The image in a file, with its pixels loaded. What goes wrong within it is an error about the file.

    Args:
        content: of the file.
        path: the file.
        min_side: smallest height and width.

    Raises:
        InputError: as `load_photo` does.
    """
    _check_reader(content, path)
    _check_scans(content, path)
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size that it refuses. Its usual limit lies above the limit here.
            is_lowered = Image.MAX_IMAGE_PIXELS is not None and 2 * Image.MAX_IMAGE_PIXELS < MAX_PIXELS
            warnings.simplefilter("error" if is_lowered else "ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_known_formats())
            _check_size(image, path, min_side)
            _check_still(image, path)
            image.load()
        yield image
    except JaxeditError:
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


def _check_reader(content: bytes, path: Path) -> None:
    """Raise if the file is of a format whose reader is not installed, and say how to get it."""
    brands = _brands(content)
    if brands & _AVIF_BRANDS:
        Image.init()
        if "AVIF" not in Image.OPEN:
            raise InputError(
                f"{path}: expected an image, found AVIF, which Pillow reads from 11.3 on: pip install -U pillow, or "
                "save the photograph as JPEG"
            )
    elif brands & _HEIF_BRANDS and not has_heif_reader():
        raise InputError(
            f"{path}: expected an image, found HEIC, whose reader is not installed: pip install pillow-heif, or save "
            "the photograph as JPEG"
        )
    elif content[:2] == b"\xff\x0a" or content[4:8] == b"JXL ":
        raise InputError(
            f"{path}: expected an image, found JPEG XL, which is not read: save the photograph as JPEG"
        )


def _brands(content: bytes) -> set[bytes]:
    """The brands of an ISO media file: what AVIF and HEIC files say that they are; none for other files."""
    if content[4:8] != b"ftyp":
        return set()
    box = content[8 : min(int.from_bytes(content[:4], "big"), 256)]
    return {box[i : i + 4] for i in range(0, len(box), 4)}


def has_heif_reader() -> bool:
    """Whether HEIC can be read and written; if so, Pillow knows it from now on."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _check_scans(content: bytes, path: Path) -> None:
    """Raise if a JPEG has so many scans that it would take minutes."""
    # The first count may take a thumbnail or an appended film for scans; only then the markers are read one by one.
    if not content.startswith(_JPEG) or content.count(_SCAN) <= MAX_SCANS:
        return
    scans, place = 0, 2
    while (found := _MARKER.search(content, place)) and (marker := content[found.end() - 1]) != 0xD9:
        scans += marker == _SCAN[1]
        place = found.end()
        if marker not in (0x01, 0xD8):
            place += int.from_bytes(content[place : place + 2], "big")
    if scans > MAX_SCANS:
        raise InputError(f"{path}: expected a JPEG of {MAX_SCANS} scans or fewer, found {scans}")


def _check_size(image: Image.Image, path: Path, min_side: int) -> None:
    width, height = image.size
    if min(width, height) < min_side:
        raise InputError(f"{path}: expected {min_side} pixels a side or more, found {width} × {height}")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: expected {MAX_PIXELS // 10**6} million pixels or fewer, found {width} × {height}"
        )


def _check_still(image: Image.Image, path: Path) -> None:
    """Raise if the image is an animation. Further pages of a TIFF and further images of a telephone are none."""
    if image.format in _ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise InputError(
            f"{path}: expected a photograph, found an animation of {getattr(image, 'n_frames', 2)} frames "
            f"({image.format}): save one frame as PNG or JPEG"
        )


def list_photos(paths: Sequence[str | Path]) -> list[Path]:
    """List photographs: files as they are, folders as the images directly in them, sorted by name; each file once.

    A file in a folder is an image by the ending of its name or by its first bytes. Those that cannot be read are listed
    too, so that whoever reads them names them. A warning names what is left out: other files, and folders.

    Raises:
        InputError: if a folder holds no images, or cannot be read.

    Warns:
        LeftOutWarning: if a folder holds anything else than images.
    """
    photos: dict[Path, Path] = {}
    for path in map(as_path, paths):
        for photo in _photos_in(path) if path.is_dir() else [path]:
            photos.setdefault(photo.absolute(), photo)
    return list(photos.values())


def _photos_in(folder: Path) -> list[Path]:
    endings = photo_endings()
    try:
        content = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be read: {error}") from error
    photos = [
        path
        for path in content
        if not path.is_dir() and (path.suffix.lower() in endings or _looks_like_image(path))
    ]
    if not photos:
        raise InputError(f"{folder}: expected a folder with images, found none")
    others = [path.name for path in content if path not in photos and not path.name.startswith(".")]
    if others:
        named = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        warnings.warn(
            f"{folder}: left out, because they are no images: {named}", LeftOutWarning, stacklevel=2
        )
    return photos


def _looks_like_image(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            first = file.read(64)
    except OSError:
        return False
    is_webp = first[:4] == b"RIFF" and first[8:12] == b"WEBP"
    return is_webp or first.startswith(_FIRST_BYTES) or bool(_brands(first) & (_HEIF_BRANDS | _AVIF_BRANDS))
