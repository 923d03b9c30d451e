"""Converted form of a StyleGAN3: a config, and arrays whose names and shapes follow from it.

The config, a plain dict: `family` ("stylegan3"), `z_dim`, `c_dim` (0 for an unconditional generator), `w_dim`,
`mapping_layers`, `resolution`, `channels` and `sampling_rates` (of the layers between the Fourier features and that to
RGB), `margin_size`, `bandwidth` (of the Fourier features), `conv_kernel` (3 or 1), `filter_size`,
`lrelu_upsampling`, `conv_clamp` (a number or None) and `output_scale`.

The arrays are float32: dense weights [in, out], kernels [size, size, in, out] with a mean square of 1 for each output.
The factors of the equalized learning rate are folded into the weights, and so is the input gain of the layer to RGB.
A downsampling filter [rank, 2, taps] is a sum of products of taps for the rows and for the columns.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import describe

MAX_RESOLUTION = 4096
MAX_LAYERS = 64
MAX_CHANNELS = 8192
MAX_TAPS = 512

KEYS = frozenset(
    {
        *("family", "z_dim", "c_dim", "w_dim", "mapping_layers", "resolution", "channels", "sampling_rates"),
        *("margin_size", "bandwidth", "conv_kernel", "filter_size", "lrelu_upsampling", "conv_clamp"),
        "output_scale",
    }
)
"""The keys of a config."""


def check_config(config: Mapping[str, Any], *, name: str) -> None:
    """Check the config of a StyleGAN3.

    Args:
        config: the config.
        name: what to call the file in an error.

    Raises:
        ConversionError: if a number is not in its range, or the numbers do not fit each other.
    """
    limits = {
        "z_dim": (1, MAX_CHANNELS),
        "c_dim": (0, 2**20),
        "w_dim": (1, MAX_CHANNELS),
        "mapping_layers": (1, 64),
        "resolution": (4, MAX_RESOLUTION),
        "margin_size": (0, 256),
        "filter_size": (1, 64),
        "lrelu_upsampling": (1, 8),
    }
    for key, (least, most) in limits.items():
        value = config[key]
        if type(value) is not int or not least <= value <= most:
            raise ConversionError(f"{name}: expected {key} of {least} to {most}, found {describe(value)}")
    if config["conv_kernel"] not in (1, 3):
        raise ConversionError(
            f"{name}: expected a conv_kernel of 1 or 3, found {describe(config['conv_kernel'])}"
        )
    for key in ("bandwidth", "output_scale"):
        if type(config[key]) is not float or not 0 < config[key] < 1e6:
            raise ConversionError(
                f"{name}: expected {key} as a number above 0, found {describe(config[key])}"
            )
    clamp = config["conv_clamp"]
    if clamp is not None and not (isinstance(clamp, float) and 0 < clamp < float("inf")):
        raise ConversionError(f"{name}: expected a conv_clamp above 0 or none, found {describe(clamp)}")
    _check_layers(config, name)


def _check_layers(config: Mapping[str, Any], name: str) -> None:
    channels, rates = config["channels"], config["sampling_rates"]
    for key, values, most in (
        ("channels", channels, MAX_CHANNELS),
        ("sampling_rates", rates, MAX_RESOLUTION),
    ):
        if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_LAYERS:
            raise ConversionError(f"{name}: expected {key} of 1 to {MAX_LAYERS} layers, found another number")
        if not all(type(value) is int and 1 <= value <= most for value in values):
            raise ConversionError(f"{name}: expected {key} of 1 to {most} in each layer, found others")
    if len(channels) != len(rates):
        raise ConversionError(
            f"{name}: expected a sampling rate for each of {len(channels)} layers, found {len(rates)}"
        )
    if rates[-1] != config["resolution"] or any(high % low for low, high in itertools.pairwise(rates)):
        raise ConversionError(
            f"{name}: expected sampling rates that are multiples of those before up to {config['resolution']}, "
            f"found {str(list(rates))[:80]}"
        )
    if rates[0] <= 2 * config["bandwidth"]:
        raise ConversionError(
            f"{name}: expected a first sampling rate above {2 * config['bandwidth']:g}, found {rates[0]}"
        )
    for layer in range(len(rates)):
        if max(taps(config, layer)) > MAX_TAPS:
            raise ConversionError(f"{name}: expected filters of at most {MAX_TAPS} taps, found longer ones")


def factors(config: Mapping[str, Any], layer: int) -> tuple[int, int]:
    """Factors by which a layer upsamples and downsamples around its activation."""
    rates, finer = config["sampling_rates"], config["lrelu_upsampling"]
    return finer * rates[layer] // rates[max(layer - 1, 0)], finer


def taps(config: Mapping[str, Any], layer: int) -> tuple[int, int]:
    """Taps of a layer's upsampling and downsampling filters; 1 where a factor is 1."""
    up, down = (config["filter_size"] * factor if factor > 1 else 1 for factor in factors(config, layer))
    return up, down


def sizes(config: Mapping[str, Any]) -> list[int]:
    """Pixels a side of the output of each layer, and of the layer to RGB."""
    inner = [rate + 2 * config["margin_size"] for rate in config["sampling_rates"][:-1]]
    return [*inner, config["resolution"], config["resolution"]]


def target_shapes(
    config: Mapping[str, Any],
    *,
    embed: int | None = None,
    hidden: Sequence[int] | None = None,
    ranks: Sequence[int] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a StyleGAN3: dotted path → shape.

    Args:
        config: the config.
        embed: width of the embedded class in a conditional generator; None for `w_dim`.
        hidden: outputs of each mapping layer but the last; None for `w_dim`.
        ranks: terms of each layer's downsampling filter; None for one.
    """
    w_dim, channels, kernel = config["w_dim"], config["channels"], config["conv_kernel"]
    shapes: dict[str, tuple[int, ...]] = {"w_avg": (w_dim,)}
    width = config["z_dim"]
    if config["c_dim"] > 0:
        embed = w_dim if embed is None else embed
        shapes |= _dense("mapping_network.embed", config["c_dim"], embed)
        width += embed
    hidden = [w_dim] * (config["mapping_layers"] - 1) if hidden is None else hidden
    for i, pair in enumerate(itertools.pairwise([width, *hidden, w_dim])):
        shapes |= _dense(f"mapping_network.layers.{i}", *pair)
    first = "fourier_features"
    shapes |= _dense(f"{first}.affine", w_dim, 4) | {
        f"{first}.frequencies": (channels[0], 2),
        f"{first}.phases": (channels[0],),
        f"{first}.transform": (3, 3),
        f"{first}.weight": (channels[0], channels[0]),
    }
    for i, outer in enumerate(channels):
        target, inner = f"layers.{i}", channels[max(i - 1, 0)]
        up_taps, down_taps = taps(config, i)
        shapes |= _dense(f"{target}.affine", w_dim, inner) | {
            f"{target}.weight": (kernel, kernel, inner, outer),
            f"{target}.bias": (outer,),
            f"{target}.input_gain": (),
            f"{target}.up_filter": (up_taps,),
            f"{target}.down_filter": (1 if ranks is None else ranks[i], 2, down_taps),
        }
    return shapes | _dense("to_rgb.affine", w_dim, channels[-1]) | _dense("to_rgb", channels[-1], 3)


def _dense(target: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{target}.weight": (inputs, outputs), f"{target}.bias": (outputs,)}
