import numpy as np
import pytest

from tests.conversion.foreign_tensorflow import EasyDict, Network, network, tensorflow_variables, write_pickle
from tests.conversion.official_fixtures import assert_same, converted_fixture, fixture_params
from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.tensorflow import convert_tensorflow

NAMES = ["stylegan2_ada_64", "stylegan2_ada_cond_32", "stylegan2_ada_resnet_32"]


def options(config):
    """Options that training passes to a network, more than the defaults."""
    return {
        "num_channels": 3,
        "resolution": config["resolution"],
        "label_size": config["c_dim"],
        "latent_size": config["z_dim"],
        "dlatent_size": config["w_dim"],
        "mapping_layers": config["mapping_layers"],
        "architecture": config["architecture"],
        "fmap_base": 512,
        "fmap_max": 64,
        "num_fp16_res": 4,
        "conv_clamp": None,
        "truncation_psi": None,
        "resample_kernel": [1, 3, 3, 1],
    }


@pytest.fixture(scope="module")
def variables():
    return tensorflow_variables(fixture_params("stylegan2_ada_resnet_32")[0])


@pytest.fixture
def read(tmp_path):
    """Reads a pickle of this value, or with this content."""

    def read(value, **how):
        path = tmp_path / "network.pkl"
        path.write_bytes(value if isinstance(value, bytes) else write_pickle(value, **how))
        return convert_tensorflow(path)

    return read


def triple(variables, kwargs, **how):
    """(G, D, Gs), of which G has other numbers."""
    discriminator = network({"4x4/Dense0/bias": np.ones(2, np.float32)}, kwargs, name="D", function="D_main")
    other = {name: np.zeros_like(array) for name, array in variables.items()}
    return network(other, kwargs, name="G", **how), discriminator, network(variables, kwargs, **how)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("version", "protocol", "legacy_numpy"), [(4, 4, True), (5, 4, True), (5, 2, True), (5, 5, False)]
)
def test_gives_what_the_official_reader_gives(read, name, version, protocol, legacy_numpy):
    expected_config, expected = converted_fixture(name)
    nets = triple(tensorflow_variables(fixture_params(name)[0]), options(expected_config), version=version)
    config, params = read(nets, protocol=protocol, legacy_numpy=legacy_numpy)
    assert config == expected_config
    assert_same(params, expected)


def test_the_source_in_the_pickle_is_not_run(read, variables, tmp_path):
    trace = tmp_path / "executed"
    source = f"open({str(trace)!r}, 'w').close()\nraise SystemError"
    exec_would = compile(source, "source", "exec")
    with pytest.raises(SystemError):
        exec(exec_would)
    assert trace.exists()
    trace.unlink()
    read(triple(variables, {}, source=source))
    assert not trace.exists()


def test_a_generator_alone_and_options_in_an_easy_dict(read, variables):
    net = network(variables, {})
    net.static_kwargs = EasyDict(mapping_lrmul=0.01, resample_kernel=(1, 3, 3, 1))
    assert_same(read(net)[1], converted_fixture("stylegan2_ada_resnet_32")[1])


def test_options_that_change_the_arithmetic(read, variables):
    config, params = read(network(variables, {"mapping_lrmul": 0.02, "conv_clamp": 256}))
    assert config["conv_clamp"] == 256.0
    expected = converted_fixture("stylegan2_ada_resnet_32")[1]["mapping_network"]["layers"]["1"]
    for part in ("weight", "bias"):
        doubled = params["mapping_network"]["layers"]["1"][part]
        np.testing.assert_allclose(doubled, 2 * expected[part], rtol=1e-6)


def test_a_network_without_noise(read, variables):
    kept = {n: a for n, a in variables.items() if "noise" not in n}
    _, params = read(network(kept, {"use_noise": False}))
    layer = params["blocks"]["3"]["conv0"]
    assert layer["noise_strength"] == 0
    assert layer["noise"].shape == (32, 32)
    assert not layer["noise"].any()


