"""Layers that the generators share: pure functions of NHWC arrays, and the small modules that hold their weights."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Params = Mapping[str, Any]
"""Nested dict of arrays, as a conversion gives it."""


class Buffer(nnx.Variable):
    """A number that belongs to a model and is not trained: fixed noise, the mean of W."""


def module_params(module: nnx.Module) -> dict[str, Any]:
    """The numbers of a module as a nested dict with string keys: what constructors take and checkpoints keep."""

    def with_string_keys(tree: Any) -> Any:
        return (
            {str(key): with_string_keys(value) for key, value in tree.items()}
            if isinstance(tree, dict)
            else tree
        )

    return with_string_keys(nnx.to_pure_dict(nnx.state(module)))


class Affine(nnx.Module):
    """x ↦ x·weight + bias.

    Args:
        params: `weight` [in, out] and `bias` [out].
    """

    def __init__(self, params: Params) -> None:
        self.weight = nnx.Param(jnp.asarray(params["weight"]))
        self.bias = nnx.Param(jnp.asarray(params["bias"]))

    def __call__(self, x: Float[Array, "*batch inner"]) -> Float[Array, "*batch outer"]:
        """The affine map of the last dimension, in full float32 precision on every device."""
        # The affine maps of a generator cost next to nothing, and W and the styles deserve all their digits.
        product = jnp.matmul(x, self.weight[...], precision=jax.lax.Precision.HIGHEST)
        return product + self.bias[...]


def leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x, 0.2·x), StyleGAN's activation, without gain."""
    return jnp.maximum(x, x * 0.2)


def inverse_haar(
    x: Float[Array, "*batch height width bands"],
) -> Float[Array, "*batch height_2 width_2 channels"]:
    """One step of the inverse 2-D Haar transform: twice the height and width from a quarter of the channels.

    With low band l and details lh, hl, hh each 2×2 square of the result is
    ½ (l ± lh ± hl ± hh): lh changes sign from row to row, hl from column to column, hh with both.

    Args:
        x: the first quarter of the channels is the low band; the rest is channel-major, (channel, band), the bands
            in the order lh, hl, hh.
    """
    *batch, height, width, bands = x.shape
    channels = bands // 4
    low = x[..., :channels]
    details = x[..., channels:].reshape(*batch, height, width, channels, 3)
    lh, hl, hh = details[..., 0], details[..., 1], details[..., 2]
    top, bottom = low + lh, low - lh
    top_detail, bottom_detail = hl + hh, hl - hh
    # Columns, then rows: each reshape merges two dimensions, which explicit sharding of the batch allows.
    rows = [
        jnp.stack([half + detail, half - detail], axis=-2).reshape(*batch, height, 2 * width, channels)
        for half, detail in ((top, top_detail), (bottom, bottom_detail))
    ]
    return 0.5 * jnp.stack(rows, axis=-3).reshape(*batch, 2 * height, 2 * width, channels)


def depthwise_conv_3x3_valid(
    x: Float[Array, "*batch padded_height padded_width channels"], kernel: Float[Array, "3 3 channels"]
) -> Float[Array, "*batch height width channels"]:
    """Each channel convolved with its own 3×3 kernel, without padding: two rows and columns fewer come out.

    Written as nine shifted multiply-adds, which every XLA backend fuses into one pass; XLA's grouped convolution
    takes seven times as long on a CPU. Give it an array that stands in memory: fused with what made its input
    (a padding, an upsampling) that work is repeated nine times over.
    """
    height, width = x.shape[-3] - 2, x.shape[-2] - 2
    return sum(
        (x[..., i : i + height, j : j + width, :] * kernel[i, j] for i in range(3) for j in range(3)),
        start=jnp.zeros((), x.dtype),
    )
