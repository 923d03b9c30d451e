"""Generators in Flax: StyleGAN's family, one file each, and the layers they share."""
