import os
import pickle

import numpy as np
import pytest

from tests.conversion.foreign_torch import (
    Parameter,
    Persistent,
    View,
    official_module,
    write_archive,
    write_pickle,
)
from tests.conversion.official_fixtures import assert_same, converted_fixture, fixture_params
from tests.conversion.small_generators import small_official
from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.layout import target_shapes
from weights_conversion.models.stylegan2.official import convert_official
from weights_conversion.table import flatten

ALL = ["stylegan2_ada_64", "stylegan2_ada_cond_32", "stylegan2_ada_resnet_32"]


def small(*, arrays=None, change=None, options=None, source=""):
    """A pickle of a small generator with some arrays, attributes or options replaced."""
    params, own = small_official()
    params = {name: array for name, array in params.items() if (arrays or {}).get(name, array) is not None}
    params |= {name: array for name, array in (arrays or {}).items() if array is not None}
    module = official_module(params, own | (options or {}), change=change, source=source)
    return write_pickle({"G_ema": module})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_round_trip(name, protocol, tmp_path):
    params, options = fixture_params(name)
    path = tmp_path / "network.pkl"
    path.write_bytes(write_pickle({"G_ema": official_module(params, options)}, protocol=protocol))
    config, found = convert_official(path)
    expected_config, expected = converted_fixture(name)
    assert config == expected_config
    assert_same(found, expected)
    assert flatten(found).keys() == flatten(expected).keys()


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_targets_are_exactly_those_of_the_config(architecture):
    name = {"skip": "stylegan2_ada_64"}.get(architecture, "stylegan2_ada_resnet_32")
    params, options = fixture_params(name)
    if architecture == "orig":
        params = {key: array for key, array in params.items() if ".skip." not in key}
    module = official_module(params, options | {"architecture": architecture})
    config, found = convert_official(write_pickle(module))
    assert config["architecture"] == architecture
    assert {target: array.shape for target, array in flatten(found).items()} == target_shapes(config)


def test_g_ema_is_preferred():
    params, options = small_official()
    others = {
        name: array if name.endswith("filter") else np.asarray(array + 1) for name, array in params.items()
    }
    average, plain = official_module(params, options), official_module(others, options)
    _, expected = convert_official(write_pickle(average))
    networks = {"training_set_kwargs": {"path": "x"}, "G": plain, "D": None, "augment_pipe": None}
    assert_same(convert_official(write_pickle(networks | {"G_ema": average}))[1], expected)
    found = convert_official(write_pickle(networks | {"G_ema": None}))[1]
    np.testing.assert_array_equal(found["w_avg"], expected["w_avg"] + 1)


def test_options_that_change_the_arithmetic():
    config, _ = convert_official(small(options={"conv_clamp": 256}))
    assert config["conv_clamp"] == 256.0
    assert isinstance(config["conv_clamp"], float)
    plain, doubled = (
        convert_official(small(options={"lr_multiplier": multiplier}))[1]["mapping_network"]["layers"]["0"]
        for multiplier in (0.01, 0.02)
    )
    np.testing.assert_allclose(doubled["weight"], 2 * plain["weight"], rtol=1e-6)
    np.testing.assert_allclose(doubled["bias"], 2 * plain["bias"], rtol=1e-6)


def test_inner_widths_of_the_mapping_network_are_free():
    params, options = small_official()
    random = np.random.default_rng(0)
    shapes = {"embed": (3, 5), "fc0": (6, 7), "fc1": (4, 6)}
    for layer, shape in shapes.items():
        params[f"mapping.{layer}.weight"] = random.standard_normal(shape).astype(np.float32)
        params[f"mapping.{layer}.bias"] = np.zeros(shape[0], np.float32)
    module = official_module(params, options | {"c_dim": 5})
    config, found = convert_official(write_pickle(module))
    assert (config["c_dim"], config["z_dim"]) == (5, 4)
    assert found["mapping_network"]["embed"]["weight"].shape == (5, 3)
    assert found["mapping_network"]["layers"]["0"]["weight"].shape == (7, 6)


def test_layers_without_noise():
    params, options = small_official()
    params = {name: array for name, array in params.items() if ".noise_" not in name}
    _, found = convert_official(write_pickle(official_module(params, options)))
    layer = found["blocks"]["1"]["conv0"]
    assert layer["noise_strength"].shape == ()
    assert layer["noise_strength"] == 0
    np.testing.assert_array_equal(layer["noise"], np.zeros((8, 8)))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_become_float32(dtype):
    name = "synthesis.b8.conv1.weight"
    stored = small_official()[0][name].astype(dtype)
    _, found = convert_official(small(arrays={name: stored}))
    weight = found["blocks"]["1"]["conv1"]["weight"]
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, stored.astype(np.float32).transpose(2, 3, 1, 0))


