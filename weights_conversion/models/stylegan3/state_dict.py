"""StyleGAN3 arrays under the parameter names of NVIDIA's code (`synthesis.L0_36_512.weight`, …)."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.models import conversion
from weights_conversion.models.conversion import Loader
from weights_conversion.models.state_dicts import Found
from weights_conversion.models.stylegan2.layout import Entry, convert_entries, known_shape
from weights_conversion.models.stylegan2.state_dict import (
    dense_entries,
    mapping_entries,
    same_entry,
    transposed,
)
from weights_conversion.models.stylegan3.filters import separable_terms
from weights_conversion.models.stylegan3.layout import check_config, sizes, taps, target_shapes

_LAYER = re.compile(r"synthesis\.(L(\d{1,3})_(\d{1,5})_(\d{1,5}))\.weight")


class Options(NamedTuple):
    """What a state dict of a StyleGAN3 does not hold; the values of all published generators."""

    margin_size: int = 10
    bandwidth: float = 2.0
    lrelu_upsampling: int = 2
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25
    lr_multiplier: float = 0.01


def convert_state_dict(
    arrays: Mapping[str, np.ndarray], options: Options | None = None, *, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert the arrays of a generator.

    Args:
        arrays: name below the generator → array. Arrays that the converted form does not need are ignored.
        options: what the arrays do not tell; by default as in all published generators.
        name: what to call the file in an error.

    Returns:
        The config and the nested dict of float32 arrays.

    Raises:
        ConversionError: if the arrays are not those of a StyleGAN3, or one is missing, of another shape, or not finite.
    """
    options = options or Options()
    names = layer_names(arrays, name=name)
    config = _config(arrays, names, options, name)
    check_config(config, name=name)
    if (expected := _names(config)) != names:
        different = next(pair for pair in zip(expected, names, strict=True) if pair[0] != pair[1])
        raise ConversionError(f"{name}: expected a layer {different[0]}, found {different[1]}")
    arrays = dict(arrays)
    filters = _filters(arrays, names, config, name)
    embed = known_shape(arrays, "mapping.embed.weight", 2, name=name)[0] if config["c_dim"] else None
    hidden = [
        known_shape(arrays, f"mapping.fc{i}.weight", 2, name=name)[0]
        for i in range(config["mapping_layers"] - 1)
    ]
    ranks = [filters[f"synthesis.{layer}.down_filter"].shape[0] for layer in names[:-1]]
    shapes = target_shapes(config, embed=embed, hidden=hidden, ranks=ranks)
    gains = {layer: _input_gain(arrays, layer, name) for layer in names}
    entries = mapping_entries(config, shapes, options.lr_multiplier) + _fourier_features(config, shapes)
    for i, layer in enumerate(names[:-1]):
        entries += _layer(f"synthesis.{layer}", f"layers.{i}", shapes)
    entries += _to_rgb(f"synthesis.{names[-1]}", shapes, gains[names[-1]])
    arrays |= filters
    arrays |= {f"synthesis.{layer}.input_gain": gain for layer, gain in gains.items()}
    return config, convert_entries(arrays, entries, shapes, name=name)


