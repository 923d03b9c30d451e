import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conversion.official_fixtures import converted_fixture
from weights_conversion.errors import ConversionError, ExportError
from weights_conversion.models.mobile_stylegan import CONFIG as MOBILE_CONFIG
from weights_conversion.models.stylegan2.layout import check_params, target_shapes
from weights_conversion.safetensors_folder import read_folder, write_folder
from weights_conversion.table import flatten

CONFIG = {
    "family": "stylegan2",
    "z_dim": 4,
    "c_dim": 2,
    "w_dim": 3,
    "mapping_layers": 2,
    "resolution": 8,
    "channels": [2, 1],
    "architecture": "resnet",
    "conv_clamp": 256.0,
}


@pytest.fixture
def params():
    """With widths in the mapping network that the config does not say."""
    random = np.random.default_rng(0)
    shapes = target_shapes(CONFIG, embed=5, hidden=[6])
    tree = check_params(
        nest({name: random.normal(size=shape) for name, shape in shapes.items()}), shapes, name="made"
    )
    tree["w_avg"] = tree["w_avg"].astype(np.float64)
    return tree


def nest(flat):
    tree = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = np.asarray(value)
    return tree


@pytest.fixture
def folder(tmp_path, params):
    return write_folder(tmp_path / "made" / "open", CONFIG, params)


def rewrite(folder, change):
    """Change the parsed config on the disk."""
    path = folder / "config.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))


def test_round_trip(folder, params):
    config, arrays = read_folder(folder)
    assert config == CONFIG
    expected, found = flatten(params), flatten(arrays)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name].astype(np.float32))
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert arrays["blocks"]["1"]["conv0"]["noise_strength"].shape == ()


def test_the_files_are_what_the_format_says(folder):
    described = json.loads((folder / "config.json").read_text())
    assert described == {"format": "jaxedit-stylegan", "format_version": 1, "config": CONFIG}
    header = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(header[:8], "little")
    assert json.loads(header[8 : 8 + size])["blocks.1.skip.weight"]["shape"] == [2, 1]


def test_the_arrays_alone_find_their_config(folder):
    assert read_folder(folder / "model.safetensors")[0] == CONFIG
    (folder / "config.json").unlink()
    with pytest.raises(
        ConversionError, match=r"config\.json: expected the config of an export, found nothing"
    ):
        read_folder(folder / "model.safetensors")


def test_an_older_export_is_replaced_and_nothing_else_is(folder, params, tmp_path):
    write_folder(folder, CONFIG | {"conv_clamp": None}, params)
    assert read_folder(folder)[0]["conv_clamp"] is None
    assert [entry.name for entry in folder.parent.iterdir()] == ["open"]
    assert sorted(entry.name for entry in folder.iterdir()) == ["config.json", "model.safetensors"]

    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "config.json").write_text('{"other": "tool"}')
    file = tmp_path / "file"
    file.write_text("text")
    for taken in (precious, file):
        with pytest.raises(ExportError, match="found something else; not replaced"):
            write_folder(taken, CONFIG, params)
    assert (precious / "config.json").read_text() == '{"other": "tool"}'
    assert file.read_text() == "text"
    with pytest.raises(ExportError, match="could not write"):
        write_folder(file / "below", CONFIG, params)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, 2, np.nan]), "w_avg: expected finite numbers"),
        (np.array([1, 2, np.inf]), "w_avg: expected finite numbers"),
        (np.array([1, 2, 3]), "w_avg: expected floating-point numbers, found int64"),
        (np.ones(4), r"w_avg: expected shape \(3,\), found \(4,\)"),
    ],
)
def test_what_is_no_weight_is_not_written(tmp_path, params, array, message):
    with pytest.raises(ConversionError, match=message):
        write_folder(tmp_path / "open", CONFIG, params | {"w_avg": array})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_older_export(folder, params, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("weights_conversion.safetensors_folder.save_file", full)
    with pytest.raises(ExportError, match=r"could not write the export.*No space left"):
        write_folder(folder, CONFIG | {"conv_clamp": None}, params)
    assert read_folder(folder)[0] == CONFIG
    assert [entry.name for entry in folder.parent.iterdir()] == ["open"]


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_truncated_arrays(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ConversionError, match=r"model\.safetensors: expected a safetensors file, it is damaged"
    ):
        read_folder(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"w_avg": np.ones(2, np.float64)}, "w_avg: expected numbers of type F32, found F64"),
        ({"w_avg": np.ones(2, np.int32)}, "w_avg: expected numbers of type F32, found I32"),
        ({"a": np.ones(2, np.float32), "a.b": np.ones(2, np.float32)}, "names that do not contradict"),
        ({"w_avg": np.ones(3, np.float32)}, "expected an array for .*, found none"),
        ({"a\nb": np.ones(2, np.float32)}, r"expected names of arrays, found 'a\\nb'"),
        ({"a" * 300: np.ones(2, np.float32)}, "expected names of arrays, found 'a"),
        ({"a..b": np.ones(2, np.float32)}, "names that do not contradict"),
    ],
)
def test_arrays_that_no_export_holds(folder, arrays, message):
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(ConversionError, match=message):
        read_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="another"), "expected a config of the format jaxedit-stylegan"),
        (lambda d: d.update(format_version=2), "written in format version 2, read up to 1: update jaxedit"),
        (lambda d: d.update(format_version="1"), "damaged: format_version"),
        (lambda d: d.update(config=[]), "damaged: format_version or config"),
        (
            lambda d: d["config"].pop("family"),
            r"expected a family of stylegan2, .*mobile-stylegan, found None",
        ),
        (lambda d: d["config"].update(family=[]), "expected a family of"),
        (lambda d: d["config"].update(family="stylegan4"), "expected a family of .* found 'stylegan4'"),
        (lambda d: d["config"].update(family="mobile-stylegan"), "expected a config of .* differs"),
        (lambda d: d["config"].pop("z_dim"), "expected a config of .*; 'z_dim' differs"),
        (lambda d: d["config"].update(size=1), "expected a config of .*; 'size' differs"),
        (lambda d: d["config"].update(channels=3), "expected channels as a list, found 3"),
        (lambda d: d["config"].update({"a\nb": 1}), r"; 'a\\nb' differs"),
        (lambda d: d["config"].update(architecture="a\nb"), "expected a config of printable text"),
        (lambda d: d["config"].update(channels=[]), "expected channels as a list"),
        (lambda d: d["config"].update(channels=[2, "1"]), "channels in each block"),
        (lambda d: d["config"].update(resolution=16), "expected a resolution of 8 with 2 blocks, found 16"),
        (lambda d: d["config"].update(conv_clamp=float("nan")), "expected a conv_clamp above 0"),
        (lambda d: d["config"].update(architecture="skip"), "expected an array for .*to_rgb"),
        (lambda d: d["config"].update(architecture=["skip"]), "expected an architecture"),
        (lambda d: d["config"].update(w_dim=4), r"expected shape \(.*4.*\), found \(.*3.*\)"),
        (lambda d: d["config"].update(mapping_layers=3), r"expected an array for mapping_network\.layers\.2"),
        (lambda d: d["config"].update(z_dim=10**30), "expected z_dim of 1 to 8192"),
    ],
)
def test_configs_that_no_export_has(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(ConversionError, match=message):
        read_folder(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, "\xff", " " * 1_000_001])
