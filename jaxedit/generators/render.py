"""The image of one latent, as people see it: one compiled program from the latent to bytes."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.images import to_uint8


def render(
    generator: Any,
    w: Float[Array | np.ndarray, "1 w_dim"] | Float[Array | np.ndarray, "1 num_ws w_dim"],
    noise: dict[str, Array] | None = None,
) -> UInt8[np.ndarray, "height width channels"]:
    """Render one latent.

    Args:
        generator: a generator of this library (a pytree).
        w: a latent of W or W+, float32.
        noise: noise images [1, height, width] by layer; by default the generator's own.

    Returns:
        RGB, or the channels of the generator, 0…255.
    """
    return np.asarray(_render(generator, w, noise))[0]


@jax.jit
def _render(generator: Any, w: Array, noise: dict[str, Array] | None) -> Array:
    return to_uint8(generator.synthesis(w) if noise is None else generator.synthesis(w, noise=noise))
