"""StyleGAN3."""

from jaxedit.generators.stylegan3.config import StyleGAN3Config
from jaxedit.generators.stylegan3.generator import StyleGAN3

__all__ = ["StyleGAN3", "StyleGAN3Config"]
