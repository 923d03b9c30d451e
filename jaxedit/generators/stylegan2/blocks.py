"""The blocks of StyleGAN2: their weights, and their computation."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.generators.stylegan2.modulated_conv import (
    MERGED_CHANNELS,
    conv_same,
    conv_up,
    conv_up_merged,
    demodulation,
    merged_kernels,
    upsample,
)
from jaxedit.nn.layers import Affine, leaky_relu
from jaxedit.nn.parameters import Buffer, Params


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a block beside its weights.

    Attributes:
        conv_clamp: layers clip their output to ± this (times their gain).
        dtype: in which it computes.
    """

    conv_clamp: float | None
    dtype: np.dtype


class StyledConv(nnx.Module):
    """The weights of a modulated 3×3 convolution with noise, bias and leaky ReLU.

    Args:
        params: `affine`, `weight` [3, 3, in, out], `noise_strength` [], `noise` [height, width], `bias` [out].
    """

    def __init__(self, params: Params) -> None:
        self.affine = Affine(params["affine"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.noise_strength = nnx.Param(jnp.asarray(params["noise_strength"]))
        self.noise = Buffer(jnp.asarray(params["noise"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))


class ToRGB(nnx.Module):
    """The weights of a modulated 1×1 convolution to RGB: `affine`, `weight` [in, colors], `bias` [colors]."""

    def __init__(self, params: Params) -> None:
        self.affine = Affine(params["affine"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))


class Skip(nnx.Module):
    """The weight [in, out] of a residual block's linear path."""

    def __init__(self, params: Params) -> None:
        self.weight = nnx.Param(jnp.asarray(params["weight"]))


class Block(nnx.Module):
    """One resolution: `conv0` upsamples (not in the first block), `conv1`, and where it has them `to_rgb`, `skip`."""

    def __init__(self, params: Params) -> None:
        self.conv0 = nnx.data(StyledConv(params["conv0"]) if "conv0" in params else None)
        self.conv1 = StyledConv(params["conv1"])
        self.to_rgb = nnx.data(ToRGB(params["to_rgb"]) if "to_rgb" in params else None)
        self.skip = nnx.data(Skip(params["skip"]) if "skip" in params else None)

    def convolutions(self) -> Iterator[tuple[str, StyledConv]]:
        """The layers with noise, in their order."""
        for name in ("conv0", "conv1"):
            if (layer := getattr(self, name)) is not None:
                yield name, layer

    def styled(self) -> Iterator[tuple[str, StyledConv | ToRGB]]:
        """The layers with a style, in their order."""
        yield from self.convolutions()
        if self.to_rgb is not None:
            yield "to_rgb", self.to_rgb


def _modulated(x: Array, style: Float[Array, "batch channels"]) -> Array:
    return x * style[:, None, None, :].astype(x.dtype)


def _finish(
    layer: StyledConv,
    x: Float[Array, "batch height width channels"],
    demodulate: Float[Array, "batch channels"],
    noise: Float[Array, "noise_batch height width"] | None,
    settings: Settings,
    gain: float = 1.0,
) -> Float[Array, "batch height width channels"]:
    """Demodulation, noise, bias, leaky ReLU × √2, clamp."""
    x = _modulated(x, demodulate)
    if noise is not None:
        x = x + noise[..., None].astype(x.dtype)
    x = leaky_relu(x + layer.bias[...].astype(x.dtype)) * jnp.asarray(np.sqrt(2) * gain, x.dtype)
    if settings.conv_clamp is not None:
        limit = settings.conv_clamp * gain
        x = jnp.clip(x, -limit, limit)
    return x


def _rgb(
    layer: ToRGB,
    x: Float[Array, "batch height width channels"],
    style: Float[Array, "batch channels"],
    settings: Settings,
) -> Float[Array, "batch height width colors"]:
    """The modulated 1×1 convolution; its result is float32."""
    weight = (layer.weight[...] * style[:, :, None]).astype(x.dtype)
    y = jnp.einsum("bhwc,bcr->bhwr", x, weight) + layer.bias[...].astype(x.dtype)
    if settings.conv_clamp is not None:
        y = jnp.clip(y, -settings.conv_clamp, settings.conv_clamp)
    return y.astype(jnp.float32)


def _with_margin(x: Array) -> Array:
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _noise_of(
    layer: StyledConv, noise: dict[str, Array], name: str
) -> Float[Array, "noise_batch height width"] | None:
    return noise[name] * layer.noise_strength[...] if name in noise else None


def run_block(
    block: Block,
    x: Float[Array, "batch height width channels"],
    image: Float[Array, "batch height width colors"] | None,
    styles: dict[str, Array],
    noise: dict[str, Array],
    settings: Settings,
) -> tuple[Array, Array | None]:
    """The features and the image of a block; there is an image from the first layer to RGB on.

    Args:
        block: its weights.
        x: the features of the block before, or the constant.
        image: the image of the block before.
        styles: by the layer's name.
        noise: by the layer's name, empty for no noise.
        settings: clamp and dtype.
    """
    x = x.astype(settings.dtype)
    linear = None
    if block.conv0 is not None:
        conv0 = block.conv0
        if block.skip is not None:
            linear = _linear_path(block.skip, _with_margin(x))
        weight = conv0.weight[...].astype(x.dtype)
        y = _modulated(x, styles["conv0"])
        is_merged = weight.shape[2] <= MERGED_CHANNELS
        y = conv_up_merged(_with_margin(y), merged_kernels(weight)) if is_merged else conv_up(y, weight)
        x = _finish(
            conv0,
            y,
            demodulation(conv0.weight[...], styles["conv0"]),
            _noise_of(conv0, noise, "conv0"),
            settings,
        )
    conv1 = block.conv1
    x = conv_same(_modulated(x, styles["conv1"]), conv1.weight[...].astype(x.dtype))
    x = _finish(
        conv1,
        x,
        demodulation(conv1.weight[...], styles["conv1"]),
        _noise_of(conv1, noise, "conv1"),
        settings,
        1.0 if linear is None else float(np.sqrt(0.5)),  # in a residual block both paths count by √½
    )
    if linear is not None:
        x = x + linear
    if image is not None:
        image = upsample(_with_margin(image))
    if block.to_rgb is not None:
        rgb = _rgb(block.to_rgb, x, styles["to_rgb"], settings)
        image = rgb if image is None else image + rgb
    return x, image


def _linear_path(skip: Skip, padded: Float[Array, "batch padded_height padded_width inner"]) -> Array:
    """A residual block's other path: 1×1 convolution and upsampling, times √½."""
    weight = (skip.weight[...] * np.float32(np.sqrt(0.5))).astype(padded.dtype)
    return upsample(jnp.einsum("bhwc,cd->bhwd", padded, weight))
