import numpy as np
import pytest

from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import write_archive, write_pickle
from tests.conversion.official_fixtures import assert_same
from tests.generators.stylegan3.references import NAMES, read_reference
from weights_conversion.detect import convert_file, describe_format, read_generator
from weights_conversion.errors import ConversionError
from weights_conversion.models.official_pickle import convert_official_pickle
from weights_conversion.models.stylegan2.official import convert_official
from weights_conversion.models.stylegan3.filters import separable_terms
from weights_conversion.models.stylegan3.state_dict import Options, convert_state_dict
from weights_conversion.safetensors_folder import write_folder


def params(name: str = "stylegan3_t_32") -> dict[str, np.ndarray]:
    return dict(read_reference(name)[1])


def pickled(change=None, **arrays) -> bytes:
    replaced = {name: array for name, array in (params() | arrays).items() if array is not None}
    return write_pickle({"G": None, "D": None, "G_ema": stylegan3_module(replaced, change=change)})


@pytest.mark.parametrize("name", NAMES)
def test_pickles_state_dicts_and_open_files_agree(tmp_path, name):
    config, expected = convert_state_dict(params(name), name=name)
    assert (config["family"], config["bandwidth"], config["conv_clamp"]) == ("stylegan3", 2.0, 256.0)
    path = tmp_path / "weights"
    path.write_bytes(write_pickle({"G_ema": stylegan3_module(params(name))}))
    assert describe_format(path) == "pickle of StyleGAN2 or StyleGAN3 for PyTorch"
    found, arrays = convert_file(path)
    assert found == config
    assert_same(arrays, expected)
    again, arrays = convert_file(write_folder(tmp_path / "open", config, expected))
    assert again == config
    assert_same(arrays, expected)


@pytest.mark.parametrize(
    "wrap", [dict, lambda state: {"g_ema": {f"module.{k}": v for k, v in state.items()}}]
)
def test_state_dicts_and_whole_generators_of_torch_save(tmp_path, wrap):
    config, expected = convert_state_dict(params(), name="")
    path = tmp_path / "weights.pt"
    path.write_bytes(write_archive(wrap(params())))
    found = read_generator(path)
    assert (found.config, found.description) == (config, "state dict of StyleGAN3")
    assert "conv_clamp 256.0" in found.notes[0]
    assert_same(found.params, expected)
    path.write_bytes(write_archive(stylegan3_module(params())))
    assert read_generator(path).config == config


def test_kernels_keep_their_direction_and_lose_their_scale():
    arrays = params()
    weight = arrays["synthesis.L1_36_12.weight"]
    converted = convert_state_dict(arrays, name="")[1]["layers"]["1"]["weight"].transpose(3, 2, 0, 1)
    np.testing.assert_allclose(np.mean(converted**2, axis=(1, 2, 3)), 1, rtol=1e-5)
    ratios = weight / converted
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:, :1, :1, :1], ratios.shape), rtol=1e-4)


def test_radial_filters_become_a_few_products():
    for name, array in params("stylegan3_r_64").items():
        if name.endswith("down_filter") and array.ndim == 2:
            terms = separable_terms(array)
            assert 2 <= len(terms) <= 4
            np.testing.assert_allclose(sum(np.outer(*term) for term in terms), array, atol=1e-6)


