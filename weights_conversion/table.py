"""What every conversion is: a table of (source name → target name, transform)."""

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
        ConversionError: if a source is missing, or an array has not the shape that the table expects.
    """
    tree: dict[str, Any] = {}
    for row in table:
        if row.source not in source:
            raise ConversionError(
                f"{name}: expected an array named {row.source!r} (for {row.target}), found none"
            )
        array = np.ascontiguousarray(row.transform(source[row.source]))
        if array.shape != row.shape:
            raise ConversionError(
                f"{name}: {row.source!r}: expected shape {row.shape} for {row.target}, found {array.shape}"
            )
        *parents, leaf = row.target.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array
    return tree
