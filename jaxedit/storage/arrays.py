"""Array files: the one reader and writer of `.npz` and `.npy` in the library.

A file holds named arrays, and under the name `metadata` a JSON text: what kind of file it is, and whatever belongs to
the arrays. The same content gives the same bytes. A file appears under its name only when it is whole. Names, types,
shapes and sizes are read from the headers and checked before the memory for any array is taken.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxedit.errors import InputError
from jaxedit.storage import npy_headers
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.npy_headers import NPY, ArrayOf
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import check_regular, parse_json

__all__ = [
    "ArrayFile",
    "ArrayOf",
    "kind_of",
    "read_array",
    "read_arrays",
    "read_arrays_or_none",
    "write_arrays",
]

_METADATA = "metadata"
_KIND = "kind"
_LONGEST_REASON = 200  # an error of NumPy's may quote the whole header


class ArrayFile(NamedTuple):
    """The content of an array file."""

    arrays: dict[str, np.ndarray]
    """Arrays by name."""
    metadata: dict[str, Any]
    """What `write_arrays` was given. Empty for a file of another origin."""


def write_arrays(
    path: str | Path,
    arrays: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    *,
    kind: str,
    compressed: bool = False,
) -> Path:
    """Write an array file.

    Args:
        path: where to. Parent folders are made.
        arrays: arrays by name, of NumPy or JAX. The name "metadata" is taken.
        metadata: JSON-serializable; the name "kind" is taken.
        kind: what the file holds ("labels", "latent", …); `read_arrays` checks it.
        compressed: whether to compress.

    Raises:
        OutputError: if the file cannot be written.
    """
    text = json.dumps({_KIND: kind, **(metadata or {})})
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    content: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    content[_METADATA] = np.asarray(text)
    save(buffer, **content)
    return write_atomically(path, buffer.getvalue())


def read_arrays(
    path: str | Path,
    *,
    kind: str | None = None,
    expected: str = "a file of arrays (.npz)",
    arrays: Mapping[str, ArrayOf] | None = None,
) -> ArrayFile:
    """Read an array file, of this library or of another origin.

    Args:
        path: the file.
        kind: what it must hold, if its metadata says what it holds. None takes any.
        expected: what was expected, for the error.
        arrays: what the arrays of some names must be. These must be there; others may be, of any type and shape.

    Raises:
        InputError: if the file is missing, damaged, no regular file, no `.npz`, or of another kind; if it would take
            memory out of proportion to its size; or if an array is missing or not what it must be.
    """
    path = check_regular(path, expected=expected)
    try:
        with zipfile.ZipFile(path) as archive:
            headers = npy_headers.read_headers(archive, path.stat().st_size)
            npy_headers.check(headers, arrays or {})
            found = {name: npy_headers.read(archive, header) for name, header in headers.items()}
        for name, wanted in (arrays or {}).items():
            wanted.check_numbers(name, found[name])
        text = found.pop(_METADATA, None)
        metadata = {} if text is None else parse_json(str(text))
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine: {error}") from error
    except npy_headers.OtherContentError as error:
        raise InputError(f"{path}: expected {expected}, {error}") from error
    except npy_headers.UNREADABLE as error:
        raise InputError(f"{path}: expected {expected}, could not read it: {_words(error)}") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: damaged: expected metadata, found {type(metadata).__name__}")
    held = metadata.pop(_KIND, None)
    if kind is not None and held not in (None, kind):
        raise InputError(f"{path}: expected {expected}, found a file of kind {held!r}")
    return ArrayFile(found, metadata)


def read_array(path: str | Path, *, expected: str = "an array (.npy)") -> np.ndarray | None:
    """The array of a `.npy`; None if the file is no `.npy`.

    Raises:
        InputError: if the file is missing, no regular file, or a damaged `.npy`.
    """
    path = check_regular(path, expected=expected)
    try:
        with path.open("rb") as file:
            if file.read(len(NPY)) != NPY:
                return None
            file.seek(0)
            return npy_headers.read_npy(file, path.stat().st_size)
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine: {error}") from error
    except npy_headers.UNREADABLE as error:
        raise InputError(f"{path}: expected {expected}, could not read it: {_words(error)}") from error


def read_arrays_or_none(
    path: str | Path, *, kind: str | None = None, arrays: Mapping[str, ArrayOf] | None = None
) -> ArrayFile | None:
    """The content of an array file that a run can make again: None where it is missing, damaged, or holds others."""
    try:
        return read_arrays(path, kind=kind, arrays=arrays)
    except InputError:
        return None


def kind_of(path: str | Path) -> str | None:
    """The kind of an array file of this library; None for any other file."""
    try:
        with zipfile.ZipFile(check_regular(path, expected="a file of arrays (.npz)")) as archive:
            header = npy_headers.read_headers(archive, as_path(path).stat().st_size)[_METADATA]
            metadata = parse_json(str(npy_headers.read(archive, header)))
    except (*npy_headers.UNREADABLE, MemoryError):
        return None
    kind = metadata.get(_KIND) if isinstance(metadata, dict) else None
    return kind if isinstance(kind, str) else None


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
