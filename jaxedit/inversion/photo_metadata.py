"""Metadata of photographs as bytes: what tells the position is removed in place, and nothing else moves.

Notes of camera makers hold addresses within the EXIF data, so the data are changed where they lie, never written anew.
Thumbnails are removed too: they show the photograph as it was before an edit.
"""

import dataclasses
import re
import struct

from PIL import Image

from jaxedit.inversion.photo_pixels import ORIENTATION_TAG

EXIF_PREFIX = b"Exif\0\0"

CAMERA = 0x8769  # the entry that leads to the settings of the camera
POSITION = 0x8825  # the entry that leads to the GPS data
_TIFF_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x83BB)
"""Description, camera, program, date, author, rights, captions."""
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Type of an EXIF value → its bytes."""

_ENTRY = 12  # bytes of an entry: tag, type, count, value

_POSITION_IN_XMP = re.compile(
    rb"\s[\w-]+:GPS\w*\s*=\s*(\"[^\"]*\"|'[^']*')|<([\w-]+:GPS\w*)\b[^>]*(/>|>.*?</\2\s*>)", re.DOTALL
)
_THUMBNAILS_IN_XMP = re.compile(
    rb"<([\w-]+:Thumbnails)\b[^>]*(/>|>.*?</\1\s*>)|\s[\w-]+:Thumbnails\s*=\s*\"[^\"]*\"", re.DOTALL
)
_ORIENTATION_IN_XMP = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]")
_OTHER_IMAGES_IN_XMP = (
    b"Container:Directory",
    b"GCamera:MicroVideo",
    b"GCamera:MotionPhoto",
    b"hdrgm:Version",
)

_PHOTOSHOP = b"Photoshop 3.0\0"
_PHOTOSHOP_THUMBNAILS = (0x0409, 0x040C)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a photograph says of itself.

    Attributes:
        profile: the color profile (ICC).
        exif: EXIF data without a prefix; those of a TIFF are made of its tags.
        xmp: XMP packet.
        dpi: pixels per inch, across and down.
        has_transparency: whether a color, or entries of a palette, stand for transparency.
        num_pages: of a file with several.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    has_transparency: bool = False
    num_pages: int = 1

    @classmethod
    def of(cls, image: Image.Image) -> "Metadata":
        """The metadata of an image that is loaded."""
        exif = _exif_of_tags(image) if image.format == "TIFF" else image.info.get("exif")
        exif = exif or _exif_in_text(image)
        xmp = image.info.get("xmp")
        dpi = image.info.get("dpi")
        return cls(
            profile=image.info.get("icc_profile") or None,
            exif=exif.removeprefix(EXIF_PREFIX) if isinstance(exif, bytes) else None,
            xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
            dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
            has_transparency="transparency" in image.info,
            num_pages=getattr(image, "n_frames", 1),
        )

    def for_writing(self, *, keep_position: bool, is_upright: bool) -> "Metadata":
        """The metadata of an edited photograph: without thumbnails, and without the position unless it is kept.

        Args:
            keep_position: whether the GPS position stays.
            is_upright: whether the pixels were turned upright, so that the orientation becomes the usual one.

        Raises:
            ValueError: if the EXIF data are damaged, so that it cannot be known what they hold.
        """
        exif = None if self.exif is None else edited_exif(self.exif, keep_position, is_upright)
        xmp = None if self.xmp is None else edited_xmp(self.xmp, keep_position, is_upright)
        return dataclasses.replace(self, exif=exif, xmp=xmp)


def edited_exif(exif: bytes, keep_position: bool, is_upright: bool = False) -> bytes:
    """EXIF data of an edited photograph, of the same length, with all other addresses as they were.

    Args:
        exif: EXIF data without a prefix.
        keep_position: whether the GPS position stays.
        is_upright: whether the orientation becomes the usual one.

    Raises:
        ValueError: if they are damaged.
    """
    data = bytearray(exif)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("no EXIF data")
    first = _number(data, order, 4, "I")
    entries, after = _entries(data, order, first)
    following = _number(data, order, after, "I")
    if following:
        _blank_thumbnail(data, order, following)
        struct.pack_into(order + "I", data, after, 0)
    if is_upright and ORIENTATION_TAG in entries:
        struct.pack_into(order + "H", data, entries[ORIENTATION_TAG] + 8, 1)
    if not keep_position and POSITION in entries:
        place = entries[POSITION]
        _blank_entries(data, order, _number(data, order, place + 8, "I"))
        end = after + 4
        data[place : end - _ENTRY] = data[place + _ENTRY : end]
        data[end - _ENTRY : end] = bytes(_ENTRY)
        struct.pack_into(order + "H", data, first, len(entries) - 1)
    return bytes(data)


def edited_xmp(xmp: bytes, keep_position: bool, is_upright: bool = False) -> bytes:
    """An XMP packet of an edited photograph, of the same length: spaces stand where something was.

    Args:
        xmp: the packet.
        keep_position: whether the GPS position stays.
        is_upright: whether the orientation becomes the usual one.
    """
    xmp = _THUMBNAILS_IN_XMP.sub(_spaces, xmp)
    if not keep_position:
        xmp = _POSITION_IN_XMP.sub(_spaces, xmp)
    return _ORIENTATION_IN_XMP.sub(rb"\g<1>1", xmp) if is_upright else xmp


def names_other_images(xmp: bytes) -> bool:
    """Whether an XMP packet speaks of further images or of a film in the file, which an edited photograph lacks."""
    return any(name in xmp for name in _OTHER_IMAGES_IN_XMP)


def without_photoshop_thumbnail(segment: bytes) -> bytes:
    """Resources of Photoshop (captions, keywords) without the thumbnail; as they are, if they are damaged."""
    if not segment.startswith(_PHOTOSHOP):
        return segment
    kept, place = bytearray(_PHOTOSHOP), len(_PHOTOSHOP)
    while place + 12 <= len(segment):
        (number,) = struct.unpack_from(">H", segment, place + 4)
        size_at = place + 6 + (segment[place + 6] + 2) // 2 * 2
        if segment[place : place + 4] != b"8BIM" or size_at + 4 > len(segment):
            return segment
        (size,) = struct.unpack_from(">I", segment, size_at)
        end = size_at + 4 + (size + 1) // 2 * 2
        if number not in _PHOTOSHOP_THUMBNAILS:
            kept += segment[place:end]
        place = end
    return bytes(kept)


def _exif_in_text(image: Image.Image) -> bytes | None:
    """EXIF data that some programs write into a PNG as hexadecimal text."""
    text = image.info.get("Raw profile type exif")
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def _exif_of_tags(image: Image.Image) -> bytes | None:
    """EXIF data of the tags of a TIFF: those that describe the photograph, not those of its pixels."""
    try:
        tags, exif = image.getexif(), Image.Exif()
        for tag in _TIFF_TAGS:
            if tag in tags:
                exif[tag] = tags[tag]
        for tag in (CAMERA, POSITION):
            exif.get_ifd(tag).update(tags.get_ifd(tag))
        return exif.tobytes()
    except Exception:  # the parser raises nearly anything at damaged data
        return b"damaged"


def _spaces(found: re.Match[bytes]) -> bytes:
    return b" " * len(found[0])


def _number(data: bytearray, order: str, place: int, kind: str) -> int:
    try:
        return struct.unpack_from(order + kind, data, place)[0]
    except struct.error:
        raise ValueError("an address beyond the end of the EXIF data") from None


def _entries(data: bytearray, order: str, place: int) -> tuple[dict[int, int], int]:
    """Tag → address of the entry, and the address after the last entry."""
    count = _number(data, order, place, "H")
    after = place + 2 + _ENTRY * count
    if place < 8 or after > len(data):
        raise ValueError("a list beyond the end of the EXIF data")
    entries = {_number(data, order, at, "H"): at for at in range(place + 2, after, _ENTRY)}
    if len(entries) != count:
        raise ValueError("a tag twice in the EXIF data")
    return entries, after


def _blank_entries(data: bytearray, order: str, place: int) -> None:
    """Overwrite a list of entries and their values with zeros."""
    entries, after = _entries(data, order, place)
    for at in entries.values():
        size = _SIZES.get(_number(data, order, at + 2, "H"), 1) * _number(data, order, at + 4, "I")
        if size > 4:
            _blank(data, _number(data, order, at + 8, "I"), size)
    data[place:after] = bytes(after - place)


def _blank_thumbnail(data: bytearray, order: str, place: int) -> None:
    entries, _ = _entries(data, order, place)
    if _THUMBNAIL in entries and _THUMBNAIL_BYTES in entries:
        start, size = (_number(data, order, entries[tag] + 8, "I") for tag in (_THUMBNAIL, _THUMBNAIL_BYTES))
        _blank(data, start, size)
    _blank_entries(data, order, place)


def _blank(data: bytearray, start: int, size: int) -> None:
    if start < 8 or start + size > len(data):
        raise ValueError("a value beyond the end of the EXIF data")
    data[start : start + size] = bytes(size)
