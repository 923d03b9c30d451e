"""LPIPS, the learned perceptual distance of two images, with AlexNet or VGG16.

Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR 2018. Both images go
through a network that was trained to classify. At five layers l, the features f of each pixel are brought to unit
length, and their squared differences are weighted by channel (weights w ≥ 0, learned from human judgments) and
averaged:

    d(a, b) = Σ_l mean_pixels Σ_c w_lc (f_lc(a) / ‖f_l(a)‖ − f_lc(b) / ‖f_l(b)‖)²

`LPIPS.features` returns √w · f / ‖f‖, so that the distance is a squared Euclidean one and the features of a target are
computed once.

Windows are pooled by maxima of pairs, because the gradient of `reduce_window` takes six to thirty times as long with
XLA on a CPU.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from jaxedit.errors import CheckpointError, InputError
from jaxedit.nn.convolution import conv_2d
from jaxedit.nn.layers import unit_length
from jaxedit.nn.lpips_pretrained import LPIPS_WEIGHTS
from jaxedit.nn.parameters import Params

Features = tuple[Float[Array, "#batch _ _ _"], ...]
"""Of each compared layer, [batch, height, width, channels]: √w · f / ‖f‖, or f itself."""

MIN_SIZE = 32
"""Smallest side of an image, in pixels: smaller images have no pixel left at the last layer."""

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""The networks take (image − SHIFT) / SCALE, for each channel."""

# Added to ‖f‖², where the original adds 1e-10 to ‖f‖: equal for every feature that matters, with a gradient where all
# features of a pixel are 0.
_TINY = 1e-20


def max_pool_2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 2×2 windows; an odd last row or column is dropped."""
    b, h, w, c = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    rows = x[:, : 2 * h, : 2 * w].reshape(b, h, 2, 2 * w, c)
    columns = jnp.maximum(rows[:, :, 0], rows[:, :, 1]).reshape(b, h, w, 2, c)
    return jnp.maximum(columns[:, :, :, 0], columns[:, :, :, 1])


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3×3 windows at every second pixel, without padding."""
    return _max_of_three(_max_of_three(x, 1), 2)


def _max_of_three(x: Array, axis: int) -> Array:
    """Maximum of each even element and the two after it."""
    size = (x.shape[axis] - 1) // 2
    pairs = jax.lax.slice_in_dim(x, 0, 2 * size, axis=axis)
    pairs = pairs.reshape(*x.shape[:axis], size, 2, *x.shape[axis + 1 :])
    even = jax.lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
    odd = jax.lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
    last = jax.lax.slice_in_dim(x, 2 * size, 2 * size + 1, axis=axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(even, 1, size, axis=axis), last], axis)
    return jnp.maximum(jnp.maximum(even, odd), after)


@dataclasses.dataclass(frozen=True)
class _Network:
    convs: tuple[int, ...]
    """Number of convolutions before each compared layer."""
    pooled: tuple[bool, ...]
    """Whether the size is halved before each of these groups."""
    pool: Callable[[Array], Array]


_NETWORKS = {
    "alex": _Network((1, 1, 1, 1, 1), (False, True, True, False, False), max_pool_3x3),
    "vgg16": _Network((2, 2, 3, 3, 3), (False, True, True, True, True), max_pool_2x2),
}

NETWORKS = tuple(_NETWORKS)
"""Names of the networks."""


