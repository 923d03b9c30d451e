"""Writes the modules of NVIDIA's StyleGAN3 as its pickles hold them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.conversion.foreign_torch import Parameter, Persistent, _state
from weights_conversion.models.stylegan3.layout import factors
from weights_conversion.models.stylegan3.state_dict import convert_state_dict, layer_names

_BUFFERS = ("w_avg", "transform", "freqs", "phases", "magnitude_ema", "up_filter", "down_filter")


def stylegan3_module(
    params: Mapping[str, np.ndarray], *, change: Mapping[str, Mapping[str, Any]] | None = None
) -> Persistent:
    """The generator of a state dict.

    Args:
        params: official name → array.
        change: path of a module → attributes to replace.
    """
    config, _ = convert_state_dict(params, name="reference")
    names = layer_names(params, name="reference")
    states: dict[str, dict[str, Any]] = {"": _state()}
    for name, array in params.items():
        *path, leaf = name.split(".")
        for depth in range(1, len(path) + 1):
            states.setdefault(".".join(path[:depth]), _state())
        kind = "_buffers" if leaf in _BUFFERS else "_parameters"
        states[".".join(path)][kind][leaf] = array if kind == "_buffers" else Parameter(array)
    modules = {}
    for path, state in states.items():
        class_name, attributes = _described(path, params, config, names)
        state |= attributes | dict((change or {}).get(path, {}))
        modules[path] = Persistent(class_name, state, "raise SystemExit")
    for path, module in modules.items():
        if path:
            parent, _, name = path.rpartition(".")
            states[parent]["_modules"][name] = module
    return modules[""]


def _described(
    path: str, params: Mapping[str, np.ndarray], config: Mapping[str, Any], names: list[str]
) -> tuple[str, dict[str, Any]]:
    """Class and attributes of the module at a path."""
    leaf = path.rpartition(".")[2]
    if not path:
        return "Generator", {}
    if path == "mapping":
        return "MappingNetwork", {}
    if path == "synthesis":
        return "SynthesisNetwork", {"margin_size": 10, "output_scale": 0.25}
    if path == "synthesis.input":
        return "SynthesisInput", {"sampling_rate": float(config["sampling_rates"][0]), "bandwidth": 2.0}
    if leaf in names:
        i = names.index(leaf)
        up, down = factors(config, i) if i < len(names) - 1 else (1, 1)
        return "SynthesisLayer", {
            "conv_clamp": 256,
            "up_factor": up,
            "down_factor": down,
            "conv_kernel": params[f"{path}.weight"].shape[3],
            "out_sampling_rate": config["sampling_rates"][min(i, len(names) - 2)],
        }
    multiplier = 0.01 if leaf.startswith("fc") else 1
    fan_in = params[f"{path}.weight"].shape[1]
    return "FullyConnectedLayer", {
        "activation": "lrelu" if leaf.startswith("fc") else "linear",
        "in_features": fan_in,
        "weight_gain": multiplier / np.sqrt(fan_in),
        "bias_gain": multiplier,
    }
