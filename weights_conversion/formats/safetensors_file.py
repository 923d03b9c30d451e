"""Arrays of a safetensors file."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import check_regular
from weights_conversion.formats.safe_pickle import shorten

FLOATS = ("F16", "BF16", "F32", "F64")
HASHES = "jaxedit_sha256"
"""The name in the metadata of a file under which exports keep `describe_hashes`."""

_LONGEST_NAME = 200
_MOST_NAMES = 100_000


def read_safetensors(path: str | Path, *, types: Collection[str] = FLOATS) -> dict[str, np.ndarray]:
    """Read all arrays of a file.

    Args:
        path: the file.
        types: types of numbers that are accepted, by their names in the format. BF16 becomes float32.

    Returns:
        Name → array.

    Raises:
        ConversionError: if the file is damaged, holds names that are no names or numbers of another type, or its arrays
            are not those of the hashes in it.
    """
    check_regular(path)
    hashes = read_hashes(path)
    arrays: dict[str, np.ndarray] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if len(names) > _MOST_NAMES:
                raise ConversionError(f"{path}: expected at most {_MOST_NAMES} arrays, found {len(names)}")
            for name in names:
                if len(name) > _LONGEST_NAME or not name.isprintable():
                    raise ConversionError(f"{path}: expected names of arrays, found {name[:40]!r}")
                stored = file.get_slice(name).get_dtype()
                if stored not in types:
                    raise ConversionError(
                        f"{path}: {shorten(name)}: expected numbers of type {' or '.join(types)}, found {stored}"
                    )
                arrays[name] = _bfloat16(path, name) if stored == "BF16" else file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        detail = str(error)[:160]
        raise ConversionError(f"{path}: expected a safetensors file, it is damaged: {detail!r}") from error
    if hashes is not None:
        wanted = hashes["arrays"]
        if wanted.keys() != arrays.keys():
            name = min(wanted.keys() ^ arrays.keys())
            raise ConversionError(f"{path}: damaged: {shorten(name)}: other names than when it was written")
        for name, array in arrays.items():
            if hash_of_array(array) != wanted[name]:
                raise ConversionError(
                    f"{path}: damaged: {shorten(name)}: other numbers than written (its hash differs); make the file "
                    "again"
                )
    return arrays


def describe_hashes(arrays: Mapping[str, np.ndarray], config: Mapping[str, object]) -> dict[str, str]:
    """The metadata of an export: hashes of each array and of the config beside the file."""
    hashes = {
        "arrays": {name: hash_of_array(array) for name, array in arrays.items()},
        "config": hash_of_config(config),
    }
    return {HASHES: json.dumps(hashes, sort_keys=True)}


def read_hashes(path: str | Path) -> dict[str, Any] | None:
    """The hashes that `describe_hashes` put into a file: "arrays" by name, and "config"; None in other files.

    Raises:
        ConversionError: if the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(HASHES)
        if text is None:
            return None
        hashes = json.loads(text)
        if isinstance(hashes["config"], str) and isinstance(hashes["arrays"], dict):
            return hashes
    except (SafetensorError, OSError) as error:
        detail = str(error)[:160]
        raise ConversionError(f"{path}: expected a safetensors file, it is damaged: {detail!r}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ConversionError(f"{path}: damaged: its hashes are incomplete; make the file again")


def hash_of_array(array: np.ndarray) -> str:
    """SHA-256 of type, shape and numbers, in hexadecimal."""
    digest = hashlib.sha256(f"{array.dtype.name}{list(array.shape)}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def hash_of_config(config: Mapping[str, object]) -> str:
    """SHA-256 of a JSON-serializable config, in hexadecimal. The order of names does not matter."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _bfloat16(path: str | Path, name: str) -> np.ndarray:
    """An array of bfloat16 as float32: NumPy has no such type. The file was checked when it was opened."""
    with Path(path).open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        upper = np.frombuffer(file.read(end - begin), "<u2").reshape(entry["shape"])
    return (upper.astype(np.uint32) << np.uint32(16)).view(np.float32)