class ConvReLU(nnx.Module):
    """Convolution with bias, then ReLU. The stride is 4 for windows of 11×11, else 1, which keeps the size."""

    def __init__(self, params: Params, *, dtype: DTypeLike) -> None:
        self.weight = nnx.Param(jnp.asarray(params["weight"], dtype))
        self.bias = nnx.Param(jnp.asarray(params["bias"], dtype))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """max(x ∗ weight + bias, 0)."""
        weight = self.weight[...]
        window = weight.shape[0]
        stride, padding = (4, 2) if window == 11 else (1, window // 2)
        y = conv_2d(x, weight, (stride, stride), ((padding, padding), (padding, padding)))
        return jax.nn.relu(y + self.bias[...])


class LPIPS(nnx.Module):
    """LPIPS of images [batch, height, width, 3] in [-1, 1] of 32 pixels a side or more.

    Args:
        config: `network`, one of `NETWORKS`. AlexNet takes about a twentieth of the time of VGG16.
        params: `convs.{i}.weight`, `convs.{i}.bias` and `heads.{i}`.
        dtype: number format of the network: float32 or bfloat16. Lengths and distances are float32.

    Raises:
        InputError: if the dtype is neither.
        KeyError: if the network is unknown or an array is missing.
    """

    def __init__(self, config: Mapping[str, Any], params: Params, *, dtype: DTypeLike = jnp.float32) -> None:
        if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
            raise InputError(f"dtype: expected float32 or bfloat16, got {jnp.dtype(dtype)}")
        plan = _NETWORKS[config["network"]]
        self.network: str = config["network"]
        self.dtype = jnp.dtype(dtype)
        self.convs = nnx.List(
            [ConvReLU(params["convs"][str(i)], dtype=dtype) for i in range(sum(plan.convs))]
        )
        self.heads = nnx.List(
            [nnx.Param(jnp.asarray(params["heads"][str(i)], jnp.float32)) for i in range(len(plan.convs))]
        )

    @classmethod
    def from_pretrained(
        cls, network: str = "alex", folder: str | Path | None = None, *, dtype: DTypeLike = jnp.float32
    ) -> "LPIPS":
        """LPIPS with its published weights.

        Args:
            network: "alex" or "vgg16".
            folder: a checkpoint folder of kind "lpips" with this network. None: the one in the cache, which is made
                first if it is missing or damaged (this fetches 64 MB once).
            dtype: number format of the network: float32 or bfloat16.

        Raises:
            InputError: if the network is unknown, or the dtype is neither.
            DownloadError: if the source cannot be fetched.
            CheckpointError: if `folder` is given and is missing, damaged, or holds something else.
            OutputError: if the cache cannot be written.
        """
        if network not in NETWORKS:
            raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {network!r}")
        weights = LPIPS_WEIGHTS[network]

        def build(config: dict[str, Any], arrays: dict[str, Any]) -> LPIPS:
            if config.get("network") != network:
                found, where = config.get("network"), folder or weights.cache_name
                raise CheckpointError(f"{where}: expected the network {network!r}, found {found!r}")
            return cls(config, arrays, dtype=dtype)

        return weights.load(build, folder)

    def __call__(
        self,
        a: Float[Array, "batch height width 3"],
        b: Float[Array, "batch height width 3"],
        mask: Float[Array, "#batch mask_height mask_width"] | None = None,
    ) -> Float[Array, " batch"]:
        """The distance of each pair of images; `mask` as in `distance`.

        Raises:
            InputError: as `features` and `distance`.
        """
        return self.distance(self.features(a), self.features(b), mask)

    def features(self, images: Float[Array, "batch height width channels"]) -> Features:
        """The features of images in [-1, 1] that `distance` compares.

        Raises:
            InputError: if the images are smaller than 32 pixels a side, do not have three channels, or are not floats.
        """
        if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < MIN_SIZE:
            raise InputError(
                f"images: expected [batch, height, width, 3] of at least {MIN_SIZE} × {MIN_SIZE}, "
                f"got {list(images.shape)}"
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise InputError(f"images: expected floats in [-1, 1], got {images.dtype}")
        layers = self.activations(images)
        return tuple(
            unit_length(x.astype(jnp.float32), tiny=_TINY) * jnp.sqrt(head[...])
            for x, head in zip(layers, self.heads, strict=True)
        )

    def activations(self, images: Float[Array, "batch height width 3"]) -> Features:
        """The five layers of the frozen network as they are, in its number format; for images as in `features`."""
        plan = _NETWORKS[self.network]
        shift, scale = jnp.asarray(SHIFT, images.dtype), jnp.asarray(SCALE, images.dtype)
        x = ((images - shift) / scale).astype(self.dtype)
        convs = iter(self.convs)
        layers = []
        for count, pooled in zip(plan.convs, plan.pooled, strict=True):
            x = plan.pool(x) if pooled else x
            for _ in range(count):
                x = next(convs)(x)
            layers.append(x)
        return tuple(layers)

    def distance(
        self,
        a: Features,
        b: Features,
        mask: Float[Array, "#batch mask_height mask_width"] | None = None,
    ) -> Float[Array, " batch"]:
        """The distance of images by their `features`.

        Args:
            a: features of images.
            b: features of as many images, or of one, which is compared with all.
            mask: weights of the pixels, at least 0, of any resolution. The mean over each layer is weighted by the mask
                at the layer's resolution. The distance under a mask of zeros is 0.

        Raises:
            InputError: if the features belong to images of different sizes or numbers, or to different networks.
        """
        if [x.shape[1:] for x in a] != [x.shape[1:] for x in b]:
            raise InputError("features: expected those of images of one size, by one network")
        counts = sorted({x.shape[0] for x in (*a, *b)} - {1})
        if len(counts) > 1:
            raise InputError(f"features: expected those of as many images, or of one, got {counts}")
        total = jnp.zeros((), jnp.float32)
        for one, other in zip(a, b, strict=True):
            difference = jnp.square(one - other).sum(3)
            total = total + (difference.mean((1, 2)) if mask is None else _weighted_mean(difference, mask))
        return total


def _weighted_mean(
    values: Float[Array, "b h w"], mask: Float[Array, "#b mask_height mask_width"]
) -> Float[Array, " b"]:
    shape = (mask.shape[0], *values.shape[1:])
    # Antialiased: a small region keeps its weight at the layers of few pixels.
    weights = jax.image.resize(mask.astype(values.dtype), shape, "linear", antialias=True)
    total = jnp.maximum(weights.sum((1, 2)), jnp.finfo(values.dtype).tiny)
    return (values * weights).sum((1, 2)) / total