def grown(variables):
    """The variables of a generator that grew: a head for each resolution, no residuals, and `lod`."""
    new = {n: a for n, a in variables.items() if "Skip" not in n and "ToRGB" not in n}
    for part in ("weight", "bias", "mod_weight", "mod_bias"):
        head = variables[f"synthesis/32x32/ToRGB/{part}"]
        new |= {f"synthesis/ToRGB_lod{lod}/{part}": head if lod == 0 else np.zeros(7) for lod in range(4)}
    return new | {"lod": np.zeros((), np.float32), "synthesis/lod": np.float32(0)}


def test_a_generator_that_grew_to_the_end(read, variables):
    config, params = read(network(grown(variables), {"synthesis_func": "G_synthesis_stylegan_revised"}))
    assert config["architecture"] == "orig"
    assert "to_rgb" not in params["blocks"]["2"]
    expected = converted_fixture("stylegan2_ada_resnet_32")[1]["blocks"]["3"]["to_rgb"]
    assert_same(params["blocks"]["3"]["to_rgb"], expected)
    with pytest.raises(
        ConversionError, match="expected a network that has grown to its end, found lod above 0"
    ):
        read(network(grown(variables) | {"lod": np.float32(1.5)}, {}))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"nonlinearity": "relu"}, "expected the option nonlinearity to be 'lrelu', found 'relu'"),
        ({"mapping_nonlinearity": "relu"}, "expected the option mapping_nonlinearity"),
        ({"normalize_latents": False}, "expected the option normalize_latents to be True"),
        ({"resample_kernel": None}, r"expected the option resample_kernel to be \[1, 3, 3, 1\]"),
        ({"num_channels": 1}, "expected the option num_channels to be 3"),
        ({"mapping_lrmul": float("nan")}, "expected the option mapping_lrmul to be a positive number"),
        ({"conv_clamp": "256"}, "expected the option conv_clamp to be a positive number"),
        ({"resolution": 1024}, "its options say resolution 1024, its variables 32"),
        ({"label_size": 10}, "its options say label_size 10, its variables 0"),
    ],
)
def test_options_that_are_not_supported(read, variables, kwargs, message):
    with pytest.raises(ConversionError, match=message):
        read(triple(variables, kwargs))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dlatent_avg", None, "expected an array 'dlatent_avg' of 1 dimensions, found none"),
        ("mapping/Dense0/weight", None, "expected an array 'mapping/Dense0/weight' of 2 dimensions"),
        (
            "synthesis/16x16/Conv0_up/mod_bias",
            None,
            "expected an array named 'synthesis/16x16/Conv0_up/mod_bias'",
        ),
        ("synthesis/noise3", None, "expected an array named 'synthesis/noise3'"),
        (
            "synthesis/8x8/Conv1/bias",
            np.ones(3, np.float32),
            r"Conv1/bias': expected shape \(32,\) .*found \(3,\)",
        ),
        ("synthesis/8x8/Conv1/bias", np.ones(32, np.int32), "Conv1/bias': expected floating-point numbers"),
        ("synthesis/8x8/Conv1/bias", "bias", "Conv1/bias': expected an array, found 'bias'"),
        ("synthesis/8x8/Conv1/bias", np.full(32, np.inf, np.float32), r"blocks\.1\.conv1\.bias.*finite"),
        (
            "synthesis/8x8/Conv1/weight_sn",
            np.ones((1, 32), np.float32),
            r"found also \['synthesis/8x8/Conv1/weight_sn'\]",
        ),
        ("synthesis/4x4/Const/const", np.ones((1, 16, 4, 4), np.float32), "Const/const': expected shape"),
        (
            "mapping/LabelConcat/weight",
            np.ones((5, 32), np.float32),
            "conditional generator of the first StyleGAN2",
        ),
    ],
)
def test_what_does_not_fit_is_named(read, variables, name, value, message):
    changed = {n: a for n, a in variables.items() if n != name} | ({name: value} if value is not None else {})
    with pytest.raises(ConversionError, match=message):
        read(network(changed, {}))


@pytest.mark.parametrize(
    ("function", "version", "message"),
    [
        (
            "G_style",
            4,
            r"found a generator of the first StyleGAN: its networks are built by 'G_style', not by 'G_main'",
        ),
        ("D_stylegan2", 5, "found no generator of a StyleGAN2: its networks are built by 'D_stylegan2'"),
        ("G_main", 3, "expected a network of version 4 or 5, found 3"),
    ],
)
def test_other_networks(read, variables, function, version, message):
    with pytest.raises(ConversionError, match=rf"network\.pkl: {message}"):
        read(network(variables, {}, function=function, version=version))


