"""Models in ONNX, as nodes and arrays.

The file is one protobuf message. The numbers of its fields are those of `onnx.proto` (ONNX 1.19, IR version 10). No
part of a model is executed.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.protobuf import Message

_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}
"""Types of arrays that are read, by their numbers: float32 and int64."""

_FLOAT_TYPE = 1
_FIELD_OF_ATTRIBUTE = {1: "float", 2: "integer", 3: "text", 6: "floats", 7: "integers"}
"""Types of attributes that are read, by their numbers. Others (graphs, tensors) have no value here."""


@dataclasses.dataclass(frozen=True)
class OnnxNode:
    """One operation.

    Attributes:
        op: its name.
        inputs: names of values; an empty name stands for an input that is left out.
        outputs: names of values.
        attributes: name → float, int, str, or a list of floats or ints; None for a type that is not read.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class OnnxModel:
    """A model.

    Attributes:
        opset: version of the standard operations.
        producer: the program that wrote the file, as the file says.
        nodes: in the order of the file.
        constants: name → array, float32 or int64.
        inputs: name → shape, of the inputs that are no constants; None for a length that the file leaves open.
        outputs: names.
    """

    opset: int
    producer: str
    nodes: tuple[OnnxNode, ...]
    constants: dict[str, np.ndarray]
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]


def read_onnx(data: bytes, *, name: str) -> OnnxModel:
    """Read a model.

    Args:
        data: the file.
        name: what to call the model in an error.

    Raises:
        ConversionError: if the file is damaged, uses operations of other sets than the standard one, or holds an array
            of another type, or one outside the file.
    """
    model = Message(data, name=name)
    opsets = {entry.text(1): entry.integer(2) for entry in model.messages(8)}
    opset = opsets.pop("", None)
    if opset is None or 7 not in model:
        raise ConversionError(f"{name}: expected an ONNX model, found no graph or no set of operations")
    graph = model.message(7)
    if 15 in graph:
        raise ConversionError(f"{name}: expected dense arrays, found sparse ones")
    constants = dict(_tensor(tensor) for tensor in graph.messages(5))
    inputs = dict(_value_info(value) for value in graph.messages(11))
    return OnnxModel(
        opset=opset,
        producer=model.text(2),
        nodes=tuple(_node(node) for node in graph.messages(1)),
        constants=constants,
        inputs={key: shape for key, shape in inputs.items() if key not in constants},
        outputs=tuple(value.text(1) for value in graph.messages(12)),
    )


def _node(node: Message) -> OnnxNode:
    op, domain = node.text(4), node.text(7)
    if domain:
        raise ConversionError(f"{node.name}: {op}: expected a standard operation, found one of {domain!r}")
    attributes = {attribute.text(1): _attribute(attribute) for attribute in node.messages(5)}
    return OnnxNode(op, tuple(node.texts(1)), tuple(node.texts(2)), attributes)


def _attribute(attribute: Message) -> Any:
    kind = _FIELD_OF_ATTRIBUTE.get(attribute.integer(20) or 0)
    if kind == "integer":
        return attribute.integer(3) or 0
    if kind == "integers":
        return attribute.integers(8)
    if kind == "text":
        return attribute.text(4)
    if kind == "floats":
        return attribute.floats(7).tolist()
    if kind == "float":
        return float(attribute.floats(2)[-1]) if 2 in attribute else 0.0
    return None


def _tensor(tensor: Message) -> tuple[str, np.ndarray]:
    key, where = tensor.text(8), f"{tensor.name}: array {tensor.text(8)!r}"
    dtype = _TYPES.get(tensor.integer(2) or 0)
    if dtype is None:
        raise ConversionError(f"{where}: expected float32 or int64, found the type {tensor.integer(2)}")
    if 13 in tensor or tensor.integer(14):
        raise ConversionError(f"{where}: expected its numbers in the file, found them outside")
    shape = tuple(tensor.integers(1))
    raw = tensor.content(9)
    if raw is not None:
        content = bytes(raw)
    elif dtype == _TYPES[_FLOAT_TYPE]:
        content = tensor.floats(4).tobytes()
    else:
        content = np.asarray(tensor.integers(7), dtype).tobytes()
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(content):
        raise ConversionError(
            f"{where}: expected {expected} bytes for the shape {list(shape)}, found {len(content)}"
        )
    return key, np.frombuffer(content, dtype).reshape(shape)


def _value_info(value: Message) -> tuple[str, tuple[int | None, ...]]:
    """Name and shape of an input."""
    tensor = value.message(2).message(1)
    if tensor.integer(1) != _FLOAT_TYPE:
        raise ConversionError(f"{value.name}: input {value.text(1)!r}: expected float32, found another type")
    return value.text(1), tuple(dimension.integer(1) for dimension in tensor.message(2).messages(1))
