"""Layers of the face networks, written for XLA on CPU as well as on accelerators. Images are NHWC.

XLA runs grouped convolutions and `reduce_window` on CPU several times slower than the arithmetic they
stand for, so the depthwise 3×3 convolution and the 3×3 maximum are nine shifted slices.

A layer is built from its arrays: a nested dict, as a checkpoint gives it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.nn.convolution import conv_2d

Params = Mapping[str, Any]
"""Nested dict of arrays."""


class Conv(nnx.Module):
    """Convolution with bias; `filters` are [height, width, channels_in, channels_out]."""

    def __init__(
        self, params: Params, *, stride: int = 1, padding: Literal["SAME", "VALID"] = "SAME"
    ) -> None:
        self.filters = nnx.Param(jnp.asarray(params["filters"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))
        self.stride = stride
        self.padding = padding

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Padding "SAME" puts the odd row at the end, as TensorFlow does."""
        filters, strides = self.filters[...], (self.stride, self.stride)
        rows, columns = jax.lax.padtype_to_pads(x.shape[1:3], filters.shape[:2], strides, self.padding)
        padding = ((rows[0], rows[1]), (columns[0], columns[1]))
        return conv_2d(x, filters, strides, padding) + self.bias[...]


class SeparableConv(nnx.Module):
    """Depthwise 3×3 `[3, 3, channels_in]`, then pointwise `[channels_in, channels_out]`, then bias."""

    def __init__(self, params: Params, *, stride: int = 1) -> None:
        self.depthwise = nnx.Param(jnp.asarray(params["depthwise"]))
        self.pointwise = nnx.Param(jnp.asarray(params["pointwise"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))
        self.stride = stride

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Padding is "SAME"."""
        y = depthwise_3x3(x, self.depthwise[...], stride=self.stride)
        return y @ self.pointwise[...] + self.bias[...]


class Linear(nnx.Module):
    """Matrix product with `weights` [features_in, features_out], and bias where there is one."""

    def __init__(self, params: Params) -> None:
        self.weights = nnx.Param(jnp.asarray(params["weights"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"])) if "bias" in params else None

    def __call__(self, x: Float[Array, "*rest c"]) -> Float[Array, "*rest d"]:
        """Over the last axis."""
        y = x @ self.weights[...]
        return y if self.bias is None else y + self.bias[...]


def depthwise_3x3(
    x: Float[Array, "b h w c"], filters: Float[Array, "3 3 c"], *, stride: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """Depthwise convolution with padding "SAME"."""
    taps = filters.reshape(9, -1)
    padded = _pad_same(x, stride, 0.0)
    y = jnp.zeros((), x.dtype)
    for index, window in enumerate(_windows_3x3(padded, stride)):
        y = y + window * taps[index]
    return y


def max_pool_3x3(
    x: Float[Array, "b h w c"], *, stride: int, padding: Literal["SAME", "VALID"]
) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3×3 windows."""
    padded = _pad_same(x, stride, -jnp.inf) if padding == "SAME" else x
    first, *rest = _windows_3x3(padded, stride)
    for window in rest:
        first = jnp.maximum(first, window)
    return first


def average_pool_2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Mean over 2×2 windows; an odd last row or column is left out."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def resize_bilinear(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b {size} {size} c"]:
    """Resize to a square as `tf.image.resizeBilinear` of TensorFlow.js does by default.

    Output pixel i takes its value at i · in / out, between two neighbors: no antialiasing, no half-pixel
    centers.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        if length == size:
            continue
        position = np.arange(size) * (length / size)
        low = np.floor(position).astype(np.int32)
        high = np.minimum(low + 1, length - 1)
        fraction = (position - low).astype(np.float32).reshape([-1] + [1] * (3 - axis))
        below, above = jnp.take(x, low, axis=axis), jnp.take(x, high, axis=axis)
        x = below + (above - below) * fraction
    return x


def pad_to_square(x: Float[Array, "b h w c"], value: float) -> Float[Array, "b side side c"]:
    """Pad the shorter side equally at both ends; of an odd amount the end gets the larger half."""
    height, width = x.shape[1:3]
    missing = abs(height - width)
    ends = (missing - (missing + 1) // 2, (missing + 1) // 2)
    none = (0, 0)
    padding = (none, none, ends, none) if height > width else (none, ends, none, none)
    return jnp.pad(x, padding, constant_values=value) if missing else x


def _pad_same(x: Array, stride: int, value: float) -> Array:
    pairs = []
    for length in x.shape[1:3]:
        total = max((-(-length // stride) - 1) * stride + 3 - length, 0)
        pairs.append((total // 2, total - total // 2))
    return jnp.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value)


def _windows_3x3(padded: Array, stride: int) -> Iterator[Array]:
    """The nine shifted views of a padded array, row by row."""
    height, width = ((length - 3) // stride + 1 for length in padded.shape[1:3])
    for row in range(3):
        for column in range(3):
            yield padded[
                :,
                row : row + (height - 1) * stride + 1 : stride,
                column : column + (width - 1) * stride + 1 : stride,
            ]
