"""An ONNX graph that grows node by node. Images are NCHW in it."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

OPSET = 17
"""Of the operators; ONNX Runtime reads it since 1.12, OpenVINO since 2022."""

_IR_VERSION = 8  # that belongs to the operators; newer ones are refused by older runtimes
_SMALLEST_HALF = 8192
"""Arrays with fewer numbers stay in single precision. Depthwise kernels are among them: they are a three-hundredth of
the numbers, and their rounding would do as much harm as that of all others."""


class GraphBuilder:
    """Nodes and constants of a graph. Every method that adds a node returns the name of its result.

    Args:
        name: of the graph.
        weights: in which large constants are kept. "float16" halves the file; the numbers become float32 when the
            model is loaded, and all arithmetic is in float32.
    """

    def __init__(self, name: str, *, weights: Literal["float32", "float16"] = "float32") -> None:
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
            half, unit = as_half(array)
            self._initializers.append(numpy_helper.from_array(half, f"{name}_half"))
            whole = self.add("Cast", f"{name}_half", to=TensorProto.FLOAT)
            self.add("Mul", whole, self.constant(unit), result=name)
        else:
            self._initializers.append(numpy_helper.from_array(array, name))
        self._constants[key] = name
        return name

    def is_rounded(self, array: np.ndarray) -> bool:
        """Whether an array of floats is kept in half precision."""
        return self.weights == "float16" and array.size >= _SMALLEST_HALF

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
        if around is not None and self.is_rounded(weight):
            half, unit = as_half(weight)
            bias = bias + np.asarray(around) @ (weight - half.astype(np.float32) * unit)
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

    def model(self, outputs: dict[str, tuple[str, Sequence[int | str]]], about: dict[str, str]) -> bytes:
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


def as_half(array: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Numbers in float16, and the power of two that they are to be multiplied by.

    It brings the largest near the upper end of float16: the small ones then keep their digits.
    """
    largest = float(np.abs(array).max())
    unit = np.float32(2.0 ** (np.ceil(np.log2(largest)) - 15)) if largest > 0 else np.float32(1)
    return (array / unit).astype(np.float16), unit
