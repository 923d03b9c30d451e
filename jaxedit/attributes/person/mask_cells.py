"""What is done to the cells of masks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sure(cells: Float[Array, "batch h w"], low: float, high: float) -> Float[Array, "batch h w"]:
    """Probabilities as exactly 0 up to `low` and exactly 1 from `high` on."""
    return jnp.clip((cells - low) / (high - low), 0, 1)


def widest(cells: Float[Array, "batch h w"], reach: int) -> Float[Array, "batch h w"]:
    """The maximum over a square of 2 · `reach` + 1 cells a side."""
    for window in ((1, 2 * reach + 1, 1), (1, 1, 2 * reach + 1)):
        cells = jax.lax.reduce_window(cells, -jnp.inf, jax.lax.max, window, (1, 1, 1), "SAME")
    return cells
