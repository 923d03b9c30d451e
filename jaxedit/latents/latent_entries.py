"""The latents in a file of another library: which there are, and the choice of one.

| file | structure |
|---|---|
| `latents.pt` of encoder4editing | array [num_latents, num_ws, w_dim] |
| pivots of PTI (`0.pt`) | array [1, num_ws, w_dim] |
| `latents.npy` of ReStyle and HyperStyle | dict of lists or arrays, by the name of the image |
| files of stylegan2-pytorch's projector | dict of dicts with `latent` and `noise`, by the name of the image |
| `projected_w.npz` of NVIDIA's projectors | `w` [1, num_ws, w_dim] |
| `dlatents.npz` of NVIDIA's older code | `dlatents` [num_latents, num_ws, w_dim] |
"""

from typing import Any

import numpy as np

from jaxedit.errors import InputError

LATENT_KEYS = (
    *("w_plus", "w", "ws", "wp", "latents", "latent", "dlatents", "dlatent"),
    *("w_pivot", "latent_codes", "latent_code", "codes"),
)
"""Names under which files keep latents. Where a file has several, the first of them counts."""

_NOISE = "noise"
_SHOWN = 6


class Entry:
    """Latents that stand together in a file, and the noise images beside them.

    Attributes:
        array: one latent, or a batch.
        noise: noise images [height, width], in the order of the layers; empty without any.
    """

    def __init__(self, array: np.ndarray, noise: list[np.ndarray]) -> None:
        self.array = array
        self.noise = noise


def find_entries(tree: Any) -> dict[str, Entry]:
    """The latents in the arrays of a file, in order, by name.

    A list under a name gives "name/0", "name/1", …; a file of one array gives one entry without a name.
    """
    return _entries(tree, "", [])


def _entries(tree: Any, name: str, noise: list[np.ndarray]) -> dict[str, Entry]:
    if isinstance(tree, np.ndarray):
        return {name: Entry(tree, noise)}
    if isinstance(tree, list):
        found = [_entries(item, _below(name, str(number)), noise) for number, item in enumerate(tree)]
        return {key: entry for part in found for key, entry in part.items()}
    keys = {key.lower(): key for key in tree}
    if known := [keys[key] for key in LATENT_KEYS if key in keys]:
        beside = tree.get(_NOISE)
        return _entries(tree[known[0]], name, _noise_images(beside) if isinstance(beside, list) else noise)
    found = [_entries(item, _below(name, key), noise) for key, item in tree.items()]
    return {key: entry for part in found for key, entry in part.items()}


def _below(name: str, part: str) -> str:
    return f"{name}/{part}" if name else part


def _noise_images(items: list[Any]) -> list[np.ndarray]:
    arrays = [item for item in items if isinstance(item, np.ndarray)]
    return [array[0, 0] if array.ndim == 4 and array.shape[:2] == (1, 1) else array for array in arrays]


def choose_entry(entries: dict[str, Entry], index: int | str | None, *, where: str) -> Entry:
    """One latent [w_dim] or [num_ws, w_dim] with its noise images.

    Args:
        entries: of `find_entries`.
        index: its number, from 0, or its name; None if there is one latent only. In a file of one array the number
            counts its rows: those of [n, w_dim] are then latents of W.
        where: the file, for the error.

    Raises:
        InputError: if there is no such latent, or several and no index.
    """
    if len(entries) == 1:
        ((name, entry),) = entries.items()
        if index is None or index == name:
            return _alone(entry, where=where)
        return Entry(_row(entry.array, index, where=where), entry.noise)
    if index is None:
        raise InputError(
            f"{where}: expected one latent, found {len(entries)}: choose one by its {_known(entries)}"
        )
    name = str(index)
    if name not in entries and (number := _number(index)) is not None and 0 <= number < len(entries):
        name = list(entries)[number]
    if name in entries:
        return _alone(entries[name], where=f"{where}: {name}")
    raise InputError(f"{where}: index: expected a {_known(entries)}, got {index!r}")


def _alone(entry: Entry, *, where: str) -> Entry:
    array = entry.array
    if array.ndim == 3 and len(array) > 1:
        raise InputError(
            f"{where}: expected one latent, found {len(array)}: choose one by its index (--index), 0…{len(array) - 1}"
        )
    is_batch = array.ndim == 3 or (array.ndim == 2 and len(array) == 1)
    return Entry(array[0] if is_batch and len(array) else array, entry.noise)


def _row(array: np.ndarray, index: int | str, *, where: str) -> np.ndarray:
    rows, number = len(array) if array.ndim > 1 else 1, _number(index)
    if number is None or not 0 <= number < rows:
        raise InputError(f"{where}: index: expected 0…{rows - 1}, the latents of this file, got {index!r}")
    return array[number] if array.ndim > 1 else array


def _number(index: int | str) -> int | None:
    text = str(index)
    return int(text) if text.isascii() and text.isdigit() else None


def _known(entries: dict[str, Entry]) -> str:
    shown = ", ".join(list(entries)[:_SHOWN]) + (", …" if len(entries) > _SHOWN else "")
    return f"number, 0…{len(entries) - 1}, or name (--index): {shown}"
