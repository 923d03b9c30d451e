"""Generators in Flax: StyleGAN's family, one file each, and the layers they share."""

from jaxedit.generators.base import Generator
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig

__all__ = ["Generator", "MobileStyleGAN", "MobileStyleGANConfig"]
