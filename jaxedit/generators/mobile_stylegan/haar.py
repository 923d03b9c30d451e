"""One step of the 2-D Haar wavelet transform, forth and back."""

import jax.numpy as jnp
from jaxtyping import Array, Float


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


def haar(y: Float[Array, "height_2 width_2 channels"]) -> Float[Array, "height width bands"]:
    """One step of the 2-D Haar transform, which is orthonormal: the inverse and the transpose of `inverse_haar`."""
    height, width, channels = y.shape
    squares = y.reshape(height // 2, 2, width // 2, 2, channels)
    a, b, c, d = squares[:, 0, :, 0], squares[:, 0, :, 1], squares[:, 1, :, 0], squares[:, 1, :, 1]
    low = 0.5 * (a + b + c + d)
    details = jnp.stack([a + b - c - d, a - b + c - d, a - b - c + d], axis=-1) * 0.5
    return jnp.concatenate([low, details.reshape(height // 2, width // 2, -1)], axis=-1)
