"""The ONNX models of the page: the mapping network, and synthesis in stages.

A MobileStyleGAN is cut before each of its last three blocks. Each stage hands its features to the next, and the first
two give small images as well, by a linear map of their features. So a page that draws a moving face can stop behind
any stage, and one at rest goes on from there: nothing is computed twice.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxedit.export.onnx_graphs import latents
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.layers import image_shape
from jaxedit.export.onnx_graphs.mobile_stylegan import (
    features_shape,
    first_features,
    linear_image,
    through_blocks,
)
from jaxedit.export.onnx_graphs.stylegan2 import stylegan2
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import FACTOR, LinearImage, fit_linear_images
from jaxedit.generators.stylegan2.generator import StyleGAN2

_STAGES = 4
_SMALL_IMAGES = 2
_RIDGE = 1e-7


class Model(NamedTuple):
    """A serialized model, and what the page has to know of it."""

    name: str
    serialized: bytes
    about: dict[str, Any]


def mapping_model(generator: MobileStyleGAN | StyleGAN2) -> Model:
    """z and ψ ↦ latents of W."""
    graph = GraphBuilder("mapping", weights="int16")
    w = latents.mapping(graph, generator)
    serialized = graph.model({"w": (w, ["batch", 1, generator.w_dim])}, {})
    return Model("mapping", serialized, {"inputs": ["z", "truncation_psi"], "outputs": ["w"]})


def synthesis_models(
    generator: MobileStyleGAN | StyleGAN2, w: Float[np.ndarray, "num_latents *num_ws w_dim"]
) -> list[Model]:
    """The stages of synthesis, in their order.

    Args:
        generator: in float32.
        w: latents to whose images the small ones are fitted; of W or W+.
    """
    if isinstance(generator, StyleGAN2):
        graph = GraphBuilder("synthesis", weights="int16")
        image = stylegan2(graph, generator, _latents(graph, generator))
        serialized = graph.model({"image": (image, ["batch", *image_shape(generator)])}, {})
        return [Model("synthesis_1", serialized, {"inputs": ["latents"], "outputs": ["image"]})]
    cuts = [cut for cut in range(len(generator.blocks) - _STAGES + 1, len(generator.blocks)) if cut > 0]
    small = fit_linear_images(generator, cuts[:_SMALL_IMAGES], w, ridge=_RIDGE)
    ends = [*cuts, len(generator.blocks)]
    return [
        _stage(generator, number, (start, end), small.get(end))
        for number, (start, end) in enumerate(zip([0, *cuts], ends, strict=True), 1)
    ]


def _stage(
    generator: MobileStyleGAN, number: int, blocks: tuple[int, int], small: LinearImage | None
) -> Model:
    start, end = blocks
    graph = GraphBuilder(f"synthesis_{number}", weights="int16")
    given = _latents(graph, generator)
    inputs = ["latents"]
    results: dict[str, tuple[str, list[int | str]]] = {}
    if start:
        x = graph.input("features", ["batch", *features_shape(generator, start)])
        inputs.append("features")
    else:
        x = first_features(graph, generator, given)
    x = through_blocks(graph, generator, x, given, range(start, end))
    if end == len(generator.blocks):
        results["image"] = (x, ["batch", *image_shape(generator)])
    else:
        shape = features_shape(generator, end)
        if small is not None:
            side = generator.resolution // FACTOR
            results["small"] = (linear_image(graph, x, shape, *small), ["batch", 3, side, side])
        results["next_features"] = (x, ["batch", *shape])
    serialized = graph.model(results, {})
    return Model(f"synthesis_{number}", serialized, {"inputs": inputs, "outputs": list(results)})


def _latents(graph: GraphBuilder, generator: MobileStyleGAN | StyleGAN2) -> str:
    return graph.input("latents", ["batch", "layers", generator.w_dim])
