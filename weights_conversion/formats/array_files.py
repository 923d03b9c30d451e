"""Arrays in the files of others, as nested dicts and lists: NumPy's `.npy` and `.npz`, files of `torch.save`, pickles.

Latents and directions are published in all of them. A `.npy` or `.npz` that keeps a dict or a list holds a pickle.
Pickles are read as data (`safe_pickle`), PyTorch is not needed, and no array takes more than its file allows.
"""

import ast
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import name_other_file, read_source
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS, StoredArray, StoredType
from weights_conversion.formats.safe_pickle import describe, load, shorten
from weights_conversion.formats.torch_file import TORCH_CONSTRUCTORS, is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import NestedStorage, Storage, Tensor

NPY_MAGIC = b"\x93NUMPY"
"""First bytes of a `.npy`."""

_ZIP_MAGIC = b"PK\x03\x04"
_KINDS = "a .npy, .npz, .pt or .pkl"
_MAX_DEPTH = 8
_MAX_NODES = 100_000
_MAX_HEADER = 65_536
_MAX_UNPACKED_RATIO = 32
_SPARE_BYTES = 2**24
"""Bytes that a file may unpack to beyond what is in proportion to its size."""
_MAX_RANK = 8
_DAMAGE = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError),
    *(ValueError, OverflowError, struct.error, zlib.error, KeyError),
)
"""What `zipfile` raises for damaged archives."""


def read_array_file(source: str | Path | bytes) -> Any:
    """The arrays of a file, with the dicts and lists in which they stand.

    Args:
        source: path of the file, or its content. The content tells the format.

    Returns:
        An array of numbers, or a dict or list of such values. Keys are text; whatever is neither array, dict nor list
        is left out. A number in a pickle is an array without dimensions.

    Raises:
        ConversionError: if the file cannot be read, is damaged, of another format, holds no array, asks for what is
            not known, or is too small for the arrays that it describes.
    """
    data, name = read_source(source)
    value = _read(data, name)
    found = _Collector(len(data), name).collect(value, 0)
    if found is None:
        raise ConversionError(f"{name}: expected arrays of numbers, found none")
    return found


def _read(data: bytes, name: str) -> Any:
    if data.startswith(NPY_MAGIC):
        return _read_npy(data, name)
    if data.startswith(_ZIP_MAGIC):
        return (
            load_torch(data, constructors=_CONSTRUCTORS, name=name)
            if _is_torch(data)
            else _read_npz(data, name)
        )
    if is_torch_file(data):
        return load_torch(data, constructors=_CONSTRUCTORS, name=name)
    if data.startswith(b"\x80"):
        return load(data, constructors={**TORCH_CONSTRUCTORS, **_CONSTRUCTORS}, name=name)
    found = (name_other_file(data) or "another format") if data else "an empty file"
    raise ConversionError(f"{name}: expected arrays ({_KINDS}), found {found}")


