"""Photographs and their parts, as cameras and programs write them."""

import itertools
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

D50 = (0.9642, 1.0, 0.8249)


def exif_data(
    *, orientation: int = 6, position: bool = True, thumbnail: bytes = b"\xff\xd8thumbnail\xff\xd9"
) -> bytes:
    """EXIF data with orientation, camera, time, a maker's note with an address in it, position and thumbnail."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    exif.get_ifd(0x8769).update({0x9003: "2024:01:01 00:00:00", 0x927C: b"the maker's note"})
    if position:
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.25), 3: "E", 4: (2.0, 17.0, 40.2)})
    data = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
    assert data[:2] == b"MM"
    (first,) = struct.unpack_from(">I", data, 4)
    (count,) = struct.unpack_from(">H", data, first)
    struct.pack_into(">I", data, first + 2 + 12 * count, len(data))
    start = len(data) + 2 + 12 * 2 + 4
    data += struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, start, 0x0202, 4, 1, len(thumbnail), 0) + thumbnail
    return bytes(data)


def swapped_profile() -> bytes:
    """A profile of RGB whose red is green, whose green is red."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")


def gray_profile(gamma: float) -> bytes:
    """A profile of gray values."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": curve})


def ink_profile() -> bytes:
    """A profile of CMYK: Lab from inks and inks from Lab, interpolated between the corners."""
    to_lab = [
        (round(255 * (1 - k) * (1 - (c + m + y) / 4)), 128 + 60 * (m - c), 128 + 60 * (y - m) // 2)
        for c, m, y, k in itertools.product((0, 1), repeat=4)
    ]
    to_inks = [
        (255 * (light == 0) // 2, 200 * (a > 0), 200 * (b > 0), 230 * (light == 0))
        for light, a, b in itertools.product((0, 1), repeat=3)
    ]
    tables = {
        b"A2B0": _table(4, 3, np.clip(to_lab, 0, 255)),
        b"B2A0": _table(3, 4, np.asarray(to_inks)),
        b"wtpt": _xyz(D50),
    }
    return _profile(b"CMYK", b"Lab ", tables)


def png_of_16_bits(pixels: np.ndarray, *, chunks: bytes = b"") -> bytes:
    """A PNG of 16 bits a color, RGB or RGBA, with the filters "none" and "up"."""
    height, width, channels = pixels.shape
    values = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    rows = values.copy()
    rows[1::2] -= values[:-1:2][: len(rows[1::2])]
    filters = (np.arange(height) % 2 * 2).astype(np.uint8)[:, None]
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    image = zlib.compress(np.concatenate([filters, rows], 1).tobytes())
    start, end = b"\x89PNG\r\n\x1a\n", png_chunk(b"IEND", b"")
    return start + png_chunk(b"IHDR", header) + chunks + png_chunk(b"IDAT", image) + end


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _table(inputs: int, outputs: int, corners: np.ndarray) -> bytes:
    ramp = bytes(range(256))
    unit = struct.pack(">9i", *(65536 * x for x in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    head = b"mft1" + bytes(4) + bytes((inputs, outputs, 2, 0)) + unit
    return head + ramp * inputs + corners.astype(np.uint8).tobytes() + ramp * outputs


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * x) for x in values))


def _profile(space: bytes, between: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"text" + bytes(4) + b"test\0\0\0\0"
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79), b"cprt": text, **tags}
    place, listed, data = 132 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        listed += name + struct.pack(">II", place + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    body = struct.pack(">I", len(tags)) + listed + data
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02400000, kind, space, between)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(65536 * x) for x in D50)) + bytes(48)
    return head + body