def convert_plain_state(
    found: Found, load: Loader, options: conversion.Options, *, name: str
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Convert a state dict without the modules that computed with it.

    Args:
        found: the state dict.
        load: from a tensor and its name to the array.
        options: what a state dict does not hold. An unknown `conv_clamp` is 256, as in all published generators.
        name: what to call the file in an error.

    Returns:
        Config, nested dict of float32 arrays, and notes.

    Raises:
        ConversionError: as `convert_state_dict`.
    """
    arrays = {key: load(tensor, found.prefix + key) for key, tensor in found.state.items()}
    clamp = 256.0 if isinstance(options.conv_clamp, str) else options.conv_clamp
    own = Options(conv_clamp=clamp, lr_multiplier=options.lr_multiplier)
    config, params = convert_state_dict(arrays, own, name=name)
    note = (
        f"A state dict of a StyleGAN3 does not hold all options: conv_clamp {clamp}, lr_multiplier "
        f"{options.lr_multiplier:g}, margin_size 10, a first cutoff of 2 and an output_scale of 0.25 were used."
    )
    return config, params, (note,)


def layer_names(names: Mapping[str, Any], *, name: str) -> list[str]:
    """Names of the layers in their order, that to RGB last, from the names of the arrays.

    Raises:
        ConversionError: if a layer is missing.
    """
    found = {int(match[2]): match[1] for match in map(_LAYER.fullmatch, names) if match}
    if len(found) < 2 or sorted(found) != list(range(len(found))):
        raise ConversionError(
            f"{name}: expected layers L0_…, L1_…, … of a StyleGAN3, found {len(found)} of them"
        )
    return [found[i] for i in range(len(found))]


def _config(
    arrays: Mapping[str, np.ndarray], names: list[str], options: Options, name: str
) -> dict[str, Any]:
    layers = 0
    while f"mapping.fc{layers}.weight" in arrays:
        layers += 1
    width = known_shape(arrays, "mapping.fc0.weight", 2, name=name)[1]
    embed, c_dim = 0, 0
    if "mapping.embed.weight" in arrays:
        embed, c_dim = known_shape(arrays, "mapping.embed.weight", 2, name=name)
    parts = [[int(part) for part in layer[1:].split("_")] for layer in names]
    resolution = parts[-1][1]
    rates = [size - 2 * options.margin_size for _, size, _ in parts[:-2]]
    if parts[-1][2] != 3:
        raise ConversionError(f"{name}: expected images of 3 channels, found {parts[-1][2]}")
    first = f"synthesis.{names[0]}"
    down_filter = arrays.get(f"{first}.down_filter")
    down_taps = options.lrelu_upsampling if down_filter is None else down_filter.shape[-1]
    return {
        "family": "stylegan3",
        "z_dim": width - embed,
        "c_dim": c_dim,
        "w_dim": known_shape(arrays, "mapping.w_avg", 1, name=name)[0],
        "mapping_layers": layers,
        "resolution": resolution,
        "channels": [part[2] for part in parts[:-1]],
        "sampling_rates": [*rates, resolution],
        "margin_size": options.margin_size,
        "bandwidth": float(options.bandwidth),
        "conv_kernel": known_shape(arrays, f"{first}.weight", 4, name=name)[3],
        "filter_size": max(down_taps // options.lrelu_upsampling, 1),
        "lrelu_upsampling": options.lrelu_upsampling,
        "conv_clamp": options.conv_clamp,
        "output_scale": float(options.output_scale),
    }


def _names(config: Mapping[str, Any]) -> list[str]:
    """The names that the original gives to layers of these sizes."""
    channels = [*config["channels"], 3]
    pairs = zip(sizes(config), channels, strict=True)
    return [f"L{i}_{size}_{width}" for i, (size, width) in enumerate(pairs)]


def _filters(
    arrays: Mapping[str, np.ndarray], names: list[str], config: Mapping[str, Any], name: str
) -> dict[str, np.ndarray]:
    """The filters of each layer: up [taps], down [rank, 2, taps]. The original leaves out those with one tap."""
    filters = {}
    for i, layer in enumerate(names[:-1]):
        for kind, count in zip(("up_filter", "down_filter"), taps(config, i), strict=True):
            key = f"synthesis.{layer}.{kind}"
            array = np.ones(1) if count == 1 and key not in arrays else arrays.get(key)
            shapes = [(count,)] if kind == "up_filter" else [(count,), (count, count)]
            if array is None or array.shape not in shapes or not np.isfinite(array).all():
                found = "none" if array is None else f"one of shape {array.shape}"
                raise ConversionError(
                    f"{name}: {key}: expected a finite filter of {count} taps, found {found}"
                )
            if kind == "down_filter":
                array = separable_terms(array) if array.ndim == 2 else np.stack([array, array])[None]
            filters[key] = array.astype(np.float32)
    return filters


def _input_gain(arrays: Mapping[str, np.ndarray], layer: str, name: str) -> np.ndarray:
    source = f"synthesis.{layer}.magnitude_ema"
    magnitude = arrays.get(source)
    if magnitude is None or magnitude.shape != () or not magnitude > 0:
        found = "none" if magnitude is None else f"{magnitude!s:.40}"
        raise ConversionError(f"{name}: {source}: expected a number above 0, found {found}")
    return np.asarray(1 / np.sqrt(magnitude), np.float32)


def _fourier_features(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    source, target = "synthesis.input", "fourier_features"
    weight = transposed((1, 0), 1 / math.sqrt(config["channels"][0]))
    return [
        *dense_entries(f"{source}.affine", f"{target}.affine", shapes),
        Entry(f"{source}.weight", f"{target}.weight", shapes[f"{target}.weight"], weight),
        same_entry(f"{source}.freqs", f"{target}.frequencies", shapes),
        same_entry(f"{source}.phases", f"{target}.phases", shapes),
        same_entry(f"{source}.transform", f"{target}.transform", shapes),
    ]


def _unit_power(weight: np.ndarray) -> np.ndarray:
    """Kernels [out, in, rows, columns] ↦ [rows, columns, in, out] with a mean square of 1 for each output."""
    power = np.mean(np.square(weight, dtype=np.float64), axis=(1, 2, 3), keepdims=True)
    return (weight / np.sqrt(power)).astype(np.float32).transpose(2, 3, 1, 0)


def _layer(source: str, target: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    rows, columns, inner, outer = shapes[f"{target}.weight"]
    same = [same_entry(f"{source}.{key}", f"{target}.{key}", shapes) for key in ("bias", "input_gain")]
    filters = [
        same_entry(f"{source}.{key}", f"{target}.{key}", shapes) for key in ("up_filter", "down_filter")
    ]
    return [
        *dense_entries(f"{source}.affine", f"{target}.affine", shapes),
        Entry(f"{source}.weight", f"{target}.weight", (outer, inner, rows, columns), _unit_power),
        *same,
        *filters,
    ]


def _to_rgb(source: str, shapes: Mapping[str, tuple[int, ...]], input_gain: np.ndarray) -> list[Entry]:
    inputs, outputs = shapes["to_rgb.weight"]
    gain = np.float32(input_gain / math.sqrt(inputs))
    return [
        *dense_entries(f"{source}.affine", "to_rgb.affine", shapes),
        Entry(
            f"{source}.weight",
            "to_rgb.weight",
            (outputs, inputs, 1, 1),
            lambda array: array[:, :, 0, 0].T * gain,
        ),
        same_entry(f"{source}.bias", "to_rgb.bias", shapes),
    ]
