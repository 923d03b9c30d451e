"""Checkpoint folders of fitted methods."""

import zlib
from pathlib import Path

import numpy as np

from benchmarks.baselines.latent_transformer import LatentTransformer
from benchmarks.baselines.training_labels import TrainingSplit
from jaxedit.axes import AttributeAxes
from jaxedit.errors import CheckpointError, InputError
from jaxedit.evaluation.methods import AxesMethod, EditingMethod, LinearDirections
from jaxedit.storage.checkpoints import load_checkpoint, read_metadata, save_checkpoint

_ARRAYS: dict[str, tuple[type, tuple[str, ...]]] = {
    "linear-directions": (LinearDirections, ("directions",)),
    "latent-transformer": (LatentTransformer, ("kernels", "biases")),
}


def save_method(method: EditingMethod, folder: str | Path) -> Path:
    """Write a checkpoint folder.

    Raises:
        InputError: if the method is of an unknown type.
        OutputError: if the folder cannot be written.
    """
    if isinstance(method, AxesMethod):
        return method.axes.save(folder)
    for kind, (cls, fields) in _ARRAYS.items():
        if isinstance(method, cls):
            config = {"attribute_names": list(method.attribute_names)}
            arrays = {field: np.asarray(getattr(method, field)) for field in fields}
            return save_checkpoint(folder, kind=kind, config=config, arrays=arrays)
    raise InputError(
        f"method {method.name!r}: expected a known kind (axes, {', '.join(_ARRAYS)}), got {type(method).__name__}"
    )


def load_method(folder: str | Path, name: str) -> EditingMethod:
    """Read a folder written by `save_method`.

    Raises:
        CheckpointError: if the folder is missing, damaged, or of another kind.
    """
    kind = read_metadata(folder)["kind"]
    if kind == "axes":
        return AxesMethod(name, AttributeAxes.load(folder))
    if kind not in _ARRAYS:
        raise CheckpointError(f"{folder}: expected a fitted method, found {kind!r}")
    config, arrays = load_checkpoint(folder, kind=kind)
    cls, fields = _ARRAYS[kind]
    names = tuple(config["attribute_names"])
    method: EditingMethod = cls(name, names, *(np.asarray(arrays[field]) for field in fields))
    return method


def fingerprint(split: TrainingSplit) -> str:
    """Eight hexadecimal digits that identify the attribute names, latents and labels of a split."""
    names = ",".join(split.attribute_names).encode()
    parts = [names, *(np.asarray(a, np.float32).tobytes() for a in (split.w, split.labels))]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return f"{checksum:08x}"