def test_the_source_code_is_never_run(tmp_path):
    target = tmp_path / "made"
    source = f"open({str(target)!r}, 'w').close()\nraise SystemExit(1)\n"
    config, _ = convert_official(small(source=source))
    assert config["resolution"] == 8
    assert not target.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"D": Persistent("Discriminator", {}, "")},
            "expected a generator as G_ema or G, found a network D alone",
        ),
        (Persistent("Discriminator", {}, ""), "found a Discriminator alone"),
        (Persistent("Generator", {}, ""), "expected a MappingNetwork as mapping of a StyleGAN2, found None"),
        ({"state": 1}, "expected a generator as G_ema or G, found entries 'state'"),
        ({}, "found entries none"),
        ([1, 2], "expected networks of PyTorch, found list"),
        (np.zeros(3, np.float32), "expected networks of PyTorch, found Tensor"),
        (None, "expected networks of PyTorch, found None"),
    ],
)
def test_other_contents(value, message):
    with pytest.raises(ConversionError, match=f"bytes: .*{message}"):
        convert_official(write_pickle(value))


def test_a_generator_of_stylegan3():
    synthesis = Persistent(
        "SynthesisNetwork", {"_modules": {"input": Persistent("SynthesisInput", {}, "")}}, ""
    )
    mapping = Persistent("MappingNetwork", {}, "")
    generator = Persistent("Generator", {"_modules": {"mapping": mapping, "synthesis": synthesis}}, "")
    with pytest.raises(
        ConversionError, match="expected a generator of a StyleGAN2, found a generator of StyleGAN3"
    ):
        convert_official(write_pickle({"G_ema": generator}))


def test_other_files(tmp_path):
    with pytest.raises(ConversionError, match=r"absent\.pkl: could not read it"):
        convert_official(tmp_path / "absent.pkl")
    with pytest.raises(ConversionError, match="expected a generator as G_ema or G, found entries 'a'"):
        convert_official(write_archive({"a": 1}))
    for content in (b"", b"text", small()[:-200]):
        with pytest.raises(ConversionError, match=r"bytes: .*damaged"):
            convert_official(content)
    with pytest.raises(ConversionError, match=r"refused: the pickle asks for posix\.system"):
        convert_official(pickle.dumps({"G_ema": os.system}))
    with pytest.raises(ConversionError, match="expected a module with its class and state"):
        convert_official(b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}\x85R.")


B8 = "synthesis.b8"


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("mapping.w_avg", None, r"mapping\.w_avg: expected a parameter, found none"),
        (f"{B8}.conv1.noise_strength", None, r"conv1\.noise_strength: expected a parameter, found none"),
        (f"{B8}.torgb.bias", np.ones(4, np.float32), r"'synthesis\.b8\.torgb\.bias': expected shape \(3,\)"),
        (
            f"{B8}.torgb.weight",
            np.ones((4, 4, 1, 1), np.float32),
            r"torgb\.weight': expected shape \(3, 4, 1, 1\)",
        ),
        (
            f"{B8}.conv0.weight",
            np.ones((4, 4, 1, 1), np.float32),
            r"conv0\.weight': expected shape \(4, 4, 3, 3\)",
        ),
        (f"{B8}.conv0.weight", np.ones((), np.float32), r"conv0\.weight': expected shape \(4, 4, 3, 3\)"),
        (
            f"{B8}.conv1.weight",
            np.zeros((0, 4, 3, 3), np.float32),
            "expected 1 to 8192 channels in each block",
        ),
        (f"{B8}.conv1.noise_const", np.ones((4, 4), np.float32), r"expected shape \(8, 8\)"),
        (
            f"{B8}.conv1.bias",
            np.array([0, np.nan, 0, 0], np.float32),
            r"blocks\.1\.conv1\.bias: .*NaN or infinity",
        ),
        (f"{B8}.conv1.bias", np.array([0, 1e300, 0, 0]), r"blocks\.1\.conv1\.bias: .*NaN or infinity"),
        (f"{B8}.conv1.bias", np.arange(4), r"conv1\.bias': expected floating-point numbers, found int64"),
        (
            "mapping.fc0.weight",
            np.ones(4, np.float32),
            r"fc0\.weight' of 2 dimensions, found one of shape \(4,\)",
        ),
        ("mapping.fc0.weight", np.ones((5, 4), np.float32), r"fc0\.bias': expected shape \(5,\)"),
        (f"{B8}.resample_filter", np.ones((4, 4), np.float32), r"expected the filter \[1, 3, 3, 1\]"),
        (f"{B8}.conv0.resample_filter", np.ones((2, 2), np.float32), r"expected the filter \[1, 3, 3, 1\]"),
        (
            f"{B8}.conv1.bias",
            View(np.ones(2, np.float32), 0, (2**30,), (0,)),
            r"conv1\.bias: .*within its storage",
        ),
    ],
)
def test_arrays_that_do_not_fit(name, array, message):
    is_lost = array is None
    change = {f"{B8}.conv1": {"use_noise": True}} if is_lost else None
    with pytest.raises(ConversionError, match=message):
        convert_official(small(arrays={name: array}, change=change))


