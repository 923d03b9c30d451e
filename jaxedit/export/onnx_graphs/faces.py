"""The face detector and the landmark network as ONNX graphs. Images are [batch, 3, rows, columns], RGB in [-1, 1]."""

import jax.numpy as jnp
import numpy as np

from jaxedit.attributes.faces.crop import CROP_SIZE
from jaxedit.attributes.faces.detector import LEAKY_SLOPE, FaceDetector
from jaxedit.attributes.faces.networks import INPUT_SIZE, NUM_LANDMARKS, DenseBlock, LandmarkNet
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.nn.layers import Conv, SeparableConv
from jaxedit.nn.resize import resize_bilinear_tfjs

_OUTPUTS = 5
"""Of the detector for each anchor: x, y, width, height, score."""

_NO_PADS, _AROUND, _AT_END = [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]
"""Rows and columns that are added at the top, left, bottom and right."""


def detector(graph: GraphBuilder, model: FaceDetector) -> tuple[str, str]:
    """Squares, whose side is a multiple of 32, ↦ every box [batch, boxes, 4] in fractions of the side, and its score.

    The order of boxes, and of left, top, right and bottom, is that of the library's detector.
    """
    x = _standardized(graph, graph.input("squares", ["batch", 3, "side", "side"]), model.mean_rgb)
    x = _activated(graph, _conv(graph, model.conv_in, x, pads=_NO_PADS))
    for layer in model.convs:
        # A window that reaches over the edge by one: of an even number of rows none does.
        x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=_AT_END)
        x = _activated(graph, _separable(graph, layer, x))
    # Rows and columns that are repeated change no maximum.
    x = graph.add("Pad", x, graph.constant(np.asarray([0, 0, 0, 0, 0, 0, 1, 1])), mode="edge")
    x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1])
    weight, bias = np.asarray(model.head.weights[...]), _bias(model.head)
    x = graph.convolution(x, weight.T[:, :, None, None], bias)
    cells = graph.add("Gather", graph.add("Shape", x), graph.constant(np.asarray(2)), axis=0)
    x = graph.add("Transpose", x, perm=[0, 2, 3, 1])
    x = graph.reshape(x, [0, -1, len(model.anchors), _OUTPUTS])  # the two axes of cells in one

    number = graph.add("Cast", cells, to=1)
    centers = graph.add("Add", _corners(graph, cells), graph.add("Sigmoid", _part(graph, x, 0, 2)))
    centers = graph.add("Div", centers, number)
    halves = graph.calculate(
        "Mul", graph.add("Exp", _part(graph, x, 2, 4)), np.asarray(model.anchors, np.float32) / 2
    )
    halves = graph.add("Div", halves, number)
    low, high = graph.add("Sub", centers, halves), graph.add("Add", centers, halves)
    boxes = graph.reshape(graph.add("Concat", low, high, axis=3), [0, -1, 4])
    scores = graph.reshape(graph.add("Sigmoid", _part(graph, x, 4, 5)), [0, -1])
    return boxes, scores


def landmarks(graph: GraphBuilder, model: LandmarkNet) -> str:
    """Crops of faces, of the size that `crop_faces` gives, ↦ (x, y) [batch, 68, 2] in fractions of the side."""
    x = graph.input("crops", ["batch", 3, CROP_SIZE, CROP_SIZE])
    # Columns that are 1 at one place each tell what resizing makes of it.
    places = jnp.eye(CROP_SIZE)[None, :, None].repeat(CROP_SIZE, 2)
    rows = graph.constant(np.asarray(resize_bilinear_tfjs(places, INPUT_SIZE))[0, :, 0])
    x = graph.add("MatMul", graph.add("MatMul", rows, x), graph.add("Transpose", rows, perm=[1, 0]))
    x = _standardized(graph, x, model.mean_rgb)
    for block in model.blocks:
        x = _dense_block(graph, block, x)
    x = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    x = graph.affine(x, model.head.weights[...], _bias(model.head))
    return graph.reshape(x, [0, NUM_LANDMARKS, 2])


def _standardized(graph: GraphBuilder, images: str, mean_rgb: tuple[float, ...]) -> str:
    """From [-1, 1] to what the networks were trained on: (0 … 255 minus the mean color) / 255."""
    shift = (127.5 - np.asarray(mean_rgb)) / 255
    return graph.calculate("Add", graph.calculate("Mul", images, np.float32(0.5)), shift[None, :, None, None])


def _dense_block(graph: GraphBuilder, block: DenseBlock, x: str) -> str:
    first = block.conv0
    total = (
        _separable(graph, first, x)
        if isinstance(first, SeparableConv)
        else _conv(graph, first, x, pads=_AT_END)
    )
    activated = total = graph.add("Relu", total)
    for layer in block.convs:
        total = graph.add("Add", total, _separable(graph, layer, activated))
        activated = graph.add("Relu", total)
    return activated


def _conv(graph: GraphBuilder, layer: Conv, x: str, *, pads: list[int]) -> str:
    weight = np.asarray(layer.filters[...]).transpose(3, 2, 0, 1)
    return graph.add(
        "Conv",
        x,
        graph.constant(weight),
        graph.constant(layer.bias[...]),
        kernel_shape=weight.shape[2:],
        strides=[layer.stride] * 2,
        pads=pads,
    )


def _separable(graph: GraphBuilder, layer: SeparableConv, x: str) -> str:
    """Of images with an even number of rows and columns, where the stride is 2."""
    kernel = np.asarray(layer.depthwise[...]).transpose(2, 0, 1)[:, None]
    x = graph.add(
        "Conv",
        x,
        graph.constant(kernel),
        group=len(kernel),
        kernel_shape=[3, 3],
        strides=[layer.stride] * 2,
        pads=_AROUND if layer.stride == 1 else _AT_END,
    )
    weight = np.asarray(layer.pointwise[...]).T[:, :, None, None]
    return graph.convolution(x, weight, layer.bias[...])


def _bias(layer: object) -> np.ndarray:
    return np.asarray(layer.bias[...])  # type: ignore[attr-defined]


def _activated(graph: GraphBuilder, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=LEAKY_SLOPE)


def _part(graph: GraphBuilder, x: str, start: int, end: int) -> str:
    """Some of the detector's outputs [batch, cells, anchors, outputs]."""
    return graph.add("Slice", x, *(graph.constant(np.asarray([number])) for number in (start, end, 3)))


def _corners(graph: GraphBuilder, cells: str) -> str:
    """(column, row) of each cell [1, cells², 1, 2], row by row."""
    ends = [graph.constant(np.asarray(number)) for number in (0, 1)]
    numbers = graph.add("Cast", graph.add("Range", ends[0], cells, ends[1]), to=1)
    one = graph.constant(np.asarray([1]))
    length = graph.add("Unsqueeze", cells, graph.constant(np.asarray([0])))
    grid = graph.add("Concat", length, length, one, axis=0)
    columns, rows = (
        graph.add("Expand", graph.add("Unsqueeze", numbers, graph.constant(np.asarray(axes))), grid)
        for axes in ([0, 2], [1, 2])
    )
    return graph.reshape(graph.add("Concat", columns, rows, axis=2), [1, -1, 1, 2])
