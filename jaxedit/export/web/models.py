"""The ONNX models of the page: the mapping network, synthesis in stages, and what photographs need.

A MobileStyleGAN is cut before each of its blocks. Each stage hands its features to the next, which may be mixed with
those of other latents between. Two of the last give small images as well, by a linear map of their features. So a page
that draws a moving face can stop behind any stage, and one at rest goes on from there: nothing is computed twice.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxedit.attributes.faces.crop import CROP_SIZE
from jaxedit.attributes.faces.detector import FaceDetector
from jaxedit.attributes.faces.networks import NUM_LANDMARKS, LandmarkNet
from jaxedit.export.onnx_graphs import faces, latents
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.graph_network import graph_network
from jaxedit.export.onnx_graphs.layers import image_shape
from jaxedit.export.onnx_graphs.mobile_stylegan import (
    features_shape,
    first_features,
    linear_image,
    through_blocks,
)
from jaxedit.export.onnx_graphs.rounding import WeightsType
from jaxedit.export.onnx_graphs.stylegan2 import stylegan2
from jaxedit.export.onnx_models import build_encoder
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import FACTOR, LinearImage, fit_linear_images
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.inversion.encoder import Encoder
from jaxedit.nn.graph_network import GraphNetwork

Outputs = dict[str, tuple[str, list[int | str]]]
"""The results of a graph by their names: the value, and its shape."""

_LAST_BLOCKS, _SMALL_IMAGES = 3, 2
"""There are small images before the first two of the last three blocks."""

_RIDGE = 1e-7


_TYPES: dict[str, WeightsType] = {"first": "int12", "styles": "int14", "noise": "int8"}
"""Of parts of a MobileStyleGAN that need fewer than 16 bits: what the first convolution and the styles lose at the mean
of W goes into biases, and noise is added once."""


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


def encoder_model(encoder: Encoder) -> Model:
    """Photographs ↦ latents of W+."""
    serialized, _ = build_encoder(encoder, weights="int8", hidden="int6")
    return _later("encoder", serialized, ["images"], ["w_plus"], side=encoder.config.side)


def detector_model(detector: FaceDetector) -> Model:
    """Photographs ↦ boxes of faces. Nothing is lost: the weights were published in bytes."""
    graph = GraphBuilder("detector", weights="exact")
    boxes, scores = faces.detector(graph, detector)
    outputs: Outputs = {"boxes": (boxes, ["batch", "boxes", 4]), "scores": (scores, ["batch", "boxes"])}
    return _later("detector", graph.model(outputs, {}), ["squares"], list(outputs))


def landmarks_model(landmarks: LandmarkNet) -> Model:
    """Crops of faces ↦ landmarks. Nothing is lost, either."""
    graph = GraphBuilder("landmarks", weights="exact")
    outputs: Outputs = {"landmarks": (faces.landmarks(graph, landmarks), ["batch", NUM_LANDMARKS, 2])}
    return _later("landmarks", graph.model(outputs, {}), ["crops"], list(outputs), side=CROP_SIZE)


def person_model(network: GraphNetwork) -> Model:
    """Images ↦ how surely each pixel shows a person. Nothing is lost, either: the weights were published in float16."""
    graph = GraphBuilder("person", weights="exact")
    side, _, _ = network.input_shape
    images = graph.input("images", ["batch", 3, side, side])
    half = graph.calculate("Mul", images, np.float32(0.5))
    mask = graph_network(graph, network, graph.calculate("Add", half, np.float32(0.5)))
    outputs: Outputs = {"mask": (graph.reshape(mask, [0, side, side]), ["batch", side, side])}
    return _later("person", graph.model(outputs, {}), ["images"], list(outputs), side=side)


def mixing_model() -> Model:
    """Features laid over others where the weights say so: what edits in places mix on a graphics processor."""
    graph = GraphBuilder("mixing", weights="exact")
    shape: list[int | str] = ["batch", "channels", "height", "width"]
    below, above = graph.input("below", shape), graph.input("above", shape)
    weights = graph.input("weights", ["batch", 1, "height", "width"])
    change = graph.calculate("Mul", weights, graph.calculate("Sub", above, below))
    outputs: Outputs = {"mixed": (graph.calculate("Add", below, change), shape)}
    return _later("mixing", graph.model(outputs, {}), ["below", "above", "weights"], list(outputs))


def _later(name: str, serialized: bytes, inputs: list[str], outputs: list[str], **about: Any) -> Model:
    """A model that the page loads when it is needed first."""
    return Model(name, serialized, {"inputs": inputs, "outputs": outputs, "is_later": True} | about)


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
        about = {"inputs": ["latents"], "outputs": ["image"], "side": image_shape(generator)[1]}
        return [Model("synthesis_1", serialized, about)]
    count = len(generator.blocks)
    cuts = range(1, count)
    with_small = [cut for cut in cuts if cut >= count - _LAST_BLOCKS][:_SMALL_IMAGES]
    small = fit_linear_images(generator, with_small, w, ridge=_RIDGE)
    ends = [*cuts, count]
    return [
        _stage(generator, number, (start, end), small.get(end))
        for number, (start, end) in enumerate(zip([0, *cuts], ends, strict=True), 1)
    ]


def _stage(
    generator: MobileStyleGAN, number: int, blocks: tuple[int, int], small: LinearImage | None
) -> Model:
    start, end = blocks
    graph = GraphBuilder(f"synthesis_{number}", weights="int16", parts=_TYPES)
    given = _latents(graph, generator)
    inputs = ["latents"]
    results: Outputs = {}
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
    side = features_shape(generator, end)[1] if end < len(generator.blocks) else generator.resolution
    about = {"inputs": inputs, "outputs": list(results), "side": side}
    return Model(f"synthesis_{number}", serialized, about)


def _latents(graph: GraphBuilder, generator: MobileStyleGAN | StyleGAN2) -> str:
    return graph.input("latents", ["batch", "layers", generator.w_dim])
