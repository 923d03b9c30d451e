"""Networks that a graph describes (`jaxedit.nn.graph_network`) as ONNX graphs. Images are NHWC there and NCHW here."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxedit.errors import InputError
from jaxedit.export.onnx_graphs.builder import GraphBuilder
from jaxedit.nn.graph_network import GraphNetwork

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class _Value:
    """A value of the graph: its name and, of feature maps, rows and columns; or a constant array."""

    name: str
    size: Size | None = None
    array: np.ndarray | None = None


def graph_network(graph: GraphBuilder, model: GraphNetwork, x: str) -> str:
    """The first output of a network of images [batch, channels, rows, columns].

    Raises:
        InputError: if it has an operation that is not written here.
    """
    rows, columns, _ = model.input_shape
    values = [_Value(x, (rows, columns))]
    values += [_Value("", None, np.asarray(weight[...])) for weight in model.weights]
    for step in model.program.steps:
        if step.op not in _OPERATIONS:
            raise InputError(f"network: expected operations with an ONNX graph, got {step.op!r}")
        arguments = [values[position] for position in step.inputs]
        values.append(_OPERATIONS[step.op](graph, arguments, dict(step.attributes)))
    return values[model.program.outputs[0]].name


Operation = Callable[[GraphBuilder, list[_Value], Mapping[str, Any]], _Value]


def _conv(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    x, filters = arguments[:2]
    weight = _array(filters).transpose(3, 2, 0, 1)
    return _convolved(graph, x, weight, arguments[2:], attributes, group=1)


def _depthwise(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    x, filters = arguments[:2]
    weight = _array(filters).transpose(2, 3, 0, 1)
    return _convolved(graph, x, weight, arguments[2:], attributes, group=len(weight))


def _convolved(
    graph: GraphBuilder,
    x: _Value,
    weight: np.ndarray,
    others: list[_Value],
    attributes: Mapping[str, Any],
    *,
    group: int,
) -> _Value:
    stride, window = attributes["stride"], weight.shape[2:]
    pads, size = _pads(_size(x), window, stride, attributes["padding"])
    name = graph.add(
        "Conv",
        x.name,
        graph.constant(weight),
        kernel_shape=window,
        strides=list(stride),
        pads=pads,
        group=group,
    )
    return _Value(_fused(graph, name, others, attributes), size)


def _conv_transpose(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    x, filters = arguments
    weight, size = _array(filters).transpose(3, 2, 0, 1), tuple(attributes["size"])
    stride = attributes["stride"]
    pads, _ = _pads(size, weight.shape[2:], stride, attributes["padding"])
    # Rows that the forward convolution leaves out at the end come back empty.
    rest = [
        length - ((own - 1) * step + window - before - after)
        for length, own, step, window, before, after in zip(
            size, _size(x), stride, weight.shape[2:], pads[:2], pads[2:], strict=True
        )
    ]
    name = graph.add(
        "ConvTranspose",
        x.name,
        graph.constant(weight),
        kernel_shape=weight.shape[2:],
        strides=list(stride),
        pads=pads,
        output_padding=rest,
    )
    return _Value(name, size)


def _pads(size: Size, window: Size, stride: Size, padding: str) -> tuple[list[int], Size]:
    """Rows and columns to be added (top, left, bottom, right), and the size of the result."""
    if padding == "VALID":
        rows, columns = ((n - w) // s + 1 for n, w, s in zip(size, window, stride, strict=True))
        return [0, 0, 0, 0], (rows, columns)
    rows, columns = (-(-n // s) for n, s in zip(size, stride, strict=True))
    missing = [
        max((new - 1) * s + w - n, 0)
        for new, s, w, n in zip((rows, columns), stride, window, size, strict=True)
    ]
    before = [number // 2 for number in missing]
    return [*before, *(all_ - own for all_, own in zip(missing, before, strict=True))], (rows, columns)


def _fused(graph: GraphBuilder, x: str, others: list[_Value], attributes: Mapping[str, Any]) -> str:
    for kind in attributes["fused"]:
        if kind == "BiasAdd":
            x = graph.calculate("Add", x, _array(others[0]).reshape(1, -1, 1, 1))
        elif kind == "Relu6":
            x = _clipped(graph, x)
        elif kind == "Relu":
            x = graph.add("Relu", x)
        else:
            raise InputError(f"network: expected activations with an ONNX graph, got {kind!r}")
    return x


def _clipped(graph: GraphBuilder, x: str) -> str:
    return graph.add("Clip", x, graph.constant(np.float32(0)), graph.constant(np.float32(6)))


def _average_pool(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    (x,) = arguments
    window, stride = attributes["window"], attributes["stride"]
    pads, size = _pads(_size(x), window, stride, attributes["padding"])
    name = graph.add("AveragePool", x.name, kernel_shape=list(window), strides=list(stride), pads=pads)
    return _Value(name, size)


def _mean(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    (x,) = arguments
    if tuple(attributes["axes"]) != (1, 2) or not attributes["keep_dims"]:
        raise InputError(f"network: expected means over rows and columns, got {dict(attributes)}")
    return _Value(graph.add("ReduceMean", x.name, axes=[2, 3], keepdims=1), (1, 1))


def _resize(graph: GraphBuilder, arguments: list[_Value], attributes: Mapping[str, Any]) -> _Value:
    (x,) = arguments
    rows, columns = attributes["size"]
    height, width = _size(x)
    scales = graph.constant(np.asarray([1, 1, rows / height, columns / width], np.float32))
    name = graph.add("Resize", x.name, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    return _Value(name, (rows, columns))


def _elementwise(operator: str) -> Operation:
    def write(graph: GraphBuilder, arguments: list[_Value], _: Mapping[str, Any]) -> _Value:
        size = max((one.size for one in arguments if one.size is not None), default=None)
        return _Value(graph.add(operator, *(_operand(graph, one) for one in arguments)), size)

    return write


def _operand(graph: GraphBuilder, value: _Value) -> str:
    """A value, or a constant whose last axis is that of channels."""
    if value.array is None:
        return value.name
    if value.array.size == 1:
        return graph.constant(value.array.reshape(()))
    return graph.constant(value.array.reshape(1, -1, 1, 1))


def _relu6(graph: GraphBuilder, arguments: list[_Value], _: Mapping[str, Any]) -> _Value:
    (x,) = arguments
    return _Value(_clipped(graph, x.name), x.size)


def _identity(graph: GraphBuilder, arguments: list[_Value], _: Mapping[str, Any]) -> _Value:
    return arguments[0]


def _array(value: _Value) -> np.ndarray:
    if value.array is None:
        raise InputError("network: expected constant weights, got computed ones")
    return value.array


def _size(value: _Value) -> Size:
    if value.size is None:
        raise InputError("network: expected feature maps, got a constant")
    return value.size


_OPERATIONS: dict[str, Operation] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "ConvTranspose": _conv_transpose,
    "AvgPool": _average_pool,
    "Mean": _mean,
    "Resize": _resize,
    "Add": _elementwise("Add"),
    "AddN": _elementwise("Sum"),
    "Sub": _elementwise("Sub"),
    "Mul": _elementwise("Mul"),
    "Relu": _elementwise("Relu"),
    "Sigmoid": _elementwise("Sigmoid"),
    "Relu6": _relu6,
    "Identity": _identity,
}
