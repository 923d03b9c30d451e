"""Latents in ONNX graphs: the mapping network, and edits along both paths.

Latents are [batch, layers, w_dim] everywhere: one layer for W, all of them for W+.
"""

from typing import Any

import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.autoencoder import MLP, AxisAutoencoder
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.generators.mapping import MappedGenerator
from jaxedit.latents.pca import PCA

_GAIN = np.float32(np.sqrt(2))

_NUM_Z = 2000


def mapping(graph: GraphBuilder, generator: MappedGenerator) -> str:
    """z, classes where there are some, and ψ ↦ latents [batch, 1, w_dim]."""
    network = generator.mapping_network
    x = _pixel_norm(graph, graph.input("z", ["batch", generator.z_dim]))
    if network.embed is not None:
        classes = graph.input("c", ["batch", generator.c_dim])
        embedded = graph.affine(classes, *_arrays(network.embed))
        x = graph.add("Concat", x, _pixel_norm(graph, embedded), axis=1)
    psi = graph.input("truncation_psi", [])
    means = _mean_inputs(generator) if network.embed is None else [None] * len(network.layers)
    for layer, around in zip(network.layers, means, strict=True):
        weight, bias = _arrays(layer)
        # The gain goes through the activation: leaky(a · x) = a · leaky(x) for a > 0.
        x = graph.affine(x, weight * _GAIN, bias * _GAIN, around=around)
        x = graph.add("LeakyRelu", x, alpha=0.2)
    mean = np.asarray(generator.w_avg[...])
    x = graph.calculate("Add", graph.add("Mul", graph.calculate("Sub", x, mean), psi), mean)
    return graph.add("Unsqueeze", x, graph.constant(np.asarray([1])))


def _mean_inputs(generator: MappedGenerator) -> list[np.ndarray]:
    """The mean of what each layer of the mapping network gets, over some z."""
    x = np.random.RandomState(0).standard_normal((_NUM_Z, generator.z_dim)).astype(np.float32)
    x = x / np.sqrt(np.square(x).mean(1, keepdims=True) + np.float32(1e-8))
    means = []
    for layer in generator.mapping_network.layers:
        means.append(x.mean(0))
        weight, bias = _arrays(layer)
        x = (x @ weight + bias) * _GAIN
        x = np.maximum(x, np.float32(0.2) * x)
    return means


def edit(graph: GraphBuilder, axes: AttributeAxes, *, num_ws: int, in_w_plus: bool) -> str:
    """Latents, amounts and which ↦ edited latents of all layers, along the axes' own path."""
    layers = num_ws if in_w_plus else 1
    w = graph.input("w_plus" if in_w_plus else "w", ["batch", layers, axes.pca.w_dim])
    count = axes.num_attributes
    amounts = graph.input("amounts", ["batch", count])
    which = graph.add("Cast", graph.input("which", [count], is_bool=True), to=1)
    moves = graph.add("Mul", amounts, which)
    if axes.curves is None:
        return _by_decoder(graph, axes, w, moves, num_ws)
    return _Curves(graph, axes.pca, axes.autoencoder, axes.curves).edit(w, moves, in_w_plus=in_w_plus)


def _arrays(affine: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(affine.weight[...]), np.asarray(affine.bias[...])


def _pixel_norm(graph: GraphBuilder, x: str) -> str:
    power = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1], keepdims=1)
    return graph.add("Div", x, graph.add("Sqrt", graph.calculate("Add", power, np.float32(1e-8))))


def _layer_mean(graph: GraphBuilder, w: str) -> str:
    return graph.add("ReduceMean", w, axes=[1], keepdims=0)


def _network(graph: GraphBuilder, network: MLP, x: str) -> str:
    last = len(network.kernels) - 1
    for i, (kernel, bias) in enumerate(zip(network.kernels, network.biases, strict=True)):
        x = graph.affine(x, kernel, bias)
        if i < last:
            x = graph.add("LeakyRelu", x, alpha=float(network.leaky_slope))
    return x


def _encode(graph: GraphBuilder, pca: PCA, autoencoder: AxisAutoencoder, w: str) -> str:
    """The code of latents [batch, w_dim]."""
    directions = np.asarray(pca.components)[: pca.num_components].T
    linear = autoencoder.linear
    if linear is not None:
        directions = directions / np.asarray(linear.scale)
    x = graph.add("MatMul", graph.calculate("Sub", w, np.asarray(pca.mean)), graph.constant(directions))
    code = _network(graph, autoencoder.encoder, x)
    if linear is None:
        return code
    return graph.add("Add", graph.add("MatMul", x, graph.constant(linear.encoder)), code)


def _decode(graph: GraphBuilder, pca: PCA, autoencoder: AxisAutoencoder, code: str) -> str:
    """Latents [batch, w_dim] of a code, from the mean."""
    directions, linear = np.asarray(pca.components)[: pca.num_components], autoencoder.linear
    decoded = _network(graph, autoencoder.decoder, code)
    if linear is not None:
        decoded = graph.add("Add", graph.add("MatMul", code, graph.constant(linear.decoder)), decoded)
        directions = np.asarray(linear.scale)[:, None] * directions
    return graph.add("MatMul", decoded, graph.constant(directions))


