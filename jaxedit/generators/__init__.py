"""Generators in Flax: z → w → image. One folder for each family of StyleGAN."""

from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan3 import StyleGAN3, StyleGAN3Config

__all__ = [
    "ConditionedGenerator",
    "Generator",
    "MobileStyleGAN",
    "MobileStyleGANConfig",
    "StyleGAN2",
    "StyleGAN2Config",
    "StyleGAN3",
    "StyleGAN3Config",
]
