"""Directions in W or W+ from files, as they are published.

| file | structure |
|---|---|
| `.npz` of names | array [w_dim] or [num_ws, w_dim] for each attribute |
| `.npy` boundaries of InterfaceGAN | array [1, w_dim]; those with `_w_` in their name are of W, the others of Z |
| `.pt` directions of encoder4editing and PTI | tensor [1, w_dim] or [1, num_ws, w_dim] |
| `.npz` components of GANSpace | `act_comp` [n, 1, w_dim], where W was analyzed; else `lat_comp` |
| `.pt` components of GANSpace, as encoder4editing has them | `comp` [n, 1, w_dim] |
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.storage.foreign_arrays import read_any_arrays
from jaxedit.storage.paths import as_path

_EXPECTED = "directions (a .npz, .npy, .pt or .pkl, or a folder of these)"
_SUFFIXES = (".npz", ".npy", ".pt", ".pth", ".pkl")


def read_direction_file(
    path: str | Path,
) -> dict[str, Float[np.ndarray, " w_dim"] | Float[np.ndarray, "num_ws w_dim"]]:
    """The directions of a file by name, float32.

    Args:
        path: the file; or a folder of such files. A single direction has the name of its file, components of GANSpace
            are called component_0, component_1, ….

    Returns:
        Directions [w_dim] in W, or [num_ws, w_dim] in W+ where the layers differ.

    Raises:
        InputError: if the file is missing, damaged, or holds other arrays, a name comes twice, or a number is not
            finite.
    """
    path = as_path(path)
    if not path.is_dir():
        return _read(path)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise InputError(f"{path}: expected {_EXPECTED}, found a folder without them")
    found: dict[str, np.ndarray] = {}
    for file in files:
        directions = _read(file)
        if twice := sorted(found.keys() & directions.keys()):
            raise InputError(f"{file}: expected each direction once in the folder, got {twice[0]!r} twice")
        found |= directions
    return found


def _read(path: Path) -> dict[str, np.ndarray]:
    tree = read_any_arrays(path, expected=_EXPECTED).tree
    if isinstance(tree, np.ndarray):
        tree = {path.stem: tree}
    elif isinstance(tree, list):
        tree = {f"{path.stem}_{number}": item for number, item in enumerate(tree)}
    if (components := _components(tree, path)) is not None:
        tree = {f"component_{number}": component for number, component in enumerate(components)}
    return {name: _direction(array, where=f"{path}: {name}") for name, array in tree.items()}


def _components(tree: dict[str, Any], path: Path) -> np.ndarray | None:
    """The components of a file of GANSpace, [n, 1, w_dim]; None for another file."""
    if isinstance(found := tree.get("comp"), np.ndarray) and "mean" in tree:
        return found
    if not isinstance(found := tree.get("act_comp"), np.ndarray):
        return None
    if found.ndim == 3 and found.shape[1] == 1:
        return found
    latents, deviations = tree.get("lat_comp"), tree.get("lat_stdev")
    # GANSpace writes ones for Z.
    is_w = isinstance(deviations, np.ndarray) and not (deviations == 1).all()
    if is_w and isinstance(latents, np.ndarray) and latents.ndim == 3 and latents.shape[1] == 1:
        return latents
    raise InputError(
        f"{path}: expected components of GANSpace in W, found those of activations of shape {list(found.shape[1:])} "
        "whose latents are of Z (GANSpace's --use_w gives latents of W)"
    )


def _direction(array: Any, *, where: str) -> np.ndarray:
    """A direction as [w_dim] or [num_ws, w_dim]."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        found = (
            f"{list(array.shape)} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        )
        raise InputError(f"{where}: expected a direction [w_dim] or [num_ws, w_dim], got {found}")
    shape = list(array.shape)
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim not in (1, 2) or array.shape[-1] < 2 or not array.size:
        raise InputError(f"{where}: expected a direction [w_dim] or [num_ws, w_dim], got shape {shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not (np.isfinite(array).all() and array.any()):
        raise InputError(f"{where}: expected a finite direction of some length, got NaN, infinity or zeros")
    if array.ndim == 2 and (array == array[:1]).all():
        array = array[0]  # of W, perhaps repeated for the layers
    return array
