"""Files of the relatives of stylegan2-pytorch and of NVIDIA's code, in the structure in which each of them saves."""

import argparse

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conversion.foreign_torch import official_module, write_archive, write_stream
from tests.conversion.official_fixtures import assert_same, converted_fixture, fixture_params
from tests.conversion.small_generators import small_official, small_rosinality
from weights_conversion.detect import read_generator
from weights_conversion.errors import ConversionError
from weights_conversion.models.conversion import Options
from weights_conversion.models.stylegan2.official import convert_official
from weights_conversion.models.stylegan2.rosinality import convert_rosinality
from weights_conversion.models.torch_checkpoint import convert_torch_checkpoint

NO_CLAMP = Options(conv_clamp=None)
ALL = ["stylegan2_ada_64", "stylegan2_ada_cond_32", "stylegan2_ada_resnet_32"]


def convert(value, options=None):
    return convert_torch_checkpoint(write_archive(value), options)


def prefixed(prefix, state):
    return {prefix + name: array for name, array in state.items()}


def encoder_file(prefix="decoder.", rows=4):
    """What pixel2style2pixel and encoder4editing save."""
    checkpoint = small_rosinality()
    others = {"encoder.input_layer.0.weight": np.ones((2, 3, 3, 3), np.float32), "encoder.n": np.array(5)}
    return {
        "state_dict": others | prefixed(prefix, checkpoint["g_ema"]),
        "opts": {"exp_dir": "x", "device": "cuda:0", "ids": [1, 2], "progressive_steps": None, "lr": 1e-4},
        "latent_avg": np.repeat(checkpoint["latent_avg"].reshape(1, -1), rows, axis=0),
        "global_step": 5,
    }


ROSINALITY = {
    "training": lambda own: own | {"args": argparse.Namespace(size=8), "ada_aug_p": 0.1, "d": {}},
    "params_ema": lambda own: {"params_ema": own["g_ema"], "latent_avg": own["latent_avg"]},
    "module": lambda own: {"g_ema": prefixed("module.", own["g_ema"]), "latent_avg": own["latent_avg"]},
    "bare": lambda own: own["g_ema"] | {"latent_avg": own["latent_avg"]},
    "bare with prefixes": lambda own: prefixed("module.", own["g_ema"] | {"latent_avg": own["latent_avg"]}),
    "rows": lambda own: own | {"latent_avg": np.repeat(own["latent_avg"].reshape(1, -1), 6, axis=0)},
    "encoder": lambda own: encoder_file(),
    "encoder on several cards": lambda own: encoder_file("module.decoder."),
}


@pytest.mark.parametrize("kind", ROSINALITY)
@pytest.mark.parametrize("write", [write_archive, write_stream])
def test_relatives_of_stylegan2_pytorch(kind, write):
    own = small_rosinality()
    config, params = convert_rosinality(write_archive(own))
    found = convert_torch_checkpoint(write(ROSINALITY[kind](own)))
    assert found.config == config
    assert_same(found.params, params)
    assert found.notes == ()
    assert ("encoder" in found.description) == ("encoder" in kind)


def test_a_file_without_noise_images_gets_the_same_ones_each_time():
    own = small_rosinality()
    state = {name: array for name, array in own["g_ema"].items() if not name.startswith("noises.")}
    first, second = (convert(own | {"g_ema": state}) for _ in range(2))
    assert_same(first.params, second.params)
    noise = first.params["blocks"]["1"]["conv1"]["noise"]
    assert noise.shape == (8, 8)
    assert 0.5 < noise.std() < 1.5
    assert first.notes == ("The file has no noise images: they were drawn from seed 0.",)
    del own["g_ema"]["noises.noise_1"]
    with pytest.raises(ConversionError, match=r"expected an array named 'noises\.noise_1'"):
        convert(own)


def test_unequal_rows_of_latent_avg_are_refused():
    checkpoint = encoder_file()
    checkpoint["latent_avg"][2, 1] += 1
    with pytest.raises(
        ConversionError, match=r"latent_avg: expected one latent of W or equal rows .* \(4, 4\)"
    ):
        convert(checkpoint)


def basicsr_name(name):
    """The name of an array of stylegan2-pytorch in BasicSR."""
    name = name.replace(".conv.weight", ".modulated_conv.weight").replace(
        ".conv.modul", ".modulated_conv.modul"
    )
    name = name.replace(".noise.weight", ".weight").replace("noises.noise_", "noises.noise")
    for ours, theirs in (("style.", "style_mlp."), ("input.input", "constant_input.weight")):
        name = theirs + name.removeprefix(ours) if name.startswith(ours) else name
    return f"style_{name}" if name.startswith("conv") else name


