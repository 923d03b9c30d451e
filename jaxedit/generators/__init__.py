"""Generators in Flax: StyleGAN's family, one file each, and the layers they share."""

from jaxedit.generators.base import Generator
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.one_class import OneClass
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config

__all__ = ["Generator", "MobileStyleGAN", "MobileStyleGANConfig", "OneClass", "StyleGAN2", "StyleGAN2Config"]
