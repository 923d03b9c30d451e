"""StyleGAN2 as ONNX graphs: latents [batch, layers, w_dim] ↦ images [batch, colors, height, width].

One layer is W, `num_ws` layers are W+.
"""

import numpy as np

from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.layers import Latent, activated, by_layer, style_of
from jaxedit.generators.stylegan2.blocks import Block, StyledConv, ToRGB
from jaxedit.generators.stylegan2.generator import StyleGAN2

_FILTER = np.asarray([0.25, 0.75, 0.75, 0.25], np.float32)
"""[1, 3, 3, 1] / 4, the filter of both upsamplings, along one axis."""
_ROOT_HALF = float(np.sqrt(0.5))


def stylegan2(graph: GraphBuilder, generator: StyleGAN2, latents: str) -> str:
    """StyleGAN2 of all architectures, with its own noise."""
    w = by_layer(graph, latents, generator)
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
    w: list[Latent],
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
    w: Latent,
    clamp: float | None,
    *,
    is_upsampling: bool = False,
    gain: float = 1.0,
) -> str:
    """A modulated convolution; the gain behind the activation goes into what comes before it."""
    weight = np.asarray(layer.weight[...])
    style = style_of(graph, layer.affine, w)
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
    return _clamped(graph, activated(graph, x), None if clamp is None else clamp * gain)


def _to_rgb(
    graph: GraphBuilder, layer: ToRGB, x: str, w: Latent, size: tuple[int, int], clamp: float | None
) -> str:
    rgb = graph.pointwise(x, layer.weight[...], style_of(graph, layer.affine, w), size)
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