def test_options_are_kept():
    options = Options(conv_clamp=None, output_scale=1.0)
    config, _ = convert_state_dict(params(), options, name="")
    assert (config["conv_clamp"], config["output_scale"]) == (None, 1.0)
    change = {"synthesis": {"output_scale": 0.5}}
    assert convert_official_pickle(pickled(change))[0]["output_scale"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synthesis": {"margin_size": 9}}, "expected sampling rates that are multiples"),
        ({"synthesis": {"margin_size": "10"}}, "synthesis: expected margin_size as a number, found '10'"),
        ({"synthesis": {"margin_size": 1e9}}, "expected margin_size of 0 to 256"),
        ({"synthesis": {"output_scale": float("nan")}}, "expected output_scale as a number"),
        ({"synthesis.input": {"bandwidth": 9.0}}, r"expected a first sampling rate above 18, found 16"),
        (
            {"synthesis.input": {"sampling_rate": 32.0}},
            "synthesis.input: expected sampling_rate 16, found 32",
        ),
        ({"synthesis.L1_36_12": {"up_factor": 4}}, "L1_36_12: expected up_factor 2, found 4"),
        ({"synthesis.L1_36_12": {"conv_kernel": 1}}, "L1_36_12: expected conv_kernel 3, found 1"),
        ({"synthesis.L1_36_12": {"conv_clamp": None}}, "expected one conv_clamp in all layers"),
        ({"synthesis.L0_36_12": {"down_factor": 4}}, "expected "),
        ({"synthesis.L5_32_3": {"up_factor": 2}}, "L5_32_3: expected up_factor 1, found 2"),
        ({"mapping.fc0": {"activation": "relu"}}, "mapping.fc0: expected activation 'lrelu', found 'relu'"),
        ({"mapping.fc0": {"bias_gain": 0.5}}, "mapping.fc0: expected gains of an lr_multiplier"),
        ({"mapping.fc0": {"in_features": None}}, "mapping.fc0: expected in_features as a number, found None"),
    ],
)
def test_generators_that_compute_something_else(change, message):
    with pytest.raises(ConversionError, match=message):
        convert_official_pickle(pickled(change))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("synthesis.L1_36_12.weight", None, "expected layers L0_…, L1_…"),
        ("synthesis.L1_36_12.bias", None, "expected an array named 'synthesis.L1_36_12.bias'"),
        ("synthesis.L1_36_12.bias", np.ones(3, np.float32), r"L1_36_12.bias'.*expected shape \(12,\)"),
        ("synthesis.L1_36_12.bias", np.full(12, np.nan, np.float32), "expected finite numbers"),
        ("synthesis.L1_36_12.weight", np.zeros((12, 12, 3, 3), np.float32), "expected finite numbers"),
        ("synthesis.L1_36_12.magnitude_ema", np.zeros((), np.float32), "expected a number above 0"),
        ("synthesis.L1_36_12.magnitude_ema", np.ones(2, np.float32), "expected a number above 0"),
        ("synthesis.L1_36_12.up_filter", None, "expected a finite filter of 12 taps, found none"),
        (
            "synthesis.L1_36_12.down_filter",
            np.ones((12, 11), np.float32),
            "expected a finite filter of 12 taps",
        ),
        ("synthesis.input.freqs", None, "expected an array named 'synthesis.input.freqs'"),
        ("mapping.w_avg", None, "expected an array 'mapping.w_avg'"),
        ("mapping.fc0.weight", None, "expected an array 'mapping.fc0.weight'"),
    ],
)
def test_damaged_state_dicts(name, value, message):
    arrays = params()
    assert name in arrays
    replaced = {key: array for key, array in (arrays | {name: value}).items() if array is not None}
    with pytest.raises(ConversionError, match=message):
        convert_state_dict(replaced, name="file")


def test_gray_images_are_refused():
    arrays = {name.replace("L5_32_3", "L5_32_1"): array for name, array in params().items()}
    with pytest.raises(ConversionError, match="expected images of 3 channels, found 1"):
        convert_state_dict(arrays, name="file")


def test_the_reader_of_stylegan2_names_the_other_generator():
    with pytest.raises(
        ConversionError, match="expected a generator of a StyleGAN2, found a generator of StyleGAN3"
    ):
        convert_official(pickled())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("resolution", 64, "expected sampling rates that are multiples of those before up to 64"),
        ("channels", [12, 12], "expected a sampling rate for each of 2 layers, found 5"),
        ("conv_kernel", 5, "expected a conv_kernel of 1 or 3, found 5"),
        ("filter_size", 10**6, "expected filter_size of 1 to 64"),
        ("bandwidth", "2", "expected bandwidth as a number above 0"),
        ("conv_clamp", -1.0, "expected a conv_clamp above 0 or none"),
        ("extra", 1, "'extra' differs"),
    ],
)
def test_open_files_with_another_config(tmp_path, key, value, message):
    config, arrays = convert_state_dict(params(), name="file")
    with pytest.raises(ConversionError, match=message):
        write_folder(tmp_path / "open", config | {key: value}, arrays)
    assert not (tmp_path / "open").exists()