def _split(graph: GraphBuilder, code: str, count: int, k: int) -> tuple[str, str | None]:
    """The attribute axes and the others."""
    if count == k:
        return code, None
    sizes = graph.constant(np.asarray([count, k - count]))
    head, tail = graph.add_many("Split", code, sizes, results=[f"{code}_head", f"{code}_tail"], axis=1)
    return head, tail


def _by_decoder(graph: GraphBuilder, axes: AttributeAxes, w: str, moves: str, num_ws: int) -> str:
    pca, autoencoder = axes.pca, axes.autoencoder
    code = _encode(graph, pca, autoencoder, _layer_mean(graph, w))
    positions, others = _split(graph, code, axes.num_attributes, pca.num_components)
    target = graph.add("Add", positions, moves)
    target = target if others is None else graph.add("Concat", target, others, axis=1)
    after, before = (_decode(graph, pca, autoencoder, one) for one in (target, code))
    change = graph.add("Unsqueeze", graph.add("Sub", after, before), graph.constant(np.asarray([1])))
    return graph.add("Expand", graph.add("Add", w, change), graph.constant(np.asarray([1, num_ws, 1])))


class _Curves:
    """The path in W+ (`jaxedit.axes.layer_curves`)."""

    def __init__(
        self, graph: GraphBuilder, pca: PCA, autoencoder: AxisAutoencoder, curves: LayerCurves
    ) -> None:
        self.graph, self.pca, self.autoencoder = graph, pca, autoencoder
        self.count, self.groups, self.k = curves.tangents.shape
        self.ends, self.slopes = np.asarray(curves.ends), np.asarray(curves.slopes)
        self.group_of_layer = np.asarray(curves.group_of_layer)
        self.both = np.concatenate([np.asarray(curves.tangents), np.asarray(curves.curvatures)])
        self.scale = np.asarray(pca.whitened_scale)
        self.directions = np.asarray(pca.components)[: self.k]

    def edit(self, w: str, moves: str, *, in_w_plus: bool) -> str:
        graph = self.graph
        before = self._estimated(w) if in_w_plus else None
        unedited = w if before is None else graph.add("Sub", w, self._displacement(before))
        code = _encode(graph, self.pca, self.autoencoder, _layer_mean(graph, unedited))
        start, _ = _split(graph, code, self.count, self.pca.num_components)
        if before is not None:
            start = self._unsaturated(graph.add("Add", self._saturated(start), before))
        end = graph.add("Add", start, moves)
        distance = graph.add("Sub", self._saturated(end), self._saturated(start))
        if before is None:
            return graph.add("Add", w, self._displacement(distance))
        after = self._displacement(graph.add("Add", before, distance))
        return graph.add("Add", w, graph.add("Sub", after, self._displacement(before)))

    def _displacement(self, moves: str) -> str:
        graph = self.graph
        square = graph.add("Mul", moves, moves)
        root = graph.add("Sqrt", graph.calculate("Add", square, np.float32(1)))
        bend = graph.add("Div", square, graph.calculate("Add", root, np.float32(1)))
        in_w = (self.both * self.scale) @ self.directions
        matrix = graph.constant(in_w.reshape(2 * self.count, -1))
        by_group = graph.add("MatMul", graph.add("Concat", moves, bend, axis=1), matrix)
        by_group = graph.reshape(by_group, [0, self.groups, self.pca.w_dim])
        return graph.add("Gather", by_group, graph.constant(self.group_of_layer), axis=1)

    def _saturated(self, positions: str) -> str:
        return self._bent(positions, self.slopes)

    def _unsaturated(self, distances: str) -> str:
        return self._bent(distances, 1 / self.slopes)

    def _bent(self, x: str, slopes: np.ndarray) -> str:
        graph = self.graph
        low, high = (graph.constant(end) for end in self.ends.T)
        inside = graph.add("Min", graph.add("Max", x, low), high)
        return graph.add("Add", inside, graph.calculate("Mul", graph.add("Sub", x, inside), slopes))

    def _estimated(self, w: str) -> str:
        """The moves of earlier edits: least squares, whose matrix is the same for all latents."""
        curves = self.both[:, self.group_of_layer].astype(np.float64)
        curves = (curves - curves.mean(1, keepdims=True)).reshape(len(curves), -1)
        gram = curves @ curves.T
        ridge = 1e-6 * (np.trace(gram) / len(gram) + 1e-12)
        solution = np.linalg.solve(gram + ridge * np.eye(len(gram)), curves)[: self.count]
        layers = len(self.group_of_layer)
        by_layer = solution.reshape(self.count, layers, self.k) / self.scale @ self.directions
        graph = self.graph
        deviations = graph.add("Sub", w, graph.add("ReduceMean", w, axes=[1], keepdims=1))
        flat = graph.reshape(deviations, [0, layers * self.pca.w_dim])
        return graph.add("MatMul", flat, graph.constant(by_layer.reshape(self.count, -1).T))
