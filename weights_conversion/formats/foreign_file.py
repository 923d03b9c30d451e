"""Content and display name of a foreign file, and what a file is that holds no weights."""

import os
import stat
from pathlib import Path

from weights_conversion.errors import ConversionError

LARGEST_RATIO = 4
"""Largest ratio of declared to actual size. Weights hardly compress, so a larger ratio means a hostile file."""

_OTHER_FILES = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for the file: fetch the file itself (git lfs pull)",
    ),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"(\xb5/\xfd", "a Zstandard archive: unpack it first"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
)
"""First bytes → what such a file is."""

_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<script")


def check_regular(path: str | Path) -> os.stat_result:
    """The status of a regular file. A pipe would make its reader wait, and a device might never end.

    Raises:
        ConversionError: if the path is something else, or cannot be looked at.
    """
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise ConversionError(f"{path}: could not read it: there is no such file") from None
    except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
        raise ConversionError(f"{path}: could not read it: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise ConversionError(f"{path}: could not read it: expected a file, found {kind}")
    return status


def read_source(source: str | Path | bytes) -> tuple[bytes, str]:
    """Read a file.

    Args:
        source: path of the file, or its content.

    Returns:
        The content, and the name of the file in errors.

    Raises:
        ConversionError: if it is no regular file or cannot be read.
    """
    if isinstance(source, bytes):
        return source, "bytes"
    check_regular(source)
    try:
        return Path(source).read_bytes(), str(source)
    except (OSError, ValueError) as error:
        raise ConversionError(f"{source}: could not read it: {error}") from error


def name_other_file(start: bytes) -> str | None:
    """What a file without weights is, in words, by its first bytes; None if they tell nothing."""
    for magic, description in _OTHER_FILES:
        if start.startswith(magic):
            return description
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    text = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PAGES):
        return "a web page, which some servers send in place of a download"
    if text.startswith((b"{", b"[")):
        return "a text in JSON"
    return None
