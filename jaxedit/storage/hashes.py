"""Hashes of what a checkpoint folder holds, so that damage of a single bit is found when it is read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_LARGEST_HASHED = 1_000_000  # bytes; the arrays in larger files have hashes of their own


def hash_of_json(value: Any) -> str:
    """SHA-256 of a JSON-serializable value, in hexadecimal. The order of names does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_of_array(array: np.ndarray) -> str:
    """SHA-256 of type, shape and numbers of an array, in hexadecimal."""
    # The order of the bytes is that of the machine: all that JAX runs on are little-endian.
    contiguous = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{array.dtype.name}{list(array.shape)}".encode())
    digest.update(contiguous.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def hashes_of_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """A nested dict of arrays as the same dict of their hashes."""
    return {
        name: hashes_of_arrays(node) if isinstance(node, Mapping) else hash_of_array(np.asarray(node))
        for name, node in arrays.items()
    }


def first_difference(expected: Any, arrays: Any, place: str = "") -> str | None:
    """What is damaged in a nested dict of arrays, in words; None if all has the expected hashes."""
    if isinstance(expected, Mapping) != isinstance(arrays, Mapping):
        return f"{place or 'the arrays'}: other names than when it was written"
    if not isinstance(expected, Mapping):
        return (
            None if hash_of_array(np.asarray(arrays)) == expected else f"{place}: other numbers than written"
        )
    for name in {**expected, **arrays}:
        inside = f"{place}/{name}" if place else name
        # A writer may leave out a folder of the tree that holds no array.
        if not _has_leaves(expected.get(name, {})) and not _has_leaves(arrays.get(name, {})):
            continue
        if name not in expected or name not in arrays:
            return f"{inside}: {'missing' if name in expected else 'not there when it was written'}"
        if (found := first_difference(expected[name], arrays[name], inside)) is not None:
            return found
    return None


def describe_files(folder: Path) -> dict[str, Any]:
    """Size in bytes of each file in a folder, and the SHA-256 of each small one, by its path."""
    described: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            size = path.stat().st_size
            described[path.relative_to(folder).as_posix()] = (
                [size, hashlib.sha256(path.read_bytes()).hexdigest()] if size <= _LARGEST_HASHED else [size]
            )
    return described


def first_damaged_file(folder: Path, described: Mapping[str, Any]) -> str | None:
    """Which file of `describe_files` is missing or has changed, in words; None if none."""
    for name, (size, *digest) in described.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (found := path.stat().st_size) != size:
            return f"{name}: expected {size} bytes, found {found}"
        if digest and hashlib.sha256(path.read_bytes()).hexdigest() != digest[0]:
            return f"{name}: other content than written"
    return None


def _has_leaves(node: Any) -> bool:
    return not isinstance(node, Mapping) or any(_has_leaves(child) for child in node.values())
