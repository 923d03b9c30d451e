"""StyleGAN2."""

from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config

__all__ = ["StyleGAN2", "StyleGAN2Config"]
