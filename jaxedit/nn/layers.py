"""Layers with weights that several networks share. Images are NHWC.

A layer is built from its arrays: a nested dict, as a checkpoint gives it.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.nn.convolution import conv_2d, depthwise_conv
from jaxedit.nn.parameters import Params
from jaxedit.nn.windows import pad_same


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
        strides = (self.stride, self.stride)
        y = depthwise_conv(pad_same(x, (3, 3), strides), self.depthwise[...], strides)
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


class Affine(nnx.Module):
    """x ↦ x·weight + bias, in full float32 precision on every device.

    The affine maps of a generator cost next to nothing, and its latents and styles need all their digits.

    Args:
        params: `weight` [in, out] and `bias` [out].
    """

    def __init__(self, params: Params) -> None:
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def __call__(self, x: Float[Array, "*batch inner"]) -> Float[Array, "*batch outer"]:
        """The affine map of the last dimension."""
        return jnp.matmul(x, self.weight[...], precision=jax.lax.Precision.HIGHEST) + self.bias[...]


def leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x, 0.2·x), StyleGAN's activation, without gain."""
    return jnp.maximum(x, x * 0.2)


def unit_length(x: Float[Array, "b h w c"], *, tiny: float) -> Float[Array, "b h w c"]:
    """Features whose vector of channels has length 1 at each place; `tiny` is added to its square."""
    return x * jax.lax.rsqrt(jnp.square(x).sum(3, keepdims=True) + tiny)
