"""The comparison script: kept methods, refused input, tables."""

import dataclasses
import functools
import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from typer.testing import CliRunner

from benchmarks.baselines import METHODS, load_method, save_method
from benchmarks.baselines.latent_transformer import LatentTransformer
from benchmarks.baselines.storage import fingerprint
from benchmarks.quality import compare_methods
from benchmarks.quality.time_to_axes import seconds_of_labeling, time_rows
from jaxedit.errors import CheckpointError, InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.storage.checkpoints import save_checkpoint


def assert_same_edits(method, again, w):
    assert (again.name, again.attribute_names) == (method.name, method.attribute_names)
    for attribute in method.attribute_names[:2]:
        amounts = jnp.linspace(-1, 1, len(w))
        np.testing.assert_array_equal(again.edit(w, attribute, amounts), method.edit(w, attribute, amounts))


def test_saved_methods_are_loaded_unchanged(split, tiny, tmp_path):
    random = np.random.RandomState(0)
    transformer = LatentTransformer("lt", ("age", "hat"), random.randn(2, 16, 16), random.randn(2, 16))
    layered = LinearDirections("layers", ("smile", "age"), random.randn(2, 6, 16).astype(np.float32))
    for method in (transformer, layered):
        save_method(method, tmp_path / method.name)
        assert_same_edits(method, load_method(tmp_path / method.name, method.name), split.w[:4])
    with pytest.raises(InputError, match="known kind"):
        save_method(dataclasses.make_dataclass("Other", ["name"])("other"), tmp_path / "other")  # type: ignore[arg-type]
    save_checkpoint(tmp_path / "foreign", kind="pca", config={}, arrays={"x": np.zeros(2)})
    with pytest.raises(CheckpointError, match="pca"):
        load_method(tmp_path / "foreign", "foreign")


def test_fitted_methods_are_kept_until_the_labels_change(split, tiny, tmp_path, monkeypatch):
    method, row = compare_methods.fitted("covariance", split, tiny, tmp_path)
    assert row["how"] == "fitted"
    seconds = row["fit_seconds"]
    assert seconds > 0
    monkeypatch.setitem(METHODS, "covariance", None)  # fitting again would fail
    again, row = compare_methods.fitted("covariance", split, tiny, tmp_path)
    assert row["how"] == "kept"
    assert row["fit_seconds"] == seconds, "how long a fit took is kept with the method"
    for file in (tmp_path / "methods").glob("*.json"):
        file.unlink()
    assert "fit_seconds" not in compare_methods.fitted("covariance", split, tiny, tmp_path)[1]
    assert_same_edits(method, again, split.w[:4])
    other = dataclasses.replace(split, labels=split.labels.at[0, 0].add(1.0))
    assert fingerprint(other) != fingerprint(split)
    with pytest.raises(TypeError):
        compare_methods.fitted("covariance", other, tiny, tmp_path)


def test_interrupted_trainings_resume(split, tiny, tmp_path, monkeypatch):
    seen = {}

    def fit(split, generator, **options):
        seen.update(options)
        options["checkpoint_dir"].mkdir(parents=True)
        return LinearDirections("paper", ("age",), np.ones((1, 16), np.float32))

    monkeypatch.setitem(METHODS, "paper", fit)
    compare_methods.fitted("paper", split, tiny, tmp_path)
    assert seen["checkpoint_dir"].parent == tmp_path / "methods"
    assert not seen["checkpoint_dir"].exists(), "what a finished training needed is not left behind"


def test_directions_of_others_are_turned_towards_more(split):
    probe = np.asarray(split.probes)
    directions = np.stack([-probe[:, 0], probe[:, 2], np.ones(16)]).astype(np.float32)
    turned = compare_methods.oriented(LinearDirections("d", ("age", "smile", "beard"), directions), split)
    np.testing.assert_allclose(turned.directions, directions * np.array([[-1], [1], [1]]))
    layered = np.stack([np.stack([-probe[:, 0]] * 3)]).astype(np.float32)
    turned = compare_methods.oriented(LinearDirections("d", ("age",), layered), split)
    np.testing.assert_allclose(turned.directions, -layered)


def test_methods_are_gathered_under_names_that_differ(split, tiny, tmp_path):
    np.savez(tmp_path / "covariance.npz", pose=np.asarray(split.probes[:, 0]))

    def gather(names, *directions):
        choice = compare_methods.MethodChoice(names, [], list(directions), {"pose": "age"})
        return compare_methods.gather(choice, split, tiny, tmp_path)

    methods, rows = gather(["ridge-normal"], tmp_path / "covariance.npz")
    assert [m.name for m in methods] == [row["method"] for row in rows] == ["ridge-normal", "covariance"]
    assert methods[1].attribute_names == ("age",)
    with pytest.raises(InputError, match="each once"):
        gather(["covariance"], tmp_path / "covariance.npz")
    with pytest.raises(InputError, match="interfacegan"):
        gather(["stylespace"])
    with pytest.raises(InputError, match="none"):
        gather([])


