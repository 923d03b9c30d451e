"""The checkpoints (`.pt`) of rosinality's stylegan2-pytorch: the state dict of its generator, and the mean of W.

Its generator also lies inside the files of encoders (pixel2style2pixel, encoder4editing), and under other names in
those of BasicSR. The checkpoints do not hold the sizes: these come from the shapes of the arrays. The architecture is
always "skip", no activations are clamped, and there are no classes.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import read_source
from weights_conversion.formats.torch_file import is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.conversion import Loader
from weights_conversion.models.mean_w import mean_w
from weights_conversion.models.state_dicts import Found, find_state
from weights_conversion.models.stylegan2.layout import (
    Entry,
    check_config,
    convert_entries,
    image_shape,
    known_shape,
    target_shapes,
)

_LR_MULTIPLIER = 0.01
"""Multiplier of the learning rate of the mapping network."""

_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
_FILTER_NAME = re.compile(r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel")


_BASICSR = (
    (r"style_mlp\.", "style."),
    (r"constant_input\.weight", "input.input"),
    (r"(style_conv1|style_convs\.\d+)\.weight", r"\1.noise.weight"),
    (r"style_conv", "conv"),
    (r"(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)\.modulated_conv\.", r"\1.conv."),
    (r"noises\.noise(\d)", r"noises.noise_\1"),
)
"""Starts of names in BasicSR → starts of names in stylegan2-pytorch, applied one after another."""

_NOISE_SEED = 0


class Ignored:
    """Stands for an object beside the weights, such as the command-line options of a training."""

    def setstate(self, state: Any) -> None:
        """Drops it."""


OPTIONS_CONSTRUCTORS: dict[str, Any] = {"argparse.Namespace": Ignored}


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
    checkpoint = load_torch(data, constructors=OPTIONS_CONSTRUCTORS, name=name)
    found = find_state(checkpoint, name=name)
    if found.kind not in ("rosinality", "basicsr"):
        raise ConversionError(f"{name}: expected a generator of stylegan2-pytorch, found one of {found.kind}")
    allowance = Allowance(len(data), name=name)
    config, params, _ = convert_found(found, latent_avg_of(checkpoint, found), allowance.array, name=name)
    return config, params


def latent_avg_of(checkpoint: Any, found: Found) -> Any:
    """The mean of W beside a state dict or in it; None if the file has none."""
    beside = checkpoint.get("latent_avg") if isinstance(checkpoint, dict) else None
    return found.state.get("latent_avg") if beside is None else beside


def convert_found(
    found: Found, latent_avg: Any, load: Loader, *, name: str
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Convert a state dict of stylegan2-pytorch or BasicSR.

    Args:
        found: the state dict.
        latent_avg: the mean of W as a tensor: [w_dim], [1, w_dim], or [n, w_dim] of equal rows; None if there is none.
        load: from a tensor and its name to the array.
        name: what to call the file in an error.

    Returns:
        Config, nested dict of float32 arrays, and notes.

    Raises:
        ConversionError: if an array is missing, unknown, of another shape, or not finite.
    """
    state = {key: tensor for key, tensor in found.state.items() if key != "latent_avg"}
    if found.kind == "basicsr":
        state = {_rosinality_name(key): tensor for key, tensor in state.items()}
    arrays = {key: load(tensor, found.prefix + key) for key, tensor in state.items()}
    config = _config(arrays, name)
    notes = _add_noise(arrays, config)
    shapes = target_shapes(config)
    if latent_avg is None:
        del shapes["w_avg"]
        notes += ("The file has no latent_avg: the mean of W was computed from 65,536 random latents.",)
    else:
        arrays["latent_avg"] = _one_row(load(latent_avg, "latent_avg"), config["w_dim"], name)
    entries = _entries(config, shapes)
    _check_rest(arrays, entries, name)
    params = convert_entries(arrays, entries, shapes, name=name)
    if latent_avg is None:
        params["w_avg"] = mean_w(params["mapping_network"])
    return config, params, notes


def _rosinality_name(key: str) -> str:
    for pattern, replacement in _BASICSR:
        if re.match(pattern, key):
            key = re.sub(f"^{pattern}", replacement, key, count=1)
    return key


def _one_row(array: np.ndarray, w_dim: int, name: str) -> np.ndarray:
    """The mean of W from one row for each layer of W+; the files of encoders repeat it."""
    rows = array.reshape(-1, w_dim) if array.ndim and array.shape[-1] == w_dim else array[None]
    if len(rows) == 0 or not np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape)):
        raise ConversionError(
            f"{name}: latent_avg: expected one latent of W or equal rows of it, found shape {array.shape} "
            "with different rows"
        )
    return rows[0]


def _add_noise(arrays: dict[str, np.ndarray], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Noise images for files without any: the original code draws new ones each time it loads such a file."""
    if any(key.startswith("noises.") for key in arrays):
        return ()
    random = np.random.RandomState(_NOISE_SEED)
    height, width = config.get("constant_size", (4, 4))
    for layer in range(2 * len(config["channels"]) - 1):
        scale = 2 ** ((layer + 1) // 2)
        shape = (1, 1, height * scale, width * scale)
        arrays[f"noises.noise_{layer}"] = random.standard_normal(shape).astype(np.float32)
    return ("The file has no noise images: they were drawn from seed 0.",)


def _config(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    layers, blocks = 0, 1
    while f"style.{layers + 1}.weight" in arrays:
        layers += 1
    while f"convs.{2 * blocks - 1}.conv.weight" in arrays:
        blocks += 1
    convs = ["conv1.conv.weight", *(f"convs.{2 * i - 1}.conv.weight" for i in range(1, blocks))]
    size = known_shape(arrays, "input.input", 4, name=name)[2:]
    config = {
        "family": "stylegan2",
        "z_dim": known_shape(arrays, "style.1.weight", 2, name=name)[1],
        "c_dim": 0,
        "w_dim": known_shape(arrays, "conv1.conv.modulation.weight", 2, name=name)[1],
        "mapping_layers": layers,
        "resolution": max(size) * 2 ** (blocks - 1),
        "channels": [known_shape(arrays, conv, 5, name=name)[1] for conv in convs],
        "architecture": "skip",
        "conv_clamp": None,
        **image_shape(known_shape(arrays, "to_rgb1.bias", 4, name=name)[1], size),
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
    channels, size = config["channels"], shapes["constant"][:2]
    entries.append(
        Entry("input.input", "constant", (1, channels[0], *size), lambda array: array[0].transpose(1, 2, 0))
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
