import argparse
import os
import pickle

import numpy as np
import pytest

from tests.conversion.foreign_torch import Parameter, View, write_archive, write_pickle, write_stream
from tests.conversion.official_fixtures import assert_same
from tests.conversion.small_generators import rosinality_checkpoint, small_rosinality
from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.layout import target_shapes
from weights_conversion.models.stylegan2.rosinality import convert_rosinality
from weights_conversion.table import flatten


def small(**arrays):
    """A small checkpoint with some arrays of `g_ema` replaced, or removed if they are None."""
    checkpoint = small_rosinality()
    state = checkpoint["g_ema"] | {name.replace("__", "."): array for name, array in arrays.items()}
    return checkpoint | {"g_ema": {name: array for name, array in state.items() if array is not None}}


@pytest.mark.parametrize("writer", [write_archive, write_stream])
def test_round_trip(writer, tmp_path):
    checkpoint, _ = rosinality_checkpoint()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(writer(checkpoint))
    config, params = convert_rosinality(path)
    assert config == {
        "family": "stylegan2",
        "z_dim": 40,
        "c_dim": 0,
        "w_dim": 40,
        "mapping_layers": 4,
        "resolution": 32,
        "channels": [48, 48, 48, 48],
        "architecture": "skip",
        "conv_clamp": None,
    }
    assert {name: array.shape for name, array in flatten(params).items()} == target_shapes(config)
    assert all(array.dtype == np.float32 for array in flatten(params).values())
    state = checkpoint["g_ema"]
    layer = params["blocks"]["2"]["conv1"]
    kernel = state["convs.3.conv.weight"][0]
    np.testing.assert_allclose(layer["weight"][2, 1], kernel[:, :, 2, 1].T / np.sqrt(9 * 48), rtol=1e-6)
    np.testing.assert_array_equal(layer["noise"], state["noises.noise_4"][0, 0])
    assert layer["noise_strength"] == state["convs.3.noise.weight"][0]
    np.testing.assert_array_equal(layer["bias"], state["convs.3.activate.bias"])
    head = params["blocks"]["3"]["to_rgb"]
    rgb = state["to_rgbs.2.conv.weight"][0, :, :, 0, 0]
    np.testing.assert_allclose(head["weight"], rgb.T / np.sqrt(48), rtol=1e-6)
    affine = state["to_rgbs.2.conv.modulation.weight"].T / np.sqrt(40)
    np.testing.assert_allclose(head["affine"]["weight"], affine, rtol=1e-6)
    np.testing.assert_array_equal(params["w_avg"], checkpoint["latent_avg"])
    np.testing.assert_array_equal(params["constant"], state["input.input"][0].transpose(1, 2, 0))


def test_the_mapping_network_gives_the_reference():
    checkpoint, outputs = rosinality_checkpoint()
    _, params = convert_rosinality(write_archive(checkpoint))
    x = outputs["out.z"].astype(np.float64)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for layer in params["mapping_network"]["layers"].values():
        x = x @ layer["weight"] + layer["bias"]
        x = np.maximum(x, 0.2 * x) * np.sqrt(2)
    np.testing.assert_allclose(x, outputs["out.w"], rtol=1e-4, atol=1e-5)


def test_where_the_generator_may_be():
    checkpoint = small_rosinality()
    state, mean = checkpoint["g_ema"], checkpoint["latent_avg"]
    _, expected = convert_rosinality(write_archive(checkpoint))
    others = {name: array if array.shape == (4, 4) else array + 1 for name, array in state.items()}
    options = argparse.Namespace(size=8, n_mlp=2)
    training = {"g": others, "d": {"w": mean}, "g_optim": {"state": {0: {"step": 1}}}, "args": options}
    for value in (
        training | checkpoint,
        {"g": state, "latent_avg": mean},
        {"g_ema": None, "g": state, "latent_avg": mean},
        state | {"latent_avg": mean},
        {"g_ema": {k: Parameter(v) for k, v in state.items()}, "latent_avg": mean[None]},
    ):
        assert_same(convert_rosinality(write_archive(value))[1], expected)