@pytest.mark.parametrize("part", ["static_kwargs", "components", "variables"])
def test_networks_without_a_part(read, variables, part):
    net = network(variables, {})
    delattr(net, part)
    with pytest.raises(ConversionError, match=rf"network\.pkl: expected a network with {part}, found None"):
        read(net)
    net = network(variables, {})
    net.components = {"mapping": net.components["mapping"], "synthesis": 5}
    with pytest.raises(ConversionError, match="expected a generator with the network synthesis, found none"):
        read(net)


@pytest.mark.parametrize(
    "value",
    [{"G": 1}, (1, 2, 3), [], None, Network({}), "text", [[("a",)]], {"variables": [("dlatent_avg",)]}],
)
def test_pickles_of_other_things(read, value):
    with pytest.raises(ConversionError, match=r"network\.pkl: "):
        read(value)


@pytest.mark.parametrize("entry", [("a",), "ab", (1, np.ones(1)), None])
def test_variables_that_are_no_pairs(read, variables, entry):
    net = network(variables, {})
    net.variables = [entry]
    with pytest.raises(ConversionError, match="expected variables as pairs of a name and an array"):
        read(net)


@pytest.mark.parametrize("keep", [0, 1, 60, 5_000, -1])
def test_truncated(read, variables, keep):
    with pytest.raises(ConversionError, match=r"network\.pkl: "):
        read(write_pickle(triple(variables, {}))[:keep])


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"\x80\x02cdnnlib.tflib.network\n__import__\n(X\x02\x00\x00\x00ostR.",
        b"\x80\x02cnumpy\nload\n.",
    ],
)
def test_pickles_that_ask_for_more(read, content):
    with pytest.raises(
        ConversionError, match=r"network\.pkl: .*(os\.system|builtins\.eval|__import__|numpy\.load)"
    ):
        read(content)


def test_one_array_under_many_names(read, variables):
    same = dict(variables)
    for layer in ("Conv0_up", "Conv1"):
        for size in (8, 16):
            same[f"synthesis/{size}x{size}/{layer}/weight"] = variables["synthesis/8x8/Conv1/weight"]
    with pytest.raises(ConversionError, match="expected variables with numbers of their own"):
        read(network(same, {}))


def test_a_missing_file(tmp_path):
    with pytest.raises(ConversionError, match=r"absent\.pkl: could not read it"):
        convert_tensorflow(tmp_path / "absent.pkl")


@pytest.mark.parametrize("constant", [(2, 4), (5, 3)])
def test_images_that_are_not_square(read, variables, constant):
    """Names of blocks and the option `resolution` stay those of a square image; only the constant has the shape."""
    height, width = constant
    wide = dict(variables)
    for name, array in variables.items():
        if name.endswith("/const"):
            wide[name] = np.resize(array, (*array.shape[:2], height, width))
        elif name.startswith("synthesis/noise"):
            scale = array.shape[-1] // 4
            wide[name] = np.resize(array, (1, 1, height * scale, width * scale))
    options = {"resolution": 32, "init_res": list(constant)}
    config, params = read(network(wide, options))
    assert config["constant_size"] == list(constant)
    assert config["resolution"] == 8 * max(constant)
    constant_read = params["constant"].transpose(2, 0, 1)
    np.testing.assert_array_equal(constant_read, wide["synthesis/4x4/Const/const"][0])
    noise = params["blocks"]["3"]["conv0"]["noise"]
    np.testing.assert_array_equal(noise, wide["synthesis/noise5"][0, 0])
    bare = {name: array for name, array in wide.items() if "noise" not in name}
    assert read(network(bare, options))[1]["blocks"]["3"]["conv0"]["noise"].shape == noise.shape
    with pytest.raises(ConversionError, match="its options say resolution 16, its variables 32"):
        read(network(wide, {"resolution": 16}))
    with pytest.raises(ConversionError, match="noise0': expected shape"):
        read(network(variables | {"synthesis/4x4/Const/const": wide["synthesis/4x4/Const/const"]}, {}))
