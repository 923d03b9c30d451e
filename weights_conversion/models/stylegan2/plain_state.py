"""Plain state dicts of NVIDIA's PyTorch generators: names and arrays, without the modules that computed with them.

All sizes follow from the shapes. `conv_clamp` and the `lr_multiplier` of the mapping network do not: they are options.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import shorten
from weights_conversion.models.conversion import Loader, Options
from weights_conversion.models.state_dicts import Found
from weights_conversion.models.stylegan2.layout import MAX_BLOCKS, check_config, image_shape, known_shape
from weights_conversion.models.stylegan2.official import is_usual_filter
from weights_conversion.models.stylegan2.state_dict import convert_state_dict, source_names

_FILTER = re.compile(r"synthesis\.b\d{1,5}\.(conv[01]\.|skip\.)?resample_filter")


def convert_plain_state(
    found: Found, load: Loader, options: Options, *, name: str
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Convert a state dict with the official names.

    Args:
        found: the state dict.
        load: from a tensor and its name to the array.
        options: what a state dict does not hold.
        name: what to call the file in an error.

    Returns:
        Config, nested dict of float32 arrays, and notes.

    Raises:
        ConversionError: if an array is missing, unknown, of another shape, or not finite; if `conv_clamp` is unknown.
    """
    arrays = {key: load(tensor, found.prefix + key) for key, tensor in found.state.items()}
    config = _config(arrays, name) | {"conv_clamp": options.known_clamp(name=name)}
    check_config(config, name=name)
    _add_absent_noise(arrays, config)
    for key in sorted(arrays.keys() - source_names(config)):
        if not _FILTER.fullmatch(key):
            raise ConversionError(
                f"{name}: expected the parameters of a StyleGAN2 alone, found also {shorten(key)}"
            )
        if not is_usual_filter(arrays[key]):
            raise ConversionError(
                f"{name}: {shorten(key)}: expected the filter [1, 3, 3, 1], found another one"
            )
    params = convert_state_dict(arrays, config, lr_multiplier=options.lr_multiplier, name=name)
    note = f"A state dict does not hold the lr_multiplier of the mapping network: {options.lr_multiplier:g} was used."
    return config, params, (note,)


def _config(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    layers, blocks = 0, 0
    while f"mapping.fc{layers}.weight" in arrays:
        layers += 1
    while blocks < MAX_BLOCKS and f"synthesis.b{4 * 2**blocks}.conv1.weight" in arrays:
        blocks += 1
    c_dim, embed = 0, 0
    if "mapping.embed.weight" in arrays:
        embed, c_dim = known_shape(arrays, "mapping.embed.weight", 2, name=name)
    features = known_shape(arrays, "mapping.fc0.weight", 2, name=name)[1]
    size = known_shape(arrays, "synthesis.b4.const", 3, name=name)[1:]
    if "synthesis.b4.torgb.weight" in arrays:
        architecture = "skip"
    else:
        architecture = "resnet" if "synthesis.b8.skip.weight" in arrays else "orig"
    blocks = max(blocks, 1)
    sizes = [4 * 2**i for i in range(blocks)]
    convs = [f"synthesis.b{size}.conv1.weight" for size in sizes]
    image_channels = known_shape(arrays, f"synthesis.b{sizes[-1]}.torgb.weight", 4, name=name)[0]
    return {
        "family": "stylegan2",
        "z_dim": features - embed,
        "c_dim": c_dim,
        "w_dim": known_shape(arrays, "mapping.w_avg", 1, name=name)[0],
        "mapping_layers": layers,
        "resolution": max(size) * 2 ** (blocks - 1),
        "channels": [known_shape(arrays, conv, 4, name=name)[0] for conv in convs],
        "architecture": architecture,
        **image_shape(image_channels, size),
    }


def _add_absent_noise(arrays: dict[str, np.ndarray], config: Mapping[str, Any]) -> None:
    """Noise of strength 0 for generators that were trained without noise."""
    if any(key.endswith(("noise_strength", "noise_const")) for key in arrays):
        return
    height, width = config.get("constant_size", (4, 4))
    for i in range(len(config["channels"])):
        for layer in ("conv0", "conv1") if i else ("conv1",):
            where = f"synthesis.b{4 * 2**i}.{layer}"
            arrays[f"{where}.noise_strength"] = np.zeros((), np.float32)
            arrays[f"{where}.noise_const"] = np.zeros((height * 2**i, width * 2**i), np.float32)
