"""The checkpoints (`.pt`) of rosinality's stylegan2-pytorch: the state dict of its generator, and the mean of W.

The checkpoints do not hold the sizes: these come from the shapes of the arrays. The architecture is always "skip", no
activations are clamped, and there are no classes.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import read_source
from weights_conversion.formats.safe_pickle import describe
from weights_conversion.formats.torch_file import is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.mean_w import mean_w
from weights_conversion.models.stylegan2.layout import (
    Entry,
    check_config,
    convert_entries,
    known_shape,
    target_shapes,
)

_LR_MULTIPLIER = 0.01
"""Multiplier of the learning rate of the mapping network."""

_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
_FILTER_NAME = re.compile(r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel")


class _Options:
    """Stands for the command-line options in a checkpoint of a training. They are ignored."""

    def setstate(self, state: Any) -> None:
        """Drops them."""


def convert_rosinality(source: str | Path | bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator of a checkpoint: `g_ema`, the average over the training, else `g`, else a bare state dict.

    Args:
        source: path of the `.pt` file, or its content.

    Returns:
        The config and the nested dict of float32 arrays of the converted form. Where the file has no `latent_avg`,
        the mean of W is computed from random latents.

    Raises:
        ConversionError: if the file is damaged, asks for anything but arrays, or holds no generator of this code.
    """
    data, name = read_source(source)
    if not is_torch_file(data):
        raise ConversionError(f"{name}: expected a file of torch.save, found another format")
    checkpoint = load_torch(data, constructors={"argparse.Namespace": _Options}, name=name)
    allowance = Allowance(len(data), name=name)
    state = _state(checkpoint, name)
    arrays = {key: allowance.array(tensor, key) for key, tensor in state.items()}
    config = _config(arrays, name)
    shapes = target_shapes(config)
    latent_avg = checkpoint.get("latent_avg")
    if latent_avg is None:
        del shapes["w_avg"]
    else:
        arrays["latent_avg"] = allowance.array(latent_avg, "latent_avg").reshape(-1)
    entries = _entries(config, shapes)
    _check_rest(arrays, entries, name)
    params = convert_entries(arrays, entries, shapes, name=name)
    return config, params if latent_avg is not None else params | {"w_avg": mean_w(params["mapping_network"])}


def _state(checkpoint: Any, name: str) -> Mapping[str, Any]:
    """The state dict of the generator."""
    if type(checkpoint) is not dict:
        raise ConversionError(f"{name}: expected a checkpoint with g_ema, found {describe(checkpoint)}")
    keys = ("g_ema", "g")
    state = next((checkpoint[key] for key in keys if checkpoint.get(key) is not None), checkpoint)
    if type(state) is not dict or "input.input" not in state:
        found = ", ".join(describe(key) for key in list(checkpoint)[:4]) or "nothing"
        raise ConversionError(f"{name}: expected a generator of stylegan2-pytorch as g_ema, found {found}")
    state = {key: tensor for key, tensor in state.items() if key != "latent_avg"}
    if not all(type(key) is str for key in state):
        raise ConversionError(f"{name}: expected names of parameters as the keys of g_ema, found others")
    return state


