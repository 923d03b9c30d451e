"""ONNX models as the plain graphs of `weights_conversion.formats.tfjs_graph`.

Images are [batch, channels, height, width] in ONNX and [batch, height, width, channels] in a `Graph`: filters, paddings
and constants of images are brought into that order. Each node is checked against a list of known operations, and any
other is refused.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.onnx_model import OnnxModel, OnnxNode, read_onnx
from weights_conversion.formats.tfjs_graph import Graph

_OLDEST_OPSET = 13
"""From this version on, `Softmax` works along one axis, and the paddings of `Pad` are an input."""

_LONGEST_SIDE = 2**16
"""Of a map of features, in pixels."""

_UNARY = ("Relu", "Sigmoid", "Tanh")
_BINARY = {"Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "RealDiv"}

Shape = tuple[int, ...]
"""Of a value as ONNX has it, without the batch: (channels, height, width) or (length,)."""


def read_onnx_graph(data: bytes, *, name: str) -> tuple[Graph, dict[str, np.ndarray]]:
    """Read a network of images.

    Args:
        data: the file of the model.
        name: what to call the model in an error.

    Returns:
        The graph, whose nodes have the names of the values in the file, and its float32 arrays by name.

    Raises:
        ConversionError: if the file is damaged, has not one input of images of fixed size, or holds an unknown
            operation or attribute.
    """
    model = read_onnx(data, name=name)
    if model.opset < _OLDEST_OPSET:
        raise ConversionError(
            f"{name}: expected operations of version {_OLDEST_OPSET} or newer, found {model.opset}"
        )
    if len(model.inputs) != 1:
        raise ConversionError(f"{name}: expected one input, found {list(model.inputs)}")
    ((key, shape),) = model.inputs.items()
    sides = [length for length in shape[1:] if length is not None]
    if len(shape) != 4 or len(sides) != 3 or not 1 <= min(sides) <= max(sides) <= _LONGEST_SIDE:
        raise ConversionError(f"{name}: expected an input of images of fixed size, found {list(shape)}")
    network = _Network(model, key, (sides[0], sides[1], sides[2]), name)
    graph = {
        "input": key,
        "input_shape": [sides[1], sides[2], sides[0]],
        "constants": list(network.arrays),
        "nodes": network.nodes,
        "generated_by": model.producer,
    }
    return graph, network.arrays


class _Network:
    """A model on its way into a `Graph`.

    Attributes:
        shapes: of the values read so far.
        arrays: constants that the nodes refer to.
        nodes: of the graph.
    """

    def __init__(self, model: OnnxModel, key: str, shape: Shape, name: str) -> None:
        self.model = model
        self.shapes: dict[str, Shape] = {key: shape}
        self.arrays: dict[str, np.ndarray] = {}
        self.nodes: list[dict[str, Any]] = []
        for node in model.nodes:
            _Node(node, self, name).read()

    def add(self, name: str, op: str, inputs: Iterable[str], shape: Shape, /, **attributes: Any) -> None:
        """Append a node, whose value has the shape."""
        self.nodes.append({"name": name, "op": op, "inputs": list(inputs), "attributes": attributes})
        self.shapes[name] = shape

    def constant(self, name: str, array: np.ndarray, order: str = "") -> str:
        """The name of a constant; one that is taken in another order has a name of its own."""
        key = f"{name} {order}".strip()
        self.arrays[key] = np.ascontiguousarray(array, np.float32)
        return key


class _Node:
    """One node of a model: checked, and written into the graph."""

    def __init__(self, node: OnnxNode, network: _Network, model: str) -> None:
        self.node = node
        self.network = network
        self.attributes = dict(node.attributes)
        self.where = f"{model}: {node.op} {node.outputs[0] if node.outputs else ''!r}"

    def read(self) -> None:
        op = self.node.op
        if op not in _READERS:
            raise ConversionError(f"{self.where}: this operation is not supported")
        if len(self.node.outputs) != 1 or self.node.outputs[0] in self.network.shapes:
            raise ConversionError(f"{self.where}: expected one output of a new name")
        _READERS[op](self)
        if self.attributes:
            raise ConversionError(f"{self.where}: the attribute {min(self.attributes)!r} is not supported")

    def convolution(self) -> None:
        (x, image), weight = self._image(0), self._constant(1, 4)
        self._expect("group", [1], 1)
        window = list(weight.shape[2:])
        self._expect("kernel_shape", [window], window)
        if weight.shape[1] != image[0] or min(weight.shape) < 1:
            raise self._error(f"filters of {image[0]} channels", weight.shape)
        stride, pads = self._window_attributes()
        x, image, padding = self._padded(x, image, window, stride, pads)
        inputs = [x, self.network.constant(self.node.inputs[1], weight.transpose(2, 3, 1, 0), "HWIO")]
        fused = []
        if self._has(2):
            bias = self._constant(2, 1)
            if bias.shape != weight.shape[:1]:
                raise self._error(f"a bias of {weight.shape[0]} channels", bias.shape)
            inputs.append(self.network.constant(self.node.inputs[2], bias))
            fused = ["BiasAdd"]
        shape = (weight.shape[0], *self._sides(image, window, stride, padding))
        self._add("Conv2D", inputs, shape, stride=stride, padding=padding, fused=fused)

    def pool(self) -> None:
        x, image = self._image(0)
        window = self._pair("kernel_shape", None)
        stride, pads = self._window_attributes()
        for name in ("ceil_mode", "storage_order"):
            self._expect(name, [0], 0)
        self.attributes.pop("count_include_pad", None)  # without padding it is the same
        if any(pads):
            raise self._error("a pool without padding", pads)
        op = {"MaxPool": "MaxPool", "AveragePool": "AvgPool"}[self.node.op]
        shape = (image[0], *self._sides(image, window, stride, "VALID"))
        self._add(op, [x], shape, window=window, stride=stride, padding="VALID")

    def global_pool(self) -> None:
        x, image = self._image(0)
        self._add("Mean", [x], (image[0], 1, 1), axes=[1, 2], keep_dims=True)

    def pad(self) -> None:
        x, image = self._image(0)
        self._expect("mode", ["constant"], "constant")
        if self._has(3) or (self._has(2) and self._constant(2).any()):
            raise self._error("a padding of zeros on all axes", list(self.node.inputs[2:]))
        pads = self._integers(1)
        if len(pads) != 8 or min(pads) < 0 or pads[0] or pads[4]:
            raise self._error("paddings of images, none negative", pads)
        _, channels, rows, columns = zip(pads[:4], pads[4:], strict=True)
        shape = tuple(
            length + sum(pair) for length, pair in zip(image, (channels, rows, columns), strict=True)
        )
        paddings = [[0, 0], list(rows), list(columns), list(channels)]
        self._add("Pad", [x], shape, paddings=paddings)

    def flatten(self) -> None:
        self._expect("axis", [1], 1)
        x, shape = self._value(0)
        length = math.prod(shape)
        if len(shape) == 3 and shape[1] * shape[2] > 1:
            turned = f"{self.node.outputs[0]} NCHW"
            self.network.add(turned, "Transpose", [x], shape, perm=[0, 3, 1, 2])
            x = turned
        self._add("Reshape", [x], (length,), shape=[-1, length])

    def product(self) -> None:
        x, shape = self._value(0)
        for name, allowed in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
            self._expect(name, [allowed], allowed)
        weight = self._constant(1, 2)
        order = "transposed" if self._expect("transB", [0, 1], 0) else ""
        weight = weight.T if order else weight
        if shape != weight.shape[:1] or min(weight.shape) < 1:
            raise self._error(f"weights for a vector of shape {shape}", weight.shape)
        inputs, fused = [x, self.network.constant(self.node.inputs[1], weight, order)], []
        if self._has(2):
            bias = self._constant(2, 1)
            if bias.shape != weight.shape[1:]:
                raise self._error(f"a bias of {weight.shape[1]} numbers", bias.shape)
            inputs.append(self.network.constant(self.node.inputs[2], bias))
            fused = ["BiasAdd"]
        self._add("MatMul", inputs, (weight.shape[1],), fused=fused)

    def softmax(self) -> None:
        x, shape = self._value(0)
        if len(shape) != 1:
            raise self._error("a vector", shape)
        self._expect("axis", [1, -1], -1)
        self._add("Softmax", [x], shape)

    def unary(self) -> None:
        x, shape = self._value(0)
        self._add(self.node.op, [x], shape)

    def binary(self) -> None:
        names = self.node.inputs[:2]
        if len(names) < 2:
            raise self._error("two inputs", list(names))
        ranks = {len(self.network.shapes[name]) for name in names if name in self.network.shapes}
        if len(ranks) != 1:
            raise self._error("values of one rank, known before", list(names))
        operands = [self._operand(index, ranks.copy().pop()) for index in range(2)]
        try:
            shape = np.broadcast_shapes(*(shape for _, shape in operands))
        except ValueError:
            raise self._error("shapes that fit", [shape for _, shape in operands]) from None
        self._add(_BINARY[self.node.op], [name for name, _ in operands], shape)

    def _operand(self, position: int, rank: int) -> tuple[str, Shape]:
        """A value, or a constant in the order that images have here."""
        name = self.node.inputs[position]
        if name in self.network.shapes:
            return self._value(position)
        array = self._constant(position)
        if array.size == 1:
            return self.network.constant(name, array.reshape(()), "scalar"), (1,) * rank
        if array.ndim != rank + 1 or array.shape[0] != 1:
            raise self._error("a constant of one number, or of the rank of the other input", array.shape)
        turned = array.transpose(0, 2, 3, 1) if rank == 3 else array
        return self.network.constant(name, turned, "NHWC" if rank == 3 else ""), array.shape[1:]

    def _add(self, op: str, inputs: Iterable[str], shape: Sequence[int], /, **attributes: Any) -> None:
        if max(shape) > _LONGEST_SIDE and len(shape) == 3:
            raise self._error(f"a map of at most {_LONGEST_SIDE} pixels a side", list(shape))
        self.network.add(self.node.outputs[0], op, inputs, tuple(shape), **attributes)

    def _has(self, position: int) -> bool:
        return len(self.node.inputs) > position and bool(self.node.inputs[position])

    def _value(self, position: int) -> tuple[str, Shape]:
        """Name and shape of an input that is no constant."""
        name = self.node.inputs[position] if self._has(position) else ""
        if name not in self.network.shapes:
            raise self._error(f"input {position} to be a value, known before", name)
        return name, self.network.shapes[name]

    def _image(self, position: int) -> tuple[str, Shape]:
        name, shape = self._value(position)
        if len(shape) != 3:
            raise self._error("images", list(shape))
        return name, shape

    def _constant(self, position: int, rank: int | None = None) -> np.ndarray:
        name = self.node.inputs[position] if self._has(position) else ""
        array = self.network.model.constants.get(name)
        if array is None or array.dtype != np.float32 or rank not in (None, array.ndim):
            numbers = "float32" if rank is None else f"float32 of rank {rank}"
            raise self._error(f"input {position} to be a constant, {numbers}", name)
        return array

    def _integers(self, position: int) -> list[int]:
        name = self.node.inputs[position] if self._has(position) else ""
        array = self.network.model.constants.get(name)
        if array is None or array.dtype != np.int64:
            raise self._error(f"input {position} to be a constant, int64", name)
        return [int(number) for number in array.ravel()]

    def _expect(self, name: str, allowed: Sequence[Any], default: Any) -> Any:
        value = self.attributes.pop(name, default)
        if value not in allowed:
            raise self._error(f"{name} of {list(allowed)}", value)
        return value

    def _pair(self, name: str, default: list[int] | None) -> list[int]:
        value = self.attributes.pop(name, default)
        if (
            not isinstance(value, list)
            or len(value) != 2
            or not 1 <= min(value) <= max(value) <= _LONGEST_SIDE
        ):
            raise self._error(f"{name} of two positive numbers", value)
        return value

    def _window_attributes(self) -> tuple[list[int], list[int]]:
        """The stride and the paddings (top, left, bottom, right) of a convolution or a pool."""
        self._expect("auto_pad", ["NOTSET"], "NOTSET")
        self._expect("dilations", [[1, 1]], [1, 1])
        pads = self.attributes.pop("pads", [0, 0, 0, 0])
        if not isinstance(pads, list) or len(pads) != 4 or min(pads) < 0:
            raise self._error("pads of four numbers, none negative", pads)
        return self._pair("strides", [1, 1]), pads

    def _padded(
        self, x: str, image: Shape, window: list[int], stride: list[int], pads: list[int]
    ) -> tuple[str, Shape, str]:
        """The input of a convolution, its shape, and the padding that TensorFlow names so."""
        if not any(pads):
            return x, image, "VALID"
        same = [_same(length, k, s) for length, k, s in zip(image[1:], window, stride, strict=True)]
        if pads == [same[0][0], same[1][0], same[0][1], same[1][1]]:
            return x, image, "SAME"
        name = f"{self.node.outputs[0]} padded"
        rows, columns = [pads[0], pads[2]], [pads[1], pads[3]]
        shape = (image[0], image[1] + sum(rows), image[2] + sum(columns))
        self.network.add(name, "Pad", [x], shape, paddings=[[0, 0], rows, columns, [0, 0]])
        return name, shape, "VALID"

    def _sides(self, image: Shape, window: list[int], stride: list[int], padding: str) -> list[int]:
        """Height and width after a window has moved over an image."""
        if padding == "SAME":
            return [-(-length // s) for length, s in zip(image[1:], stride, strict=True)]
        sides = [(length - k) // s + 1 for length, k, s in zip(image[1:], window, stride, strict=True)]
        if min(sides) < 1:
            raise self._error(f"a window within the image of {list(image[1:])} pixels", window)
        return sides

    def _error(self, expected: str, found: Any) -> ConversionError:
        return ConversionError(f"{self.where}: expected {expected}, found {str(found)[:200]}")


def _same(length: int, window: int, stride: int) -> tuple[int, int]:
    """The padding, before and after, that TensorFlow calls SAME."""
    total = max((-(-length // stride) - 1) * stride + window - length, 0)
    return total // 2, total - total // 2


_READERS: dict[str, Callable[[_Node], None]] = {
    "Conv": _Node.convolution,
    "MaxPool": _Node.pool,
    "AveragePool": _Node.pool,
    "GlobalAveragePool": _Node.global_pool,
    "Pad": _Node.pad,
    "Flatten": _Node.flatten,
    "Gemm": _Node.product,
    "Softmax": _Node.softmax,
    **dict.fromkeys(_UNARY, _Node.unary),
    **dict.fromkeys(_BINARY, _Node.binary),
}
