"""The files that are damaged, in a table: how each is made, and how it is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxedit.errors import conversion_errors
from jaxedit.labels.labels_file import Labels, load_labels, save_labels
from jaxedit.latents.latent_files import load_latent_file, save_latent_file
from jaxedit.storage.arrays import read_arrays, write_arrays
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
from jaxedit.storage.runs import RunFolder
from weights_conversion.models.stylegan2.layout import target_shapes
from weights_conversion.safetensors_folder import read_folder, write_folder
from weights_conversion.table import nest

ARRAYS = {"layer": {"kernel": np.arange(600, dtype=np.float32).reshape(20, 30)}, "step": np.int32(7)}


_GENERATOR = {
    "family": "stylegan2",
    "z_dim": 4,
    "c_dim": 0,
    "w_dim": 4,
    "mapping_layers": 2,
    "resolution": 8,
    "channels": [2, 1],
    "architecture": "skip",
    "conv_clamp": 256.0,
}


class Reader(NamedTuple):
    """One kind of file or folder."""

    name: str
    make: Callable[[Path], Any]
    """Writes a valid one."""
    read: Callable[[Path], Any]
    """Its content as a nested structure of arrays and plain values; raises `JaxeditError` where it is damaged."""
    has_checksum: bool = True
    """Whether the format can tell that a number has changed."""


def _checkpoint(file_format: Any) -> Callable[[Path], Any]:
    return lambda path: save_checkpoint(
        path, kind="toy", config={"width": 3}, arrays=ARRAYS, file_format=file_format
    )


def _labels(path: Path) -> None:
    ones = np.ones(40, np.float32)
    values = np.arange(80, dtype=np.float32).reshape(40, 2)
    save_labels(Labels("toy", 3, values, ("age", "smile"), ("years", ""), ones, ones), path)


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((16, 32)))


def _run(path: Path) -> None:
    run = RunFolder.open(path, kind="toy", request={"seed": 3})
    run.write("unit", {"values": np.arange(300.0)})


def _export(path: Path) -> None:
    shapes, random = target_shapes(_GENERATOR), np.random.RandomState(0)
    write_folder(path, _GENERATOR, nest({n: random.randn(*s) for n, s in shapes.items()}, name="export"))


def _read_export(path: Path) -> Any:
    with conversion_errors():
        return read_folder(path)


def _read_run(path: Path) -> Any:
    run = RunFolder.open(path, kind="toy", request={"seed": 3})
    return run.get_or_make("unit", lambda: {"values": np.arange(300.0)})  # what is damaged is made again


READERS = (
    Reader("checkpoint, Orbax", _checkpoint("orbax"), lambda path: load_checkpoint(path, kind="toy")),
    Reader("checkpoint, .npz", _checkpoint("npz"), lambda path: load_checkpoint(path, kind="toy")),
    Reader("export", _export, _read_export),
    Reader("labels", _labels, lambda path: vars(load_labels(path))),
    Reader(
        "latent",
        lambda path: save_latent_file(path, np.ones((16, 32)), about={"steps": 3}, quad=np.ones((4, 2))),
        lambda path: [load_latent_file(path).w, load_latent_file(path).about],
    ),
    Reader("array, .npy", _npy, lambda path: load_latent_file(path).w, has_checksum=False),
    Reader(
        "arrays, compressed",
        lambda path: write_arrays(path, {"a": np.arange(900.0)}, {"b": 1}, kind="toy", compressed=True),
        lambda path: read_arrays(path, kind="toy")._asdict(),
    ),
    Reader("run folder", _run, _read_run),
)