@pytest.mark.parametrize(
    ("path", "attributes", "message"),
    [
        ("", {"img_channels": 1}, r"'synthesis\.b4\.torgb\.weight': expected shape \(1, 4, 1, 1\)"),
        ("", {"img_channels": 5}, "expected images of 1 to 4 channels, found 5"),
        ("", {"z_dim": "4"}, "expected z_dim as a whole number, found '4'"),
        ("", {"z_dim": 0}, "expected z_dim of 1 to 8192, found 0"),
        ("", {"z_dim": 5}, r"'mapping\.fc0\.weight': expected shape \(4, 5\)"),
        ("", {"w_dim": 5}, r"'mapping\.w_avg': expected shape \(5,\)"),
        ("", {"c_dim": 2}, "expected a FullyConnectedLayer as embed of a StyleGAN2, found None"),
        ("", {"img_resolution": 16}, "expected a SynthesisBlock as b16 of a StyleGAN2, found None"),
        ("", {"img_resolution": 10}, "expected a resolution of 8 with 2 blocks, found 10"),
        ("", {"img_resolution": 2**70}, "expected resolution of 4 to 4096"),
        ("", {"img_resolution": -8}, "expected resolution of 4 to 4096"),
        ("mapping", {"num_layers": 3}, "expected a FullyConnectedLayer as fc2"),
        ("mapping", {"num_layers": 10**9}, "expected mapping_layers of 1 to 64"),
        ("mapping.fc0", {"activation": "relu"}, "expected activation 'lrelu', found 'relu'"),
        ("mapping.fc0", {"bias_gain": 0.02}, "expected gains of an lr_multiplier"),
        (
            "mapping.fc0",
            {"bias_gain": 0.02, "weight_gain": 0.01},
            "expected one lr_multiplier in the mapping",
        ),
        ("mapping.fc0", {"weight_gain": float("nan")}, "expected weight_gain as a number, found nan"),
        ("mapping.fc0", {"weight_gain": [1]}, "expected weight_gain as a number, found list"),
        (
            f"{B8}.conv0.affine",
            {"bias_gain": 2, "weight_gain": 1.0},
            "expected an lr_multiplier of 1, found 2",
        ),
        (B8, {"architecture": "resnet"}, "expected architecture 'skip', found 'resnet'"),
        (
            "synthesis.b4",
            {"architecture": "other"},
            "expected an architecture of skip, resnet, orig, found 'other'",
        ),
        ("synthesis.b4", {"architecture": ["skip"]}, "expected architecture as text, found list"),
        (f"{B8}.conv0", {"activation": "linear"}, "expected activation 'lrelu', found 'linear'"),
        (f"{B8}.conv0", {"up": 1}, "expected up 2, found 1"),
        (f"{B8}.conv0", {"conv_clamp": 3}, "expected one conv_clamp in all layers, found several"),
        (f"{B8}.conv0", {"conv_clamp": "3"}, "expected conv_clamp as a number, found '3'"),
        (f"{B8}.torgb", {"conv_clamp": -1}, "expected one conv_clamp"),
    ],
)
def test_modules_that_compute_something_else(path, attributes, message):
    with pytest.raises(ConversionError, match=message):
        convert_official(small(change={path: attributes}))


def test_a_clamp_at_zero():
    with pytest.raises(ConversionError, match="expected a conv_clamp above 0 or none, found 0"):
        convert_official(small(options={"conv_clamp": 0}))


def test_modules_within_themselves():
    params, options = small_official()
    module = official_module(params, options)
    module.meta["state"]["extra"] = module.meta["state"]
    module.meta["state"]["_modules"]["mapping"].meta["state"]["_modules"]["up"] = module.meta["state"]
    assert convert_official(write_pickle(module))[0]["resolution"] == 8


def test_a_parameter_that_is_no_tensor():
    data = small(
        arrays={"mapping.w_avg": np.ones(4, np.float32)}, change={"mapping": {"_buffers": {"w_avg": 5}}}
    )
    with pytest.raises(ConversionError, match=r"mapping\.w_avg: expected a parameter, found 5"):
        convert_official(data)
    with pytest.raises(ConversionError, match="expected a tensor as a parameter, found 5"):
        convert_official(write_pickle(Parameter(5)))
