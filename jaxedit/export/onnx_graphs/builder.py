"""An ONNX graph that grows node by node. Images are NCHW in it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.export.onnx_graphs.rounding import (
    Rounded,
    WeightsType,
    as_half,
    as_table,
    as_whole_numbers,
    bits_of,
    is_half,
    pieces,
)

OPSET = 17
"""Of the operators; ONNX Runtime reads it since 1.12, OpenVINO since 2022."""

_IR_VERSION = 8  # that belongs to the operators; newer ones are refused by older runtimes
_SMALLEST_ROUNDED = 8192
"""Arrays with fewer numbers stay in single precision. Depthwise kernels are among them: they are a three-hundredth of
the numbers, and their rounding would do as much harm as that of all others."""

_SMALLEST_EXACT = 128
"""Arrays with fewer numbers are not worth nodes of their own."""

_NATIVE = ("float16", "int16", "int8")
"""Types of numbers that the file format has."""


class GraphBuilder:
    """Nodes and constants of a graph. Every method that adds a node returns the name of its result.

    Args:
        name: of the graph.
        weights: in which large constants are kept. The numbers become float32 when the model is loaded, and all
            arithmetic is in float32.
        parts: the same for the large constants of some parts, by the names that the graph gives these.
    """

    def __init__(
        self, name: str, *, weights: WeightsType = "float32", parts: Mapping[str, WeightsType] | None = None
    ) -> None:
        self.name = name
        self.weights = weights
        self.parts = parts or {}
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

    def constant(self, array: Any, *, part: str = "") -> str:
        """An array; equal ones are kept once.

        Args:
            array: of numbers.
            part: whose it is, if that may be kept in another type.
        """
        kind = self._kind(part)
        array = np.asarray(array)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind in "iu" else np.float32).reshape(
            array.shape
        )
        key = (kind, array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key in self._constants:
            return self._constants[key]
        name = self._name("constant")
        if array.dtype == np.float32 and _is_rounded(array, kind):
            kept = _rounded(array, kind)
            self.add("Mul", self._whole(name, kept.numbers, kind), self.constant(kept.unit), result=name)
        elif array.dtype != np.float32 or kind != "exact" or not self._kept_exactly(name, array):
            self._keep(name, array)
        self._constants[key] = name
        return name

    def _keep(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def _kept_as_float(self, name: str, array: np.ndarray) -> str:
        """An array of the file, which becomes float32."""
        from onnx import TensorProto

        return self.add("Cast", self._keep(name, array), to=TensorProto.FLOAT)

    def _whole(self, name: str, numbers: np.ndarray, kind: WeightsType) -> str:
        """Rounded numbers as float32."""
        if kind in _NATIVE:
            return self._kept_as_float(f"{name}_rounded", numbers)
        bits = bits_of(kind)
        total = self.constant(np.float32(-(2 ** (bits - 1))))
        for piece in pieces(numbers, bits):
            rest, parts = self._kept_as_float(f"{name}_bits_{piece.place}", piece.content), []
            for shift in range(8 - piece.width, 0, -piece.width):
                part = self.add("Floor", self.calculate("Mul", rest, np.float32(2.0**-shift)))
                rest = self.add("Sub", rest, self.calculate("Mul", part, np.float32(2.0**shift)))
                parts.append(part)
            joined = self.add("Concat", *parts, rest, axis=0) if parts else rest
            ends = (self.constant(np.asarray(numbers_)) for numbers_ in ([0], [numbers.size]))
            joined = self.add("Slice", joined, *ends) if numbers.size % len([*parts, rest]) else joined
            total = self.add("Add", total, self.calculate("Mul", joined, np.float32(2.0**piece.place)))
        return self.reshape(total, numbers.shape)

    def _kept_exactly(self, name: str, array: np.ndarray) -> bool:
        """Whether an array could be kept in fewer bits without any loss."""
        from onnx import TensorProto

        if array.size < _SMALLEST_EXACT:
            return False
        table = as_table(array)
        others = 2 * array.size if is_half(array) else array.nbytes
        if table is not None and table.size() < others:
            which = self.add("Cast", self._keep(f"{name}_bytes", table.bytes), to=TensorProto.INT32)
            self.add("Gather", self._keep(f"{name}_table", table.numbers), which, axis=0, result=name)
        elif is_half(array):
            half = self._keep(f"{name}_half", array.astype(np.float16))
            self.add("Cast", half, to=TensorProto.FLOAT, result=name)
        else:
            return False
        return True

    def lost_by_rounding(self, array: np.ndarray, *, part: str = "") -> np.ndarray | None:
        """What a constant lacks in the file; None if it is kept whole."""
        kind = self._kind(part)
        return array - _rounded(array, kind).restored() if _is_rounded(array, kind) else None

    def _kind(self, part: str) -> WeightsType:
        return self.parts.get(part, self.weights)

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

    def affine(self, x: str, weight: Any, bias: Any, *, around: Any = None, part: str = "") -> str:
        """x·weight + bias of [batch, inner].

        Args:
            x: the values.
            weight: [inner, outer].
            bias: [outer].
            around: the mean of x. The bias takes in what the rounding of the weights would change there.
            part: of the weight, as for `constant`.
        """
        weight = np.asarray(weight, np.float32)
        lost = None if around is None else self.lost_by_rounding(weight, part=part)
        if lost is not None:
            bias = bias + np.asarray(around) @ lost
        return self.add("Gemm", x, self.constant(weight, part=part), self.constant(bias))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """The same numbers in another shape; 0 keeps a length, −1 is what remains."""
        return self.add("Reshape", x, self.constant(np.asarray(shape)))

    def of_channels(self, x: str) -> str:
        """[batch, channels] as [batch, channels, 1, 1], to multiply images by."""
        return self.add("Unsqueeze", x, self.constant(np.asarray([2, 3])))

    def convolution(self, x: str, weight: Any, bias: Any = None, *, group: int = 1, part: str = "") -> str:
        """A convolution that keeps the size, with weights [outer, inner / group, rows, columns] of odd size."""
        rows, columns = (length // 2 for length in np.shape(weight)[2:])
        others = [] if bias is None else [self.constant(bias)]
        pads = [rows, columns, rows, columns]
        return self.add(
            "Conv",
            x,
            self.constant(weight, part=part),
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


def _is_rounded(array: np.ndarray, kind: WeightsType) -> bool:
    """Whether an array of floats is kept in fewer bits."""
    return kind not in ("float32", "exact") and array.size >= _SMALLEST_ROUNDED


def _rounded(array: np.ndarray, kind: WeightsType) -> Rounded:
    return as_half(array) if kind == "float16" else as_whole_numbers(array, bits_of(kind))
