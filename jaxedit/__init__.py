"""Edits images along labelled, decorrelated axes of a pretrained StyleGAN."""