def test_damaged_configs(folder, content):
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConversionError, match=r"config\.json: "):
        read_folder(folder)


def test_missing_arrays(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ConversionError, match=r"model\.safetensors: expected the arrays of an export, found nothing"
    ):
        read_folder(folder)


def test_nan_in_the_file(folder, params):
    arrays = {name: np.asarray(array, np.float32) for name, array in flatten(params).items()}
    arrays["blocks.0.conv1.bias"] = np.array([0, np.nan], np.float32)
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(ConversionError, match=r"blocks\.0\.conv1\.bias: expected finite numbers, found NaN"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, r"expected an array for .*, found none"),
        ({"z_dim": 0}, "expected z_dim of 1 to 8192, found 0"),
        ({"channels": [512, 512.0]}, "expected channels 1 of 1 to 8192, found 512.0"),
        ({"channels": [512, 512]}, "expected a resolution of 8 · 2\\^blocks, found 1024 and 1 blocks"),
        ({"channels": [512], "resolution": 8}, "expected a resolution of 8 · 2\\^blocks"),
    ],
)
def test_arrays_of_another_family(folder, change, message):
    rewrite(folder, lambda described: described.update(config=MOBILE_CONFIG | change))
    with pytest.raises(ConversionError, match=message):
        read_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_flipped_bits_are_found_by_the_hashes(folder, name):
    content, random = (folder / name).read_bytes(), np.random.RandomState(0)
    config, params = read_folder(folder)
    refused = 0
    for at in random.randint(len(content), size=60):
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(random.randint(8))
        (folder / name).write_bytes(damaged)
        try:
            found = read_folder(folder)
        except ConversionError:
            refused += 1
            continue
        assert found[0] == config  # a blank, or the version
        for key, array in flatten(found[1]).items():
            np.testing.assert_array_equal(array, flatten(params)[key])
    assert refused > 30


def test_what_the_hashes_say_of_a_change(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 64
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=r"model\.safetensors: damaged: .*other numbers than written"):
        read_folder(folder)
    content[-2] ^= 64
    path.write_bytes(content)
    rewrite(folder, lambda d: d["config"].update(conv_clamp=255.0))
    with pytest.raises(ConversionError, match=r"config\.json: damaged: not the config that was written"):
        read_folder(folder)


def test_exports_without_hashes_are_read(folder, params):
    arrays = {name: np.asarray(array, np.float32) for name, array in flatten(params).items()}
    save_file(arrays, folder / "model.safetensors")
    assert read_folder(folder)[0] == CONFIG


def test_others_may_read_it(tmp_path, params):
    folder = write_folder(tmp_path / "open", CONFIG, params)
    assert [path.stat().st_mode & 0o444 for path in sorted(folder.iterdir())] == [0o444, 0o444]


def test_a_file_of_the_user_inside_an_export_stays(tmp_path):
    folder = write_folder(tmp_path / "export", *converted_fixture("stylegan2_ada_cond_32"))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"notes\.txt"):
        write_folder(folder, *converted_fixture("stylegan2_ada_64"))
    assert (folder / "notes.txt").read_text() == "mine"
    assert read_folder(folder)[0]["resolution"] == 32


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_an_export_is_not_waited_for(tmp_path, name):
    folder = write_folder(tmp_path / "export", *converted_fixture("stylegan2_ada_cond_32"))
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ConversionError, match=rf"{name}: could not read it: expected a file, found a pipe"):
        read_folder(folder)


def test_a_config_with_deep_lists_is_refused(tmp_path):
    folder = write_folder(tmp_path / "export", *converted_fixture("stylegan2_ada_cond_32"))
    for key in ("channels", "family", "conv_clamp", "z_dim", "constant_size"):
        described = json.loads((folder / "config.json").read_text())
        described["config"][key] = "DEEP"
        text = json.dumps(described).replace('"DEEP"', "[" * 900 + "]" * 900)
        (tmp_path / key).mkdir()
        (tmp_path / key / "config.json").write_text(text)
        (tmp_path / key / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        with pytest.raises(ConversionError, match=r"model\.safetensors: expected|config\.json: "):
            read_folder(tmp_path / key)
