"""Evaluation of a plain network graph in JAX. Images are NHWC.

The graph is a [`Graph`][weights_conversion.formats.tfjs_graph.Graph]. Depthwise convolutions and poolings are sums and
maxima of shifted views (`nn.windows`), and 1×1 convolutions are matrix products, which XLA runs fast on CPU too.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.nn.convolution import depthwise_conv
from jaxedit.nn.windows import pad_same, shifted_views

Attributes = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class _Step:
    """One operation: which values it takes (positions in the list of all values so far), and its attributes."""

    op: str
    inputs: tuple[int, ...]
    attributes: tuple[tuple[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class _Program:
    """What is fixed of a network: hashable, so that `jax.jit` can tell two of them apart."""

    input_shape: tuple[int | None, ...]
    steps: tuple[_Step, ...]
    outputs: tuple[int, ...]


class GraphNetwork(nnx.Module):
    """A network that a graph describes. Calling it is a pure function; the arrays are its parameters.

    Attributes:
        input_shape: shape of the input without the batch.
        output_names: names of the outputs, in the order of the results.
    """

    def __init__(
        self, graph: Mapping[str, Any], arrays: Mapping[str, Any], *, outputs: Sequence[str]
    ) -> None:
        """Build the part of a graph that the outputs need.

        Args:
            graph: the description.
            arrays: the float arrays under the names that the graph refers to.
            outputs: names of nodes whose values are wanted; any node of the graph will do.

        Raises:
            InputError: if an output is unknown, or the graph holds an unknown operation.
            KeyError: if an array is missing.
        """
        nodes = {node["name"]: node for node in graph["nodes"]}
        unknown = [name for name in outputs if name not in nodes]
        if unknown:
            raise InputError(f"outputs: expected names of nodes, got {unknown}")
        needed = _ancestors(nodes, outputs)
        used = {i for name in needed for i in nodes[name]["inputs"]}
        constants = [name for name in graph["constants"] if name in used]
        positions = {name: index for index, name in enumerate([graph["input"], *constants])}
        steps = []
        for name, node in nodes.items():
            if name not in needed:
                continue
            if node["op"] not in _OPERATIONS:
                raise InputError(f"graph: expected a known operation, got {node['op']!r} ({name})")
            inputs = tuple(positions[i] for i in node["inputs"])
            steps.append(_Step(node["op"], inputs, tuple(sorted(_frozen(node["attributes"]).items()))))
            positions[name] = len(positions)
        self.weights = nnx.List([nnx.Param(jnp.asarray(arrays[name], jnp.float32)) for name in constants])
        self.program = _Program(
            tuple(graph["input_shape"]), tuple(steps), tuple(positions[name] for name in outputs)
        )
        self.output_names = tuple(outputs)

    @property
    def input_shape(self) -> tuple[Any, ...]:
        """Height, width and channels of the input, where that is an image; None for any length."""
        return self.program.input_shape

    def __call__(self, x: Float[Array, "batch *input_shape"]) -> tuple[Array, ...]:
        """The values of the outputs, float32.

        Args:
            x: in the range that the network was trained on.

        Raises:
            InputError: if the input has not the shape of the graph's, where that is given.
        """
        expected = self.program.input_shape
        if x.ndim != 1 + len(expected) or any(
            wanted not in (None, length) for length, wanted in zip(x.shape[1:], expected, strict=True)
        ):
            raise InputError(f"x: expected [batch, {self.program.input_shape}], got {x.shape}")
        values: list[Array] = [x, *(weight[...] for weight in self.weights)]
        for step in self.program.steps:
            arguments = [values[position] for position in step.inputs]
            values.append(_OPERATIONS[step.op](arguments, dict(step.attributes)))
        return tuple(values[position] for position in self.program.outputs)


def _ancestors(nodes: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> set[str]:
    """The named nodes and all that they are computed from."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in found:
            found.add(name)
            waiting += nodes[name]["inputs"]
    return found


