"""NumPy arrays and scalars inside pickles, for `safe_pickle`.

The factories here stand for NumPy's own constructors and check every argument.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import describe

_NUMBERS = {
    f"{kind}{size}"
    for kind, sizes in {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8)}.items()
    for size in sizes
} | {"b1"}


class StoredType:
    """A `numpy.dtype` as a pickle stores it. Only types of numbers are accepted."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        if not isinstance(code, str) or code not in _NUMBERS:
            raise ConversionError(f"expected an array of numbers, found one of {describe(code)}")
        self.dtype = np.dtype(code)

    def setstate(self, state: Any) -> None:
        """Takes the byte order. Types of numbers use no other part of the state."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise ConversionError(f"expected the byte order of a type, found {describe(order)}")
        self.dtype = self.dtype.newbyteorder(order)


class StoredArray:
    """A `numpy.ndarray` or NumPy scalar as a pickle stores it."""

    def __init__(self, *_: Any) -> None:
        self._parts: tuple[Any, Any, Any, Any] | None = None

    def setstate(self, state: Any) -> None:
        """Takes (version, shape, type, is Fortran order, bytes); the version may be absent."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ConversionError("expected the state of an array, found something else")
        shape, dtype, fortran, data = state[-4:]
        self._parts = (shape, dtype, "F" if fortran else "C", data)

    def array(self) -> np.ndarray:
        """The array. It shares memory with the bytes of the pickle.

        Raises:
            ConversionError: if type, shape and bytes do not fit each other.
        """
        shape, stored, order, data = self._parts or (None, None, None, None)
        if not isinstance(stored, StoredType) or not isinstance(data, bytes | bytearray | memoryview):
            raise ConversionError(
                "expected an array of numbers with its type and bytes, found something else"
            )
        if (
            not isinstance(shape, tuple)
            or len(shape) > 8
            or not all(type(n) is int and n >= 0 for n in shape)
        ):
            raise ConversionError(f"expected a shape of up to 8 whole numbers, found {describe(shape)}")
        expected, found = math.prod(shape) * stored.dtype.itemsize, len(data)
        if expected != found:
            raise ConversionError(f"expected {expected} bytes for an array of shape {shape}, found {found}")
        return np.frombuffer(data, stored.dtype).reshape(shape, order=order)


def _scalar(dtype: Any = None, data: Any = None) -> StoredArray:
    array = StoredArray()
    array.setstate(((), dtype, False, data))
    return array


def _from_buffer(
    data: Any = None, dtype: Any = None, shape: Any = None, order: Any = None, *_: Any
) -> StoredArray:
    """Array of protocol 5, which passes the bytes to a constructor instead of a state."""
    if order not in ("C", "F"):
        raise ConversionError(f"expected an array in the order of C or Fortran, found {describe(order)}")
    array = StoredArray()
    array.setstate((shape, dtype, order == "F", data))
    return array


def _encoded(text: Any = None, encoding: Any = None) -> bytes:
    """Bytes of protocols before 3, which write them as latin-1 text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ConversionError("expected bytes written as text in latin1, found something else")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ConversionError("expected bytes written as text in latin1, found something else") from None


def _constructors() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {
        "numpy.ndarray": StoredArray,
        "numpy.dtype": StoredType,
        "_codecs.encode": _encoded,
    }
    for core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
        found[f"{core}.multiarray._reconstruct"] = StoredArray
        found[f"{core}.multiarray.scalar"] = _scalar
        found[f"{core}.numeric._frombuffer"] = _from_buffer
    return found


NUMPY_CONSTRUCTORS = _constructors()
"""Names in a pickle → factories for `safe_pickle.load`. Arrays and scalars become `StoredArray`."""
