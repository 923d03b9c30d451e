"""Images at the size at which losses compare, with cheap derivatives."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import half_size
from jaxedit.generators.protocol import Generator
from jaxedit.nn.platform_branch import platform_branch
from jaxedit.nn.resize import average_pool, shrink

FACE_START, FACE_EXTENT = (0.125, 0.1875), 0.75
"""Left, top and side of the middle of an FFHQ image, in fractions of its side: from the hair line to the chin."""


def render(
    generator: Generator,
    w_plus: Float[Array, "batch num_ws w_dim"],
    noise: dict[str, Array] | None,
    *,
    is_cheap: bool,
) -> Float[Array, "batch height width 3"]:
    """Render latents, where the generator can at half size with cheap derivatives.

    Args:
        generator: makes the images.
        w_plus: latents.
        noise: noise images of a StyleGAN2 by layer, [batch, height, width]; None for the generator's own.
        is_cheap: whether half the size and derivatives by latents alone suffice; faster on a CPU.
    """
    if is_cheap and isinstance(generator, MobileStyleGAN):
        return platform_branch(
            generator,
            w_plus,
            cpu=half_size,
            default=lambda generator, w: average_pool(generator.synthesis(w), 2),
        )
    return generator.synthesis(w_plus) if noise is None else generator.synthesis(w_plus, noise=noise)  # type: ignore[call-arg]


def face_part(
    images: Float[Array, "batch height width channels"], size: int
) -> Float[Array, "batch _ _ channels"]:
    """The middle of FFHQ-style images, shrunk to `size` pixels a side."""
    side = images.shape[1]
    left, top = (round(share * side) for share in FACE_START)
    extent = round(FACE_EXTENT * side)
    part = images[:, top : top + extent, left : left + extent]
    return shrink(part, size)


def clip_softly(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Clip the values to [-1, 1] and pass the gradient unclipped, so that values beyond are pulled back."""
    return images + jax.lax.stop_gradient(jnp.clip(images, -1, 1) - images)
