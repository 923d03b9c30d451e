"""StyleGAN2 generators of the Flax library flaxmodels: HDF5 files (`.h5`).

They hold the variables of NVIDIA's TensorFlow checkpoints under names of their own and with channels last. The
architecture is always "skip". There is no `conv_clamp`, because flaxmodels does not clamp activations.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import LARGEST_RATIO, read_source
from weights_conversion.models.stylegan2.variables import convert_variables


def convert_flaxmodels(source: str | Path | bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a generator of flaxmodels. Needs the package pyfive.

    Args:
        source: the `.h5` file, or its content.

    Returns:
        The config and the nested dict of float32 arrays of the converted form.

    Raises:
        ConversionError: if pyfive is not installed, or the file is damaged or no such generator.
    """
    data, name = read_source(source)
    try:
        import pyfive
    except ImportError as error:
        raise ConversionError(
            f"{name}: HDF5 files need the package pyfive: pip install 'jaxedit[h5]' or pip install pyfive"
        ) from error
    try:
        with pyfive.File(_WholeReads(data)) as file:
            variables = _Reader(file, len(data), name).variables()
    except ConversionError:
        raise
    except Exception as error:  # of every kind, where the structure of the file is damaged
        detail = str(error)[:120] or type(error).__name__
        raise ConversionError(
            f"{name}: expected an HDF5 file of flaxmodels, it is damaged: {detail!r}"
        ) from error
    return convert_variables(variables, name=name)


class _WholeReads(io.BytesIO):
    """A file that raises an error at its end, where pyfive would continue with incomplete arrays."""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if size is not None and size > len(found):
            raise EOFError("it ends before its arrays do")
        return found


class _Reader:
    """Collects the arrays of the file under the names of the TensorFlow variables."""

    def __init__(self, file: Any, size: int, name: str) -> None:
        self.file = file
        self.name = name
        self.left = LARGEST_RATIO * size
        self.found: dict[str, np.ndarray] = {}

    def variables(self) -> dict[str, np.ndarray]:
        for group in ("mapping_network", "synthesis_network"):
            if group not in self.file:
                found = sorted(key[:40] for key in self.file)[:4]
                raise ConversionError(
                    f"{self.name}: expected a group {group} of a generator of flaxmodels, found {found}"
                )
        mapping, synthesis = self.file["mapping_network"], self.file["synthesis_network"]
        self._array(mapping, "w_avg", "dlatent_avg")
        self._layer(mapping, "label_embedding", "mapping/LabelEmbed")
        for i in range(len(mapping)):
            self._layer(mapping, f"fc{i}", f"mapping/Dense{i}")
        self._array(synthesis, "const", "synthesis/4x4/Const/const", channels_first=True)
        for i in range(len(synthesis)):
            size = f"{4 * 2**i}x{4 * 2**i}"
            if f"block_{size}" in synthesis:
                self._block(synthesis[f"block_{size}"], f"synthesis/{size}", i)
        return self.found

    def _block(self, block: Any, target: str, i: int) -> None:
        layers = (
            (("layer0", "Conv", 0),)
            if i == 0
            else (("layer0", "Conv0_up", 2 * i - 1), ("layer1", "Conv1", 2 * i))
        )
        for source, name, noise in layers:
            if source in block:
                self._modulated(block[source], f"{target}/{name}")
                self._array(block[source], "noise_strength", f"{target}/{name}/noise_strength")
                self._array(block[source], "noise_const", f"synthesis/noise{noise}", channels_first=True)
        if "torgb" in block:
            self._modulated(block["torgb"], f"{target}/ToRGB")

    def _modulated(self, group: Any, target: str) -> None:
        self._layer(group, "conv", target)
        self._layer(group, "affine", target, prefix="mod_")

    def _layer(self, group: Any, source: str, target: str, *, prefix: str = "") -> None:
        if source in group:
            for part in ("weight", "bias"):
                self._array(group[source], part, f"{target}/{prefix}{part}")

    def _array(self, group: Any, source: str, target: str, *, channels_first: bool = False) -> None:
        if source not in group:
            return  # `convert_variables` reports a missing array
        where = f"{self.name}: {group.name}/{source}"
        # Sizes are checked before any of the data is read, its index included.
        dataset = group.get_lazy_view(source)
        shape, dtype = getattr(dataset, "shape", None), getattr(dataset, "dtype", None)
        if not isinstance(shape, tuple) or not isinstance(dtype, np.dtype) or dtype.kind != "f":
            raise ConversionError(f"{where}: expected an array of floating-point numbers, found {dtype}")
        self.left -= math.prod(shape) * dtype.itemsize
        if self.left < 0:
            raise ConversionError(f"{where}: the file is too small for arrays of the sizes that it declares")
        array = np.asarray(dataset[()], np.float32)
        if source == "noise_strength" and array.size == 1:
            array = array.reshape(())
        self.found[target] = np.moveaxis(array, -1, 1) if channels_first and array.ndim == 4 else array
