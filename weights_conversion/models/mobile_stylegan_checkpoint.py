"""MobileStyleGAN's own checkpoints (`.ckpt`): the student of its distillation, and the mapping network of the teacher.

Unlike the wheel, a checkpoint keeps the demodulation apart from the weights, and holds no noise images: the original
code draws them each time it makes images.
"""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import shorten
from weights_conversion.models.conversion import Loader
from weights_conversion.models.mean_w import mean_w
from weights_conversion.models.mobile_stylegan import check_mobile_config, mobile_shapes
from weights_conversion.models.state_dicts import Found
from weights_conversion.models.stylegan2.layout import Entry, convert_entries, known_shape

_LR_MULTIPLIER = 0.01
_NOISE_SEED = 0
_USED = ("student.", "mapping_net.")
_UNUSED = re.compile(
    r"(synthesis_net|loss|inception|kid)\..*|device_info|style_mean"
    r"|student\.(device_info|to_img1\..*|layers\.\d+\.to_img\..*|idwt\.g[01]_(col|row))"
    r"|student\.layers\.\d+\.up\.idwt\.g[01]_(col|row)"
)
"""The teacher, the losses, and the heads of the blocks before the last, whose images nobody sees."""


def convert_mobile_checkpoint(
    found: Found, load: Loader, *, name: str
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Convert the student.

    Args:
        found: the state dict of the distiller.
        load: from a tensor and its name to the array.
        name: what to call the file in an error.

    Returns:
        Config, nested dict of float32 arrays, and notes.

    Raises:
        ConversionError: if an array is missing, unknown, of another shape, or not finite.
    """
    arrays = {key: load(found.state[key], key) for key in found.state if key.startswith(_USED)}
    config = _config(arrays, name)
    folded = _fold(arrays, config, name)
    entries = _entries(config)
    known = {entry.source for entry in entries} | folded
    unknown = sorted(key for key in found.state if key not in known and not _UNUSED.fullmatch(key))
    if unknown:
        raise ConversionError(
            f"{name}: expected the parameters of a MobileStyleGAN alone, found also {shorten(unknown[0])}"
        )
    shapes = mobile_shapes(config)
    del shapes["w_avg"]
    params = convert_entries(arrays, entries, shapes, name=name)
    notes: tuple[str, ...] = ()
    if not any(key.endswith(".noise.noise") for key in found.state):
        notes = ("The file has no noise images: they were drawn from seed 0.",)
    style_mean = found.state.get("style_mean")
    if style_mean is None:
        params["w_avg"] = mean_w(params["mapping_network"])
        notes += ("The file has no style_mean: the mean of W was computed from 65,536 random latents.",)
    else:
        params["w_avg"] = _mean_style(load(style_mean, "style_mean"), config["w_dim"], name)
    return config, params, notes


def _mean_style(array: np.ndarray, w_dim: int, name: str) -> np.ndarray:
    rows = array.reshape(-1, w_dim) if array.ndim and array.shape[-1] == w_dim else array[None]
    if (
        not len(rows)
        or rows.shape[1:] != (w_dim,)
        or not np.array_equal(rows, np.repeat(rows[:1], len(rows), 0))
    ):
        raise ConversionError(
            f"{name}: style_mean: expected equal rows of {w_dim} numbers, found shape {array.shape}"
        )
    if not np.isfinite(rows[0]).all():
        raise ConversionError(f"{name}: style_mean: expected finite numbers, found NaN or infinity")
    return rows[0].astype(np.float32)


def _config(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    layers, blocks = 0, 0
    while f"mapping_net.layers.{layers + 1}.weight" in arrays:
        layers += 1
    while f"student.layers.{blocks}.conv2.conv.weight_permute" in arrays:
        blocks += 1
    first = known_shape(arrays, "student.input.input", 4, name=name)[1]
    later = [
        known_shape(arrays, f"student.layers.{i}.conv2.conv.weight_permute", 4, name=name)[0]
        for i in range(blocks)
    ]
    w_dim = known_shape(arrays, "student.conv1.conv.modulation.weight", 2, name=name)[1]
    config = {
        "family": "mobile-stylegan",
        "z_dim": known_shape(arrays, "mapping_net.layers.1.weight", 2, name=name)[1],
        "w_dim": w_dim,
        "mapping_layers": layers,
        "resolution": 8 * 2**blocks,
        "channels": [first, *later],
    }
    check_mobile_config(config, name=name)
    return config


def _dense(source: str, target: str, inputs: int, outputs: int) -> list[Entry]:
    """A layer of the mapping network, with the factors of the equalized learning rate."""
    gain, bias_gain = np.float32(_LR_MULTIPLIER / math.sqrt(inputs)), np.float32(_LR_MULTIPLIER)
    return [
        Entry(f"{source}.weight", f"{target}.weight", (outputs, inputs), lambda x: x.T * gain),
        Entry(f"{source}.bias", f"{target}.bias", (outputs,), lambda x: x * bias_gain),
    ]


def _modulation(source: str, target: str, w_dim: int, channels: int) -> list[Entry]:
    return [
        Entry(f"{source}.modulation.weight", f"{target}.weight", (channels, w_dim), lambda x: x.T),
        Entry(f"{source}.modulation.bias", f"{target}.bias", (channels,)),
    ]


def _fold(arrays: dict[str, np.ndarray], config: Mapping[str, Any], name: str) -> set[str]:
    """Multiplies the weights by their demodulation, and the noise by its strength. Returns the names that this used."""
    random = np.random.RandomState(_NOISE_SEED)
    used: set[str] = set()
    for layer, size, is_separable in _layers(config):
        weight, style = f"{layer}.conv.weight", f"{layer}.conv.style_inv"
        kernel = known_shape(arrays, f"{weight}_dw" if is_separable else weight, 4, name=name)
        inner = kernel[0] if is_separable else kernel[1]
        if known_shape(arrays, style, 5, name=name) != (1, 1, inner, 1, 1):
            raise ConversionError(f"{name}: {style}: expected shape {(1, 1, inner, 1, 1)}, found another")
        target = f"{weight}_permute" if is_separable else weight
        outer = known_shape(arrays, target, 4, name=name)
        if is_separable and (kernel[1:] != (1, 3, 3) or outer[1:] != (inner, 1, 1)):
            raise ConversionError(f"{name}: {weight}_dw: expected {inner} filters of 3 × 3, found {kernel}")
        with np.errstate(all="ignore"):  # the check of the result finds infinity and NaN
            power = np.square(arrays[target]).sum((2, 3))
            if is_separable:
                power *= np.square(arrays[f"{weight}_dw"]).sum((2, 3))[:, 0]
            power = power @ np.square(arrays[style].reshape(-1)) / (9 * inner)
            arrays[target] = arrays[target] / np.sqrt(power + 1e-8)[:, None, None, None].astype(np.float32)
            strength, image = f"{layer}.noise.weight", f"{layer}.noise.noise"
            if known_shape(arrays, strength, 1, name=name) != (1,):
                raise ConversionError(f"{name}: {strength}: expected one number, found several")
            drawn = random.standard_normal((1, 1, size, size)).astype(np.float32)
            arrays[image] = arrays.get(image, drawn) * arrays[strength]
        used |= {style, strength}
    return used


def _layers(config: Mapping[str, Any]) -> list[tuple[str, int, bool]]:
    """Name, size and whether the convolution is separable, of each layer with noise."""
    later = [
        (f"student.layers.{i}.{conv}", 8 * 2**i, True)
        for i in range(len(config["channels"]) - 1)
        for conv in ("conv1", "conv2")
    ]
    return [("student.conv1", 4, False), *later]


def _entries(config: Mapping[str, Any]) -> list[Entry]:
    """The table, for arrays after `_fold`."""
    w_dim, channels = config["w_dim"], config["channels"]
    entries: list[Entry] = []
    for i in range(config["mapping_layers"]):
        inputs = config["z_dim"] if i == 0 else w_dim
        entries += _dense(f"mapping_net.layers.{i + 1}", f"mapping_network.layers.{i}", inputs, w_dim)
    first = channels[0]
    entries += [
        Entry(
            "student.input.input", "input_conv.constant", (1, first, 4, 4), lambda x: x[0].transpose(1, 2, 0)
        ),
        *_modulation("student.conv1.conv", "input_conv.modulation", w_dim, first),
        Entry(
            *("student.conv1.conv.weight", "input_conv.weight", (first, first, 3, 3)),
            lambda x: x.transpose(2, 3, 1, 0),
        ),
        *_noise_and_bias("student.conv1", "input_conv", first, 4),
    ]
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        source, target = f"student.layers.{i}", f"blocks.{i}"
        entries += _modulation(f"{source}.up", f"{target}.up", w_dim, before)
        for conv, inner in (("conv1", before // 4), ("conv2", after)):
            weight, layer = f"{source}.{conv}.conv.weight", f"{target}.{conv}"
            entries += [
                *_modulation(f"{source}.{conv}.conv", f"{layer}.modulation", w_dim, inner),
                Entry(
                    *(f"{weight}_dw", f"{layer}.depthwise", (inner, 1, 3, 3)),
                    lambda x: x[:, 0].transpose(1, 2, 0),
                ),
                Entry(f"{weight}_permute", f"{layer}.pointwise", (after, inner, 1, 1), _pointwise),
                *_noise_and_bias(f"{source}.{conv}", layer, after, 8 * 2**i),
            ]
    last = len(channels) - 2
    source, target = f"student.layers.{last}.to_img", f"blocks.{last}.head"
    return [
        *entries,
        *_modulation(f"{source}.conv", f"{target}.modulation", w_dim, channels[-1]),
        Entry(f"{source}.conv.weight", f"{target}.weight", (12, channels[-1], 1, 1), _pointwise),
        Entry(f"{source}.bias", f"{target}.bias", (1, 12, 1, 1), lambda x: x.reshape(-1)),
    ]


def _pointwise(weight: np.ndarray) -> np.ndarray:
    """[out, in, 1, 1] → [in, out]."""
    return weight[:, :, 0, 0].T


def _noise_and_bias(source: str, target: str, channels: int, size: int) -> list[Entry]:
    return [
        Entry(f"{source}.noise.noise", f"{target}.noise", (1, 1, size, size), lambda x: x[0, 0]),
        Entry(f"{source}.bias", f"{target}.bias", (1, channels, 1, 1), lambda x: x.reshape(-1)),
    ]
