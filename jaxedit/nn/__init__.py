"""Pieces of networks that several models share: convolution, pooling, resizing, layers, graph networks."""
