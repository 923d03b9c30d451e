"""Edited photographs as the bytes of a file, in the settings and with the metadata of the photograph's own file."""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image, JpegImagePlugin, PngImagePlugin

from jaxedit.inversion.photo_metadata import (
    CAMERA,
    EXIF_PREFIX,
    POSITION,
    Metadata,
    edited_exif,
    edited_xmp,
    names_other_images,
    without_photoshop_thumbnail,
)

_LOSSY_QUALITY = {"JPEG": 95, "WEBP": 95, "HEIF": 92, "AVIF": 90}
"""Of photographs that do not say how they were encoded. A JPEG does: it is written with its own tables."""

_OPTIMIZED_PIXELS = 2**25
"""Below so many pixels a JPEG gets a code of its own: libjpeg then holds two bytes more for each color."""

_JPEG_START, _SCAN = b"\xff\xd8", 0xDA
_JFIF, _EXIF, _OTHER, _PHOTOSHOP, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_SEVERAL_IMAGES, _THUMBNAIL = b"MPF\0", b"JFXX\0"

_XMP_TAG = 700

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLORS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tIME")
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_TEXTS = (b"Raw profile type ", b"XML:com.adobe.xmp\0")
_PNG_COLOR_TYPES = {3: 2, 4: 6}  # channels → RGB, RGBA


def encode(image: Image.Image, format_: str, metadata: Metadata, *, source: Image.Image | None) -> bytes:
    """An image as the content of a file.

    Args:
        image: the edited image, in the mode to write.
        format_: Pillow's name of the format.
        metadata: to write with it.
        source: the photograph as its file holds it, if it is of the same format: its settings are used again.

    Raises:
        OSError, ValueError: if Pillow cannot write the image in this format.
    """
    options: dict[str, Any] = {"quality": _LOSSY_QUALITY[format_]} if format_ in _LOSSY_QUALITY else {}
    if format_ == "PNG":
        return _png(image, metadata)
    if format_ == "JPEG":
        if source is not None:
            options = {
                "qtables": source.quantization,  # type: ignore[attr-defined]
                "subsampling": JpegImagePlugin.get_sampling(source),
                "progressive": bool(source.info.get("progressive")),
            }
        options["optimize"] = image.width * image.height < _OPTIMIZED_PIXELS
    elif format_ == "WEBP":
        options["lossless"] = source is not None and source.info.get("lossless", False)
    elif format_ == "TIFF":
        return _tiff(image, metadata, None if source is None else source.info.get("compression"))
    elif format_ == "HEIF":
        # At this quality the usual preset takes nine times as long for a file of the same size and likeness.
        options["enc_params"] = {"preset": "ultrafast"}
        if source is not None and image.mode == "RGB":
            options["chroma"] = source.info.get("chroma", 420)
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    for name, value in (("icc_profile", metadata.profile), ("exif", metadata.exif), ("xmp", metadata.xmp)):
        if value is not None:
            options[name] = EXIF_PREFIX + value if name == "exif" else value
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def with_jpeg_segments(content: bytes, source: bytes, *, keep_position: bool, keep_exif: bool) -> bytes:
    """A JPEG with the metadata of another one, byte for byte but for position, thumbnails and further images.

    Args:
        content: the JPEG, without metadata.
        source: the JPEG that has them.
        keep_position: whether the GPS position stays.
        keep_exif: whether EXIF data stay.

    Raises:
        ValueError: if EXIF data stay that are damaged.
    """
    kept = [
        (marker, edited)
        for marker, segment in _jpeg_segments(source)[0]
        if keep_exif or not segment.startswith(EXIF_PREFIX)
        if (edited := _edited_segment(marker, segment, keep_position)) is not None
    ]
    own, rest = _jpeg_segments(content)
    has_frame = any(marker == _JFIF for marker, _ in kept)
    kept += [
        (marker, segment)
        for marker, segment in own
        if marker == _ADOBE or (marker == _JFIF and not has_frame)
    ]
    kept.sort(key=lambda part: part[0] != _JFIF)  # first of all
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment for marker, segment in kept)
    return _JPEG_START + head + content[rest:]


def has_other_images(source: bytes) -> bool:
    """Whether a JPEG holds further images (depth, gain map, the other eye) behind the first, or a film."""
    return any(
        (marker == _OTHER and segment.startswith(_SEVERAL_IMAGES))
        or (segment.startswith(_XMP) and names_other_images(segment))
        for marker, segment in _jpeg_segments(source)[0]
    )


def is_lossless_webp(content: bytes) -> bool:
    """Whether the pixels of a WebP are stored as they are."""
    place = 12
    while place + 8 <= len(content):
        if content[place : place + 4] in (b"VP8L", b"VP8 "):
            return content[place : place + 4] == b"VP8L"
        place += 8 + (int.from_bytes(content[place + 4 : place + 8], "little") + 1) // 2 * 2
    return False


def with_png_chunks(content: bytes, source: bytes) -> bytes:
    """A PNG with the color chunks and the texts of another one; position and EXIF data are not among them."""
    start, *chunks = list(_png_chunks(content))
    has = {name for name, _ in chunks}
    for name, data in _png_chunks(source):
        is_text = name in _PNG_TEXTS and not data.startswith(_EXIF_TEXTS)
        if is_text or (name in _PNG_COLORS and name not in has):
            chunks.insert(0, (name, data))
    return _as_png([start, *chunks])


