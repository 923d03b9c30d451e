"""Foreign weights in, a plain config and a nested dict of NumPy arrays out. Nothing here needs JAX."""
