"""Regular files, read with checks: pipes and devices, on which a program waits for ever, are refused."""

import json
import stat
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.storage.paths import as_path

_LARGEST_JSON = _LARGEST_TEXT = 64_000_000


def check_regular(path: str | Path, *, expected: str) -> Path:
    """The path of a regular file.

    Args:
        path: the file, or a link to it.
        expected: what was expected, for the error.

    Raises:
        InputError: if there is none, or it is a folder, a pipe, a socket or a device.
    """
    path = as_path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: expected {expected}, found nothing") from None
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise InputError(f"{path}: expected {expected}, could not read it: {error}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected {expected}, found a folder")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected {expected}, found a pipe, a socket or a device")
    return path


def read_text(path: str | Path, *, expected: str) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: if the file is missing, no regular file, larger than 64 MB, or no text.
    """
    path = check_regular(path, expected=expected)
    try:
        if (size := path.stat().st_size) > _LARGEST_TEXT:
            raise InputError(f"{path}: expected {expected}, found {size / 1e6:.0f} MB")
        return path.read_text("utf-8-sig")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {expected}, could not read it: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is none, or too deeply nested.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def read_json(path: str | Path, *, expected: str) -> dict[str, Any]:
    """The table of a JSON file.

    Args:
        path: the file.
        expected: what was expected, for the error.

    Raises:
        InputError: if the file is missing, no regular file, larger than 64 MB, damaged, or holds no table.
    """
    path = check_regular(path, expected=expected)
    try:
        if (size := path.stat().st_size) > _LARGEST_JSON:
            raise InputError(f"{path}: expected {expected}, found {size / 1e6:.0f} MB")
        content = parse_json(path.read_bytes())
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {expected}, it is damaged: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected {expected}, it is damaged: it holds no table of names")
    return content
