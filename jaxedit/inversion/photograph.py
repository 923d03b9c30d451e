"""A photograph with all that is needed to write it back: edited, in the same size, format, profile and orientation."""

import dataclasses
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8, UInt16
from PIL import Image

from jaxedit.errors import InputError, LeftOutWarning, OutputError
from jaxedit.inversion.photo import Photo, has_heif_reader, opened
from jaxedit.inversion.photo_changes import changed_values, mode_to_write, widened
from jaxedit.inversion.photo_encoding import (
    encode,
    has_other_images,
    is_lossless_webp,
    png_of_16_bits,
    with_jpeg_segments,
    with_png_chunks,
)
from jaxedit.inversion.photo_metadata import Metadata
from jaxedit.inversion.photo_pixels import (
    ColorProfile,
    as_stored,
    largest_gray,
    orientation_of,
    srgb_strips,
    strips,
)
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.paths import as_path

_COLORS, _ALPHA, _DEEP_GRAY = frozenset({"L", "RGB"}), frozenset({"LA", "RGBA"}), frozenset({"I", "I;16"})
_HOLDS = {
    "JPEG": _COLORS | {"CMYK"},
    "PNG": _COLORS | _ALPHA | _DEEP_GRAY | {"16"},
    "TIFF": _COLORS | _ALPHA | _DEEP_GRAY | {"CMYK", "F"},
    "WEBP": _COLORS | _ALPHA,
    "HEIF": _COLORS | _ALPHA,
    "AVIF": _COLORS | _ALPHA,
    "JPEG2000": _COLORS | _ALPHA,
    "TGA": _COLORS | _ALPHA,
    "BMP": _COLORS,
    "PPM": _COLORS,
}
"""Format → the modes that it holds; "16" are 16 bits a color."""

_HOLD_METADATA = ("AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP")

