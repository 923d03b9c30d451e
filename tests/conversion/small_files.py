"""Small valid files of the formats other than PyTorch's, and their readers, for `fuzz`."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import save

from tests.conversion.foreign_h5 import flaxmodels_arrays, write_h5
from tests.conversion.foreign_tensorflow import network, tensorflow_variables, write_pickle
from tests.conversion.small_generators import small_official
from weights_conversion.models.conversion import Options
from weights_conversion.models.plain_safetensors import convert_plain_safetensors
from weights_conversion.models.stylegan2.flaxmodels import convert_flaxmodels
from weights_conversion.models.stylegan2.tensorflow import convert_tensorflow
from weights_conversion.safetensors_folder import CONFIG_FILE, MODEL_FILE, read_folder, write_folder

Generator = tuple[dict[str, Any], dict[str, Any]]


def _tensorflow(protocol: int) -> bytes:
    generator = network(
        tensorflow_variables(small_official()[0]), {"conv_clamp": 256}, source="raise SystemExit(1)\n"
    )
    return write_pickle((generator, None, generator), protocol=protocol)


def _flaxmodels() -> bytes:
    return write_h5(flaxmodels_arrays(small_official()[0]))


def _flaxmodels_of_chunks() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in flaxmodels_arrays(small_official()[0]).items():
            options = {"chunks": True, "compression": "gzip"} if array.ndim else {}
            file.create_dataset(path, data=array, **options)
    return buffer.getvalue()


def _export() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        written = write_folder(Path(folder) / "export", *convert_tensorflow(_tensorflow(4)))
        return {name: (written / name).read_bytes() for name in (CONFIG_FILE, MODEL_FILE)}


def _state_dict() -> bytes:
    return save({name: np.array(array, order="C") for name, array in small_official()[0].items()})


def _read_state_dict(data: bytes) -> Generator:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        path.write_bytes(data)
        conversion = convert_plain_safetensors(path, Options(conv_clamp=None))
    return conversion.config, conversion.params


def _exported(name: str) -> tuple[Callable[[], bytes], Callable[[bytes], Generator]]:
    """One file of an export, and a reader that finds it beside the other, whole one."""
    valid = _export()

    def read(data: bytes) -> Generator:
        with tempfile.TemporaryDirectory() as folder:
            for file, content in (valid | {name: data}).items():
                (Path(folder) / file).write_bytes(content)
            return read_folder(folder)

    return lambda: valid[name], read


SMALL_FILES: dict[str, tuple[Callable[[], bytes], Callable[[bytes], Generator]]] = {
    "tensorflow": (lambda: _tensorflow(4), convert_tensorflow),
    "tensorflow-protocol-2": (lambda: _tensorflow(2), convert_tensorflow),
    "flaxmodels": (_flaxmodels, convert_flaxmodels),
    "flaxmodels-chunks": (_flaxmodels_of_chunks, convert_flaxmodels),
    "safetensors-state-dict": (_state_dict, _read_state_dict),
    "safetensors-config": _exported(CONFIG_FILE),
    "safetensors-arrays": _exported(MODEL_FILE),
}
"""Name of a format → (a valid file, its reader)."""
