import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError, OutputError
from jaxedit.export.stablehlo import PLATFORMS, export_stablehlo, lower, programs_of
from jaxedit.generators.conditional import ConditionedGenerator
from tests.export.small_models import W_DIM, mobile_stylegan, normal, small_axes, stylegan2

GENERATORS = {"mobile-stylegan": mobile_stylegan, "stylegan2": stylegan2}
SLOW = [pytest.param(name, marks=[pytest.mark.slow] * (name == "stylegan2")) for name in GENERATORS]

RUN_ALL = """
import json, sys
import jax, jax.export, numpy as np
about, arrays = json.load(open("programs/programs.json")), dict(np.load("programs/weights.npz"))
inputs, results = np.load("inputs.npz"), {}
for name, described in about["programs"].items():
    weights = {key: arrays[key] for key in described["weights"]}
    program = jax.export.deserialize(bytearray(open(f"programs/{described['file']}", "rb").read()))
    for batch in (1, 3) if name == "edit" else (3,):
        arguments = [inputs[one["name"]] for one in described["arguments"]]
        arguments = [
            array[:batch] if one["shape"][:1] == ["batch"] else array
            for array, one in zip(arguments, described["arguments"])
        ]
        results[f"{name}_{batch}"] = np.asarray(program.call(weights, *arguments))
assert not any(name.split(".")[0] in ("jaxedit", "flax") for name in sys.modules)
np.savez("results.npz", **results)
"""


def run(code, folder):
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=SLOW)
def exported(request, tmp_path_factory):
    """Generator, axes, what the export says, inputs, and what the programs give in a process without this library."""
    folder = tmp_path_factory.mktemp("exported")
    generator = GENERATORS[request.param]()
    axes = small_axes(generator.num_ws)
    described = export_stablehlo(generator, folder / "programs", axes=axes, license_note="for tests")
    inputs = {
        "z": normal(3, W_DIM, seed=1),
        "truncation_psi": np.float32(0.7),
        "w": normal(3, W_DIM, seed=2),
        "w_plus": normal(3, generator.num_ws, W_DIM, seed=3),
        "amounts": normal(3, 2, seed=4),
        "which": np.asarray([True, False]),
    }
    np.savez(folder / "inputs.npz", **inputs)
    run(RUN_ALL, folder)
    with np.load(folder / "results.npz") as results:
        return generator, axes, described, inputs, dict(results), folder


def test_programs_agree_with_the_library_for_any_batch_size(exported):
    generator, axes, described, inputs, results, _ = exported
    w, w_plus, amounts = (jnp.asarray(inputs[name]) for name in ("w", "w_plus", "amounts"))
    expected = {
        "mapping": generator.mapping(inputs["z"], truncation_psi=0.7),
        "synthesis": generator.synthesis(w),
        "synthesis_w_plus": generator.synthesis(w_plus),
        "edit": generator.synthesis(axes.edit(w, {"age": amounts[:, 0]})),
        "edit_w_plus": generator.synthesis(axes.edit(w_plus, {"age": amounts[:, 0]})),
    }
    assert set(described["programs"]) == set(expected)
    for name, whole in expected.items():
        scale = np.abs(whole).max()
        for batch in (1, 3) if name == "edit" else (3,):
            found = results[f"{name}_{batch}"]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, whole[:batch], rtol=0, atol=2e-5 * scale, err_msg=name)
    assert np.abs(results["edit_3"] - results["synthesis_3"]).max() > 0.01


def test_what_the_export_says_of_itself(exported):
    generator, axes, described, _, _, folder = exported
    assert json.loads((folder / "programs" / "programs.json").read_text()) == described
    assert described["platforms"] == list(PLATFORMS)
    assert described["versions"]["jax"] == jax.__version__
    assert described["generator"] == json.loads(json.dumps(generator.describe()))
    assert described["license"] == "for tests"
    age, smile = described["attributes"]
    assert (age["name"], age["unit"], age["range"]) == ("age", "years", [-2.0, 2.5])
    assert (smile["name"], smile["range"]) == ("smile", None)
    values = np.interp([-1.0, 1.0], age["positions"], age["values"])
    raw = axes.quantile_transform.inverse_transform(np.float32([[-1, 0], [1, 0]]))[:, 0]
    np.testing.assert_allclose(values, raw, atol=0.5)


def test_both_ways_of_computing_are_inside():
    program = programs_of(mobile_stylegan(), None)["synthesis"]

    def loops(*platforms):
        return lower(program, platforms).mlir_module().count("stablehlo.while")

    assert loops("tpu") == 0  # the batch at once
    assert loops("cpu") == loops(*PLATFORMS) > 0  # image after image


def test_classes_are_an_argument_of_the_mapping():
    program = programs_of(stylegan2(c_dim=3), None)["mapping"]
    assert list(program.arguments) == ["z", "c", "truncation_psi"]
    z, classes = jnp.asarray(normal(2, W_DIM)), jnp.eye(3)[:2]
    found = program.function(program.weights, z, classes, jnp.ones(()))
    np.testing.assert_allclose(found, stylegan2(c_dim=3).mapping(z, c=classes), atol=1e-6)


def test_what_cannot_be_exported_is_refused_before_the_work(tmp_path):
    generator = stylegan2()
    with pytest.raises(InputError, match=r"generator: expected one with all its classes .*FOLDER#2"):
        export_stablehlo(ConditionedGenerator(stylegan2(c_dim=3), 1), tmp_path / "out")
    with pytest.raises(InputError, match="generator: expected one of `load_generator`, got object"):
        export_stablehlo(object(), tmp_path / "out")
    with pytest.raises(InputError, match=r"axes: expected curves of 4 layers, as the generator's, got 6"):
        export_stablehlo(generator, tmp_path / "out", axes=small_axes(6))
    with pytest.raises(InputError, match="platforms: expected some of cpu, cuda, rocm, tpu, got gpu"):
        export_stablehlo(generator, tmp_path / "out", platforms=("cpu", "gpu"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(
        OutputError, match=r"full: expected a free name or an empty folder, found 'notes.txt'"
    ):
        export_stablehlo(generator, tmp_path / "full")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="found a file"):
        export_stablehlo(generator, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def test_a_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"flatbuffers, found none; pip install 'jaxedit\[stablehlo\]'"):
        export_stablehlo(stylegan2(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_an_export_that_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxedit.export.stablehlo.lower", fail)
    with pytest.raises(OutputError, match="No space left"):
        export_stablehlo(stylegan2(), tmp_path / "out")
    assert not list(tmp_path.iterdir())
