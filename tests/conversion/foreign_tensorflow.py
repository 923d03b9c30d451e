"""Writes the pickles of StyleGAN2 for TensorFlow from parameters under the names of StyleGAN2 for PyTorch.

The classes that such a pickle names exist here only while it is written.
"""

import io
import pickle
import sys
import types
from collections.abc import Mapping
from typing import Any
from unittest import mock

import numpy as np


class Network:
    """Stands for `dnnlib.tflib.network.Network`."""

    __module__, __qualname__ = "dnnlib.tflib.network", "Network"

    def __init__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state


class EasyDict(dict):
    """Stands for `dnnlib.util.EasyDict`."""

    __module__, __qualname__ = "dnnlib.util", "EasyDict"


def _reconstruct() -> None: ...


def scalar() -> None: ...


for function in (_reconstruct, scalar):
    function.__module__ = "numpy.core.multiarray"

NAMES = {
    "dnnlib": {},
    "dnnlib.tflib": {},
    "dnnlib.tflib.network": {"Network": Network},
    "dnnlib.util": {"EasyDict": EasyDict},
    "numpy.core.multiarray": {"_reconstruct": _reconstruct, "scalar": scalar},
}


class _Pickler(pickle.Pickler):
    """Pickles arrays as NumPy 1 did."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            state = (1, value.shape, value.dtype, False, value.tobytes())
            return _reconstruct, (np.ndarray, (0,), b"b"), state
        if isinstance(value, np.generic):
            return scalar, (value.dtype, value.tobytes())
        return NotImplemented


def write_pickle(value: Any, *, protocol: int = 4, legacy_numpy: bool = True) -> bytes:
    """The content of a pickle whose networks are named as TensorFlow's are."""
    modules = {name: types.ModuleType(name) for name in NAMES}
    for name, contents in NAMES.items():
        vars(modules[name]).update(contents)
    buffer = io.BytesIO()
    with mock.patch.dict(sys.modules, modules if legacy_numpy else modules | {"numpy.core.multiarray": None}):
        (_Pickler if legacy_numpy else pickle.Pickler)(buffer, protocol).dump(value)
    return buffer.getvalue()


def tensorflow_variables(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name below the generator → array, from `mapping.*` and `synthesis.*`."""
    variables = {}
    for name, array in params.items():
        network, *parts, leaf = name.split(".")
        if leaf == "resample_filter":
            continue
        if leaf == "w_avg":
            variables["dlatent_avg"] = array
        elif network == "mapping":
            layer = parts[0].replace("fc", "Dense").replace("embed", "LabelEmbed")
            variables[f"mapping/{layer}/{leaf}"] = array.T if leaf == "weight" else array
        elif leaf == "const":
            variables["synthesis/4x4/Const/const"] = array[None]
        else:
            variables |= _layer(int(parts[0][1:]), parts[1], parts[-1] == "affine", leaf, array)
    return {name: np.asarray(array, order="C") if array.ndim else array for name, array in variables.items()}


def _layer(size: int, layer: str, affine: bool, leaf: str, array: np.ndarray) -> dict[str, np.ndarray]:
    names = {"conv0": "Conv0_up", "conv1": "Conv1" if size > 4 else "Conv", "torgb": "ToRGB", "skip": "Skip"}
    group = f"synthesis/{size}x{size}/{names[layer]}"
    if affine:
        return {f"{group}/mod_{leaf}": array.T if leaf == "weight" else array - np.float32(1)}
    if leaf == "noise_const":
        index = 2 * (size.bit_length() - 3) - (layer == "conv0")
        return {f"synthesis/noise{index}": array[None, None]}
    if leaf == "weight":
        array = array.transpose(2, 3, 1, 0)
        array = array[::-1, ::-1] if layer in ("conv0", "skip") else array
    return {f"{group}/{leaf}": array if array.ndim else np.float32(array)}


def network(
    variables: Mapping[str, Any],
    static_kwargs: Mapping[str, Any],
    *,
    version: int = 5,
    name: str = "Gs",
    function: str = "G_main",
    source: str = "",
) -> Network:
    """A generator with its two sub-networks."""

    def make(prefix: str, network_name: str, function_name: str, components: dict[str, Network]) -> Network:
        own = [
            (n.removeprefix(prefix), a)
            for n, a in variables.items()
            if n.startswith(prefix) and not any(n.startswith(f"{prefix}{c}/") for c in components)
        ]
        state = {
            "version": version,
            "name": network_name,
            "static_kwargs": dict(static_kwargs),
            "components": components,
            "build_module_src": source,
            "build_func_name": function_name,
            "variables": own,
        }
        if version >= 5:
            state |= {"input_shapes": [[None, 8]], "output_shapes": [[None, 8]]}
            state |= {"input_names": ["in"], "output_names": ["out"]}
        return Network(state)

    components = {
        "synthesis": make("synthesis/", "G_synthesis", "G_synthesis", {}),
        "mapping": make("mapping/", "G_mapping", "G_mapping", {}),
    }
    return make("", name, function, components)
