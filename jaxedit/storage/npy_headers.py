"""Headers of `.npy` and `.npz`: what a file says that it holds, checked before memory is taken for it."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

NPY = npy_format.MAGIC_PREFIX
"""How a `.npy` begins."""

UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    SyntaxError,
    TypeError,
    RecursionError,
    OverflowError,
    RuntimeError,  # zipfile's for an encrypted archive; NotImplementedError for an unknown compression
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for a file that is no `.npz`, or a damaged one."""

_LARGEST_HEADER = 65_536
_ALWAYS_ALLOWED_BYTES = 256_000_000
_LARGEST_RATIO = 50
"""Of the arrays to the file. Files of this library reach 5."""

_MOST_ENTRIES = 100_000
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_KINDS = frozenset("biufcSUV")
_ENCRYPTED = 0x1
_LOCAL_HEADER_BYTES = 30
_KIND_WORDS = {"f": "floats", "u": "unsigned integers", "i": "integers", "b": "booleans", "U": "texts"}


class OtherContentError(ValueError):
    """A file is whole, but an array in it is missing or not what it must be."""


class ArrayOf(NamedTuple):
    """What an array must be."""

    kinds: str
    """Kinds of NumPy's types: "f" floats, "i" and "u" integers, "U" text."""
    shape: tuple[int | str, ...] | None = None
    """Its dimensions: a number, or a name, which stands for the same number in all arrays. None for any shape."""
    is_finite: bool = False
    """Whether NaN and infinity are refused."""

    def check_numbers(self, name: str, array: np.ndarray) -> None:
        """Refuse NaN and infinity, if that is asked for.

        Raises:
            OtherContentError: if there are any.
        """
        if self.is_finite and not np.isfinite(array).all():
            raise OtherContentError(f"found NaN or infinity in {name}, which must be finite numbers")


class Header(NamedTuple):
    """What a file says of one array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool
    data_bytes: int
    """Bytes after the header."""
    entry: zipfile.ZipInfo | None


def read_headers(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, Header]:
    """The headers of all arrays of an `.npz` by name. They agree with the sizes of the archive's directory.

    Raises:
        One of `UNREADABLE`, with the reason.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise ValueError(f"expected up to {_MOST_ENTRIES} arrays, found {len(entries)}")
    allowed = max(_ALWAYS_ALLOWED_BYTES, _LARGEST_RATIO * file_bytes)
    total = sum(entry.file_size for entry in entries)
    if total > allowed:
        raise ValueError(
            f"it unpacks to {total / 1e6:,.0f} MB from {file_bytes / 1e6:,.1f} MB; expected up to {allowed / 1e6:,.0f}"
        )
    headers: dict[str, Header] = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if name == entry.filename:
            raise ValueError(f"expected arrays alone, found {entry.filename[:60]!r}")
        if name in headers:
            raise ValueError(f"expected each name once, found {name[:60]!r} twice")
        if entry.flag_bits & _ENCRYPTED:
            raise ValueError(f"{name[:60]}: it is encrypted")
        if entry.compress_type not in _COMPRESSIONS:
            raise ValueError(f"{name[:60]}: compressed by an unknown method ({entry.compress_type})")
        with archive.open(entry) as file:
            try:
                headers[name] = _header(file, entry.file_size, entry)
            except ValueError as error:
                raise ValueError(f"{name[:60]}: {error}") from error
    return headers


def check(headers: Mapping[str, Header], wanted: Mapping[str, ArrayOf]) -> None:
    """Refuse arrays that are missing, or have another type or shape.

    Raises:
        OtherContentError: with the reason.
    """
    missing = sorted(wanted.keys() - headers.keys())
    if missing:
        raise OtherContentError(f"found no {', '.join(missing)} in it")
    sizes: dict[str, tuple[int, str]] = {}
    for name, (kinds, shape, _) in wanted.items():
        header = headers[name]
        if header.dtype.kind not in kinds:
            words = " or ".join(_KIND_WORDS[kind] for kind in kinds if kind in _KIND_WORDS)
            raise OtherContentError(f"found {name} of type {header.dtype}, which must be {words}")
        if shape is None:
            continue
        if len(shape) != len(header.shape):
            raise OtherContentError(
                f"found {name} of shape {list(header.shape)}, which must have {len(shape)} dimensions"
            )
        for size, found in zip(shape, header.shape, strict=True):
            known, where = (size, "") if isinstance(size, int) else sizes.setdefault(size, (found, name))
            if found != known:
                because = f"{size} is {known} in {where}" if where else f"it must be {list(shape)}"
                raise OtherContentError(f"found {name} of shape {list(header.shape)}: {because}")


