"""Latents to images as pytrees, in full or cheaper, for what is learned through images."""

from collections.abc import Callable

import jax
from jaxtyping import Array

from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import fit_preview
from jaxedit.generators.protocol import Generator
from jaxedit.latents.seed_stream import sample_w

Render = Callable[[Array], Array]
"""Latents of W or W+ to images, a pytree."""

_PREVIEW_LATENTS = 48


def full_render(generator: Generator) -> Render:
    """The generator's own images."""
    return jax.tree_util.Partial(_synthesis, generator)


def cheap_render(generator: Generator) -> Render:
    """Previews of a MobileStyleGAN, which are fitted to its images; the own images of another generator."""
    if not isinstance(generator, MobileStyleGAN):
        return full_render(generator)
    return fit_preview(generator, sample_w(generator, 0, _PREVIEW_LATENTS, batch_size=_PREVIEW_LATENTS))


def _synthesis(generator: Generator, w: Array) -> Array:
    return generator.synthesis(w)
