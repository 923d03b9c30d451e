"""What the graphs of all synthesis networks share. Latents are [batch, layers, w_dim]: one layer is W, all are W+."""

import dataclasses

import numpy as np

from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.nn.layers import Affine


@dataclasses.dataclass(frozen=True)
class Latent:
    """The latent of a layer: its name in the graph, and the mean of W."""

    name: str
    mean: np.ndarray


def style_of(
    graph: GraphBuilder, affine: Affine, w: Latent, *, fan_in: int = 1, order: np.ndarray | None = None
) -> str:
    """The style of a layer over √fan-in; `order` is that of its channels."""
    scale = np.float32(1 / np.sqrt(fan_in))
    weight, bias = np.asarray(affine.weight[...]) * scale, np.asarray(affine.bias[...]) * scale
    if order is not None:
        weight, bias = weight[:, order], bias[order]
    return graph.affine(w.name, weight, bias, around=w.mean, part="styles")


def by_layer(graph: GraphBuilder, latents: str, generator: MobileStyleGAN | StyleGAN2) -> list[Latent]:
    """The latents of each layer [batch, w_dim]; latents of W are repeated."""
    num_ws, mean = generator.num_ws, np.asarray(generator.w_avg[...])
    w_plus = graph.add("Expand", latents, graph.constant(np.asarray([1, num_ws, 1])))
    rows = (graph.constant(np.asarray(i)) for i in range(num_ws))
    return [Latent(graph.add("Gather", w_plus, row, axis=1), mean) for row in rows]


def activated(graph: GraphBuilder, x: str) -> str:
    """Leaky ReLU 0.2."""
    return graph.add("LeakyRelu", x, alpha=0.2)


def image_shape(generator: MobileStyleGAN | StyleGAN2) -> tuple[int, int, int]:
    """Colors, height and width of its images."""
    if isinstance(generator, StyleGAN2):
        return generator.config.image_channels, *generator.config.image_size
    return 3, generator.resolution, generator.resolution
