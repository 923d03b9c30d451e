"""StyleGAN3, T and R: the converted form, and NVIDIA's files."""
