"""Maxima over windows of feature maps, NHWC."""

import functools
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.nn.windows import pad_same, shifted_views


def max_pool_3x3(
    x: Float[Array, "b h w c"], *, stride: int, padding: Literal["SAME", "VALID"]
) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3×3 windows."""
    window, strides = (3, 3), (stride, stride)
    padded = pad_same(x, window, strides, -jnp.inf) if padding == "SAME" else x
    return functools.reduce(jnp.maximum, shifted_views(padded, window, strides))