def _frozen(value: Any) -> Any:
    """Lists as tuples, so that the value can be hashed; a dict keeps its outermost level."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _conv(arguments: Sequence[Array], attributes: Attributes) -> Array:
    x, filters = arguments[:2]
    stride, padding = attributes["stride"], attributes["padding"]
    if filters.shape[:2] == (1, 1):
        y = x[:, :: stride[0], :: stride[1]] @ filters[0, 0]
    else:
        y = jax.lax.conv_general_dilated(
            x, filters, stride, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    return _fused(y, arguments[2:], attributes)


def _depthwise(arguments: Sequence[Array], attributes: Attributes) -> Array:
    x, filters = arguments[:2]
    window = (filters.shape[0], filters.shape[1])
    if window == x.shape[1:3] and attributes["padding"] == "VALID":
        y = jnp.einsum("bhwc,hwc->bc", x, filters[..., 0])[:, None, None]
    else:
        stride = attributes["stride"]
        padded = pad_same(x, window, stride) if attributes["padding"] == "SAME" else x
        y = depthwise_conv(padded, filters[..., 0], stride)
    return _fused(y, arguments[2:], attributes)


def _conv_transpose(arguments: Sequence[Array], attributes: Attributes) -> Array:
    x, filters = arguments
    like = jax.ShapeDtypeStruct((len(x), *attributes["size"], filters.shape[2]), x.dtype)

    def conv(result: Array) -> Array:
        return jax.lax.conv_general_dilated(
            result,
            filters,
            attributes["stride"],
            attributes["padding"],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    return jax.linear_transpose(conv, like)(x)[0]


def _resize(arguments: Sequence[Array], attributes: Attributes) -> Array:
    (x,) = arguments
    return jax.image.resize(
        x,
        (len(x), *attributes["size"], x.shape[3]),
        "bilinear",
        antialias=False,
        precision=jax.lax.Precision.HIGHEST,
    )


def _matmul(arguments: Sequence[Array], attributes: Attributes) -> Array:
    return _fused(arguments[0] @ arguments[1], arguments[2:], attributes)


def _fused(y: Array, arguments: Sequence[Array], attributes: Attributes) -> Array:
    for name in attributes["fused"]:
        if name == "BiasAdd":
            y = y + arguments[0]
        elif name == "Prelu":
            y = _prelu(y, arguments[1])
        elif name == "LeakyRelu":
            y = jax.nn.leaky_relu(y, attributes["slope"])
        else:
            y = {"Relu": jax.nn.relu, "Relu6": jax.nn.relu6, "Elu": jax.nn.elu}[name](y)
    return y


def _prelu(x: Array, slopes: Array) -> Array:
    return jnp.where(x < 0, slopes * x, x)


def _max_pool(arguments: Sequence[Array], attributes: Attributes) -> Array:
    (x,) = arguments
    return reduce(jnp.maximum, _pool_windows(x, attributes, -jnp.inf))


def _average_pool(arguments: Sequence[Array], attributes: Attributes) -> Array:
    """As TensorFlow has it: padding does not count."""
    (x,) = arguments
    if attributes["padding"] == "VALID" and attributes["window"] == x.shape[1:3]:
        return x.mean((1, 2), keepdims=True)  # one window, where shifted views would be as many as pixels
    total = reduce(jnp.add, _pool_windows(x, attributes, 0.0))
    if attributes["padding"] == "VALID":
        return total / math.prod(attributes["window"])
    return total / reduce(jnp.add, _pool_windows(jnp.ones_like(x[:1, ..., :1]), attributes, 0.0))


def _pool_windows(x: Array, attributes: Attributes, value: float) -> Iterator[Array]:
    window, stride = attributes["window"], attributes["stride"]
    padded = pad_same(x, window, stride, value) if attributes["padding"] == "SAME" else x
    return shifted_views(padded, window, stride)


def _strided_slice(arguments: Sequence[Array], attributes: Attributes) -> Array:
    (x,) = arguments
    index: list[int | slice] = []
    ranges = zip(attributes["begin"], attributes["end"], attributes["strides"], strict=True)
    for axis, (begin, end, stride) in enumerate(ranges):
        bit = 1 << axis
        if attributes["shrink_axis_mask"] & bit:
            index.append(begin)
            continue
        first = None if attributes["begin_mask"] & bit else begin
        index.append(slice(first, None if attributes["end_mask"] & bit else end, stride))
    return x[tuple(index)]


def _reduction(function: Callable[..., Array]) -> Callable[[Sequence[Array], Attributes], Array]:
    return lambda arguments, a: function(arguments[0], axis=a["axes"], keepdims=a["keep_dims"])


def _plain(function: Callable[..., Array]) -> Callable[[Sequence[Array], Attributes], Array]:
    return lambda arguments, _: function(*arguments)


_OPERATIONS: dict[str, Callable[[Sequence[Array], Attributes], Array]] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "Mean": _reduction(jnp.mean),
    "Max": _reduction(jnp.max),
    "Sum": _reduction(jnp.sum),
    "Squeeze": lambda arguments, a: jnp.squeeze(arguments[0], a["axes"]),
    "ExpandDims": lambda arguments, a: jnp.expand_dims(arguments[0], a["axis"]),
    "Reshape": lambda arguments, a: arguments[0].reshape(a["shape"]),
    "Resize": _resize,
    "Pad": lambda arguments, a: jnp.pad(arguments[0], a["paddings"]),
    "StridedSlice": _strided_slice,
    "Transpose": lambda arguments, a: jnp.transpose(arguments[0], a["perm"]),
    "Add": _plain(jnp.add),
    "AddN": lambda arguments, _: reduce(jnp.add, arguments),
    "Sub": _plain(jnp.subtract),
    "Mul": _plain(jnp.multiply),
    "RealDiv": _plain(jnp.divide),
    "Maximum": _plain(jnp.maximum),
    "Minimum": _plain(jnp.minimum),
    "Abs": _plain(jnp.abs),
    "Neg": _plain(jnp.negative),
    "Square": _plain(jnp.square),
    "Rsqrt": _plain(jax.lax.rsqrt),
    "Relu": _plain(jax.nn.relu),
    "Relu6": _plain(jax.nn.relu6),
    "Tanh": _plain(jnp.tanh),
    "Sigmoid": _plain(jax.nn.sigmoid),
    "Softmax": _plain(jax.nn.softmax),
    "Prelu": _plain(_prelu),
    "Identity": _plain(lambda x: x),
}
