"""The blocks of MobileStyleGAN: their weights, and their computation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from jaxedit.generators.mobile_stylegan.haar import inverse_haar
from jaxedit.nn.convolution import depthwise_conv
from jaxedit.nn.layers import Affine, leaky_relu
from jaxedit.nn.parameters import Buffer, Params

_STRIPE_ROWS = 16
"""Rows of a block's input that a CPU works on at once: what they grow into fits its second-level cache."""


def _modulation_scale(fan_in: int) -> np.float32:
    return np.float32(1 / np.sqrt(fan_in))


class InputConv(nnx.Module):
    """The constant and the one full 3×3 modulated convolution."""

    def __init__(self, params: Params) -> None:
        self.constant = nnx.Param(jnp.asarray(params["constant"]))
        self.modulation = Affine(params["modulation"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.noise = Buffer(jnp.asarray(params["noise"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def __call__(
        self, w: Float[Array, "batch w_dim"], dtype: DTypeLike
    ) -> Float[Array, "batch 4 4 channels"]:
        """The first feature map."""
        weight = self.weight[...].astype(dtype)
        style = self.modulation(w) * _modulation_scale(9 * weight.shape[2])
        x = self.constant[...].astype(dtype) * style[:, None, None, :].astype(dtype)
        x = jax.lax.conv_general_dilated(
            x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return leaky_relu(x + self.noise[...].astype(dtype)[..., None] + self.bias[...].astype(dtype))


class ModulatedSeparableConv(nnx.Module):
    """Modulated depthwise 3×3 convolution, pointwise convolution, noise, bias, leaky ReLU."""

    def __init__(self, params: Params) -> None:
        self.modulation = Affine(params["modulation"])
        self.depthwise = nnx.Param(jnp.asarray(params["depthwise"]))
        self.pointwise = nnx.Param(jnp.asarray(params["pointwise"]))
        self.noise = Buffer(jnp.asarray(params["noise"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def style(self, w: Float[Array, "*batch w_dim"]) -> Float[Array, "*batch channels"]:
        """The factors of the input's channels."""
        return self.modulation(w) * _modulation_scale(9 * self.depthwise[...].shape[-1])

    def kernel(self, w: Float[Array, "batch w_dim"], dtype: DTypeLike) -> Float[Array, "batch 3 3 channels"]:
        """The depthwise kernel times the style: scaling the kernel is scaling its input, with less to do."""
        return (self.depthwise[...] * self.style(w)[:, None, None, :]).astype(dtype)

    def __call__(
        self,
        padded: Float[Array, "padded_height padded_width channels"],
        kernel: Float[Array, "3 3 channels"],
        noise: Float[Array, "height width"],
    ) -> Float[Array, "height width outer"]:
        """One image, or a stripe of it, given with a margin of one pixel, and the noise of the result's rows."""
        x = depthwise_conv(padded, kernel)
        height, width, channels = x.shape
        x = (x.reshape(-1, channels) @ self.pointwise[...].astype(x.dtype)).reshape(height, width, -1)
        return leaky_relu(x + noise[..., None] + self.bias[...].astype(x.dtype))


class Head(nnx.Module):
    """Modulated 1×1 convolution to the Haar bands of the image, and their inverse transform."""

    def __init__(self, params: Params) -> None:
        self.modulation = Affine(params["modulation"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def kernel(self, w: Float[Array, "batch w_dim"], dtype: DTypeLike) -> Float[Array, "batch channels 12"]:
        """The weight times the style."""
        weight = self.weight[...]
        style = self.modulation(w) * _modulation_scale(len(weight))
        return (weight * style[:, :, None]).astype(dtype)

    def __call__(
        self, x: Float[Array, "height width channels"], kernel: Float[Array, "channels 12"]
    ) -> Float[Array, "height_2 width_2 3"]:
        """The image's rows that a feature map's rows become."""
        height, width, channels = x.shape
        bands = (x.reshape(-1, channels) @ kernel).reshape(height, width, -1) + self.bias[...].astype(x.dtype)
        return inverse_haar(bands)


class Block(nnx.Module):
    """Modulated inverse Haar upsampling and two separable convolutions; the last block has the head."""

    def __init__(self, params: Params) -> None:
        self.up = Affine(params["up"])
        self.conv1 = ModulatedSeparableConv(params["conv1"])
        self.conv2 = ModulatedSeparableConv(params["conv2"])
        self.head = nnx.data(Head(params["head"]) if "head" in params else None)

    def styles(self, w: Float[Array, "batch num_styles w_dim"], dtype: DTypeLike) -> dict[str, Array]:
        """The styles of the block: what its weights and channels are multiplied by.

        Args:
            w: the latents of the upsampling and first convolution, of the second, and of the head if there is one.
            dtype: of the result.
        """
        styles = {
            "up": self.up(w[:, 0]).astype(dtype),
            "conv1": self.conv1.kernel(w[:, 0], dtype),
            "conv2": self.conv2.kernel(w[:, 1], dtype),
        }
        return styles if self.head is None else styles | {"head": self.head.kernel(w[:, 2], dtype)}

    def stripe(
        self,
        x: Float[Array, "margin_rows width channels"],
        styles: dict[str, Array],
        first_row: int | Int[Array, ""],
        height: int,
        in_memory: Callable[[Array], Array],
    ) -> Float[Array, "rows_out width_out channels_out"]:
        """The rows that a stripe of one image becomes: twice as many, four times with the head.

        Args:
            x: the stripe with one more row on either side (zeros beyond the image).
            styles: of this image.
            first_row: the stripe's first row in the block's input.
            height: of the block's input.
            in_memory: keeps the compiler from fusing what makes an array with what reads it nine times.
        """
        rows = 2 * (x.shape[0] - 2)
        start = 2 * first_row
        noise1 = jnp.pad(self.conv1.noise[...].astype(x.dtype), ((1, 1), (0, 0)))
        noise2 = self.conv2.noise[...].astype(x.dtype)
        x = in_memory(inverse_haar(x * styles["up"]))
        x = in_memory(jnp.pad(x, ((0, 0), (1, 1), (0, 0))))
        x = self.conv1(x, styles["conv1"], jax.lax.dynamic_slice_in_dim(noise1, start, rows + 2))
        # Beyond the image the second convolution must see zeros, not what the first made of them.
        row = start - 1 + jnp.arange(rows + 2)
        x = x * ((row >= 0) & (row < 2 * height)).astype(x.dtype)[:, None, None]
        x = in_memory(jnp.pad(x, ((0, 0), (1, 1), (0, 0))))
        x = self.conv2(x, styles["conv2"], jax.lax.dynamic_slice_in_dim(noise2, start, rows))
        return x if self.head is None else self.head(x, styles["head"])


def _pad_rows(x: Float[Array, "height width channels"]) -> Float[Array, "height_2 width channels"]:
    return jnp.pad(x, ((1, 1), (0, 0), (0, 0)))


def run_block(
    block: Block, x: Float[Array, "height width channels"], styles: dict[str, Array]
) -> Float[Array, "height_out width_out channels_out"]:
    """One image as one stripe."""
    return block.stripe(_pad_rows(x), styles, 0, x.shape[0], lambda array: array)


def run_block_in_stripes(
    block: Block, x: Float[Array, "height width channels"], styles: dict[str, Array]
) -> Float[Array, "height_out width_out channels_out"]:
    """One image stripe by stripe, unless it is small."""
    height, width, channels = x.shape
    padded = _pad_rows(x)
    in_memory = jax.lax.optimization_barrier
    if height <= 2 * _STRIPE_ROWS:
        return block.stripe(padded, styles, 0, height, in_memory)

    def one(first_row: Int[Array, ""]) -> Array:
        rows = jax.lax.dynamic_slice(padded, (first_row, 0, 0), (_STRIPE_ROWS + 2, width, channels))
        return block.stripe(rows, styles, first_row, height, in_memory)

    out = jax.lax.map(one, jnp.arange(0, height, _STRIPE_ROWS))
    return out.reshape(-1, *out.shape[2:])
