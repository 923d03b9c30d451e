"""Generators and edits as ONNX graphs, written node by node.

A tracer (such as jax2onnx) would take the programs of this library as they are, and these are shaped for XLA: each
depthwise convolution is nine shifted products, each Haar step a dozen slices. ONNX runtimes want one grouped
convolution and one matrix product. There are few kinds of layers, so the graphs are written by hand.
"""
