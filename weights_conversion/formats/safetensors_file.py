"""Arrays of a safetensors file."""

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import check_regular
from weights_conversion.formats.safe_pickle import shorten

FLOATS = ("F16", "BF16", "F32", "F64")
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
        ConversionError: if the file is damaged, or holds names that are no names or numbers of another type.
    """
    check_regular(path)
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
    return arrays


def _bfloat16(path: str | Path, name: str) -> np.ndarray:
    """An array of bfloat16 as float32: NumPy has no such type. The file was checked when it was opened."""
    with Path(path).open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        upper = np.frombuffer(file.read(end - begin), "<u2").reshape(entry["shape"])
    return (upper.astype(np.uint32) << np.uint32(16)).view(np.float32)
