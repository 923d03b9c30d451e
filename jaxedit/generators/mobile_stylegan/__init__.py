"""MobileStyleGAN."""

from jaxedit.generators.mobile_stylegan.config import MobileStyleGANConfig
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN

__all__ = ["MobileStyleGAN", "MobileStyleGANConfig"]