def test_basicsr_has_other_names():
    own = small_rosinality()
    state = {basicsr_name(name): a for name, a in own["g_ema"].items() if not name.endswith(".kernel")}
    assert {
        "style_conv1.weight",
        "style_convs.0.modulated_conv.modulation.bias",
        "noises.noise2",
    } <= state.keys()
    found = convert({"params_ema": state, "latent_avg": own["latent_avg"]})
    assert found.description == "checkpoint of BasicSR with a StyleGAN2"
    assert_same(found.params, convert(own).params)


def test_several_generators_without_a_known_prefix_are_refused():
    state = small_rosinality()["g_ema"]
    with pytest.raises(ConversionError, match=r"expected one generator, found several, below one\., two\."):
        convert(prefixed("one.", state) | prefixed("two.", state))
    assert convert(prefixed("one.", state)).config["resolution"] == 8


@pytest.mark.parametrize("write", [write_archive, write_stream])
def test_a_generator_saved_whole(write, tmp_path):
    """As pivotal tuning saves its `model_*.pt`."""
    params, options = small_official()
    module = official_module(params, options | {"conv_clamp": 256})
    path = tmp_path / "model_ABC_face.pt"
    path.write_bytes(write(module))
    found = read_generator(path)
    assert (
        found.description == "file of torch.save with a whole generator of StyleGAN2 or StyleGAN3 for PyTorch"
    )
    assert found.config["conv_clamp"] == 256.0
    assert_same(convert({"G_ema": module, "D": None}).params, found.params)
    assert_same(convert_official(path)[1], found.params)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_plain_state_dicts(name, kind, tmp_path):
    params, _ = fixture_params(name)
    path = tmp_path / "state"
    if kind == "torch":
        path.write_bytes(write_archive({"G_ema": prefixed("module.", params)}))
    else:
        save_file({key: np.array(array, order="C") for key, array in params.items()}, path)
    found = read_generator(path, NO_CLAMP)
    config, expected = converted_fixture(name)
    assert found.config == config
    assert_same(found.params, expected)
    assert "lr_multiplier" in found.notes[0]
    assert read_generator(path, Options(256.0)).config["conv_clamp"] == 256.0
    doubled = read_generator(path, Options(None, 0.02)).params["mapping_network"]["layers"]["0"]
    np.testing.assert_allclose(
        doubled["bias"], 2 * expected["mapping_network"]["layers"]["0"]["bias"], rtol=1e-6
    )
    with pytest.raises(
        ConversionError, match="expected the option --conv-clamp, because a state dict does not"
    ):
        read_generator(path)


def test_a_state_dict_in_half_precision(tmp_path):
    params, _ = small_official()
    half = {key: array.astype(np.float16) for key, array in params.items()}
    save_file(half, tmp_path / "half.safetensors")
    found = read_generator(tmp_path / "half.safetensors", NO_CLAMP).params
    np.testing.assert_array_equal(
        found["w_avg"], params["mapping.w_avg"].astype(np.float16).astype(np.float32)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discriminator.weight": np.ones(3, np.float32)}, "expected the parameters of a StyleGAN2 alone"),
        ({"synthesis.b8.resample_filter": np.ones((4, 4), np.float32)}, "expected the filter"),
        ({"synthesis.b8.conv1.noise_const": None}, r"conv1\.noise_const"),
        ({"mapping.w_avg": None}, r"expected an array 'mapping\.w_avg'"),
        ({"synthesis.b8.torgb.weight": None}, r"expected an array 'synthesis\.b8\.torgb\.weight'"),
    ],
)
def test_state_dicts_that_are_refused(change, message):
    state = small_official()[0] | change
    with pytest.raises(ConversionError, match=message):
        convert({name: array for name, array in state.items() if array is not None}, NO_CLAMP)


def test_a_generator_trained_without_noise():
    state = {name: array for name, array in small_official()[0].items() if ".noise_" not in name}
    layer = convert(state, NO_CLAMP).params["blocks"]["1"]["conv0"]
    assert layer["noise_strength"] == 0
    assert layer["noise"].shape == (8, 8)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("constant", [(4, 4), (2, 4)])
def test_images_that_are_not_square_rgb(channels, constant):
    params, options = small_official()
    state = {}
    for name, array in params.items():
        if "torgb" in name and "affine" not in name:
            array = np.resize(array, (channels, *array.shape[1:]))
        elif name.endswith("const"):
            array = array[..., : array.shape[-2] * constant[0] // 4, :]
        state[name] = array
    found = convert(state, NO_CLAMP)
    whole = convert(official_module(state, options | {"img_channels": channels}))
    assert found.config == whole.config
    assert_same(found.params, whole.params)
    assert found.config.get("image_channels", 3) == channels
    assert found.config.get("constant_size", [4, 4]) == list(constant)
    assert found.params["blocks"]["1"]["conv1"]["noise"].shape == (2 * constant[0], 2 * constant[1])
