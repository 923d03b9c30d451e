"""Generators in Flax: StyleGAN's family, one file each, and the layers they share."""

from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config

__all__ = [
    "ConditionedGenerator",
    "Generator",
    "MobileStyleGAN",
    "MobileStyleGANConfig",
    "StyleGAN2",
    "StyleGAN2Config",
]
