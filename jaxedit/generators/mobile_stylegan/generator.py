"""MobileStyleGAN: a StyleGAN2 generator distilled into separable convolutions and wavelets.

Belousov, *MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image Synthesis*,
arXiv 2104.04767. Each block doubles the resolution by an inverse Haar transform and applies two depthwise-separable
convolutions; modulation scales the input channels, and the demodulation of StyleGAN2 is a constant that training
folded into the weights. One 1×1 head predicts the Haar bands of the image.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from jaxedit.errors import InputError
from jaxedit.generators.mapping import MappedGenerator, MappingNetwork
from jaxedit.generators.mobile_stylegan.haar import inverse_haar
from jaxedit.generators.protocol import broadcast_w, check_latents, has_explicit_sharding
from jaxedit.nn.convolution import depthwise_conv
from jaxedit.nn.layers import Affine, leaky_relu
from jaxedit.nn.parameters import Buffer, Params

_STRIPE_ROWS = 16
"""Rows of a block's input that a CPU works on at once: what they grow into fits its second-level cache."""


@dataclasses.dataclass(frozen=True)
class MobileStyleGANConfig:
    """The shape of a MobileStyleGAN.

    Attributes:
        z_dim: width of the input latent.
        w_dim: width of the intermediate latent.
        mapping_layers: layers of the mapping network.
        resolution: height and width of the image, 8 · 2^blocks.
        channels: of the constant and its convolution, then of each block; a block's upsampling quarters them.
    """

    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    resolution: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64)

    def __post_init__(self) -> None:
        if self.resolution != 8 * 2 ** (len(self.channels) - 1):
            raise InputError(
                f"resolution: expected {8 * 2 ** (len(self.channels) - 1)} for {len(self.channels) - 1} blocks, "
                f"got {self.resolution}"
            )

    @property
    def num_ws(self) -> int:
        """The first convolution, two for each block, the head."""
        return 2 * len(self.channels)


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


class SeparableConv(nnx.Module):
    """Modulated depthwise 3×3 convolution, pointwise convolution, noise, bias, leaky ReLU."""

    def __init__(self, params: Params) -> None:
        self.modulation = Affine(params["modulation"])
        self.depthwise = nnx.Param(jnp.asarray(params["depthwise"]))
        self.pointwise = nnx.Param(jnp.asarray(params["pointwise"]))
        self.noise = Buffer(jnp.asarray(params["noise"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def style(self, w: Float[Array, "*batch w_dim"]) -> Float[Array, "*batch channels"]:
        """What the input's channels are multiplied by."""
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
        self.conv1 = SeparableConv(params["conv1"])
        self.conv2 = SeparableConv(params["conv2"])
        self.head = nnx.data(Head(params["head"]) if "head" in params else None)

    def styles(self, w: Float[Array, "batch num_styles w_dim"], dtype: DTypeLike) -> dict[str, Array]:
        """What the latents ask of the block.

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
        """The rows that come of a stripe of one image: twice as many, four times with the head.

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


def _block_whole(
    block: Block, x: Float[Array, "height width channels"], styles: dict[str, Array]
) -> Float[Array, "height_out width_out channels_out"]:
    """One image as one stripe."""
    return block.stripe(_pad_rows(x), styles, 0, x.shape[0], lambda array: array)


def _block_in_stripes(
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


class MobileStyleGAN(MappedGenerator):
    """The generator: `mapping` from z to w, `synthesis` from w or w_plus to images.

    Args:
        config: its shape.
        params: nested dict with the names of the modules, as `weights_conversion.models.mobile_stylegan` gives them.
        dtype: in which the synthesis network computes, float32 or bfloat16. Weights, styles, W and the image stay
            float32.
    """

    family = "mobile-stylegan"

    def __init__(
        self, config: MobileStyleGANConfig, params: Params, *, dtype: DTypeLike = jnp.float32
    ) -> None:
        self.config = config
        self.dtype = jnp.dtype(dtype)
        self.mapping_network = MappingNetwork(params["mapping_network"])
        self.w_avg = Buffer(jnp.asarray(params["w_avg"]))
        self.input_conv = InputConv(params["input_conv"])
        self.blocks = nnx.List([Block(params["blocks"][str(i)]) for i in range(len(config.channels) - 1)])

    def synthesis(
        self, w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"]
    ) -> Float[Array, "batch resolution resolution 3"]:
        """Latents ↦ images.

        Args:
            w: latents of W or W+, float32.

        Returns:
            RGB, float32, nominally in [-1, 1]: the network overshoots a little (to about ±1.7), and `to_uint8` clips.

        Raises:
            InputError: if w has another shape.
        """
        check_latents("w", w, width=self.w_dim, num_ws=self.num_ws)
        return self._synthesis(jnp.asarray(w))

    @jax.jit
    def _synthesis(
        self, w: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch resolution resolution 3"]:
        w_plus = broadcast_w(w, self.num_ws)
        if has_explicit_sharding(
            w_plus
        ):  # one image after the other would gather what is spread over devices
            return _synthesis_in_parallel(self, w_plus).astype(jnp.float32)
        return jax.lax.platform_dependent(
            self, w_plus, cpu=_synthesis_in_sequence, default=_synthesis_in_parallel
        ).astype(jnp.float32)


def _features(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> tuple[Float[Array, "batch 4 4 channels"], list[dict[str, Array]]]:
    """What is the same on every device: the first feature map, and the styles of each block."""
    x = generator.input_conv(w_plus[:, 0], generator.dtype)
    styles = [
        block.styles(w_plus[:, 1 + 2 * i : 4 + 2 * i], generator.dtype)
        for i, block in enumerate(generator.blocks)
    ]
    return x, styles


def _synthesis_in_parallel(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> Float[Array, "batch resolution resolution 3"]:
    """The batch at once, each image whole: for devices with many cores and fast memory."""
    x, styles = _features(generator, w_plus)
    for block, own in zip(generator.blocks, styles, strict=True):
        x = jax.vmap(partial(_block_whole, block))(x, own)
    return x


@jax.custom_jvp
def _synthesis_in_sequence(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> Float[Array, "batch resolution resolution 3"]:
    """Image after image, stripe after stripe: for a CPU.

    A stripe passes through a whole block without leaving the cache, and the memory of one image serves the next
    (fresh memory costs a CPU as much as the arithmetic).
    """

    def one(first: tuple[Array, list[dict[str, Array]]]) -> Array:
        x, styles = first
        for block, own in zip(generator.blocks, styles, strict=True):
            x = _block_in_stripes(block, x, own)
        return x

    return jax.lax.map(one, _features(generator, w_plus))


@_synthesis_in_sequence.defjvp
def _differentiate_whole(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Derivatives come of whole images: the transpose of a stripe adds to all the rows, once for each stripe."""
    return jax.jvp(_synthesis_in_parallel, primals, tangents)
