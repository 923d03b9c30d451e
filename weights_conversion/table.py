"""Tables of (source name → target name, transform), and the array checks that every reader shares."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError


class Row(NamedTuple):
    """One line of a conversion table."""

    source: str
    """The name in the foreign file."""
    target: str
    """The dotted path in the converted tree."""
    shape: tuple[int, ...]
    """The shape after the transform."""
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray
    """From the foreign array to ours."""


def convert(source: Mapping[str, np.ndarray], table: Iterable[Row], *, name: str) -> dict[str, Any]:
    """Apply a table.

    Args:
        source: foreign name → array.
        table: the rows.
        name: what to call the file in an error.

    Returns:
        A nested dict of contiguous arrays, a level for each dot of a target name.

    Raises:
        ConversionError: if a source is missing, or an array does not get the shape that the table expects.
    """
    flat = {}
    for row in table:
        found = take(source, row.source, row.target, name=name)
        try:
            array = np.ascontiguousarray(row.transform(found))
        except (IndexError, ValueError):  # the transform expects more dimensions
            array = found
        if array.shape != row.shape:
            raise ConversionError(
                f"{name}: {row.source!r}: expected shape {row.shape} for {row.target}, found {array.shape}"
            )
        flat[row.target] = array
    return nest(flat, name=name)


def take(arrays: Mapping[str, np.ndarray], source: str, target: str, *, name: str) -> np.ndarray:
    """The array of a foreign name.

    Raises:
        ConversionError: if there is none.
    """
    if source not in arrays:
        raise ConversionError(f"{name}: expected an array named {source!r} (for {target}), found none")
    return arrays[source]


def float32(array: Any, *, where: str) -> np.ndarray:
    """Floating-point numbers of any width as float32. Numbers outside its range become infinite.

    Args:
        array: of NumPy or alike.
        where: file and array, for an error.

    Raises:
        ConversionError: if the array holds numbers of another kind.
    """
    array = np.asarray(array)
    if array.dtype.kind != "f":
        raise ConversionError(f"{where}: expected floating-point numbers, found {array.dtype}")
    with np.errstate(all="ignore"):  # `check_finite` finds what overflows
        return array.astype(np.float32, copy=False)


def check_finite(array: np.ndarray, *, where: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        ConversionError: if the array holds one.
    """
    if not np.isfinite(array).all():
        raise ConversionError(f"{where}: expected finite numbers, found NaN or infinity")


def nest(flat: Mapping[str, np.ndarray], *, name: str) -> dict[str, Any]:
    """Turn a dict of dotted paths into a nested dict.

    Raises:
        ConversionError: if a path is also the start of another, or a part of it is empty.
    """
    tree: dict[str, Any] = {}
    for path, array in flat.items():
        *parents, leaf = path.split(".")
        node: Any = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                break
        if not isinstance(node, dict) or leaf in node or "" in (*parents, leaf):
            raise ConversionError(f"{name}: {path}: expected names that do not contradict each other")
        node[leaf] = array
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn a nested dict into a dict of dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
