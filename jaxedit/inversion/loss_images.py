"""Images for a projection: of the size at which losses compare, with derivatives that cost little."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import half_size
from jaxedit.generators.protocol import Generator
from jaxedit.nn.resize import average_pool, shrink

FACE_START, FACE_EXTENT = (0.125, 0.1875), 0.75
"""The middle of an FFHQ image: the face from the hair line to the chin."""


def render(
    generator: Generator,
    w_plus: Float[Array, "batch num_ws w_dim"],
    noise: dict[str, Array] | None,
    *,
    is_cheap: bool,
) -> Float[Array, "batch height width 3"]:
    """The generator's images, or for one that has them half-size images with cheap derivatives.

    Args:
        generator: makes the images.
        w_plus: latents.
        noise: noise images of a StyleGAN2, of each image its own; None for its own.
        is_cheap: whether half the size will do and only latents are derived by; pays on a CPU.
    """
    if is_cheap and isinstance(generator, MobileStyleGAN):
        return jax.lax.platform_dependent(
            generator,
            w_plus,
            cpu=half_size,
            default=lambda generator, w: average_pool(generator.synthesis(w), 2),
        )
    return generator.synthesis(w_plus) if noise is None else generator.synthesis(w_plus, noise=noise)  # type: ignore[call-arg]


def face_part(
    images: Float[Array, "batch height width channels"], size: int
) -> Float[Array, "batch _ _ channels"]:
    """The middle of FFHQ-style images, at `size` pixels a side at most."""
    side = images.shape[1]
    left, top = (round(share * side) for share in FACE_START)
    extent = round(FACE_EXTENT * side)
    part = images[:, top : top + extent, left : left + extent]
    return shrink(part, size)


def clip_softly(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Clipped to [-1, 1] in value, with the gradient of the clipped part pulling it back: none is lost beyond."""
    return images + jax.lax.stop_gradient(jnp.clip(images, -1, 1) - images)