class Color(nnx.Module):
    """Age is red, smile green."""

    names = ("age", "smile")
    units = ("years", "logit")

    def __call__(self, images):
        return images.mean((1, 2))[:, :2]


class Descriptor(nnx.Module):
    def __call__(self, images):
        return images.mean((1, 2))


class Flat(nnx.Module):
    """Images of one color: the first three entries of w."""

    z_dim = w_dim = 16
    c_dim = 0
    num_ws = 6
    resolution = 16

    def describe(self):
        return {"family": "flat"}

    def mapping(self, z, *, c=None, truncation_psi=1.0, truncation_cutoff=None):
        return z * truncation_psi

    def synthesis(self, w):
        w = w.mean(1) if w.ndim == 3 else w
        return jnp.broadcast_to(0.1 * w[:, None, None, :3], (len(w), 16, 16, 3))


@pytest.fixture
def color_latents(known_latents, monkeypatch):
    """The script with images of one color: red is age and green is smile, both linear in w."""
    w = np.random.RandomState(0).randn(3000, 16).astype(np.float32)
    dataset = dataclasses.replace(
        known_latents.dataset,
        w=w,
        values=(0.1 * w[:, :2]).astype(np.float32),
        attribute_names=Color.names,
        attribute_units=Color.units,
    )
    monkeypatch.setattr(compare_methods, "load_generator", lambda name: Flat())
    monkeypatch.setattr(compare_methods, "load_labelled_latents", lambda name, generator: dataset)
    monkeypatch.setattr(compare_methods, "FaceAttributes", Color)
    monkeypatch.setattr(compare_methods, "FaceIdentity", Descriptor)
    prepare = functools.partial(compare_methods.prepare, num_components=16)
    monkeypatch.setattr(compare_methods, "prepare", prepare)


@pytest.mark.slow
def test_from_labels_to_tables(color_latents, tmp_path):
    np.savez(tmp_path / "tilted.npz", age=-np.eye(16)[0] - 0.5 * np.eye(16)[1], smile=np.eye(16)[1])
    command = (
        f"--out {tmp_path / 'out'} --methods ridge-normal --directions {tmp_path / 'tilted.npz'} --faces 12 --pilot 6 "
        f"--attributes age,smile --batch-size 12 --truncation-psi 1 --json {tmp_path / 'numbers.json'}"
    ).split()
    result = CliRunner().invoke(compare_methods.app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "numbers.json").read_text())["results"]
    kept, times, cells, means = numbers.values()
    assert [row["method"] for row in kept] == ["ridge-normal", "tilted"]
    assert [row["method"] for row in times] == ["ridge-normal", "tilted"]
    assert times[0]["to axes [s]"] == times[0]["labeling [s]"] + times[0]["fit [s]"]
    assert times[0]["labels"] == 3000
    assert times[1].keys() == {"method"}, "directions of others come without a time"
    by_cell = {(row["method"], row["attribute"]): row for row in cells}
    for row in cells:
        assert row["reached"] == "both"
        assert row["up"] == pytest.approx(1, abs=0.1)
        assert 0 < row["TCR"] <= 1 and 0 < row["APR"] <= 1 and -1 <= row["IPS by face-api"] <= 1
    assert by_cell["ridge-normal", "age"]["leakage"] < 0.05
    assert by_cell["tilted", "age"]["leakage"] == pytest.approx(0.5, abs=0.1)
    assert by_cell["tilted", "smile"]["leakage"] < 0.05
    assert [row["method"] for row in means] == ["ridge-normal", "tilted"], "the best one stands first"
    result = CliRunner().invoke(compare_methods.app, [*command, "--fit-only"], catch_exceptions=False)
    assert "kept" in result.output


def test_rows_of_time():
    methods = [{"method": "a", "fit_seconds": 5.0}, {"method": "b"}]
    assert time_rows(methods, 100, 0.25) == [
        {"method": "a", "labels": 100, "labeling [s]": 25.0, "fit [s]": 5.0, "to axes [s]": 30.0},
        {"method": "b"},
    ]


def test_an_image_is_labeled_in_some_time():
    seconds = seconds_of_labeling(Flat(), Color(), np.zeros((8, 16), np.float32), batch_size=4)
    assert np.isfinite(seconds) and seconds > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [("--methods stylespace", "stylespace"), ("--rename pose", "OLD=NEW"), ("--methods ,", "one or more")],
)
def test_wrong_input_is_refused_in_one_line(color_latents, tmp_path, options, message):
    result = CliRunner().invoke(compare_methods.app, ["--out", str(tmp_path), *options.split()])
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