def read(archive: zipfile.ZipFile, header: Header) -> np.ndarray:
    """The array of a checked header. The archive's checksum is checked.

    Raises:
        One of `UNREADABLE`, with the reason.
    """
    entry = header.entry
    assert entry is not None
    before = entry.file_size - header.data_bytes
    if (
        entry.compress_type == zipfile.ZIP_STORED
    ):  # straight into the array: zipfile would copy all of it twice
        return _stored(archive, header, before)
    with archive.open(entry) as file:
        file.read(before)
        return _data(file, header)


def read_npy(file: IO[bytes], file_bytes: int) -> np.ndarray:
    """The array of a `.npy`.

    Raises:
        One of `UNREADABLE`, with the reason.
    """
    return _data(file, _header(file, file_bytes, None))


def _header(file: Any, num_bytes: int, entry: zipfile.ZipInfo | None) -> Header:
    """The header, after which the file stands at the data."""
    if file.read(len(NPY)) != NPY:
        raise ValueError("expected an array, found something else")
    version = tuple(file.read(2))
    size_bytes = {(1, 0): 2, (2, 0): 4, (3, 0): 4}.get(version)
    if size_bytes is None:
        raise ValueError(f"expected the array format 1.0 to 3.0, found {version}")
    length = int.from_bytes(file.read(size_bytes), "little")
    if length > min(_LARGEST_HEADER, num_bytes):
        raise ValueError(f"expected a header of up to {_LARGEST_HEADER} bytes, found one of {length}")
    start = len(NPY) + 2 + size_bytes
    shape, is_fortran, dtype = _parsed(
        NPY + bytes(version) + length.to_bytes(size_bytes, "little") + file.read(length)
    )
    if dtype.hasobject or dtype.kind not in _KINDS or dtype.fields is not None or dtype.subdtype is not None:
        raise ValueError(f"expected numbers or text, found the type {str(dtype)[:60]}")
    wanted, found = math.prod(shape) * dtype.itemsize, num_bytes - start - length
    if any(size < 0 for size in shape) or wanted != found:
        raise ValueError(f"expected {wanted} bytes for shape {list(shape)} of {dtype}, found {found}")
    return Header(shape, dtype, is_fortran, found, entry)


def _parsed(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    file = io.BytesIO(text)
    version = npy_format.read_magic(file)
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return read_header(file, max_header_size=_LARGEST_HEADER)


def _data(file: Any, header: Header) -> np.ndarray:
    array = np.empty(math.prod(header.shape), header.dtype)
    view = array.view(np.uint8).data if array.nbytes else memoryview(b"")
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise EOFError(f"it ends after {done} of {len(view)} bytes")
        done += count
    if file.read(1):  # the end, where an archive checks its checksum
        raise ValueError("there is more than the header says")
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")


def _stored(archive: zipfile.ZipFile, header: Header, before: int) -> np.ndarray:
    """The array of an entry that is not compressed, of which zipfile has checked the place."""
    entry, file = header.entry, archive.fp
    assert entry is not None and file is not None
    if entry.compress_size != entry.file_size:
        raise ValueError(
            f"{entry.filename[:60]}: two sizes, {entry.compress_size} and {entry.file_size} bytes"
        )
    file.seek(entry.header_offset)
    local = file.read(_LOCAL_HEADER_BYTES)
    names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    file.seek(entry.header_offset + _LOCAL_HEADER_BYTES + names)
    checksum = zlib.crc32(file.read(before))
    array = np.empty(math.prod(header.shape), header.dtype)
    if array.nbytes:
        view = array.view(np.uint8).data
        if (found := file.readinto(view)) != array.nbytes:  # type: ignore[attr-defined]
            raise EOFError(f"{entry.filename[:60]}: it ends after {found} of {array.nbytes} bytes")
        checksum = zlib.crc32(view, checksum)
    if checksum != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename[:60]}: its checksum differs")
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")
