"""Array trees: a config and a nested dict of arrays in one file. NumPy alone reads it, in milliseconds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.errors import InputError
from jaxedit.storage.arrays import read_arrays, write_arrays


def write_array_tree(
    path: str | Path,
    config: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    kind: str,
    compressed: bool = False,
) -> Path:
    """Write a config and a nested dict of arrays.

    Args:
        path: where to. Parent folders are made.
        config: JSON-serializable.
        arrays: nested dict of arrays with string keys.
        kind: what the file holds; `read_array_tree` checks it.
        compressed: whether to compress.

    Raises:
        OutputError: if the file cannot be written.
    """
    leaves = list(_leaves(arrays))
    metadata = {"config": dict(config), "places": [place for place, _ in leaves]}
    numbered = {f"array_{number}": leaf for number, (_, leaf) in enumerate(leaves)}
    return write_arrays(path, numbered, metadata, kind=kind, compressed=compressed)


def read_array_tree(
    path: str | Path, *, kind: str, expected: str = "a file of arrays (.npz)"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the nested dict of NumPy arrays of `write_array_tree`.

    Raises:
        InputError: if the file is missing, damaged, or of another kind.
    """
    stored, metadata = read_arrays(path, kind=kind, expected=expected)
    try:
        tree: dict[str, Any] = {}
        for number, (*parents, last) in enumerate(metadata["places"]):
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = stored[f"array_{number}"]
        return dict(metadata["config"]), tree
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected {expected}, found other contents: {error}") from error


def _leaves(tree: Mapping[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[list[str], np.ndarray]]:
    for name, node in tree.items():
        if isinstance(node, Mapping):
            yield from _leaves(node, (*place, name))
        else:
            yield [*place, name], np.asarray(node)