def _config(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    layers, blocks = 0, 1
    while f"style.{layers + 1}.weight" in arrays:
        layers += 1
    while f"convs.{2 * blocks - 1}.conv.weight" in arrays:
        blocks += 1
    convs = ["conv1.conv.weight", *(f"convs.{2 * i - 1}.conv.weight" for i in range(1, blocks))]
    config = {
        "family": "stylegan2",
        "z_dim": known_shape(arrays, "style.1.weight", 2, name=name)[1],
        "c_dim": 0,
        "w_dim": known_shape(arrays, "conv1.conv.modulation.weight", 2, name=name)[1],
        "mapping_layers": layers,
        "resolution": 4 * 2 ** (blocks - 1),
        "channels": [known_shape(arrays, conv, 5, name=name)[1] for conv in convs],
        "architecture": "skip",
        "conv_clamp": None,
    }
    check_config(config, name=name)
    return config


def _check_rest(arrays: Mapping[str, np.ndarray], entries: list[Entry], name: str) -> None:
    """Refuse other resampling filters than the supported one, and any other array that the table does not use."""
    for key in sorted(arrays.keys() - {entry.source for entry in entries}):
        if not _FILTER_NAME.fullmatch(key):
            raise ConversionError(
                f"{name}: expected the parameters of a StyleGAN2 alone, found also {key[:80]!r}"
            )
        if arrays[key].shape != (4, 4) or not np.allclose(arrays[key], _FILTER, atol=1e-4):
            raise ConversionError(f"{name}: {key}: expected the filter [1, 3, 3, 1], found another one")


def _entries(config: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    entries = []
    if "w_avg" in shapes:
        entries.append(Entry("latent_avg", "w_avg", shapes["w_avg"]))
    for i in range(config["mapping_layers"]):
        entries += _dense(f"style.{i + 1}", f"mapping_network.layers.{i}", shapes, _LR_MULTIPLIER)
    channels = config["channels"]
    entries.append(
        Entry("input.input", "constant", (1, channels[0], 4, 4), lambda array: array[0].transpose(1, 2, 0))
    )
    for i in range(len(channels)):
        if i > 0:
            entries += _layer(f"convs.{2 * i - 2}", f"blocks.{i}.conv0", 2 * i - 1, shapes)
        entries += _layer(f"convs.{2 * i - 1}" if i else "conv1", f"blocks.{i}.conv1", 2 * i, shapes)
        entries += _to_rgb(f"to_rgbs.{i - 1}" if i else "to_rgb1", f"blocks.{i}.to_rgb", shapes)
    return entries


def _dense(
    source: str, target: str, shapes: Mapping[str, tuple[int, ...]], lr_multiplier: float = 1.0
) -> list[Entry]:
    inputs, outputs = shapes[f"{target}.weight"]
    gain, bias_gain = np.float32(lr_multiplier / math.sqrt(inputs)), np.float32(lr_multiplier)
    return [
        Entry(f"{source}.weight", f"{target}.weight", (outputs, inputs), lambda array: array.T * gain),
        Entry(f"{source}.bias", f"{target}.bias", (outputs,), lambda array: array * bias_gain),
    ]


def _layer(source: str, target: str, index: int, shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    height, width, inputs, outputs = shapes[f"{target}.weight"]
    size = shapes[f"{target}.noise"]
    gain = np.float32(1 / math.sqrt(height * width * inputs))
    return [
        *_dense(f"{source}.conv.modulation", f"{target}.affine", shapes),
        Entry(
            f"{source}.conv.weight",
            f"{target}.weight",
            (1, outputs, inputs, height, width),
            lambda array: array[0].transpose(2, 3, 1, 0) * gain,
        ),
        Entry(f"{source}.noise.weight", f"{target}.noise_strength", (1,), lambda array: array[0]),
        Entry(f"noises.noise_{index}", f"{target}.noise", (1, 1, *size), lambda array: array[0, 0]),
        Entry(f"{source}.activate.bias", f"{target}.bias", (outputs,)),
    ]


def _to_rgb(source: str, target: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    inputs, outputs = shapes[f"{target}.weight"]
    gain = np.float32(1 / math.sqrt(inputs))
    return [
        *_dense(f"{source}.conv.modulation", f"{target}.affine", shapes),
        Entry(
            f"{source}.conv.weight",
            f"{target}.weight",
            (1, outputs, inputs, 1, 1),
            lambda array: array[0, :, :, 0, 0].T * gain,
        ),
        Entry(f"{source}.bias", f"{target}.bias", (1, outputs, 1, 1), lambda array: array.reshape(-1)),
    ]
