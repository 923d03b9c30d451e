"""Latents Z, W and W+: the seed stream, PCA, latent files."""