_NEEDS = {
    "CMYK": ("CMYK", ".jpg or .tif"),
    "LA": ("transparency", ".png"),
    "RGBA": ("transparency", ".png"),
    "I": ("16 bits of gray", ".png or .tif"),
    "I;16": ("16 bits of gray", ".png or .tif"),
    "F": ("floating-point gray", ".tif"),
    "16": ("16 bits a color", ".png"),
}
"""Mode → its name, and endings of formats that hold it."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph, and what its file says beyond the pixels.

    Attributes:
        file: the file, which has been read. Its content is kept, so that it may change or vanish meanwhile.
        format: Pillow's name of the format, such as JPEG, PNG or HEIF.
        mode: Pillow's name of the mode: RGB, RGBA, L, P, CMYK, ….
        bits: bits of a color in the file.
        size: width and height of the upright photograph.
        orientation: the EXIF orientation, 1 … 8; None where the file names none.
        metadata: profile, EXIF data, XMP and resolution, as they are in the file.
    """

    file: Photo
    format: str
    mode: str
    bits: int
    size: tuple[int, int]
    orientation: int | None
    metadata: Metadata

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """The upright pixels in sRGB, as `load_photo` describes them."""
        return self.file.pixels

    @property
    def profile(self) -> bytes | None:
        """The embedded color profile (ICC)."""
        return self.metadata.profile

    @property
    def exif(self) -> bytes | None:
        """The EXIF data, without a prefix. Those of a TIFF are made of its tags."""
        return self.metadata.exif

    def check_output(self, path: str | Path) -> str:
        """Check that the photograph can be written under a name, before the work whose result belongs there.

        Args:
            path: the file to write.

        Returns:
            Pillow's name of its format.

        Raises:
            InputError: if it is the file of the photograph itself.
            OutputError: if the ending names no format that is written, or one that cannot hold the mode or the profile
                of the photograph.
        """
        path = as_path(path)
        if path.exists() and self.path.exists() and path.samefile(self.path):
            raise InputError(
                f"{path}: expected another file than the photograph itself, which stays as it is"
            )
        has_heif_reader()  # makes its endings known
        format_ = Image.registered_extensions().get(path.suffix.lower(), "")
        format_ = "JPEG" if format_ == "MPO" else format_
        if format_ not in _HOLDS or format_ not in Image.SAVE:
            hint = ": pip install 'jaxedit[heic]'" if path.suffix.lower() in (".heic", ".heif") else ""
            raise OutputError(
                f"{path}: expected a name that ends in a format that is written, such as .jpg or .png{hint}"
            )
        mode = "16" if self._has_deep_colors else mode_to_write(self.mode, self._has_key)
        if mode not in _HOLDS[format_]:
            name, endings = _NEEDS.get(mode, (mode, ".png"))
            raise OutputError(
                f"{path}: {format_} cannot hold {name}, which {self.path} has: expected a name that ends in {endings}"
            )
        if self.profile is not None and format_ not in _HOLD_METADATA:
            raise OutputError(
                f"{path}: {format_} cannot hold a color profile, which {self.path} has: expected a name that ends in "
                ".jpg, .png or .tif"
            )
        return format_

    def write(
        self,
        path: str | Path,
        edited: Shaped[np.ndarray, "..."],
        *,
        keep_position: bool = False,
    ) -> Path:
        """Write the photograph with edited pixels. The file appears when it is whole.

        Mode, profile, bit depth, transparency, resolution and metadata are those of the photograph, but for the GPS
        position, thumbnails and further images, which would show or tell what they should not. In the photograph's
        own format the pixels lie as in its file, with its EXIF orientation; in another one they are upright. Stored
        values of pixels that were not edited stay as they are. Formats that lose something lose it anew: a JPEG is
        encoded with its own tables, which costs less than a level on average.

        Args:
            path: the file; its ending chooses the format.
            edited: `pixels` with changes, [height, width, 3] of uint8. It may be the same array: afterwards `pixels`
                are those of the file again.
            keep_position: whether the GPS position stays in the metadata.

        Returns:
            The path.

        Raises:
            InputError: if the edited pixels have another shape or type; if the path is the photograph itself.
            OutputError: as `check_output` does, or if the file cannot be written.

        Warns:
            LeftOutWarning: if something of the file cannot be written again: further images in it, damaged EXIF data,
                bits beyond eight of formats other than PNG.
        """
        path, format_ = as_path(path), self.check_output(path)
        expected = (self.size[1], self.size[0], 3)
        if edited.shape != expected or edited.dtype != np.uint8:
            raise InputError(
                f"edited: expected {list(expected)} of uint8, as {self.path.name} has, got {list(edited.shape)} of "
                f"{edited.dtype}"
            )
        is_own = format_ == self._own_format
        metadata = self._metadata(format_, keep_position=keep_position, is_upright=not is_own)
        stored = as_stored(edited, self.orientation)
        self.file.forget_pixels()
        content = self._content(path, stored, format_, metadata, keep_position)
        if format_ == self._own_format == "PNG":
            content = with_png_chunks(content, self.file.content)
        return write_atomically(path, content)

    @property
    def _own_format(self) -> str:
        return "JPEG" if self.format == "MPO" else self.format

    @property
    def _has_key(self) -> bool:
        """Whether one color stands for transparency."""
        return self.metadata.has_transparency and self.mode not in ("LA", "RGBA", "La", "RGBa", "PA")

    @property
    def _has_deep_colors(self) -> bool:
        return self.format == "PNG" and self.bits == 16 and self.mode in ("RGB", "RGBA") and not self._has_key

    def _metadata(self, format_: str, *, keep_position: bool, is_upright: bool) -> Metadata:
        """The metadata to write, with a warning of what is lost."""
        lost = []
        metadata = self.metadata
        try:
            metadata = metadata.for_writing(keep_position=keep_position, is_upright=is_upright)
        except ValueError as error:
            lost.append(f"the EXIF data, which are damaged ({error})")
            metadata = dataclasses.replace(metadata, exif=None).for_writing(
                keep_position=keep_position, is_upright=is_upright
            )
        if format_ not in _HOLD_METADATA and (metadata.exif or metadata.xmp):
            lost.append(f"the metadata, which {format_} cannot hold")
            metadata = dataclasses.replace(metadata, exif=None, xmp=None)
        if self._own_format == "JPEG" and has_other_images(self.file.content):
            lost.append("further images in the file, such as a depth or a gain map")
            metadata = dataclasses.replace(metadata, xmp=None)
        if self.metadata.num_pages > 1 and self.format == "TIFF":
            lost.append(f"{self.metadata.num_pages - 1} further pages of the file")
        if (
            self.bits > 8
            and not self._has_deep_colors
            and self.mode not in ("I", "F")
            and self.mode[:2] != "I;"
        ):
            lost.append(f"bits beyond 8 of the file's {self.bits}")
        if lost:
            warnings.warn(
                f"{self.path}: left out of the edited photograph: {'; '.join(lost)}",
                LeftOutWarning,
                stacklevel=3,
            )
        return metadata

    def _content(
        self,
        path: Path,
        edited: UInt8[np.ndarray, "_ _ 3"],
        format_: str,
        metadata: Metadata,
        keep_position: bool,
    ) -> bytes:
        """The file to write, of pixels that lie as in the photograph's own file."""
        is_own, name = format_ == self._own_format, str(self.path)
        with opened(self.file.content, self.path) as source:
            if self._has_deep_colors:
                rows = _deep_rows(self.file.content, source, edited, name)
                return png_of_16_bits(rows, source.size, metadata)
            image = _changed(source, edited, name)
        if not is_own and self.orientation in _TURNS:
            image = image.transpose(_TURNS[self.orientation])
        if format_ == "WEBP" and is_own:
            source.info["lossless"] = is_lossless_webp(self.file.content)
        try:
            if format_ != "JPEG" or not is_own:
                return encode(image, format_, metadata, source=source if is_own else None)
            bare = encode(image, format_, Metadata(), source=source)
            keep = {"keep_position": keep_position, "keep_exif": metadata.exif is not None}
            return with_jpeg_segments(bare, self.file.content, **keep)
        except Exception as error:  # Pillow's encoders raise nearly anything
            raise OutputError(f"{path}: could not encode as {format_}: {error}") from error


