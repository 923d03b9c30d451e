"""Array files: the one reader and writer of `.npz` in the library.

A file holds named arrays, and under the name `metadata` a JSON text: what kind of file it is, and whatever belongs to
the arrays. The same content gives the same bytes. A file appears under its name only when it is whole.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxedit.errors import InputError
from jaxedit.storage.atomic import write_atomically

_METADATA = "metadata"
_KIND = "kind"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What NumPy and zipfile raise for a file that is no `.npz`, or a damaged one."""


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
    path: str | Path, *, kind: str | None = None, expected: str = "a file of arrays (.npz)"
) -> ArrayFile:
    """Read an array file, of this library or of another origin.

    Args:
        path: the file.
        kind: what it must hold, if its metadata says what it holds. None takes any.
        expected: what was expected, for the error.

    Raises:
        InputError: if the file is missing, damaged, no `.npz`, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: expected {expected}, found a folder")
    try:
        with zipfile.ZipFile(path):  # np.load takes other files too, and returns something else then
            pass
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = arrays.pop(_METADATA, None)
        metadata = {} if text is None else json.loads(str(text))
    except FileNotFoundError:
        raise InputError(f"{path}: expected {expected}, found nothing") from None
    except _DAMAGED as error:
        raise InputError(f"{path}: expected {expected}, could not read it: {error}") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: damaged: expected metadata, found {type(metadata).__name__}")
    found = metadata.pop(_KIND, None)
    if kind is not None and found not in (None, kind):
        raise InputError(f"{path}: expected {expected}, found a file of kind {found!r}")
    return ArrayFile(arrays, metadata)


def read_arrays_or_none(path: str | Path, *, kind: str | None = None) -> ArrayFile | None:
    """The content of an array file that a run can make again: None where it is missing, damaged, or of another kind."""
    try:
        return read_arrays(path, kind=kind)
    except InputError:
        return None
