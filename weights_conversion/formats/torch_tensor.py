"""PyTorch tensors as a pickle stores them, and their conversion to NumPy arrays.

The bytes of a tensor are read only when its array is requested.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import PLAIN_CONSTRUCTORS, Global, describe, shorten

_MAX_RANK = 8
_MAX_REPEATED = 2**20
"""Largest number of elements of a tensor that repeats those of a smaller storage."""

_TYPES = {
    "Float": ("float32", "<f4"),
    "Double": ("float64", "<f8"),
    "Half": ("float16", "<f2"),
    "BFloat16": ("bfloat16", "<u2"),
    "Long": ("int64", "<i8"),
    "Int": ("int32", "<i4"),
    "Short": ("int16", "<i2"),
    "Char": ("int8", "i1"),
    "Byte": ("uint8", "u1"),
    "Bool": ("bool", "?"),
}
"""Name of a storage class → (name of the type in PyTorch, what the bytes are to NumPy)."""

STORAGE_TYPES = {
    f"{module}.{kind}Storage": stored for kind, stored in _TYPES.items() for module in ("torch", "torch.cuda")
} | {"torch.storage.UntypedStorage": _TYPES["Byte"]}
_DTYPES = {f"torch.{name}": (name, code) for name, code in _TYPES.values()}


class Storage(NamedTuple):
    """The memory that tensors are views of."""

    kind: str
    """The type in PyTorch."""
    dtype: np.dtype
    numel: int
    read: Callable[[str], bytes | memoryview]
    """Gives the bytes, or a `ConversionError` if the file has none. Takes what to call it in an error."""

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.numel * self.dtype.itemsize

    def resolve(self, where: str) -> "Storage":
        """The storage itself."""
        return self


class NestedStorage(NamedTuple):
    """A storage that is a file of its own within the pickle."""

    size: int
    """Size of that file in bytes."""
    load: Callable[[str], Any]
    """Reads that file. Takes what to call it in an error."""

    def resolve(self, where: str) -> Storage:
        """The storage in that file."""
        storage = self.load(where)
        if not isinstance(storage, Storage):
            raise ConversionError(f"{where}: expected a storage, found {describe(storage)}")
        return storage


class Tensor(NamedTuple):
    """A tensor as the file describes it. `array` checks it."""

    storage: Any
    offset: Any
    size: Any
    stride: Any
    dtype: Any = None
    """Type of its elements; None for the type of the storage."""

    def array(self, *, where: str) -> np.ndarray:
        """Copy the tensor to a NumPy array. bfloat16 becomes float32.

        Args:
            where: file and parameter, for an error.

        Raises:
            ConversionError: if the storage is damaged or the tensor reaches beyond it.
        """
        size, stride = (
            _integers(value, part, where) for value, part in ((self.size, "size"), (self.stride, "stride"))
        )
        (offset,) = _integers((self.offset,), "offset", where)
        if len(size) != len(stride):
            raise ConversionError(
                f"{where}: expected as many strides as sizes, found {len(stride)} and {len(size)}"
            )
        if not isinstance(self.storage, Storage | NestedStorage):
            raise ConversionError(f"{where}: expected a storage, found {describe(self.storage)}")
        memory, kind = _elements(self.storage.resolve(where), self.dtype, where)
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if count and last >= len(memory):
            raise ConversionError(
                f"{where}: expected a storage of {last + 1} elements or more, found one of {len(memory)}"
            )
        if count > max(len(memory), _MAX_REPEATED):
            raise ConversionError(
                f"{where}: expected a tensor within its storage of {len(memory)} elements, found one of {count}"
            )
        if not count:
            return np.zeros(size, np.float32 if kind == "bfloat16" else memory.dtype)
        steps = [step * memory.itemsize for step in stride]
        view = np.lib.stride_tricks.as_strided(memory[offset:], size, steps, writeable=False)
        if kind == "bfloat16":  # the upper half of a float32
            return (view.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return np.array(view, view.dtype.newbyteorder("="), order="C")


class Allowance:
    """Limit on the bytes of all tensors of one file, in proportion to the size of the file.

    Tensors may share a storage. Those of a generator do not; a hostile file can use it to exhaust memory or time.
    """

    def __init__(self, file_size: int, *, name: str) -> None:
        self.left = 2 * file_size + _MAX_REPEATED  # bfloat16 doubles
        self.name = name

    def array(self, tensor: Any, parameter: str) -> np.ndarray:
        """The array of a parameter.

        Raises:
            ConversionError: as `Tensor.array` does; if the parameter is no tensor, or one too many.
        """
        where = f"{self.name}: {shorten(parameter)}"
        if not isinstance(tensor, Tensor):
            found = "none" if tensor is None else describe(tensor)
            raise ConversionError(f"{where}: expected a parameter, found {found}")
        array = tensor.array(where=where)
        self.left -= max(array.nbytes, tensor.storage.size)
        if self.left < 0:
            raise ConversionError(f"{where}: the file is too small for all the tensors that it describes")
        return array


def _integers(value: Any, part: str, where: str) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _MAX_RANK:
        raise ConversionError(
            f"{where}: expected the {part} of a tensor of at most {_MAX_RANK} dimensions, found {describe(value)}"
        )
    for item in value:
        if type(item) is not int or not 0 <= item < 2**63:
            raise ConversionError(
                f"{where}: expected the {part} of a tensor in whole numbers from 0, found {describe(item)}"
            )
    return tuple(value)


def _elements(storage: Storage, dtype: Any, where: str) -> tuple[np.ndarray, str]:
    """The storage as an array, and the type of its elements in PyTorch."""
    data = storage.read(where)
    if len(data) != storage.size:
        raise ConversionError(f"{where}: expected a storage of {storage.size} bytes, found {len(data)}")
    if dtype is None:
        return np.frombuffer(data, storage.dtype), storage.kind
    if not isinstance(dtype, Global) or dtype.name not in _DTYPES:
        raise ConversionError(f"{where}: expected a type of numbers, found {describe(dtype)}")
    kind, code = _DTYPES[dtype.name]
    own = np.dtype(code).newbyteorder(storage.dtype.byteorder if storage.dtype.itemsize > 1 else "=")
    if len(data) % own.itemsize:
        raise ConversionError(f"{where}: expected a storage of whole {kind}, found {len(data)} bytes")
    return np.frombuffer(data, own), kind


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, size, stride)


def _tensor_of_type(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> Tensor:
    return Tensor(storage, offset, size, stride, dtype)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ConversionError(f"expected a tensor as a parameter, found {describe(data)}")
    return data


def _size(items: Any = ()) -> Any:
    return items


def _device(*_: Any) -> None:
    """The device of a tensor is ignored."""


TENSOR_CONSTRUCTORS: Mapping[str, Callable[..., Any] | None] = {
    **PLAIN_CONSTRUCTORS,
    **dict.fromkeys((*STORAGE_TYPES, *_DTYPES)),
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
}
"""Names in a pickle → factories: tensors and parameters become `Tensor`."""
