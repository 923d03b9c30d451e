"""Variables of NVIDIA's StyleGAN2 for TensorFlow, from any file that holds them.

The converted form follows NVIDIA's later PyTorch code. TensorFlow's variables differ from it in two ways: the filters
of upsampling convolutions are flipped, and the bias of a style lies around 0, to which the network adds 1. TensorFlow
also multiplies the 3×3 filters by 1/√(9·in). The conversion omits this factor, because the demodulation cancels every
constant factor.

The names of the blocks (4x4, 8x8, …) are those of square images, also where the constant has another shape.
"""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.layout import (
    Entry,
    check_config,
    convert_entries,
    image_shape,
    known_shape,
    target_shapes,
)

_BLOCK = re.compile(r"synthesis/(\d{1,4})x\1/Conv1/weight")
_UNUSED = re.compile(r"(synthesis/)?lod|synthesis/ToRGB_lod[1-9]\d?/(weight|bias|mod_weight|mod_bias)")
"""Variables that progressive growing leaves behind. With `lod` at 0, only the image of the last block counts."""


def convert_variables(
    variables: Mapping[str, np.ndarray],
    *,
    name: str,
    mapping_lrmul: float = 0.01,
    conv_clamp: float | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert the variables of a generator.

    Args:
        variables: name below the generator (`dlatent_avg`, `mapping/Dense0/weight`, `synthesis/4x4/Const/const`, …)
            → array. All sizes are taken from their shapes.
        name: what to call the file in an error.
        mapping_lrmul: the factor of weights and biases in the mapping network.
        conv_clamp: the option of that name.

    Returns:
        The config and the nested dict of float32 arrays.

    Raises:
        ConversionError: if a variable is missing, unknown, of another shape, or not finite.
    """
    variables = dict(variables)
    if "mapping/LabelConcat/weight" in variables:
        raise ConversionError(
            f"{name}: a conditional generator of the first StyleGAN2 (LabelConcat) is not supported; "
            "those of StyleGAN2-ADA are"
        )
    _end_growing(variables, name)
    config = _config(variables, name) | {"conv_clamp": conv_clamp}
    check_config(config, name=name)
    widths = _mapping_widths(variables, config, name)
    entries = _mapping_entries(config, mapping_lrmul, widths) + _synthesis_entries(variables, config)
    unknown = sorted(variables.keys() - {entry.source for entry in entries})
    unknown = [source for source in unknown if not _UNUSED.fullmatch(source)]
    if unknown:
        raise ConversionError(
            f"{name}: expected the variables of a StyleGAN2 alone, found also {unknown[:3]}"
        )
    shapes = target_shapes(config, embed=widths.embed, hidden=widths.hidden)
    return config, convert_entries(variables, entries, shapes, name=name)


def _end_growing(variables: dict[str, np.ndarray], name: str) -> None:
    """Rename the head of a progressively grown network to its name in other networks."""
    for lod in ("lod", "synthesis/lod"):
        if lod in variables and np.any(variables[lod] != 0):
            raise ConversionError(
                f"{name}: expected a network that has grown to its end, found {lod} above 0"
            )
    size = _resolution(variables, name)
    for part in ("weight", "bias", "mod_weight", "mod_bias"):
        head = variables.pop(f"synthesis/ToRGB_lod0/{part}", None)
        if head is not None:
            variables[f"synthesis/{size}x{size}/ToRGB/{part}"] = head


def _resolution(variables: Mapping[str, np.ndarray], name: str) -> int:
    sizes = sorted(int(match[1]) for match in map(_BLOCK.fullmatch, variables) if match)
    if not sizes or sizes != [8 * 2**i for i in range(len(sizes))] or sizes[-1] > 4096:
        raise ConversionError(f"{name}: expected blocks 8x8, 16x16, … of a StyleGAN2, found those of {sizes}")
    return sizes[-1]


def _config(variables: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    layers = 0
    while f"mapping/Dense{layers}/weight" in variables:
        layers += 1
    features_in = known_shape(variables, "mapping/Dense0/weight", 2, name=name)[0]
    c_dim, embed = 0, 0
    if "mapping/LabelEmbed/weight" in variables:
        c_dim, embed = known_shape(variables, "mapping/LabelEmbed/weight", 2, name=name)
    if features_in <= embed:
        raise ConversionError(
            f"{name}: expected Dense0 to take more than the {embed} features of the label, found {features_in}"
        )
    sizes = [2**i for i in range(3, _resolution(variables, name).bit_length())]
    constant = known_shape(variables, "synthesis/4x4/Const/const", 4, name=name)[2:]
    convs = ["synthesis/4x4/Conv/weight", *(f"synthesis/{size}x{size}/Conv1/weight" for size in sizes)]
    if "synthesis/4x4/ToRGB/weight" in variables:
        architecture = "skip"
    else:
        architecture = "resnet" if "synthesis/8x8/Skip/weight" in variables else "orig"
    return {
        "family": "stylegan2",
        "z_dim": features_in - embed,
        "c_dim": c_dim,
        "w_dim": known_shape(variables, "dlatent_avg", 1, name=name)[0],
        "mapping_layers": layers,
        "resolution": max(constant) * 2 ** len(sizes),
        "channels": [known_shape(variables, source, 4, name=name)[3] for source in convs],
        "architecture": architecture,
        **image_shape(3, constant),
    }


class _Widths(NamedTuple):
    """Sizes of the mapping network that the config does not hold."""

    embed: int
    hidden: list[int]


def _mapping_widths(variables: Mapping[str, np.ndarray], config: dict[str, Any], name: str) -> _Widths:
    embed = known_shape(variables, "mapping/LabelEmbed/weight", 2, name=name)[1] if config["c_dim"] > 0 else 0
    layers = range(config["mapping_layers"] - 1)
    return _Widths(
        embed, [known_shape(variables, f"mapping/Dense{i}/weight", 2, name=name)[1] for i in layers]
    )


def _scaled(source: str, target: str, shape: tuple[int, ...], gain: float) -> Entry:
    return Entry(source, target, shape, lambda array: array * np.float32(gain))


def _dense(source: str, target: str, shape: tuple[int, int], lrmul: float) -> list[Entry]:
    return [
        _scaled(f"{source}/weight", f"{target}.weight", shape, lrmul / math.sqrt(shape[0])),
        _scaled(f"{source}/bias", f"{target}.bias", shape[1:], lrmul),
    ]


def _style(source: str, target: str, w_dim: int, channels: int) -> list[Entry]:
    weight = f"{source}/mod_weight"
    return [
        _scaled(weight, f"{target}.affine.weight", (w_dim, channels), 1 / math.sqrt(w_dim)),
        Entry(
            f"{source}/mod_bias", f"{target}.affine.bias", (channels,), lambda array: array + np.float32(1)
        ),
    ]


def _pointwise(source: str, target: str, channels_in: int, channels: int) -> Entry:
    gain = np.float32(1 / math.sqrt(channels_in))
    return Entry(source, target, (1, 1, channels_in, channels), lambda array: array[0, 0] * gain)


def _mapping_entries(config: dict[str, Any], lrmul: float, widths: _Widths) -> list[Entry]:
    entries = [Entry("dlatent_avg", "w_avg", (config["w_dim"],))]
    if config["c_dim"] > 0:
        shape = (config["c_dim"], widths.embed)
        entries += _dense("mapping/LabelEmbed", "mapping_network.embed", shape, 1.0)
    layers = itertools.pairwise([config["z_dim"] + widths.embed, *widths.hidden, config["w_dim"]])
    for i, shape in enumerate(layers):
        entries += _dense(f"mapping/Dense{i}", f"mapping_network.layers.{i}", shape, lrmul)
    return entries


def _synthesis_entries(variables: dict[str, np.ndarray], config: dict[str, Any]) -> list[Entry]:
    w_dim, channels, architecture = config["w_dim"], config["channels"], config["architecture"]
    height, width = config.get("constant_size", (4, 4))

    def size(block: int) -> tuple[int, int]:
        return height * 2**block, width * 2**block

    entries = [
        Entry(
            "synthesis/4x4/Const/const",
            "constant",
            (1, channels[0], height, width),
            lambda x: x[0].transpose(1, 2, 0),
        ),
        *_layer(
            variables, "synthesis/4x4/Conv", "blocks.0.conv1", 0, w_dim, (channels[0], channels[0]), size(0)
        ),
    ]
    for i, (before, after) in enumerate(itertools.pairwise(channels), start=1):
        source, target = f"synthesis/{4 * 2**i}x{4 * 2**i}", f"blocks.{i}"
        up, same = (before, after), (after, after)
        entries += _layer(variables, f"{source}/Conv0_up", f"{target}.conv0", 2 * i - 1, w_dim, up, size(i))
        entries += _layer(variables, f"{source}/Conv1", f"{target}.conv1", 2 * i, w_dim, same, size(i))
        if architecture == "resnet":
            entries.append(_pointwise(f"{source}/Skip/weight", f"{target}.skip.weight", before, after))
    for i, width in enumerate(channels):
        if architecture == "skip" or i == len(channels) - 1:
            source, target = f"synthesis/{4 * 2**i}x{4 * 2**i}/ToRGB", f"blocks.{i}.to_rgb"
            entries += [
                *_style(source, target, w_dim, width),
                _pointwise(f"{source}/weight", f"{target}.weight", width, 3),
                Entry(f"{source}/bias", f"{target}.bias", (3,)),
            ]
    return entries


def _layer(
    variables: dict[str, np.ndarray],
    source: str,
    target: str,
    index: int,
    w_dim: int,
    channels: tuple[int, int],
    size: tuple[int, int],
) -> list[Entry]:
    """Rows of layer `index` of the synthesis network. A layer without noise gets noise of strength 0."""
    noise, strength = f"synthesis/noise{index}", f"{source}/noise_strength"
    if noise not in variables and strength not in variables:
        variables[noise] = np.zeros((1, 1, *size), np.float32)
        variables[strength] = np.zeros((), np.float32)
    flip = _flipped if source.endswith("_up") else np.asarray
    return [
        *_style(source, target, w_dim, channels[0]),
        Entry(f"{source}/weight", f"{target}.weight", (3, 3, *channels), flip),
        Entry(f"{source}/bias", f"{target}.bias", channels[1:]),
        Entry(strength, f"{target}.noise_strength", ()),
        Entry(noise, f"{target}.noise", (1, 1, *size), lambda array: array[0, 0]),
    ]


def _flipped(array: np.ndarray) -> np.ndarray:
    return array[::-1, ::-1]
