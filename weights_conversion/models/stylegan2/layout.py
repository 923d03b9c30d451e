"""Converted form of a StyleGAN2: a config, and arrays whose names and shapes follow from it.

The config, a plain dict: `family` ("stylegan2"), `z_dim`, `c_dim` (0 for an unconditional generator), `w_dim`,
`mapping_layers`, `resolution`, `channels` (of the blocks at 4, 8, …, `resolution`), `architecture` ("skip", "resnet"
or "orig") and `conv_clamp` (a number or None). Two further keys are absent at their usual values: `image_channels` (3)
and `constant_size` (height and width of the constant, [4, 4]). The `resolution` is the longer side of the image.

The arrays are float32: dense weights [in, out], filters [3, 3, in, out]. The factors of the equalized learning rate are
folded into the weights. The 3×3 filters may keep any constant factor, because the demodulation cancels it.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import describe
from weights_conversion.table import check_finite, flatten, float32, nest, take

ARCHITECTURES = ("skip", "resnet", "orig")
MAX_RESOLUTION = 4096
MAX_BLOCKS = 11
MAX_CHANNELS = 8192
MAX_IMAGE_CHANNELS = 4
MAX_CONSTANT = 64


class Entry(NamedTuple):
    """One line of a reader's table. Unlike `table.Row`, it checks the shape before the transform."""

    source: str
    """The name in the foreign file."""
    target: str
    """The dotted path in the converted tree."""
    shape: tuple[int, ...]
    """The shape in the foreign file."""
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray
    """From the foreign array to ours."""


def image_shape(channels: int, constant_size: Iterable[int]) -> dict[str, Any]:
    """The keys of a config for images that are not RGB or not square; none for those that are."""
    size = list(constant_size)
    keys: dict[str, Any] = {} if channels == 3 else {"image_channels": channels}
    return keys if size == [4, 4] else keys | {"constant_size": size}