def _is_torch(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(member.endswith("/data.pkl") for member in archive.namelist())
    except _DAMAGE:
        return False


def _read_npz(data: bytes, name: str) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    left = _MAX_UNPACKED_RATIO * len(data) + _SPARE_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                left -= info.file_size
                if left < 0:
                    raise ConversionError(
                        f"{name}: expected arrays in proportion to the file, found larger ones"
                    )
                member = info.filename
                if member.endswith(".npy"):
                    content = archive.read(info)
                    arrays[member.removesuffix(".npy")] = _read_npy(content, f"{name}: {shorten(member)}")
    except _DAMAGE as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{name}: expected an .npz, it is damaged: {shorten(str(error))}") from error
    return arrays


def _read_npy(data: bytes, name: str) -> Any:
    """The array of a `.npy`, or what its pickle holds; None for an array of text."""
    version = data[6:7]
    size, start = (2, 10) if version == b"\x01" else (4, 12)
    if version not in (b"\x01", b"\x02", b"\x03") or len(data) < start:
        raise ConversionError(f"{name}: expected a .npy, it is damaged")
    end = start + int.from_bytes(data[8 : 8 + size], "little")
    try:
        if end - start > _MAX_HEADER:
            raise ValueError("a large header")
        header = ast.literal_eval(data[start:end].decode("latin-1").strip())
        shape, fortran, code = header["shape"], header["fortran_order"], header["descr"]
        dtype = np.dtype(code)
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise ConversionError(f"{name}: expected a .npy, its header is damaged") from error
    if dtype.kind == "O":
        return load(data[end:], constructors=_CONSTRUCTORS, name=name)
    if dtype.kind not in "fiub":
        return None
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MAX_RANK
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        raise ConversionError(
            f"{name}: expected a shape of up to {_MAX_RANK} whole numbers, found another one"
        )
    if (expected := math.prod(shape) * dtype.itemsize) != (found := len(data) - end):
        raise ConversionError(f"{name}: expected {expected} bytes for shape {list(shape)}, found {found}")
    return np.frombuffer(data, dtype, offset=end).reshape(shape, order="F" if fortran else "C")


class _Collector:
    """Arrays in what a reader gave. Lists and dicts may contain themselves, so all visits are counted."""

    def __init__(self, size: int, name: str) -> None:
        self.name = name
        self.nodes = 0
        self.kept = 2 * size + _SPARE_BYTES  # what arrays may take; bfloat16 doubles
        self.read = _MAX_UNPACKED_RATIO * size + 16 * _SPARE_BYTES  # storages may be read once for each view

    def collect(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > _MAX_DEPTH or self.nodes > _MAX_NODES:
            raise ConversionError(f"{self.name}: expected arrays in a few dicts and lists, found too many")
        if isinstance(value, _StoredArray) and value.items is not None:
            value = value.items[0] if value.is_scalar else value.items
        if isinstance(value, dict):
            parts = {str(key): self.collect(item, depth + 1) for key, item in value.items()}
            return {key: item for key, item in parts.items() if item is not None} or None
        if isinstance(value, list | tuple) and not isinstance(value, Tensor | Storage | NestedStorage):
            return [part for item in value if (part := self.collect(item, depth + 1)) is not None] or None
        return self.array(value)

    def array(self, value: Any) -> np.ndarray | None:
        if isinstance(value, Tensor):
            if isinstance(value.storage, Storage | NestedStorage):
                self.read -= value.storage.size
                self.check()
            array = value.array(where=self.name)
        elif isinstance(value, StoredArray):
            array = value.array()
        elif isinstance(value, np.ndarray):
            return value  # part of the file's own bytes
        elif type(value) in (int, float) and abs(value) < 2**63:
            array = np.asarray(value)
        else:
            return None
        self.kept -= array.nbytes
        self.check()
        return array

    def check(self) -> None:
        if min(self.kept, self.read) < 0:
            raise ConversionError(f"{self.name}: the file is too small for all the arrays that it describes")


class _ObjectType:
    """`numpy.dtype` of Python objects."""

    def setstate(self, state: Any) -> None:
        """The state holds nothing that is needed."""


def _stored_type(code: Any = None, *rest: Any) -> Any:
    return _ObjectType() if code in ("O", "O8", "O4") else StoredType(code, *rest)


class _StoredArray(StoredArray):
    """A `numpy.ndarray` of numbers or of objects."""

    items: list[Any] | None = None
    is_scalar = False

    def setstate(self, state: Any) -> None:
        """Takes the state of an array of numbers; or (version, shape, type, is Fortran order, list of objects)."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _ObjectType):
            super().setstate(state)
            return
        shape, items = state[1], state[4]
        if not isinstance(shape, tuple) or not isinstance(items, list) or (shape == () and len(items) != 1):
            raise ConversionError(f"expected an array of objects with its list, found {describe(items)}")
        self.items, self.is_scalar = items, shape == ()


_CONSTRUCTORS: dict[str, Callable[..., Any] | None] = {
    **NUMPY_CONSTRUCTORS,
    **{name: _StoredArray for name, factory in NUMPY_CONSTRUCTORS.items() if factory is StoredArray},
    "numpy.dtype": _stored_type,
    "collections.OrderedDict": dict,
}
