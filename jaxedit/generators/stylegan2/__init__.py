"""StyleGAN2."""

from jaxedit.generators.stylegan2.config import StyleGAN2Config
from jaxedit.generators.stylegan2.generator import StyleGAN2

__all__ = ["StyleGAN2", "StyleGAN2Config"]
