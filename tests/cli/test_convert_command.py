import json

import jax
import numpy as np
import pytest

from jaxedit.nn.parameters import module_params
from jaxedit.storage.checkpoints import load_checkpoint
from tests.conversion.foreign_h5 import flaxmodels_arrays, write_h5
from tests.conversion.foreign_tensorflow import network, tensorflow_variables, write_pickle
from tests.conversion.foreign_torch import write_archive
from tests.conversion.official_fixtures import assert_same, converted_fixture, fixture_params
from weights_conversion.safetensors_folder import read_folder, write_folder

FIXTURE = "stylegan2_ada_cond_32"


@pytest.fixture(scope="module")
def pickle_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "network.pkl"
    path.write_bytes(write_pickle(network(tensorflow_variables(fixture_params(FIXTURE)[0]), {})))
    return path


@pytest.mark.parametrize("command", ["convert", "export"])
def test_help_shows_examples(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Examples:\n    jaxedit {command}" in out


def test_convert_writes_a_checkpoint_and_a_summary(run, pickle_file, tmp_path):
    out = tmp_path / "below" / "converted"
    code, printed, err = run("convert", pickle_file, "--out", out)
    assert (code, err) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == f"{pickle_file}: pickle of StyleGAN2 for TensorFlow"
    assert lines[1].startswith("stylegan2, 32 × 32, skip, 10 labels, 0.2 million numbers")
    assert lines[2] == str(out)
    config, arrays = load_checkpoint(out, kind="generator")
    expected_config, expected = converted_fixture(FIXTURE)
    assert config == expected_config
    assert_same(arrays, expected)
    code, printed, _ = run("info", out)
    assert (code, "architecture: skip" in printed) == (0, True)


def test_convert_to_safetensors_and_back(run, tmp_path):
    foreign, there, back = tmp_path / "generator.h5", tmp_path / "open", tmp_path / "back"
    foreign.write_bytes(write_h5(flaxmodels_arrays(fixture_params("stylegan2_ada_64")[0])))
    code, printed, _ = run("convert", foreign, "--out", there, "--format", "safetensors")
    assert code == 0
    assert "HDF5 file of flaxmodels\nstylegan2, 64 × 64, skip, unconditional, " in printed
    expected_config, expected = converted_fixture("stylegan2_ada_64")
    assert read_folder(there)[0] == expected_config
    assert run("convert", there, "--out", back)[0] == 0
    config, arrays = load_checkpoint(back, kind="generator")
    assert config == expected_config
    assert_same(arrays, expected)


def test_export_of_the_default_generator(run, generator, tmp_path):
    there, back = tmp_path / "open", tmp_path / "back"
    code, printed, err = run("export", "mobile-stylegan-ffhq", "--out", there)
    assert (code, err) == (0, "")
    assert printed.splitlines()[0].startswith("mobile-stylegan, 1024 × 1024, ")
    assert json.loads((there / "config.json").read_text())["config"]["family"] == "mobile-stylegan"
    assert_same(read_folder(there)[1], module_params(generator))
    assert run("convert", there, "--out", back)[0] == 0
    from jaxedit.pretrained.registry import load_generator

    again = load_generator(back)
    assert_same(module_params(again), module_params(generator))


def test_export_of_a_converted_generator(run, pickle_file, tmp_path):
    converted, there, back = tmp_path / "converted", tmp_path / "open", tmp_path / "back"
    assert run("convert", pickle_file, "--out", converted)[0] == 0
    code, printed, err = run("export", converted, "--out", there)
    assert (code, err) == (0, "")
    assert printed.splitlines()[0].startswith("stylegan2, 32 × 32, skip, 10 labels")
    assert run("convert", there, "--out", back)[0] == 0
    expected = load_checkpoint(converted, kind="generator")
    config, arrays = load_checkpoint(back, kind="generator")
    assert config == expected[0]
    assert_same(arrays, expected[1])


@pytest.mark.parametrize("format_", ["checkpoint", "safetensors"])
def test_what_cannot_be_converted_is_two_one_line_and_leaves_nothing(run, tmp_path, format_):
    source, out = tmp_path / "source", tmp_path / "out"
    write_folder(source, *converted_fixture(FIXTURE))
    model = source / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    for foreign in (model, source, tmp_path, tmp_path / "absent"):
        code, printed, err = run("convert", foreign, "--out", out, "--format", format_)
        assert (code, printed) == (2, "")
        assert err.startswith(f"jaxedit: error: {foreign}")
        assert err.count("\n") == 1
        assert [entry.name for entry in tmp_path.iterdir()] == ["source"]


def test_a_pickle_that_asks_for_more_is_refused(run, tmp_path):
    foreign, trace = tmp_path / "evil.pkl", tmp_path / "executed"
    foreign.write_bytes(b"\x80\x02cos\nsystem\nX%b" % len(f"touch {trace}").to_bytes(4, "little"))
    foreign.write_bytes(foreign.read_bytes() + f"touch {trace}".encode() + b"\x85R.")
    code, _, err = run("convert", foreign, "--out", tmp_path / "out")
    assert code == 2
    assert "os.system" in err
    assert err.count("\n") == 1
    assert not trace.exists()


def test_a_state_dict_needs_what_it_does_not_hold(run, tmp_path):
    foreign, out = tmp_path / "state.pt", tmp_path / "out"
    foreign.write_bytes(write_archive(fixture_params(FIXTURE)[0]))
    code, _, err = run("convert", foreign, "--out", out)
    assert code == 2
    assert err.startswith(
        f"jaxedit: error: {foreign}: expected the option --conv-clamp, because a state dict"
    )
    for wrong in (
        ["--conv-clamp", "much"],
        ["--conv-clamp", "-1"],
        ["--conv-clamp", "1", "--lr-multiplier", "nan"],
    ):
        code, _, err = run("convert", foreign, "--out", out, *wrong)
        assert (code, err.count("\n")) == (2, 1)
    assert not out.exists()
    code, printed, err = run("convert", foreign, "--out", out, "--conv-clamp", "none")
    assert (code, err) == (0, "")
    assert printed.splitlines()[1].startswith("note: A state dict does not hold the lr_multiplier")
    config, arrays = load_checkpoint(out, kind="generator")
    assert config == converted_fixture(FIXTURE)[0]
    assert_same(arrays, converted_fixture(FIXTURE)[1])
    assert run("convert", foreign, "--out", out, "--conv-clamp", "256")[0] == 0
    assert load_checkpoint(out, kind="generator")[0]["conv_clamp"] == 256.0


@pytest.mark.parametrize("format_", ["checkpoint", "safetensors"])
def test_a_folder_that_is_something_else_is_not_replaced(run, pickle_file, tmp_path, format_):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("text")
    code, _, err = run("convert", pickle_file, "--out", precious, "--format", format_)
    assert code == 1
    assert "not replaced" in err
    assert err.count("\n") == 1
    assert (precious / "file").read_text() == "text"
    assert [entry.name for entry in precious.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "arguments",
    [["convert"], ["convert", "x"], ["export", "x"], ["convert", "x", "--out", "y", "--format", "zip"]],
)
def test_wrong_usage_is_two(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert "Error: " in err


def test_export_of_what_is_no_generator(run, tmp_path):
    code, _, err = run("export", tmp_path / "absent", "--out", tmp_path / "out")
    assert code == 2
    assert err.startswith("jaxedit: error: generator ")
    assert not (tmp_path / "out").exists()


def test_every_number_is_float32(run, pickle_file, tmp_path):
    run("convert", pickle_file, "--out", tmp_path / "out")
    _, arrays = load_checkpoint(tmp_path / "out", kind="generator")
    assert {leaf.dtype for leaf in jax.tree.leaves(arrays)} == {np.dtype(np.float32)}