def test_a_missing_mean_is_computed():
    checkpoint = small_rosinality()
    state = checkpoint["g_ema"]
    _, params = convert_rosinality(write_archive(state))
    layers = params["mapping_network"]["layers"].values()
    x = np.random.RandomState(5).randn(20_000, 4)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for layer in layers:
        x = x @ layer["weight"] + layer["bias"]
        x = np.maximum(x, 0.2 * x) * np.sqrt(2)
    error = 5 * x.std(axis=0) / np.sqrt(20_000)
    assert (np.abs(params["w_avg"] - x.mean(axis=0)) < error + 1e-6).all()
    assert params["w_avg"].dtype == np.float32


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "expected a generator or its state dict, found list"),
        ({}, r"expected the state dict of a StyleGAN2.*, found nothing"),
        ({"d": {"convs.0.0.weight": np.ones(3, np.float32)}}, r"\(as g_ema, .*\), found 'd'"),
        ({"g_ema": 1}, r"\(as g_ema, .*\), found 'g_ema'"),
        ({"g_ema": {"synthesis.b4.const": np.ones(3, np.float32)}}, "found one of official"),
        ({"g_ema": {"input.input": 1, 5: 1}}, "expected names of parameters"),
        ({"g_ema": {"input.input": 1}}, r"input\.input: expected a parameter, found 1"),
        (small() | {"latent_avg": 5}, "latent_avg: expected a parameter, found 5"),
        (small() | {"latent_avg": np.ones(5, np.float32)}, r"'latent_avg': expected shape \(4,\)"),
    ],
)
def test_other_contents(value, message):
    with pytest.raises(ConversionError, match=f"bytes: .*{message}"):
        convert_rosinality(write_archive(value))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("style__1__weight", None, r"expected an array 'style\.1\.weight' of 2 dimensions, found none"),
        ("style__2__bias", None, r"expected an array named 'style\.2\.bias'"),
        (
            "conv1__conv__modulation__weight",
            np.ones(4, np.float32),
            r"expected an array 'conv1\.conv\.modulation",
        ),
        (
            "convs__1__conv__weight",
            np.ones((4, 4, 3, 3), np.float32),
            r"'convs\.1\.conv\.weight' of 5 dimensions",
        ),
        ("convs__1__conv__weight", None, r"alone, found also 'convs\.0"),
        ("convs__0__conv__weight", None, r"expected an array named 'convs\.0\.conv\.weight'"),
        ("to_rgbs__0__bias", np.ones(3, np.float32), r"expected shape \(1, 3, 1, 1\)"),
        (
            "to_rgbs__0__conv__weight",
            np.ones((1, 4, 4, 1, 1), np.float32),
            r"expected shape \(1, 3, 4, 1, 1\)",
        ),
        ("noises__noise_1", np.ones((1, 1, 4, 4), np.float32), r"expected shape \(1, 1, 8, 8\)"),
        ("noises__noise_2", None, r"expected an array named 'noises\.noise_2'"),
        ("conv1__noise__weight", np.ones(2, np.float32), r"expected shape \(1,\)"),
        ("conv1__activate__bias", np.array([0, np.nan, 0, 0], np.float32), r"blocks\.0\.conv1\.bias: .*NaN"),
        ("conv1__activate__bias", np.arange(4), "expected floating-point numbers, found int64"),
        ("convs__0__conv__blur__kernel", np.ones((4, 4), np.float32), r"expected the filter \[1, 3, 3, 1\]"),
        ("to_rgbs__0__upsample__kernel", np.ones((2, 2), np.float32), r"expected the filter \[1, 3, 3, 1\]"),
        ("extra__weight", np.ones(4, np.float32), r"alone, found also 'extra\.weight'"),
        ("conv1__activate__bias", View(np.ones(2, np.float32), 0, (2**30,), (0,)), "within its storage"),
    ],
)
def test_arrays_that_do_not_fit(name, array, message):
    with pytest.raises(ConversionError, match=f"bytes: .*{message}"):
        convert_rosinality(write_archive(small(**{name: array})))


@pytest.mark.parametrize("constant", [(2, 4), (5, 3)])
@pytest.mark.parametrize("noise", [True, False])
def test_images_that_are_not_square(constant, noise):
    height, width = constant
    arrays = {"input.input": np.resize(np.arange(4.0, dtype=np.float32), (1, 4, height, width))}
    for layer, scale in enumerate((1, 2, 2)):
        shape = (1, 1, scale * height, scale * width)
        arrays[f"noises.noise_{layer}"] = np.full(shape, layer, np.float32) if noise else None
    config, params = convert_rosinality(write_archive(small(**arrays)))
    assert config["constant_size"] == list(constant)
    assert config["resolution"] == 2 * max(constant)
    np.testing.assert_array_equal(params["constant"].transpose(2, 0, 1), arrays["input.input"][0])
    image = params["blocks"]["1"]["conv1"]["noise"]
    assert image.shape == (2 * height, 2 * width)
    assert (image == 2).all() == noise


@pytest.mark.parametrize("writer", [write_archive, write_stream])
def test_truncated(writer):
    data = writer(small())
    for end in range(0, len(data), 97):
        with pytest.raises(ConversionError, match="bytes: "):
            convert_rosinality(data[:end])


def test_other_files(tmp_path):
    with pytest.raises(ConversionError, match=r"absent\.pt: could not read it"):
        convert_rosinality(tmp_path / "absent.pt")
    with pytest.raises(ConversionError, match=r"expected a file of torch\.save, found another format"):
        convert_rosinality(write_pickle({"g_ema": 1}))
    for writer in (write_archive, write_stream):
        with pytest.raises(ConversionError, match=r"refused: the pickle asks for posix\.system"):
            convert_rosinality(writer(small() | {"args": os.system}))
    with pytest.raises(ConversionError, match=r"refused: the pickle asks for posix\.system"):
        hostile = pickle.dumps({"g_ema": os.system})
        convert_rosinality(write_archive({}, change={"data.pkl": hostile}))