def png_of_16_bits(
    rows: Iterable[Shaped[np.ndarray, "rows width channels"]], size: tuple[int, int], metadata: Metadata
) -> bytes:
    """A PNG of 16 bits a color, which Pillow does not write.

    Args:
        rows: all rows from the top, in parts; uint16, of 3 (RGB) or 4 channels (RGBA).
        size: width and height.
        metadata: to write with it.
    """
    compressor = zlib.compressobj(6)
    parts: list[bytes] = []
    channels = 3
    last: np.ndarray | None = None
    for part in rows:
        channels = part.shape[-1]
        values = part.astype(">u2").view(np.uint8).reshape(len(part), -1).astype(np.int16)
        above = np.concatenate([np.zeros_like(values[:1]) if last is None else last[None], values[:-1]])
        last = values[-1]
        filtered = np.empty((len(part), values.shape[1] + 1), np.uint8)
        filtered[:, 0] = 4
        filtered[:, 1:] = (values - _paeth(values, above, 2 * channels)).astype(np.uint8)
        parts.append(compressor.compress(filtered.tobytes()))
    parts.append(compressor.flush())
    # A tiny image of Pillow's gives the metadata their form.
    _, *others = list(_png_chunks(_png(Image.new("RGB", (1, 1)), metadata)))
    described = struct.pack(">IIBBBBB", *size, 16, _PNG_COLOR_TYPES[channels], 0, 0, 0)
    before = [(name, data) for name, data in others if name not in (b"IDAT", b"IEND")]
    return _as_png([(b"IHDR", described), *before, (b"IDAT", b"".join(parts)), (b"IEND", b"")])


def _paeth(values: np.ndarray, above: np.ndarray, distance: int) -> np.ndarray:
    """What the PNG filter of this name predicts from the bytes to the left, above, and above to the left."""
    left, corner = np.zeros_like(values), np.zeros_like(values)
    left[:, distance:], corner[:, distance:] = values[:, :-distance], above[:, :-distance]
    estimate = left + above - corner
    far_left, far_above, far_corner = (np.abs(estimate - near) for near in (left, above, corner))
    return np.where(
        (far_left <= far_above) & (far_left <= far_corner),
        left,
        np.where(far_above <= far_corner, above, corner),
    )


def _png(image: Image.Image, metadata: Metadata) -> bytes:
    texts = PngImagePlugin.PngInfo()
    if metadata.xmp is not None:
        texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode(errors="replace"))
    options = {"icc_profile": metadata.profile, "exif": metadata.exif, "dpi": metadata.dpi}
    buffer = io.BytesIO()
    given = {name: value for name, value in options.items() if value is not None}
    image.save(buffer, "PNG", compress_level=2, pnginfo=texts, **given)
    return buffer.getvalue()


def _tiff(image: Image.Image, metadata: Metadata, compression: str | None) -> bytes:
    tags = Image.Exif()
    if metadata.exif is not None:
        tags.load(EXIF_PREFIX + metadata.exif)
    if CAMERA in tags or POSITION in tags:
        compression = "raw"  # libtiff, which compresses, does not write lists within lists
    if metadata.xmp is not None:
        tags[_XMP_TAG] = metadata.xmp
    options = {"dpi": metadata.dpi} if metadata.dpi else {}
    buffer = io.BytesIO()
    # A copy has no tags of the file it came from.
    image.copy().save(
        buffer,
        "TIFF",
        exif=tags.tobytes(),
        icc_profile=metadata.profile,
        compression=compression or "tiff_deflate",
        **options,
    )
    return buffer.getvalue()


def _edited_segment(marker: int, segment: bytes, keep_position: bool) -> bytes | None:
    """A segment of metadata for the edited photograph; None to leave it out."""
    if marker == _COMMENT:
        return segment
    if not _JFIF <= marker < _JFIF + 16 or marker == _ADOBE:
        return None
    if segment.startswith(EXIF_PREFIX):
        return EXIF_PREFIX + edited_exif(segment.removeprefix(EXIF_PREFIX), keep_position)
    if segment.startswith((_XMP, _MORE_XMP)):
        return None if names_other_images(segment) else edited_xmp(segment, keep_position)
    if marker == _PHOTOSHOP:
        return without_photoshop_thumbnail(segment)
    return None if segment.startswith((_SEVERAL_IMAGES, _THUMBNAIL)) else segment


def _jpeg_segments(content: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Markers and contents of the metadata, and where the first other segment begins."""
    place, rest, segments = 2, None, []
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != _SCAN:
        marker = content[place + 1]
        if marker == 0xFF:  # filled
            place += 1
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if _JFIF <= marker < _JFIF + 16 or marker == _COMMENT:
            segments.append((marker, content[place + 4 : end]))
        elif rest is None:
            rest = place
        place = end
    return segments, place if rest is None else rest


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG_START)
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        place += 12 + size


def _as_png(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts = [_PNG_START]
    for name, data in chunks:
        parts += [
            struct.pack(">I", len(data)),
            name,
            data,
            struct.pack(">I", zlib.crc32(data, zlib.crc32(name))),
        ]
    return b"".join(parts)
