"""Readers of StyleGAN2 weights. Every reader returns the config and the arrays that `layout` defines."""
