"""How foreign files are read: their bytes in, plain Python objects and NumPy arrays out."""
