"""PyTorch files as NumPy arrays, without PyTorch.

PyTorch has three serializations: the zip archive (since 1.6), the stream of several pickles followed by the storages
(before 1.6, and inside other pickles), and the plain pickle, in which each tensor carries its storage as a stream.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import (
    MAX_OPERATIONS,
    Global,
    describe,
    load,
    load_at,
    shorten,
)
from weights_conversion.formats.torch_tensor import STORAGE_TYPES, TENSOR_CONSTRUCTORS, NestedStorage, Storage

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_PROTOCOL = 1001
_NESTED_OPERATIONS = 1000
"""Limit for the stream with one storage that a tensor in a plain pickle carries. It takes some dozens."""
_MAX_KEY_LENGTH = 1024


def _nested(data: Any) -> NestedStorage:
    if type(data) is not bytes:
        raise ConversionError(f"expected a storage in bytes, found {describe(data)}")
    return NestedStorage(
        len(data), lambda where: load_torch(data, max_operations=_NESTED_OPERATIONS, name=where)
    )


TORCH_CONSTRUCTORS: Mapping[str, Callable[..., Any] | None] = {
    **TENSOR_CONSTRUCTORS,
    "torch.storage._load_from_bytes": _nested,
}
"""Names in a pickle → factories for `safe_pickle.load`: tensors and parameters become `Tensor`."""


def is_torch_file(data: bytes) -> bool:
    """Whether bytes begin like a file that `load_torch` reads: a zip archive or a stream."""
    return data.startswith(b"PK\x03\x04") or STREAM_MAGIC.to_bytes(10, "little") in data[:32]


def load_torch(
    data: bytes,
    *,
    constructors: Mapping[str, Callable[..., Any] | None] | None = None,
    max_operations: int = MAX_OPERATIONS,
    name: str,
) -> Any:
    """Read what `torch.save` wrote.

    Args:
        data: the file.
        constructors: further names that its pickle may use.
        max_operations: as in `safe_pickle.load`.
        name: what to call the file in an error.

    Returns:
        The object, with a `Tensor` for each tensor.

    Raises:
        ConversionError: if the file is damaged, of another format, or asks for what is not known.
    """
    known = {**TORCH_CONSTRUCTORS, **(constructors or {})}
    if data.startswith(b"PK\x03\x04"):
        return _load_archive(data, known, max_operations, name)
    return _load_stream(data, known, max_operations, name)


def _reference(reference: Any, name: str) -> tuple[str, tuple[str, str], str, int, Any]:
    """Parts of a reference to a storage outside the pickle: (class, (type, code), key, count, view)."""
    if type(reference) is not tuple or len(reference) not in (5, 6) or reference[0] != "storage":
        kind = reference[0] if type(reference) is tuple and reference else reference
        raise ConversionError(f"{name}: expected a reference to a storage, found {describe(kind)}")
    stored = STORAGE_TYPES.get(reference[1].name) if isinstance(reference[1], Global) else None
    key, count = reference[2], reference[4]
    if stored is None or not _is_key(key) or type(count) is not int or not 0 <= count < 2**63:
        raise ConversionError(f"{name}: expected a storage with its type, key and size, found another thing")
    return reference[1].name, stored, key, count, reference[5] if len(reference) == 6 else None


def _is_key(key: Any) -> bool:
    return type(key) is str and len(key) <= _MAX_KEY_LENGTH


def _load_archive(
    data: bytes, constructors: Mapping[str, Callable[..., Any] | None], max_operations: int, name: str
) -> Any:
    archive = _Archive(data, name)

    def persistent_load(reference: Any) -> Storage:
        _, (kind, code), key, count, _ = _reference(reference, name)
        dtype = np.dtype(code).newbyteorder(archive.order)
        return Storage(kind, dtype, count, lambda where: archive.read(f"data/{key}", where))

    return load(
        archive.read("data.pkl", name),
        constructors=constructors,
        persistent_load=persistent_load,
        max_operations=max_operations,
        name=name,
    )


class _Archive:
    """Members of the zip archive. All lie below one folder of any name, and none is compressed."""

    def __init__(self, data: bytes, name: str) -> None:
        self.size = len(data)
        try:
            self.archive = zipfile.ZipFile(io.BytesIO(data))
            names = self.archive.namelist()
        except _ZIP_DAMAGE as error:
            raise ConversionError(
                f"{name}: expected a file of PyTorch, it is damaged: {shorten(str(error))}"
            ) from error
        roots = {member.removesuffix("data.pkl") for member in names if member.endswith("/data.pkl")}
        if len(roots) != 1:
            raise ConversionError(
                f"{name}: expected a file of PyTorch with one data.pkl, found {len(roots)} of them"
            )
        self.root = roots.pop()
        if f"{self.root}constants.pkl" in names:
            raise ConversionError(f"{name}: expected the weights alone, found a program of TorchScript")
        order = self.read("byteorder", name) if f"{self.root}byteorder" in names else b"little"
        if order not in (b"little", b"big"):
            raise ConversionError(f"{name}: expected byte order little or big, found {describe(order)}")
        self.order: Literal["<", ">"] = "<" if order == b"little" else ">"

    def read(self, member: str, where: str) -> bytes:
        try:
            info = self.archive.getinfo(self.root + member)
        except KeyError:
            raise ConversionError(f"{where}: expected a member {shorten(member)}, found none") from None
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > self.size:
            raise ConversionError(f"{where}: expected {shorten(member)} as plain bytes, found it compressed")
        try:
            return self.archive.read(info)
        except _ZIP_DAMAGE as error:
            raise ConversionError(f"{where}: {shorten(member)} is damaged: {shorten(str(error))}") from error


_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError),
    *(ValueError, OverflowError, struct.error, zlib.error),
)
"""What `zipfile` raises for damaged archives."""


def _load_stream(
    data: bytes, constructors: Mapping[str, Callable[..., Any] | None], max_operations: int, name: str
) -> Any:
    position = 0
    header = []
    for _ in range(3):
        part, position = load_at(
            data, position, constructors={}, max_operations=_NESTED_OPERATIONS, name=name
        )
        header.append(part)
        if header[0] != STREAM_MAGIC or header[1:2] not in ([], [_STREAM_PROTOCOL]):
            raise ConversionError(f"{name}: expected a file of PyTorch, found another pickle")
    counts: dict[str, tuple[str, int]] = {}
    contents: dict[str, memoryview] = {}

    def persistent_load(reference: Any) -> Storage:
        kind_name, (kind, code), key, count, view = _reference(reference, name)
        if view is not None:
            raise ConversionError(f"{name}: expected whole storages, found a view of one")
        if counts.setdefault(key, (kind_name, count)) != (kind_name, count):
            raise ConversionError(f"{name}: expected one size for storage {describe(key)}, found two")
        return Storage(kind, np.dtype(code), count, lambda where: contents[key])

    value, position = load_at(
        data,
        position,
        constructors=constructors,
        persistent_load=persistent_load,
        max_operations=max_operations,
        name=name,
    )
    keys, position = load_at(data, position, constructors={}, max_operations=max_operations, name=name)
    if not isinstance(keys, list) or not all(map(_is_key, keys)) or set(keys) != counts.keys():
        raise ConversionError(f"{name}: expected a list of the storages, found another one")
    view = memoryview(data)
    for key in keys:
        kind_name, count = counts[key]
        size = count * np.dtype(STORAGE_TYPES[kind_name][1]).itemsize
        # the number of elements precedes each storage
        if view[position : position + 8] != struct.pack("<q", count):
            raise ConversionError(f"{name}: expected a storage of {count} elements, it is damaged")
        position += 8
        if position + size > len(data):
            raise ConversionError(
                f"{name}: expected {size} bytes of a storage, found {len(data) - position} (truncated?)"
            )
        contents[key] = view[position : position + size]
        position += size
    return value
