"""MobileStyleGAN."""

from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN, MobileStyleGANConfig

__all__ = ["MobileStyleGAN", "MobileStyleGANConfig"]
