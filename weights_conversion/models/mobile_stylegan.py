"""MobileStyleGAN (Belousov, arXiv 2104.04767), FFHQ 1024², from the `random-face` wheel.

The wheel holds two models as OpenVINO IR. Weights with a name of their own keep it there. The exporter folded the
others (pointwise weights × demodulation; noise × its strength) and numbered them in the order of the graph. The table
computes these names. They are constant, because whoever fetches the wheel checks its hash.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.openvino_ir import read_constants
from weights_conversion.formats.safe_pickle import describe
from weights_conversion.formats.wheel import read_wheel
from weights_conversion.models.mean_w import mean_w
from weights_conversion.table import Row, convert

CONFIG: dict[str, Any] = {
    "family": "mobile-stylegan",
    "z_dim": 512,
    "w_dim": 512,
    "mapping_layers": 8,
    "resolution": 1024,
    "channels": [512, 512, 512, 512, 512, 256, 128, 64],
}
"""`channels[0]` belongs to the constant and its convolution, `channels[1:]` to the seven blocks."""


_MAX_CHANNELS = 8192


def _linear(weight: np.ndarray) -> np.ndarray:
    """[out, in] → [in, out]."""
    return weight.T


def _vector(bias: np.ndarray) -> np.ndarray:
    """[1, n], [1, n, 1, 1] → [n]."""
    return bias.reshape(-1)


def _image(noise: np.ndarray) -> np.ndarray:
    """[1, 1, h, w] → [h, w]."""
    return noise[0, 0]


def _depthwise(weight: np.ndarray) -> np.ndarray:
    """[channels, 1, 1, 3, 3] → [3, 3, channels]."""
    return weight[:, 0, 0].transpose(1, 2, 0)


def _pointwise(weight: np.ndarray) -> np.ndarray:
    """[out, in, 1, 1] → [in, out]."""
    return weight[:, :, 0, 0].T


def mapping_table(config: dict[str, Any]) -> list[Row]:
    """The arrays of the mapping network."""
    w_dim = config["w_dim"]
    rows = []
    for i in range(config["mapping_layers"]):
        rows += [
            Row(str(173 + 4 * i), f"mapping_network.layers.{i}.weight", (w_dim, w_dim), _linear),
            Row(str(174 + 4 * i), f"mapping_network.layers.{i}.bias", (w_dim,)),
        ]
    return rows


def _modulation(source: str, target: str, w_dim: int, channels: int) -> list[Row]:
    return [
        Row(f"{source}.modulation.weight", f"{target}.weight", (w_dim, channels), _linear),
        Row(f"{source}.modulation.bias", f"{target}.bias", (channels,), _vector),
    ]


def synthesis_table(config: dict[str, Any]) -> list[Row]:
    """The arrays of the synthesis network."""
    w_dim, channels = config["w_dim"], config["channels"]
    rows = [
        Row("m.input.input", "input_conv.constant", (4, 4, channels[0]), lambda x: x[0].transpose(1, 2, 0)),
        *_modulation("m.conv1.conv", "input_conv.modulation", w_dim, channels[0]),
        Row(
            "Mul_39_copy",
            "input_conv.weight",
            (3, 3, channels[0], channels[0]),
            lambda x: x.transpose(2, 3, 1, 0),
        ),
        Row("1531", "input_conv.noise", (4, 4), _image),
        Row("m.conv1.bias", "input_conv.bias", (channels[0],), _vector),
    ]
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        source, target, size = f"m.layers.{i}", f"blocks.{i}", 8 * 2**i
        rows += _modulation(f"{source}.up", f"{target}.up", w_dim, before)
        # (name, channels in, number of its folded weight, number of its folded noise)
        for conv, inner, weight, noise in (
            ("conv1", before // 4, 106 + 100 * i, 1560 + 41 * i),
            ("conv2", after, 139 + 100 * i, 1572 + 41 * i),
        ):
            rows += [
                *_modulation(f"{source}.{conv}.conv", f"{target}.{conv}.modulation", w_dim, inner),
                Row(
                    f"{source}.{conv}.conv.weight_dw", f"{target}.{conv}.depthwise", (3, 3, inner), _depthwise
                ),
                Row(f"Mul_{weight}_copy", f"{target}.{conv}.pointwise", (inner, after), _pointwise),
                Row(str(noise), f"{target}.{conv}.noise", (size, size), _image),
                Row(f"{source}.{conv}.bias", f"{target}.{conv}.bias", (after,), _vector),
            ]
    source, target, last = (
        f"m.layers.{len(channels) - 2}.to_img",
        f"blocks.{len(channels) - 2}.head",
        channels[-1],
    )
    return [
        *rows,
        *_modulation(f"{source}.conv", f"{target}.modulation", w_dim, last),
        Row(f"{source}.conv.weight", f"{target}.weight", (last, 12), _pointwise),
        Row(f"{source}.bias", f"{target}.bias", (12,), _vector),
    ]


def check_mobile_config(config: Mapping[str, Any], *, name: str) -> None:
    """Check the config of a MobileStyleGAN.

    Args:
        config: the config.
        name: what to call the file in an error.

    Raises:
        ConversionError: if a size is not a whole number in its range, or the sizes do not fit each other.
    """
    channels = config["channels"]
    numbers = {key: config[key] for key in ("z_dim", "w_dim", "mapping_layers", "resolution")}
    for key, value in (numbers | {f"channels {i}": width for i, width in enumerate(channels)}).items():
        if type(value) is not int or not 1 <= value <= _MAX_CHANNELS:
            raise ConversionError(f"{name}: expected {key} of 1 to {_MAX_CHANNELS}, found {describe(value)}")
    blocks = len(channels) - 1
    if blocks < 1 or config["resolution"] != 8 * 2**blocks:
        raise ConversionError(
            f"{name}: expected a resolution of 8 · 2^blocks, found {config['resolution']} and {blocks} blocks"
        )


def mobile_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a MobileStyleGAN: dotted path → shape."""
    rows = mapping_table(dict(config)) + synthesis_table(dict(config))
    return {row.target: row.shape for row in rows} | {"w_avg": (config["w_dim"],)}


def convert_wheel(wheel: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator of the wheel.

    Args:
        wheel: path of `random_face-2021.7.21.1-py3-none-any.whl`.

    Returns:
        The config, and the weights as a nested dict of float32 arrays: the names are those of the
        modules that take them.

    Raises:
        ConversionError: if the file is no such wheel.
    """
    wheel = Path(wheel)
    names = [
        f"{model}.{ending}" for model in ("MappingNetwork", "SynthesisNetwork") for ending in ("xml", "bin")
    ]
    members = read_wheel(
        wheel, [f"random_face/data/{name}" for name in names], kind="random-face wheel with its models"
    )
    files = {name: members[f"random_face/data/{name}"] for name in names}
    tree: dict[str, Any] = {}
    for model, table in (
        ("MappingNetwork", mapping_table(CONFIG)),
        ("SynthesisNetwork", synthesis_table(CONFIG)),
    ):
        name = f"{wheel.name}:{model}"
        tree |= convert(
            read_constants(files[f"{model}.xml"], files[f"{model}.bin"], name=name), table, name=name
        )
    return dict(CONFIG), tree | {"w_avg": mean_w(tree["mapping_network"])}
