"""An ONNX graph that grows node by node. Images are NCHW in it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

OPSET = 17
"""Of the operators; ONNX Runtime reads it since 1.12, OpenVINO since 2022."""

_IR_VERSION = 8  # that belongs to the operators; newer ones are refused by older runtimes
_SMALLEST_ROUNDED = 8192
"""Arrays with fewer numbers stay in single precision. Depthwise kernels are among them: they are a three-hundredth of
the numbers, and their rounding would do as much harm as that of all others."""

WeightsType = Literal["float32", "float16", "int16", "int8"]
"""In which large constants are kept: "int16" and "int8" are whole numbers with a scale for each row."""


class GraphBuilder:
    """Nodes and constants of a graph. Every method that adds a node returns the name of its result.

    Args:
        name: of the graph.
        weights: in which large constants are kept. "float16" and "int16" halve the file, "int8" quarters it; the
            numbers become float32 when the model is loaded, and all arithmetic is in float32.
    """

    def __init__(self, name: str, *, weights: WeightsType = "float32") -> None:
        self.name = name
        self.weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._shapes: dict[str, tuple[list[int | str], str]] = {}
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], *, is_bool: bool = False) -> str:
        """An input; lengths that are names are free."""
        from onnx import TensorProto, helper

        kind = TensorProto.BOOL if is_bool else TensorProto.FLOAT
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        self._shapes[name] = (list(shape), "bool" if is_bool else "float32")
        return name

    def arguments(self) -> list[dict[str, Any]]:
        """Name, shape and type of each input, in their order."""
        return [{"name": name, "shape": shape, "dtype": kind} for name, (shape, kind) in self._shapes.items()]

    def constant(self, array: Any) -> str:
        """An array; equal ones are kept once."""
        from onnx import TensorProto, numpy_helper

        array = np.asarray(array)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind in "iu" else np.float32).reshape(
            array.shape
        )
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key in self._constants:
            return self._constants[key]
        name = self._name("constant")
        if array.dtype == np.float32 and self.is_rounded(array):
            kept = self._rounded(array)
            self._initializers.append(numpy_helper.from_array(kept.numbers, f"{name}_rounded"))
            whole = self.add("Cast", f"{name}_rounded", to=TensorProto.FLOAT)
            self.add("Mul", whole, self.constant(kept.unit), result=name)
        else:
            self._initializers.append(numpy_helper.from_array(array, name))
        self._constants[key] = name
        return name

    def is_rounded(self, array: np.ndarray) -> bool:
        """Whether an array of floats is kept in fewer bits."""
        return self.weights != "float32" and array.size >= _SMALLEST_ROUNDED

    def lost_by_rounding(self, array: np.ndarray) -> np.ndarray:
        """What a constant lacks in the file."""
        return array - self._rounded(array).restored() if self.is_rounded(array) else np.zeros_like(array)

    def _rounded(self, array: np.ndarray) -> "Rounded":
        return as_half(array) if self.weights == "float16" else as_whole_numbers(array, self.weights)

    def add(self, operator: str, *inputs: str, result: str | None = None, **attributes: Any) -> str:
        """A node with one result."""
        return self.add_many(
            operator, *inputs, results=[result or self._name(operator.lower())], **attributes
        )[0]

    def add_many(self, operator: str, *inputs: str, results: Sequence[str], **attributes: Any) -> list[str]:
        """A node with several results."""
        from onnx import helper

        self._nodes.append(helper.make_node(operator, list(inputs), list(results), **attributes))
        return list(results)

    def calculate(self, operator: str, left: str, right: Any) -> str:
        """An elementwise operation of a value with another value or an array."""
        return self.add(operator, left, right if isinstance(right, str) else self.constant(right))

    def affine(self, x: str, weight: Any, bias: Any, *, around: Any = None) -> str:
        """x·weight + bias of [batch, inner].

        Args:
            x: the values.
            weight: [inner, outer].
            bias: [outer].
            around: the mean of x. The bias takes in what the rounding of the weights would change there.
        """
        weight = np.asarray(weight, np.float32)
        if around is not None:
            bias = bias + np.asarray(around) @ self.lost_by_rounding(weight)
        return self.add("Gemm", x, self.constant(weight), self.constant(bias))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """The same numbers in another shape; 0 keeps a length, −1 is what remains."""
        return self.add("Reshape", x, self.constant(np.asarray(shape)))

    def of_channels(self, x: str) -> str:
        """[batch, channels] as [batch, channels, 1, 1], to multiply images by."""
        return self.add("Unsqueeze", x, self.constant(np.asarray([2, 3])))

    def convolution(self, x: str, weight: Any, bias: Any = None, *, group: int = 1) -> str:
        """A convolution that keeps the size, with weights [outer, inner / group, rows, columns] of odd size."""
        rows, columns = (length // 2 for length in np.shape(weight)[2:])
        others = [] if bias is None else [self.constant(bias)]
        pads = [rows, columns, rows, columns]
        return self.add(
            "Conv",
            x,
            self.constant(weight),
            *others,
            pads=pads,
            group=group,
            kernel_shape=np.shape(weight)[2:],
        )

    def pointwise(self, x: str, weight: Any, style: str | None, size: tuple[int, int]) -> str:
        """A 1×1 convolution whose weights [inner, outer] are scaled by a style [batch, inner], as a matrix product.

        The weights are scaled instead of the image: they are smaller. ONNX Runtime takes half the time for a product
        that it takes for a convolution.
        """
        height, width = size
        inner, outer = np.shape(weight)
        transposed = self.constant(np.ascontiguousarray(np.asarray(weight).T)[None])
        scaled = transposed
        if style is not None:
            scaled = self.add("Mul", transposed, self.add("Unsqueeze", style, self.constant(np.asarray([1]))))
        flat = self.reshape(x, [0, inner, height * width])
        return self.reshape(self.add("MatMul", scaled, flat), [0, outer, height, width])

    def model(self, outputs: Mapping[str, tuple[str, Sequence[int | str]]], about: dict[str, str]) -> bytes:
        """The serialized model.

        Args:
            outputs: names and shapes of the results, by the names that they get.
            about: kept as the model's metadata.
        """
        import onnx
        from onnx import TensorProto, helper

        infos = []
        for name, (value, shape) in outputs.items():
            self.add("Identity", value, result=name)
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        graph = helper.make_graph(self._nodes, self.name, self._inputs, infos, self._initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="jaxedit",
        )
        helper.set_model_props(model, about)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


class Rounded(NamedTuple):
    """An array in fewer bits."""

    numbers: np.ndarray
    """In the type of the file."""
    unit: np.ndarray
    """Float32, by which the numbers are to be multiplied; it broadcasts."""

    def restored(self) -> np.ndarray:
        """The array as the file holds it, float32."""
        return self.numbers.astype(np.float32) * self.unit


def as_half(array: np.ndarray) -> Rounded:
    """Numbers in float16, and the power of two that they are to be multiplied by.

    It brings the largest near the upper end of float16: the small ones then keep their digits.
    """
    largest = float(np.abs(array).max())
    unit = np.float32(2.0 ** (np.ceil(np.log2(largest)) - 15)) if largest > 0 else np.float32(1)
    return Rounded((array / unit).astype(np.float16), np.asarray(unit))


def as_whole_numbers(array: np.ndarray, kind: str) -> Rounded:
    """Numbers as whole ones ("int16" or "int8"), and a unit for each row of the first axis that is longer than one.

    The step is the same for small and large numbers of a row. Weights of a row are of about one size, so 16 bits lose a
    quarter of what float16 loses.
    """
    row = next((axis for axis, length in enumerate(array.shape) if length > 1), 0)
    others = tuple(axis for axis in range(array.ndim) if axis != row)
    largest = np.abs(array).max(others, keepdims=True)
    unit = np.where(largest > 0, largest / np.iinfo(kind).max, 1).astype(np.float32)
    return Rounded(np.rint(array / unit).astype(kind), unit)