def read_photograph(photo: str | Path | Photo) -> Photograph:
    """Read a photograph with all that is needed to write it back.

    Args:
        photo: a file in any format of `load_photo`. Its pixels are decoded now.

    Raises:
        InputError: as `load_photo` does.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (80, 64)).save(f"{folder}/gray.png")
        ...     photograph = read_photograph(f"{folder}/gray.png")
        ...     edited = photograph.pixels.copy()
        ...     edited[10:20, 10:20] = 200
        ...     written = read_photograph(photograph.write(f"{folder}/edited.png", edited))
        >>> written.mode, written.size, int(written.pixels[15, 15, 0])
        ('L', (80, 64), 200)
    """
    file = photo if isinstance(photo, Photo) else Photo(photo)
    with opened(file.content, file.path) as image:
        orientation = orientation_of(image)
        if not isinstance(orientation, int) or not 1 <= orientation <= 8:
            orientation = None
        width, height = image.size
        is_turned = orientation in (5, 6, 7, 8)
        photograph = Photograph(
            file=file,
            format=str(image.format),
            mode=image.mode,
            bits=_bits(image, file.content),
            size=(height, width) if is_turned else (width, height),
            orientation=orientation,
            metadata=Metadata.of(image),
        )
        file.keep_pixels(image)
    return photograph


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits of a color in the file."""
    if image.format == "PNG":
        return content[24]
    if image.format == "TIFF":
        bits = image.tag_v2.get(258)  # type: ignore[attr-defined]
        return int(bits[0]) if isinstance(bits, tuple) and bits else 8
    bits = image.info.get("bit_depth")
    if isinstance(bits, int):
        return bits
    return 16 if image.mode.startswith("I") else 8


def _changed(source: Image.Image, edited: UInt8[np.ndarray, "height width 3"], name: str) -> Image.Image:
    """The image in a mode that holds an edit, with the edited pixels changed. `source` may change too."""
    profile, white = ColorProfile.of(source), largest_gray(source, name)
    if white is None:
        white = 0.0 if source.mode == "CMYK" and profile is None else 255.0
    image = widened(source)
    for (top, before), (_, strip) in zip(srgb_strips(source, name), strips(image), strict=True):
        after = edited[top : top + len(before)]
        if np.array_equal(before, after):
            continue
        stored = np.asarray(strip)
        values = changed_values(
            stored if stored.ndim == 3 else stored[..., None], before, after, profile, white
        ).reshape(stored.shape)
        new = (
            Image.frombytes(image.mode, strip.size, values.tobytes())
            if values.dtype == np.uint8
            else Image.fromarray(values)
        )
        image.paste(new, (0, top))
    return image


def _deep_rows(
    content: bytes, high: Image.Image, edited: UInt8[np.ndarray, "height width 3"], name: str
) -> Iterator[UInt16[np.ndarray, "rows width channels"]]:
    """All rows of a PNG of 16 bits a color, with the edited pixels changed.

    Pillow keeps the high byte of every color. It reads the low one where it is told that the bytes lie the other way.
    """
    low = Image.open(io.BytesIO(content), formats=("PNG",))
    low.tile = [tile._replace(args=tile.args.replace("16B", "16L")) for tile in low.tile]  # type: ignore[union-attr]
    low.load()
    profile = ColorProfile.of(high)
    for (top, before), (_, highs), (_, lows) in zip(
        srgb_strips(high, name), strips(high), strips(low), strict=True
    ):
        stored = np.asarray(highs).astype(np.uint16) * 256 + np.asarray(lows)
        yield changed_values(stored, before, edited[top : top + len(before)], profile, 65535.0)
