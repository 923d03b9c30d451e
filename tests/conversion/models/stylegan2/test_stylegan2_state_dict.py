import numpy as np
import pytest

from tests.conversion.official_fixtures import FIXTURES, assert_same, converted_fixture, fixture_params
from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.layout import check_config, check_params, target_shapes
from weights_conversion.models.stylegan2.state_dict import convert_state_dict

ALL = ["stylegan2_ada_64", "stylegan2_ada_cond_32", "stylegan2_ada_resnet_32"]


@pytest.mark.parametrize("name", ALL)
def test_the_converted_arrays_compute_what_the_reference_computed(name):
    """The mapping network, in float64 from the converted arrays."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        z, w = file["out.z"], file["out.w"][:, 0]
        c = file["out.c"] if "out.c" in file.files else None
        kernel = file["param.synthesis.b8.conv0.weight"]
    config, params = converted_fixture(name)
    mapping = params["mapping_network"]

    def normalized(x):
        return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)

    x = normalized(z.astype(np.float64))
    if config["c_dim"]:
        embedded = c @ mapping["embed"]["weight"] + mapping["embed"]["bias"]
        x = np.concatenate([x, normalized(embedded)], axis=1)
    for i in range(config["mapping_layers"]):
        x = x @ mapping["layers"][str(i)]["weight"] + mapping["layers"][str(i)]["bias"]
        x = np.maximum(x, 0.2 * x) * np.sqrt(2)
    np.testing.assert_allclose(x, w, rtol=1e-4, atol=1e-5)
    weight = params["blocks"]["1"]["conv0"]["weight"]
    np.testing.assert_array_equal(weight[1, 2], kernel[:, :, 1, 2].T)


def test_a_state_dict_must_hold_every_array():
    config, expected = converted_fixture("stylegan2_ada_64")
    params, _ = fixture_params("stylegan2_ada_64")
    for missing in params:
        rest = {name: array for name, array in params.items() if name != missing}
        if missing.endswith("resample_filter"):
            assert_same(convert_state_dict(rest, config, name="f"), expected)
        else:
            with pytest.raises(ConversionError, match=f"f: .*{missing}"):
                convert_state_dict(rest, config, name="f")


def test_what_a_reader_returns_is_checked():
    config, params = converted_fixture("stylegan2_ada_resnet_32")
    shapes = target_shapes(config)
    assert_same(check_params(params, shapes, name="f"), params)
    for changed, message in (
        ({"w_avg": np.zeros(31, np.float32)}, r"f: w_avg: expected shape \(32,\), found \(31,\)"),
        ({"w_avg": np.zeros(32, np.int32)}, "f: w_avg: expected floating-point numbers, found int32"),
        ({"w_avg": np.full(32, np.inf, np.float32)}, "f: w_avg: expected finite numbers"),
        ({"other": np.zeros(1, np.float32)}, "f: expected no array for other, found one"),
    ):
        with pytest.raises(ConversionError, match=message):
            check_params(params | changed, shapes, name="f")
    with pytest.raises(ConversionError, match="f: expected an array for constant, found none"):
        check_params({k: v for k, v in params.items() if k != "constant"}, shapes, name="f")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"z_dim": 0}, "expected z_dim of 1 to 8192, found 0"),
        ({"c_dim": True}, "expected c_dim of 0 to 1048576, found True"),
        ({"w_dim": 5.0}, r"expected w_dim of 1 to 8192, found 5\.0"),
        ({"mapping_layers": 10**9}, "expected mapping_layers of 1 to 64"),
        ({"resolution": 32}, "expected a resolution of 64 with 5 blocks, found 32"),
        ({"channels": []}, "expected channels of 1 to 11 blocks"),
        ({"channels": [1] * 10**6}, "expected channels of 1 to 11 blocks"),
        ({"channels": 5}, "expected channels of 1 to 11 blocks"),
        ({"channels": [1, 1, 1, 1, "1"]}, "expected 1 to 8192 channels in each block"),
        ({"architecture": None}, "expected an architecture of skip, resnet, orig, found None"),
        ({"conv_clamp": 0.0}, r"expected a conv_clamp above 0 or none, found 0\.0"),
        ({"conv_clamp": float("inf")}, "expected a conv_clamp above 0 or none, found inf"),
    ],
)
def test_configs_of_no_generator(changed, message):
    config, _ = converted_fixture("stylegan2_ada_64")
    check_config(config, name="f")
    with pytest.raises(ConversionError, match=f"f: {message}"):
        check_config(config | changed, name="f")
