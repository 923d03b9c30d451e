"""Small ONNX models, for the tests of their reader."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def onnx_file(
    nodes: list[Any], constants: dict[str, np.ndarray], *, shape: tuple[Any, ...], opset: int = 18
) -> bytes:
    """A model with the input "x" and the output of the last node."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


def residual_network() -> bytes:
    """A network of all operations that are read: 3 channels of 13 × 12 pixels to 5 probabilities."""
    numbers = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return numbers.normal(size=shape).astype(np.float32)

    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        make("Mul", ["conv", "scale"], ["scaled"]),
        make("Add", ["offset", "scaled"], ["moved"]),
        make("Relu", ["moved"], ["first"]),
        make("Conv", ["first", "w2"], ["strided"], strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Sigmoid", ["strided"], ["gate"]),
        make("Conv", ["first", "w2"], ["uneven"], strides=[2, 1], pads=[0, 2, 1, 0]),
        make("MaxPool", ["uneven"], ["pooled"], kernel_shape=[2, 4], strides=[1, 2]),
        make("Tanh", ["gate"], ["bounded"]),
        make("AveragePool", ["first"], ["halved"], kernel_shape=[2, 2], strides=[2, 2], count_include_pad=0),
        make("Pad", ["halved", "pads"], ["widened"], mode="constant"),
        make("Sub", ["widened", "bounded"], ["difference"]),
        make("Div", ["difference", "two"], ["half"]),
        make("Flatten", ["half"], ["flat"], axis=1),
        make("Gemm", ["flat", "w3", "b3"], ["hidden"], transB=1),
        make("GlobalAveragePool", ["pooled"], ["mean"]),
        make("Flatten", ["mean"], ["vector"]),
        make("Gemm", ["vector", "w4"], ["projected"]),
        make("Add", ["hidden", "projected"], ["summed"]),
        make("Add", ["summed", "b5"], ["logits"]),
        make("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "w1": normal(4, 3, 3, 3),
        "b1": normal(4),
        "scale": normal(1, 4, 1, 1),
        "offset": normal(1, 4, 1, 12),
        "w2": normal(6, 4, 3, 3),
        "two": np.array([2], np.float32),
        "pads": np.array([0, 1, 0, 0, 0, 1, 1, 0]),
        "w3": normal(5, 6 * 7 * 6) / 16,
        "b3": normal(5),
        "w4": normal(6, 5),
        "b5": normal(1, 5),
    }
    return onnx_file(nodes, constants, shape=("N", 3, 13, 12))


def evaluate(data: bytes, x: np.ndarray) -> np.ndarray:
    """The output of a model by the reference implementation of ONNX."""
    from onnx.reference import ReferenceEvaluator

    return np.asarray(ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x})[0])
