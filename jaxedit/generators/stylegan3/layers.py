"""The layers of StyleGAN3: Fourier features, convolutions with a filtered leaky ReLU, and the layer to RGB."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.generators.stylegan3.filtered_lrelu import Resampling, filtered_leaky_relu
from jaxedit.nn.convolution import conv_2d
from jaxedit.nn.layers import Affine
from jaxedit.nn.parameters import Buffer, Params

_EXACT = jax.lax.Precision.HIGHEST


class FourierFeatures(nnx.Module):
    """Sine waves over the image, which a latent rotates and shifts, and a linear map of them.

    Args:
        params: `affine` to 4 numbers (cosine, sine, shift in x and y), `frequencies` [channels, 2] in periods a side
            along x and y, `phases` [channels] in periods, `weight` [channels, channels], `transform` [3, 3].
    """

    def __init__(self, params: Params) -> None:
        self.affine = Affine(params["affine"])
        self.frequencies = Buffer(jnp.asarray(params["frequencies"]))
        self.phases = Buffer(jnp.asarray(params["phases"]))
        self.transform = Buffer(jnp.asarray(params["transform"]))
        self.weight = nnx.Param(jnp.asarray(params["weight"]))

    def __call__(
        self,
        w: Float[Array, "batch w_dim"],
        transform: Float[Array, "batch 3 3"],
        *,
        size: int,
        rate: int,
        bandwidth: float,
    ) -> Float[Array, "batch size size channels"]:
        """The features.

        Args:
            w: latents of W.
            transform: inverse of the user's transform of the image.
            size: pixels a side, with the margin.
            rate: pixels a side of the image without the margin.
            bandwidth: largest frequency; waves that the transform brings above it fade out.
        """
        own = self.affine(w)
        cosine, sine, x, y = jnp.moveaxis(own / jnp.linalg.norm(own[:, :2], axis=1, keepdims=True), 1, 0)
        zero, one = jnp.zeros_like(x), jnp.ones_like(x)
        rotation = _matrix((cosine, -sine, zero), (sine, cosine, zero), (zero, zero, one))
        shift = _matrix((one, zero, -x), (zero, one, -y), (zero, zero, one))
        full = jnp.matmul(jnp.matmul(rotation, shift, precision=_EXACT), transform, precision=_EXACT)
        frequencies = jnp.einsum("ck,bkj->bcj", self.frequencies[...], full[:, :2], precision=_EXACT)
        phases = self.phases[...] + frequencies[:, :, 2]
        frequencies = frequencies[:, :, :2]
        excess = jnp.linalg.norm(frequencies, axis=2) - bandwidth
        amplitudes = jnp.clip(1 - excess / (rate / 2 - bandwidth), 0, 1)
        places = ((np.arange(size) + 0.5 - size / 2) / rate).astype(np.float32)
        # The sine of a sum, so that sines are computed of the rows and columns alone.
        rows = places[:, None] * frequencies[:, None, :, 1] + phases[:, None]
        columns = places[:, None] * frequencies[:, None, :, 0]
        sine_y, cosine_y = (f(rows * (2 * np.pi))[:, :, None] for f in (jnp.sin, jnp.cos))
        sine_x, cosine_x = (f(columns * (2 * np.pi))[:, None] for f in (jnp.sin, jnp.cos))
        waves = (sine_y * cosine_x + cosine_y * sine_x) * amplitudes[:, None, None]
        return jnp.matmul(waves, self.weight[...], precision=_EXACT)


def _matrix(*rows: tuple[Array, Array, Array]) -> Float[Array, "batch 3 3"]:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


class Layer(nnx.Module):
    """A modulated convolution and a filtered leaky ReLU.

    Args:
        params: `affine`, `weight` [size, size, in, out] with a mean square of 1 for each output channel, `bias` [out],
            `input_gain` [] (the inverse of the input's magnitude), `up_filter` [taps], `down_filter` [rank, 2, taps].
    """

    def __init__(self, params: Params) -> None:
        self.affine = Affine(params["affine"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))
        self.input_gain = Buffer(jnp.asarray(params["input_gain"]))
        self.up_filter = Buffer(jnp.asarray(params["up_filter"]))
        self.down_filter = Buffer(jnp.asarray(params["down_filter"]))

    def __call__(
        self,
        x: Float[Array, "batch height height inner"],
        w: Float[Array, "batch w_dim"],
        spec: Resampling,
    ) -> Float[Array, "batch size size outer"]:
        """The layer's output, in the dtype of x."""
        weight = self.weight[...]
        style = self.affine(w)
        # The original normalizes by the mean over the batch too: demodulation cancels any common factor.
        style = style * jax.lax.rsqrt(jnp.mean(style**2, axis=1, keepdims=True))
        demodulation = _demodulation(weight, style) * self.input_gain[...]
        x = x * style[:, None, None].astype(x.dtype)
        margin = (weight.shape[0] - 1, weight.shape[1] - 1)
        if margin == (0, 0):
            x = jnp.einsum("bhwc,cd->bhwd", x, weight[0, 0].astype(x.dtype))
        else:
            x = conv_2d(x, weight.astype(x.dtype), (1, 1), ((margin[0], margin[0]), (margin[1], margin[1])))
        x = x * demodulation[:, None, None].astype(x.dtype) + self.bias[...].astype(x.dtype)
        return filtered_leaky_relu(x, self.up_filter[...], self.down_filter[...], spec)


def _demodulation(
    weight: Float[Array, "rows columns inner outer"], style: Float[Array, "batch inner"]
) -> Float[Array, "batch outer"]:
    # Products added up in one pass; a reduction over the leading axes takes a CPU twenty times as long.
    power = sum(jnp.square(weight[i, j]) for i in range(weight.shape[0]) for j in range(weight.shape[1]))
    return jax.lax.rsqrt(jnp.matmul(jnp.square(style), power, precision=_EXACT) + 1e-8)


class ToRGB(nnx.Module):
    """A modulated 1×1 convolution to RGB: `affine`, `weight` [in, 3], `bias` [3]."""

    def __init__(self, params: Params) -> None:
        self.affine = Affine(params["affine"])
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        w: Float[Array, "batch w_dim"],
        *,
        clamp: float | None,
    ) -> Float[Array, "batch height width colors"]:
        """Colors, clipped to ± `clamp`."""
        weight = (self.weight[...] * self.affine(w)[:, :, None]).astype(x.dtype)
        y = jnp.einsum("bhwc,bcr->bhwr", x, weight) + self.bias[...].astype(x.dtype)
        return y if clamp is None else jnp.clip(y, -clamp, clamp)
