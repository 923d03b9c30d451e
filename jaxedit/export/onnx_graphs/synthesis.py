"""The synthesis networks as ONNX graphs: latents [batch, layers, w_dim] ↦ images [batch, colors, height, width].

One layer is W, `num_ws` layers are W+.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxedit.export.onnx_graphs.builder import GraphBuilder, as_half
from jaxedit.generators.mobile_stylegan.blocks import Block as MobileBlock
from jaxedit.generators.mobile_stylegan.blocks import InputConv, ModulatedSeparableConv
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.stylegan2.blocks import Block, StyledConv, ToRGB
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.generators.stylegan2.modulated_conv import conv_same
from jaxedit.nn.layers import Affine

_FILTER = np.asarray([0.25, 0.75, 0.75, 0.25], np.float32)
"""[1, 3, 3, 1] / 4, the filter of both upsamplings, along one axis."""
_ROOT_HALF = float(np.sqrt(0.5))


@dataclasses.dataclass(frozen=True)
class _Latent:
    """The latent of a layer: its name in the graph, and the mean of W."""

    name: str
    mean: np.ndarray


def _style(
    graph: GraphBuilder, affine: Affine, w: _Latent, *, fan_in: int = 1, order: np.ndarray | None = None
) -> str:
    """The style of a layer over √fan-in; `order` is that of its channels."""
    scale = np.float32(1 / np.sqrt(fan_in))
    weight, bias = np.asarray(affine.weight[...]) * scale, np.asarray(affine.bias[...]) * scale
    if order is not None:
        weight, bias = weight[:, order], bias[order]
    return graph.affine(w.name, weight, bias, around=w.mean)


def _by_layer(graph: GraphBuilder, latents: str, generator: MobileStyleGAN | StyleGAN2) -> list[_Latent]:
    """The latents of each layer [batch, w_dim]; latents of W are repeated."""
    num_ws, mean = generator.num_ws, np.asarray(generator.w_avg[...])
    w_plus = graph.add("Expand", latents, graph.constant(np.asarray([1, num_ws, 1])))
    rows = (graph.constant(np.asarray(i)) for i in range(num_ws))
    return [_Latent(graph.add("Gather", w_plus, row, axis=1), mean) for row in rows]


def mobile_stylegan(graph: GraphBuilder, generator: MobileStyleGAN, latents: str) -> str:
    """MobileStyleGAN. A depthwise convolution is one grouped one; styles scale the weights, or what is small."""
    w = _by_layer(graph, latents, generator)
    first = generator.input_conv
    weight = np.asarray(first.weight[...])
    style = _style(graph, first.modulation, w[0], fan_in=9 * weight.shape[2])
    constant = np.asarray(first.constant[...]).transpose(2, 0, 1)[None]
    x = graph.add("Mul", graph.constant(constant), graph.of_channels(style))
    order = _haar_order(weight.shape[3])
    x = graph.convolution(x, weight.transpose(3, 2, 0, 1)[order], np.asarray(first.bias[...])[order])
    noise = np.asarray(first.noise[...])[None, None]
    if graph.is_rounded(weight):
        noise = noise + _lost_by_rounding(first, w[0].mean)[:, order]
    x = _activated(graph, graph.calculate("Add", x, noise))
    size = 4
    for i, block in enumerate(generator.blocks):
        x = _mobile_block(graph, block, x, w[1 + 2 * i : 4 + 2 * i], size)
        size *= 2
    return x


def _lost_by_rounding(layer: InputConv, mean: np.ndarray) -> np.ndarray:
    """What rounding the weights takes from the first feature map at the mean of W, [1, channels, 4, 4]."""
    weight = np.asarray(layer.weight[...])
    half, unit = as_half(weight)
    affine = layer.modulation
    style = mean @ np.asarray(affine.weight[...]) + np.asarray(affine.bias[...])
    x = np.asarray(layer.constant[...]) * style / np.sqrt(9 * weight.shape[2])
    lost = conv_same(jnp.asarray(x[None], jnp.float32), jnp.asarray(weight - half.astype(np.float32) * unit))
    return np.asarray(lost).transpose(0, 3, 1, 2)


def _haar_order(channels: int) -> np.ndarray:
    """The order in which a Haar step wants its bands: all low ones, all lh, all hl, all hh."""
    quarter = channels // 4
    details = quarter + np.arange(3 * quarter).reshape(quarter, 3).T
    return np.concatenate([np.arange(quarter), details.ravel()])


_BUTTERFLY = 0.5 * np.asarray([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32)
"""From the bands (low, lh, hl, hh) to the pixels of a square, row by row."""


def _inverse_haar(graph: GraphBuilder, x: str, channels: int, size: int) -> str:
    """One product of all squares with a 4×4 matrix, and one reordering. Bands come in `_haar_order`."""
    quarter = channels // 4
    flat = graph.reshape(x, [0, 4, quarter * size * size])
    pixels = graph.reshape(graph.add("MatMul", graph.constant(_BUTTERFLY), flat), [0, channels, size, size])
    return graph.add("DepthToSpace", pixels, blocksize=2, mode="DCR")


def _activated(graph: GraphBuilder, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=0.2)


def _mobile_block(graph: GraphBuilder, block: MobileBlock, x: str, w: list[_Latent], size: int) -> str:
    channels = block.up.bias[...].shape[0]
    order = _haar_order(channels)
    up = _style(graph, block.up, w[0], order=order)
    # A Haar step and a depthwise convolution keep channels apart, so the style of the first one goes before both.
    first = _style(graph, block.conv1.modulation, w[0], fan_in=9 * (channels // 4))
    up = graph.add("Mul", up, graph.add("Tile", first, graph.constant(np.asarray([1, 4]))))
    x = graph.add("Mul", x, graph.of_channels(up))
    x = _inverse_haar(graph, x, channels, size)
    size *= 2
    x = graph.pointwise(_depthwise(graph, block.conv1, x), block.conv1.pointwise[...], None, (size, size))
    x = graph.calculate("Add", x, _noise(block.conv1))
    bias = np.asarray(block.conv1.bias[...])
    x = _activated(graph, graph.calculate("Add", x, bias[None, :, None, None]))

    outer = block.conv2.bias[...].shape[0]
    order = np.arange(outer) if block.head is not None else _haar_order(outer)
    inner = block.conv2.depthwise[...].shape[2]
    style = _style(graph, block.conv2.modulation, w[1], fan_in=9 * inner)
    weight, bias = np.asarray(block.conv2.pointwise[...])[:, order], np.asarray(block.conv2.bias[...])[order]
    x = graph.pointwise(_depthwise(graph, block.conv2, x), weight, style, (size, size))
    x = graph.calculate("Add", x, _noise(block.conv2))
    x = _activated(graph, graph.calculate("Add", x, bias[None, :, None, None]))
    if block.head is None:
        return x
    weight, bias = np.asarray(block.head.weight[...]), np.asarray(block.head.bias[...])
    order = _haar_order(weight.shape[1])
    style = _style(graph, block.head.modulation, w[2], fan_in=weight.shape[0])
    bands = graph.pointwise(x, weight[:, order], style, (size, size))
    bands = graph.calculate("Add", bands, bias[order][None, :, None, None])
    return _inverse_haar(graph, bands, weight.shape[1], size)


def _depthwise(graph: GraphBuilder, layer: ModulatedSeparableConv, x: str) -> str:
    kernel = np.asarray(layer.depthwise[...])
    return graph.convolution(x, kernel.transpose(2, 0, 1)[:, None], group=kernel.shape[2])


def _noise(layer: ModulatedSeparableConv) -> np.ndarray:
    return np.asarray(layer.noise[...])[None, None]


def stylegan2(graph: GraphBuilder, generator: StyleGAN2, latents: str) -> str:
    """StyleGAN2 of all architectures, with its own noise."""
    w = _by_layer(graph, latents, generator)
    clamp = generator.config.conv_clamp
    constant = np.asarray(generator.constant[...]).transpose(2, 0, 1)[None]
    x, image = graph.constant(constant), None
    height, width = constant.shape[2:]
    for i, block in enumerate(generator.blocks):
        own = w[:2] if i == 0 else w[2 * i - 1 : 2 * i + 2]
        if i:
            height, width = 2 * height, 2 * width
        x, image = _block(graph, block, x, image, own, (height, width), clamp)
    assert image is not None  # the last block's
    return image


def _block(
    graph: GraphBuilder,
    block: Block,
    x: str,
    image: str | None,
    w: list[_Latent],
    size: tuple[int, int],
    clamp: float | None,
) -> tuple[str, str | None]:
    linear, gain = None, 1.0
    if block.conv0 is not None:
        if block.skip is not None:
            weight = np.asarray(block.skip.weight[...]).T[:, :, None, None] * np.float32(_ROOT_HALF)
            linear = _upsampled(graph, graph.convolution(x, weight), weight.shape[0])
            gain = _ROOT_HALF
        x = _styled(graph, block.conv0, x, w[0], clamp, is_upsampling=True)
        w = w[1:]
    x = _styled(graph, block.conv1, x, w[0], clamp, gain=gain)
    if linear is not None:
        x = graph.add("Add", x, linear)
    colors = None if block.to_rgb is None else block.to_rgb.bias[...].shape[0]
    if image is not None:
        image = _upsampled(graph, image, colors or 1)
    if block.to_rgb is not None:
        rgb = _to_rgb(graph, block.to_rgb, x, w[1], size, clamp)
        image = rgb if image is None else graph.add("Add", image, rgb)
    return x, image


def _styled(
    graph: GraphBuilder,
    layer: StyledConv,
    x: str,
    w: _Latent,
    clamp: float | None,
    *,
    is_upsampling: bool = False,
    gain: float = 1.0,
) -> str:
    """A modulated convolution; the gain behind the activation goes into what comes before it."""
    weight = np.asarray(layer.weight[...])
    style = _style(graph, layer.affine, w)
    x = graph.add("Mul", x, graph.of_channels(style))
    if is_upsampling:
        x = graph.add(
            "ConvTranspose",
            x,
            graph.constant(weight.transpose(2, 3, 0, 1)),
            strides=[2, 2],
            kernel_shape=[3, 3],
        )
        outer = weight.shape[3]
        kernel = np.broadcast_to(np.outer(_FILTER, _FILTER), (outer, 1, 4, 4))
        x = graph.add("Conv", x, graph.constant(kernel), pads=[1, 1, 1, 1], group=outer, kernel_shape=[4, 4])
    else:
        x = graph.convolution(x, weight.transpose(3, 2, 0, 1))
    power = graph.add("MatMul", graph.add("Mul", style, style), graph.constant(np.square(weight).sum((0, 1))))
    norm = graph.add("Sqrt", graph.calculate("Add", power, np.float32(1e-8)))
    factor = np.float32(np.sqrt(2) * gain)
    x = graph.add("Mul", x, graph.of_channels(graph.add("Div", graph.constant(factor), norm)))
    noise = np.asarray(layer.noise[...]) * np.asarray(layer.noise_strength[...])
    if noise.any():
        x = graph.calculate("Add", x, factor * noise[None, None])
    x = graph.calculate("Add", x, factor * np.asarray(layer.bias[...])[None, :, None, None])
    return _clamped(graph, _activated(graph, x), None if clamp is None else clamp * gain)


def _to_rgb(
    graph: GraphBuilder, layer: ToRGB, x: str, w: _Latent, size: tuple[int, int], clamp: float | None
) -> str:
    rgb = graph.pointwise(x, layer.weight[...], _style(graph, layer.affine, w), size)
    return _clamped(
        graph, graph.calculate("Add", rgb, np.asarray(layer.bias[...])[None, :, None, None]), clamp
    )


def _upsampled(graph: GraphBuilder, x: str, channels: int) -> str:
    """Twice the size by the filter [1, 3, 3, 1]: a transposed convolution of each channel."""
    kernel = np.broadcast_to(np.outer(_FILTER, _FILTER), (channels, 1, 4, 4))
    return graph.add(
        "ConvTranspose",
        x,
        graph.constant(kernel),
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        group=channels,
        kernel_shape=[4, 4],
    )


def _clamped(graph: GraphBuilder, x: str, limit: float | None) -> str:
    if limit is None:
        return x
    return graph.add("Clip", x, graph.constant(np.float32(-limit)), graph.constant(np.float32(limit)))
