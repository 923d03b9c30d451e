"""The image of one latent, as people see it: one compiled program from the latent to bytes."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.images import to_uint8


def render(
    generator: Any,
    w: Float[Array | np.ndarray, "1 w_dim"] | Float[Array | np.ndarray, "1 num_ws w_dim"],
    noise: dict[str, Array] | None = None,
    *,
    style_moves: Mapping[str, Float[Array | np.ndarray, "1 _"]] | None = None,
) -> UInt8[np.ndarray, "height width channels"]:
    """Render one latent.

    Args:
        generator: a generator of this library (a pytree).
        w: a latent of W or W+, float32.
        noise: noise images [1, height, width] by layer; by default the generator's own.
        style_moves: for a StyleGAN2, what to add to the styles of some layers.

    Returns:
        RGB, or the channels of the generator, 0…255.
    """
    if style_moves:
        generator = getattr(
            generator, "generator", generator
        )  # a class is chosen, and styles are the generator's
    return np.asarray(_render(generator, w, noise, dict(style_moves or {})))[0]


@jax.jit
def _render(generator: Any, w: Array, noise: dict[str, Array] | None, moves: dict[str, Array]) -> Array:
    options = {} if noise is None else {"noise": noise}
    if not moves:
        return to_uint8(generator.synthesis(w, **options))
    styles = generator.styles(w)
    styles |= {name: styles[name] + move for name, move in moves.items()}
    return to_uint8(generator.synthesis_from_styles(styles, **options))
