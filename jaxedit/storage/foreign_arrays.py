"""Arrays in files of this library and of others, with the errors of this one."""

import contextlib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from jaxedit.errors import InputError
from jaxedit.storage.arrays import read_arrays
from jaxedit.storage.regular_files import check_regular


class FoundArrays(NamedTuple):
    """The content of a file."""

    tree: Any
    """An array of numbers, or a dict or list of such values, with text as keys."""
    metadata: dict[str, Any]
    """The metadata of an array file of this library; empty for others."""


def read_any_arrays(path: str | Path, *, kind: str | None = None, expected: str) -> FoundArrays:
    """The arrays of a `.npy`, `.npz`, `.pt` or `.pkl`, with the dicts and lists in which they stand.

    Nothing that the file names is imported or executed, and PyTorch is not needed.

    Args:
        path: the file. The content tells the format.
        kind: what an array file of this library must hold (`read_arrays`).
        expected: what was expected, for the error.

    Raises:
        InputError: if the file is missing, damaged, of another format or kind, or holds no array.
    """
    path = check_regular(path, expected=expected)
    members: list[str] = []
    with (
        contextlib.suppress(OSError, ValueError, zipfile.BadZipFile, NotImplementedError),
        zipfile.ZipFile(path) as file,
    ):
        members = file.namelist()  # the readers below say what is wrong
    if (path.suffix != ".npz" and not members) or any(name.endswith("/data.pkl") for name in members):
        return FoundArrays(_read_foreign(path, expected), {})  # a .npy, .pt or .pkl
    try:
        return FoundArrays(*read_arrays(path, kind=kind, expected=expected))
    except InputError as error:
        try:
            return FoundArrays(_read_foreign(path, expected), {})  # with a dict in it
        except InputError:
            raise error from None


def _read_foreign(path: Path, expected: str) -> Any:
    from weights_conversion.errors import ConversionError
    from weights_conversion.formats.array_files import read_array_file

    try:
        return read_array_file(path)
    except ConversionError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: expected {expected}, could not read it: {reason}") from error
