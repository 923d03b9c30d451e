"""Numbers in fewer bits than float32 has, as models keep their large constants."""

from typing import Literal, NamedTuple

import numpy as np

WeightsType = Literal[
    "float32", "float16", "int16", "int14", "int12", "int10", "int8", "int6", "int4", "exact"
]
"""In which large constants are kept. The whole numbers have a scale for each row. "exact" loses nothing: arrays of at
most 256 different numbers are kept as bytes, numbers that float16 holds as such, all others in float32."""

_TABLE_LENGTH = 256


class Rounded(NamedTuple):
    """An array in fewer bits."""

    numbers: np.ndarray
    """In float16, or whole."""
    unit: np.ndarray
    """Float32, by which the numbers are to be multiplied; it broadcasts."""

    def restored(self) -> np.ndarray:
        """The array as the file holds it, float32."""
        return self.numbers.astype(np.float32) * self.unit


def as_half(array: np.ndarray) -> Rounded:
    """Numbers in float16, and the power of two that they are to be multiplied by.

    It brings the largest near the upper end of float16: the small ones then keep their digits.
    """
    largest = float(np.abs(array).max())
    unit = np.float32(2.0 ** (np.ceil(np.log2(largest)) - 15)) if largest > 0 else np.float32(1)
    return Rounded((array / unit).astype(np.float16), np.asarray(unit))


def as_whole_numbers(array: np.ndarray, bits: int) -> Rounded:
    """Numbers as whole ones of so many bits, and a unit for each row of the first axis that is longer than one.

    The step is the same for small and large numbers of a row. Weights of a row are of about one size, so 16 bits lose a
    quarter of what float16 loses.
    """
    row = next((axis for axis, length in enumerate(array.shape) if length > 1), 0)
    others = tuple(axis for axis in range(array.ndim) if axis != row)
    largest = np.abs(array).max(others, keepdims=True)
    unit = np.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1).astype(np.float32)
    return Rounded(np.rint(array / unit).astype(np.int8 if bits <= 8 else np.int16), unit)


def bits_of(kind: WeightsType) -> int:
    """Bits of a whole number."""
    return int(kind.removeprefix("int"))


class Piece(NamedTuple):
    """Some bits of each number of an array. A byte holds `8 / width` of them, from the highest bits down: those of
    numbers that are as many apart as there are bytes."""

    content: np.ndarray
    """Bytes."""
    width: int
    """Bits of each number: 8, 4 or 2."""
    place: int
    """How many lower bits the number has."""


def pieces(numbers: np.ndarray, bits: int) -> list[Piece]:
    """Whole numbers, 2^(bits − 1) added, in pieces of 8, 4 and 2 bits.

    Args:
        numbers: of `as_whole_numbers`.
        bits: an even number, up to 16.
    """
    flat = numbers.astype(np.int64).ravel() + 2 ** (bits - 1)
    widths: list[int] = []
    while sum(widths) < bits:
        widths.append(next(width for width in (8, 4, 2) if width <= bits - sum(widths)))
    result, place = [], bits
    for width in widths:
        place -= width
        each = 8 // width
        values = (flat >> place) & (2**width - 1)
        rows = np.pad(values, (0, -len(values) % each)).reshape(each, -1)
        content = sum(row << (8 - width * (i + 1)) for i, row in enumerate(rows))
        result.append(Piece(np.asarray(content, np.uint8), width, place))
    return result


class Table(NamedTuple):
    """An array of few different numbers."""

    bytes: np.ndarray
    """Which of the numbers, in the array's shape."""
    numbers: np.ndarray
    """Float32, at most 256."""

    def size(self) -> int:
        """In bytes."""
        return self.bytes.nbytes + self.numbers.nbytes


def is_half(array: np.ndarray) -> bool:
    """Whether float16 holds all the numbers."""
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float16).astype(np.float32) == array).all())


def as_table(array: np.ndarray) -> Table | None:
    """The array as bytes and a table; None if it has more than 256 different numbers."""
    numbers, which = np.unique(array, return_inverse=True)
    if len(numbers) > _TABLE_LENGTH:
        return None
    return Table(which.reshape(array.shape).astype(np.uint8), numbers)
