"""StyleGAN2 arrays under the parameter names of NVIDIA's PyTorch code (`synthesis.b8.conv0.weight`, …)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weights_conversion.models.stylegan2.layout import (
    Entry,
    check_config,
    convert_entries,
    known_shape,
    target_shapes,
)

MAPPING_LR_MULTIPLIER = 0.01
"""The default of the mapping network."""


def convert_state_dict(
    arrays: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    *,
    lr_multiplier: float = MAPPING_LR_MULTIPLIER,
    name: str,
) -> dict[str, Any]:
    """Convert the arrays of a generator.

    Args:
        arrays: name below the generator → array. Arrays that the converted form does not need are ignored.
        config: its config.
        lr_multiplier: multiplier of the learning rate of the mapping layers.
        name: what to call the file in an error.

    Returns:
        The nested dict of float32 arrays.

    Raises:
        ConversionError: if the config is not that of a StyleGAN2, or an array is missing, of another shape, or not
            finite.
    """
    check_config(config, name=name)
    shapes = _shapes(arrays, config, name)
    return convert_entries(arrays, _entries(config, shapes, lr_multiplier), shapes, name=name)


def source_names(config: Mapping[str, Any]) -> set[str]:
    """The names of all arrays that `convert_state_dict` takes for a config."""
    return {entry.source for entry in _entries(config, target_shapes(config))}


def _shapes(
    arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], name: str
) -> dict[str, tuple[int, ...]]:
    embed = None
    if config["c_dim"] > 0:
        embed = known_shape(arrays, "mapping.embed.weight", 2, name=name)[0]
    layers = range(config["mapping_layers"])
    hidden = [known_shape(arrays, f"mapping.fc{i}.weight", 2, name=name)[0] for i in layers[:-1]]
    return target_shapes(config, embed=embed, hidden=hidden)


def _entries(
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    lr_multiplier: float = MAPPING_LR_MULTIPLIER,
) -> list[Entry]:
    constant = _shape(shapes["constant"], (2, 0, 1))
    entries = [
        *mapping_entries(config, shapes, lr_multiplier),
        Entry("synthesis.b4.const", "constant", constant, transposed((1, 2, 0))),
    ]
    for i in range(len(config["channels"])):
        source, target = f"synthesis.b{4 * 2**i}", f"blocks.{i}"
        for layer in ("conv0", "conv1"):
            if f"{target}.{layer}.weight" in shapes:
                entries += _layer(f"{source}.{layer}", f"{target}.{layer}", shapes)
        if f"{target}.to_rgb.weight" in shapes:
            entries += dense_entries(f"{source}.torgb.affine", f"{target}.to_rgb.affine", shapes)
            entries += [
                _pointwise(f"{source}.torgb.weight", f"{target}.to_rgb.weight", shapes),
                same_entry(f"{source}.torgb.bias", f"{target}.to_rgb.bias", shapes),
            ]
        if f"{target}.skip.weight" in shapes:
            entries.append(_pointwise(f"{source}.skip.weight", f"{target}.skip.weight", shapes))
    return entries


def transposed(axes: tuple[int, ...], gain: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """The transform that permutes the axes and multiplies by a gain."""
    return lambda array: array.transpose(axes) * np.float32(gain)


def _shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)


def same_entry(source: str, target: str, shapes: Mapping[str, tuple[int, ...]]) -> Entry:
    """An array that stays as it is."""
    return Entry(source, target, shapes[target])


def dense_entries(
    source: str, target: str, shapes: Mapping[str, tuple[int, ...]], lr_multiplier: float = 1.0
) -> list[Entry]:
    """Weight and bias of a dense layer, with the gains that the original applies at run time."""
    shape = shapes[f"{target}.weight"]
    weight = transposed((1, 0), lr_multiplier / math.sqrt(shape[0]))
    bias = transposed((0,), lr_multiplier)
    return [
        Entry(f"{source}.weight", f"{target}.weight", shape[::-1], weight),
        Entry(f"{source}.bias", f"{target}.bias", shapes[f"{target}.bias"], bias),
    ]


def mapping_entries(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], lr_multiplier: float
) -> list[Entry]:
    """The mean of W and the mapping network, whose names StyleGAN2-ADA and StyleGAN3 share."""
    entries = [same_entry("mapping.w_avg", "w_avg", shapes)]
    if config["c_dim"] > 0:
        entries += dense_entries("mapping.embed", "mapping_network.embed", shapes)
    for i in range(config["mapping_layers"]):
        entries += dense_entries(f"mapping.fc{i}", f"mapping_network.layers.{i}", shapes, lr_multiplier)
    return entries


def _pointwise(source: str, target: str, shapes: Mapping[str, tuple[int, ...]]) -> Entry:
    inputs, outputs = shapes[target]
    gain = np.float32(1 / math.sqrt(inputs))
    return Entry(source, target, (outputs, inputs, 1, 1), lambda array: array[:, :, 0, 0].T * gain)


def _layer(source: str, target: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    weight, axes = f"{target}.weight", (2, 3, 1, 0)
    return [
        *dense_entries(f"{source}.affine", f"{target}.affine", shapes),
        Entry(f"{source}.weight", weight, _shape(shapes[weight], (3, 2, 0, 1)), transposed(axes)),
        same_entry(f"{source}.noise_strength", f"{target}.noise_strength", shapes),
        same_entry(f"{source}.noise_const", f"{target}.noise", shapes),
        same_entry(f"{source}.bias", f"{target}.bias", shapes),
    ]
