"""MobileStyleGAN as ONNX graphs: latents [batch, layers, w_dim] ↦ images [batch, 3, height, width]."""

import jax.numpy as jnp
import numpy as np

from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.layers import Latent, activated, by_layer, style_of
from jaxedit.generators.mobile_stylegan.blocks import Block, InputConv, ModulatedSeparableConv
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.stylegan2.modulated_conv import conv_same


def mobile_stylegan(graph: GraphBuilder, generator: MobileStyleGAN, latents: str) -> str:
    """The whole network; its parts are "first", "styles" and "noise".

    A depthwise convolution is one grouped one. Styles scale the weights, or what is small.
    """
    x = first_features(graph, generator, latents)
    return through_blocks(graph, generator, x, latents, range(len(generator.blocks)))


def first_features(graph: GraphBuilder, generator: MobileStyleGAN, latents: str) -> str:
    """The features before the first block."""
    return _first_convolution(graph, generator.input_conv, by_layer(graph, latents, generator)[0])


def features_shape(generator: MobileStyleGAN, num_blocks: int) -> tuple[int, int, int]:
    """Channels, height and width of the features before a block."""
    side = 4 * 2**num_blocks
    return generator.config.channels[num_blocks], side, side


def through_blocks(
    graph: GraphBuilder, generator: MobileStyleGAN, x: str, latents: str, numbers: range
) -> str:
    """What some blocks make of the features before the first of them: features again, or the image behind the last."""
    w = by_layer(graph, latents, generator)
    for i in numbers:
        x = _block(graph, generator.blocks[i], x, w[1 + 2 * i : 4 + 2 * i], 4 * 2**i)
    return x


