"""The ONNX models of the page: the mapping network, and synthesis in stages.

A MobileStyleGAN is cut before each of its last three blocks. Each stage hands its features to the next, and the first
two give small images as well, by a linear map of their features. So a page that draws a moving face can stop behind
any stage, and one at rest goes on from there: nothing is computed twice.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.export.onnx_graphs import latents
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.export.onnx_graphs.mobile_stylegan import (
    coarse_features,
    features_shape,
    image_of_features,
    linear_image,
    next_features,
)
from jaxedit.export.onnx_graphs.stylegan2 import stylegan2
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import features_before
from jaxedit.generators.protocol import broadcast_w
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.nn.resize import average_pool

SHRINK = 4
"""By which small images are smaller than whole ones."""

_STAGES = 4
_SMALL_IMAGES = 2
_RIDGE = 1e-7


class Model(NamedTuple):
    """A serialized model, and what the page has to know of it."""

    name: str
    serialized: bytes
    about: dict[str, Any]


class LinearImage(NamedTuple):
    """A linear map from features to the pixels that each of theirs becomes."""

    weight: Float[np.ndarray, "channels pixels"]
    bias: Float[np.ndarray, " pixels"]


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
        colors, (height, width) = generator.config.image_channels, generator.config.image_size
        serialized = graph.model({"image": (image, ["batch", colors, height, width])}, {})
        return [Model("synthesis_1", serialized, {"inputs": ["latents"], "outputs": ["image"]})]
    cuts = [cut for cut in range(len(generator.blocks) - _STAGES + 1, len(generator.blocks)) if cut > 0]
    small = fit_linear_images(generator, cuts[:_SMALL_IMAGES], w)
    ends = [*cuts, len(generator.blocks)]
    return [
        _stage(generator, number, (start, end), small.get(end))
        for number, (start, end) in enumerate(zip([0, *cuts], ends, strict=True), 1)
    ]


def _stage(
    generator: MobileStyleGAN, number: int, blocks: tuple[int, int], small: LinearImage | None
) -> Model:
    start, end = blocks
    is_last = end == len(generator.blocks)
    graph = GraphBuilder(f"synthesis_{number}", weights="int16")
    given = _latents(graph, generator)
    inputs = ["latents"]
    results: dict[str, tuple[str, list[int | str]]] = {}
    if start:
        features = graph.input("features", ["batch", *features_shape(generator, start)])
        inputs.append("features")
    if is_last:
        if not start:
            features = coarse_features(graph, generator, given, num_blocks=0)
        image = image_of_features(graph, generator, features, given, num_blocks=start)
        side = generator.resolution
        results["image"] = (image, ["batch", 3, side, side])
    else:
        shape = features_shape(generator, end)
        x = (
            next_features(graph, generator, features, given, start=start, end=end)
            if start
            else coarse_features(graph, generator, given, num_blocks=end)
        )
        if small is not None:
            side = generator.resolution // SHRINK
            results["small"] = (linear_image(graph, x, shape, *small), ["batch", 3, side, side])
        results["next_features"] = (x, ["batch", *shape])
    serialized = graph.model(results, {})
    return Model(f"synthesis_{number}", serialized, {"inputs": inputs, "outputs": list(results)})


def _latents(graph: GraphBuilder, generator: MobileStyleGAN | StyleGAN2) -> str:
    return graph.input("latents", ["batch", "layers", generator.w_dim])


def fit_linear_images(
    generator: MobileStyleGAN, cuts: list[int], w: Float[np.ndarray, "num_latents *num_ws w_dim"]
) -> dict[int, LinearImage]:
    """Linear maps from the features before some blocks to small images, by least squares.

    Args:
        generator: makes features and images.
        cuts: numbers of the blocks.
        w: latents.
    """
    if not cuts:
        return {}
    totals: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for row in w:
        for cut, (gram, products) in _moments(generator, jnp.asarray(row[None]), tuple(cuts)).items():
            before = totals.get(cut, (0.0, 0.0))
            totals[cut] = (
                before[0] + np.asarray(gram, np.float64),
                before[1] + np.asarray(products, np.float64),
            )
    return {cut: _solved(*moments) for cut, moments in totals.items()}


def _solved(gram: np.ndarray, products: np.ndarray) -> LinearImage:
    count = len(gram)
    solution = np.linalg.solve(gram + _RIDGE * np.trace(gram) / count * np.eye(count), products)
    solution = solution.astype(np.float32)
    return LinearImage(solution[:-1], solution[-1])


@functools.partial(jax.jit, static_argnames="cuts")
def _moments(generator: MobileStyleGAN, w: Array, cuts: tuple[int, ...]) -> dict[int, tuple[Array, Array]]:
    """Second moments of (features, 1), and their products with the pixels of the small image."""
    wanted = average_pool(jnp.clip(generator.synthesis(w), -1, 1), SHRINK)[0]
    moments = {}
    with jax.default_matmul_precision("highest"):
        for cut in cuts:
            x = features_before(generator, broadcast_w(w, generator.num_ws), cut)[0]
            side, factor = len(x), len(wanted) // len(x)
            pixels = wanted.reshape(side, factor, side, factor, 3).transpose(0, 2, 1, 3, 4)
            columns = x.reshape(side * side, -1)
            columns = jnp.concatenate([columns, jnp.ones((side * side, 1))], axis=1)
            moments[cut] = columns.T @ columns, columns.T @ pixels.reshape(side * side, -1)
    return moments
