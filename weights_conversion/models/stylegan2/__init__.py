"""The sources of StyleGAN2 weights, each read to the layout of `layout.py`."""