def _check_image_shape(config: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Checks the keys of `image_shape`; returns height and width of the constant."""
    channels = config.get("image_channels", 3)
    if type(channels) is not int or not 1 <= channels <= MAX_IMAGE_CHANNELS:
        raise ConversionError(
            f"{name}: expected images of 1 to {MAX_IMAGE_CHANNELS} channels, found {describe(channels)}"
        )
    size = config.get("constant_size", [4, 4])
    is_pair = isinstance(size, list | tuple) and len(size) == 2
    if not is_pair or not all(type(n) is int and 1 <= n <= MAX_CONSTANT for n in size):
        raise ConversionError(
            f"{name}: expected a constant_size of two numbers of 1 to {MAX_CONSTANT}, found {_shown(size)}"
        )
    return size[0], size[1]


def _shown(value: Any) -> str:
    """A foreign value for an error message; lists of numbers in full."""
    if isinstance(value, list | tuple) and len(value) <= 16:
        return f"[{', '.join(map(describe, value))}]"
    return describe(value)


def check_config(config: Mapping[str, Any], *, name: str) -> None:
    """Check the config of a StyleGAN2.

    Args:
        config: the config.
        name: what to call the file in an error.

    Raises:
        ConversionError: if a size is not a whole number in its range, or the sizes do not fit each other.
    """
    limits = {
        "z_dim": (1, MAX_CHANNELS),
        "c_dim": (0, 2**20),
        "w_dim": (1, MAX_CHANNELS),
        "mapping_layers": (1, 64),
        "resolution": (4, MAX_RESOLUTION),
    }
    for key, (least, most) in limits.items():
        value = config[key]
        if type(value) is not int or not least <= value <= most:
            raise ConversionError(f"{name}: expected {key} of {least} to {most}, found {describe(value)}")
    channels = config["channels"]
    if not isinstance(channels, list | tuple) or not 1 <= len(channels) <= MAX_BLOCKS:
        raise ConversionError(f"{name}: expected channels of 1 to {MAX_BLOCKS} blocks, found another number")
    resolution = max(_check_image_shape(config, name)) * 2 ** (len(channels) - 1)
    if config["resolution"] != resolution:
        raise ConversionError(
            f"{name}: expected a resolution of {resolution} with {len(channels)} blocks, "
            f"found {config['resolution']}"
        )
    if not all(type(width) is int and 1 <= width <= MAX_CHANNELS for width in channels):
        raise ConversionError(
            f"{name}: expected 1 to {MAX_CHANNELS} channels in each block, found {_shown(channels)}"
        )
    if config["architecture"] not in ARCHITECTURES:
        raise ConversionError(
            f"{name}: expected an architecture of {', '.join(ARCHITECTURES)}, found {describe(config['architecture'])}"
        )
    clamp = config["conv_clamp"]
    if clamp is not None and not (isinstance(clamp, float) and 0 < clamp < float("inf")):
        raise ConversionError(f"{name}: expected a conv_clamp above 0 or none, found {describe(clamp)}")


def target_shapes(
    config: Mapping[str, Any], *, embed: int | None = None, hidden: Sequence[int] | None = None
) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a StyleGAN2: dotted path → shape.

    Args:
        config: the config.
        embed: width of the embedded class in a conditional generator; None for `w_dim`.
        hidden: outputs of each mapping layer but the last; None for `w_dim`.
    """
    w_dim, channels = config["w_dim"], config["channels"]
    shapes: dict[str, tuple[int, ...]] = {}
    width = config["z_dim"]
    if config["c_dim"] > 0:
        embed = w_dim if embed is None else embed
        shapes |= _dense("mapping_network.embed", config["c_dim"], embed)
        width += embed
    hidden = [w_dim] * (config["mapping_layers"] - 1) if hidden is None else hidden
    for i, pair in enumerate(itertools.pairwise([width, *hidden, w_dim])):
        shapes |= _dense(f"mapping_network.layers.{i}", *pair)
    height, width = config.get("constant_size", (4, 4))
    shapes |= {"w_avg": (w_dim,), "constant": (height, width, channels[0])}
    for i, after in enumerate(channels):
        block, size = f"blocks.{i}", (height * 2**i, width * 2**i)
        if i > 0:
            shapes |= _layer(f"{block}.conv0", w_dim, channels[i - 1], after, size)
            if config["architecture"] == "resnet":
                shapes[f"{block}.skip.weight"] = (channels[i - 1], after)
        shapes |= _layer(f"{block}.conv1", w_dim, after, after, size)
        if config["architecture"] == "skip" or i == len(channels) - 1:
            shapes |= _dense(f"{block}.to_rgb.affine", w_dim, after) | _dense(
                f"{block}.to_rgb", after, config.get("image_channels", 3)
            )
    return shapes


def _dense(target: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{target}.weight": (inputs, outputs), f"{target}.bias": (outputs,)}


def _layer(
    target: str, w_dim: int, inputs: int, outputs: int, size: tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    return {
        **_dense(f"{target}.affine", w_dim, inputs),
        f"{target}.weight": (3, 3, inputs, outputs),
        f"{target}.noise_strength": (),
        f"{target}.noise": size,
        f"{target}.bias": (outputs,),
    }


def known_shape(arrays: Mapping[str, np.ndarray], source: str, rank: int, *, name: str) -> tuple[int, ...]:
    """Shape of a foreign array that determines sizes of the config.

    Args:
        arrays: foreign name → array.
        source: the name.
        rank: its number of dimensions.
        name: what to call the file in an error.

    Raises:
        ConversionError: if the array is missing, empty, or of another number of dimensions.
    """
    array = arrays.get(source)
    if array is None or array.ndim != rank or 0 in array.shape:
        found = "none" if array is None else f"one of shape {array.shape}"
        raise ConversionError(f"{name}: expected an array {source!r} of {rank} dimensions, found {found}")
    return array.shape


def convert_entries(
    arrays: Mapping[str, np.ndarray],
    entries: Iterable[Entry],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    name: str,
) -> dict[str, Any]:
    """Apply a reader's table, with checks of the arrays before and after.

    Args:
        arrays: foreign name → array.
        entries: where each target comes from.
        shapes: `target_shapes` of the config.
        name: what to call the file in an error.

    Returns:
        The nested dict of contiguous float32 arrays.

    Raises:
        ConversionError: if an array is missing, of another shape, not of floating-point numbers, or not finite.
    """
    flat = {}
    for entry in entries:
        where = f"{name}: {entry.source!r}"
        array = float32(take(arrays, entry.source, entry.target, name=name), where=where)
        if array.shape != entry.shape:
            raise ConversionError(
                f"{where}: expected shape {entry.shape} for {entry.target}, found {array.shape}"
            )
        with np.errstate(all="ignore"):  # `check_finite` finds infinity and NaN
            flat[entry.target] = entry.transform(array)
    return nest(_checked(flat, shapes, name=name), name=name)


def check_params(
    params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], *, name: str
) -> dict[str, Any]:
    """Check the arrays of a converted StyleGAN2.

    Args:
        params: the nested dict of arrays.
        shapes: `target_shapes` of the config.
        name: what to call the file in an error.

    Returns:
        The same tree with every array contiguous and float32.

    Raises:
        ConversionError: if an array is missing, unexpected, of another shape, not of floating-point numbers, or not
            finite.
    """
    return nest(_checked(flatten(params), shapes, name=name), name=name)


def _checked(
    flat: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], *, name: str
) -> dict[str, np.ndarray]:
    if missing := sorted(shapes.keys() - flat.keys()):
        raise ConversionError(f"{name}: expected an array for {missing[0]}, found none")
    if unknown := sorted(flat.keys() - shapes.keys()):
        raise ConversionError(f"{name}: expected no array for {unknown[0]}, found one")
    checked = {}
    for target, shape in shapes.items():
        array = float32(flat[target], where=f"{name}: {target}")
        if array.shape != shape:
            raise ConversionError(f"{name}: {target}: expected shape {shape}, found {array.shape}")
        check_finite(array, where=f"{name}: {target}")
        checked[target] = np.asarray(
            array, order="C"
        )  # unlike `ascontiguousarray`, leaves scalars as they are
    return checked
