"""Readers of file formats: bytes in, plain Python objects and NumPy arrays out."""