def linear_image(
    graph: GraphBuilder, features: str, shape: tuple[int, int, int], weight: np.ndarray, bias: np.ndarray
) -> str:
    """An image that is a linear map of features: each of their pixels becomes a square.

    Args:
        graph: the graph.
        features: before a block.
        shape: of one of them.
        weight: [channels, 3 · factor²], of the library's order of channels; colors change fastest.
        bias: [3 · factor²].
    """
    channels, side, _ = shape
    ordered = np.asarray(weight, np.float32)[_haar_order(channels)]
    pixels = graph.pointwise(features, ordered, None, (side, side))
    pixels = graph.calculate("Add", pixels, np.asarray(bias, np.float32)[None, :, None, None])
    factor = int(np.sqrt(len(bias) // 3))
    return pixels if factor == 1 else graph.add("DepthToSpace", pixels, blocksize=factor, mode="DCR")


def _first_convolution(graph: GraphBuilder, first: InputConv, w: Latent) -> str:
    weight = np.asarray(first.weight[...])
    style = style_of(graph, first.modulation, w, fan_in=9 * weight.shape[2])
    constant = np.asarray(first.constant[...]).transpose(2, 0, 1)[None]
    x = graph.add("Mul", graph.constant(constant), graph.of_channels(style))
    order = _haar_order(weight.shape[3])
    ordered = np.ascontiguousarray(weight.transpose(3, 2, 0, 1)[order])
    lost = graph.lost_by_rounding(ordered, part="first")
    bias = np.asarray(first.bias[...])[order]
    x = graph.convolution(x, ordered, bias, part="first")
    noise = np.asarray(first.noise[...])[None, None]
    if lost is not None:
        noise = noise + _lost_by_rounding(first, lost, w.mean)
    return activated(graph, graph.calculate("Add", x, noise))


def _lost_by_rounding(layer: InputConv, lost: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """What lost parts of weights take from the first feature map at the mean of W, [1, channels, 4, 4]."""
    affine = layer.modulation
    style = mean @ np.asarray(affine.weight[...]) + np.asarray(affine.bias[...])
    x = np.asarray(layer.constant[...]) * style / np.sqrt(9 * lost.shape[1])
    change = conv_same(jnp.asarray(x[None], jnp.float32), jnp.asarray(lost.transpose(2, 3, 1, 0)))
    return np.asarray(change).transpose(0, 3, 1, 2)


def _haar_order(channels: int) -> np.ndarray:
    """The order in which a Haar step wants its bands: all low ones, all lh, all hl, all hh."""
    quarter = channels // 4
    details = quarter + np.arange(3 * quarter).reshape(quarter, 3).T
    return np.concatenate([np.arange(quarter), details.ravel()])


_BUTTERFLY = 0.5 * np.asarray([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32)
"""From the bands (low, lh, hl, hh) to the pixels of a square, row by row."""

_MOST_COLUMNS = 2**20
"""Of one matrix product. With twice as many, ONNX Runtime 1.23 on WebGPU gives wrong numbers: it counts them in groups
of 32, and there may be 65,535 groups along a dimension."""


def _inverse_haar(graph: GraphBuilder, x: str, channels: int, size: int) -> str:
    """One product of all squares with a 4×4 matrix, and one reordering. Bands come in `_haar_order`."""
    columns, parts = channels // 4 * size * size, 1
    while columns // parts > _MOST_COLUMNS and columns % (2 * parts) == 0:
        parts *= 2
    matrix = np.kron(_BUTTERFLY, np.eye(parts, dtype=np.float32))  # each part of a band for itself
    flat = graph.reshape(x, [0, 4 * parts, columns // parts])
    pixels = graph.reshape(graph.add("MatMul", graph.constant(matrix), flat), [0, channels, size, size])
    return graph.add("DepthToSpace", pixels, blocksize=2, mode="DCR")


def _block(graph: GraphBuilder, block: Block, x: str, w: list[Latent], size: int) -> str:
    channels = block.up.bias[...].shape[0]
    order = _haar_order(channels)
    up = style_of(graph, block.up, w[0], order=order)
    # A Haar step and a depthwise convolution keep channels apart, so the style of the first one goes before both.
    first = style_of(graph, block.conv1.modulation, w[0], fan_in=9 * (channels // 4))
    up = graph.add("Mul", up, graph.add("Tile", first, graph.constant(np.asarray([1, 4]))))
    x = graph.add("Mul", x, graph.of_channels(up))
    x = _inverse_haar(graph, x, channels, size)
    size *= 2
    x = graph.pointwise(_depthwise(graph, block.conv1, x), block.conv1.pointwise[...], None, (size, size))
    x = graph.calculate("Add", x, graph.constant(_noise(block.conv1), part="noise"))
    bias = np.asarray(block.conv1.bias[...])
    x = activated(graph, graph.calculate("Add", x, bias[None, :, None, None]))

    outer = block.conv2.bias[...].shape[0]
    order = np.arange(outer) if block.head is not None else _haar_order(outer)
    inner = block.conv2.depthwise[...].shape[2]
    style = style_of(graph, block.conv2.modulation, w[1], fan_in=9 * inner)
    weight, bias = np.asarray(block.conv2.pointwise[...])[:, order], np.asarray(block.conv2.bias[...])[order]
    x = graph.pointwise(_depthwise(graph, block.conv2, x), weight, style, (size, size))
    x = graph.calculate("Add", x, graph.constant(_noise(block.conv2), part="noise"))
    x = activated(graph, graph.calculate("Add", x, bias[None, :, None, None]))
    if block.head is None:
        return x
    weight, bias = np.asarray(block.head.weight[...]), np.asarray(block.head.bias[...])
    order = _haar_order(weight.shape[1])
    style = style_of(graph, block.head.modulation, w[2], fan_in=weight.shape[0])
    bands = graph.pointwise(x, weight[:, order], style, (size, size))
    bands = graph.calculate("Add", bands, bias[order][None, :, None, None])
    return _inverse_haar(graph, bands, weight.shape[1], size)


def _depthwise(graph: GraphBuilder, layer: ModulatedSeparableConv, x: str) -> str:
    kernel = np.asarray(layer.depthwise[...])
    return graph.convolution(x, kernel.transpose(2, 0, 1)[:, None], group=kernel.shape[2])


def _noise(layer: ModulatedSeparableConv) -> np.ndarray:
    return np.asarray(layer.noise[...])[None, None]
