"""`jaxedit evaluate`, with the toy generator in place of the real one and its networks."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import cli
from jaxedit.attributes.faces import face_attributes
from jaxedit.attributes.independent import classifiers
from jaxedit.cli import named_paths, parse_renames
from jaxedit.errors import InputError
from jaxedit.labels.labels_file import Labels, save_labels


class Independent:
    names = ("red@one", "green@one")

    def __call__(self, images):
        return 10 * images.mean((1, 2))[:, :2]


@pytest.fixture
def run(monkeypatch, capsys, toy, toy_axes, classifier):
    """Runs `jaxedit evaluate --generator toy` in this process; gives exit code, stdout, stderr."""
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: toy)
    monkeypatch.setattr("jaxedit.pretrained.registry.load_axes", lambda name, generator, *, check: toy_axes)
    monkeypatch.setattr(face_attributes, "FaceAttributes", lambda: classifier)
    toy_attributes = [face_attributes.FaceAttribute(name, "", "") for name in classifier.names]
    monkeypatch.setattr(face_attributes, "FACE_ATTRIBUTES", toy_attributes)
    monkeypatch.setattr(face_attributes, "FaceIdentity", lambda: lambda images: images.mean((1, 2)))
    monkeypatch.setattr(classifiers, "IndependentAttributes", lambda columns: Independent())
    monkeypatch.setattr(classifiers, "INDEPENDENT_COLUMNS", Independent.names)
    monkeypatch.setattr(
        classifiers, "IndependentIdentity", lambda network: lambda images: images.mean((1, 2))
    )

    def run(*arguments):
        command = ["jaxedit", "evaluate", "--generator", "toy", "--faces", 12, "--pilot", 4, *arguments]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return (exit_.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def no_page(monkeypatch):
    """Drawing the page takes most of the time."""
    monkeypatch.setattr("jaxedit.evaluation.report.comparison_page.write_page", lambda result: result.folder)


def test_the_generators_own_axes_by_default(run, tmp_path):
    out = tmp_path / "evaluation"
    code, printed, err = run("--attributes", "red, blue", "--out", out)
    assert code == 0, err
    assert "jaxedit  red" in printed
    assert printed.splitlines()[-1] == f"open {out / 'index.html'}"
    content = json.loads((out / "evaluation.json").read_text())
    assert content["request"]["num_faces"] == 12
    assert content["request"]["generator"] == "toy"
    assert [cell["attribute"] for cell in content["results"]] == ["red", "blue"]
    assert content["results"][0]["calibration"] is not None
    assert list(content["results"][0]["independent"]) == ["independent networks"]
    assert list(content["results"][0]["identity"]) == ["face-api", "mobileface"]


def test_axes_against_directions(run, no_page, tmp_path):
    np.savez(tmp_path / "published.npz", crimson=-np.eye(6)[0], green=np.eye(6)[1])
    arguments = ("--axes", "ours=toy", "--directions", tmp_path / "published.npz", "--rename", "crimson=-red")
    out = tmp_path / "evaluation"
    code, _, err = run(*arguments, "--no-independent", "--attributes", "red,blue", "--out", out)
    assert code == 0, err
    content = json.loads((out / "evaluation.json").read_text())
    assert content["request"]["methods"] == {"ours": ["red", "blue"], "published": ["red"]}
    assert content["results"][0]["independent"] == {}
    assert all(side["value"] > 0.5 for side in content["results"][2]["target_change"])


def test_labels_by_independent_networks_fix_their_unit(run, no_page, tmp_path):
    values = 10 * np.random.RandomState(0).standard_normal((500, 2)).astype(np.float32)
    zeros = np.zeros(500, np.float32)
    labels = Labels("toy", 0, values[:, ::-1].copy(), ("green@one", "red@one"), ("", ""), zeros, zeros)
    save_labels(labels, tmp_path / "labels.npz")
    out = tmp_path / "evaluation"
    code, _, err = run("--attributes", "red", "--independent-labels", tmp_path, "--out", out)
    assert code == 0, err
    (result,) = json.loads((out / "evaluation.json").read_text())["results"]
    change = result["independent"]["independent networks"]["target_change"]["value"]
    assert 0.02 < change < 0.2  # a tenth of what the classifier sees


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--faces", "1"], "faces: expected 2 or more, got 1"),
        (["--attributes", "hue"], "targets: expected attributes that the classifier measures"),
        (["--directions", "nowhere.npz"], "nowhere.npz"),
        (["--rename", "pose"], "--rename: expected OLD=NEW"),
        (["--rename", "pose=yaw"], "'pose' is in none"),
        (["--axes", "a=x", "--axes", "a=y"], "'a' twice"),
        (["--independent-labels", "nowhere"], "nowhere"),
        (["--batch-size", "0", "--attributes", "red"], "batch_size"),
    ],
)
def test_wrong_input_is_two_and_one_line(run, tmp_path, arguments, message):
    code, out, err = run(*arguments, "--out", tmp_path / "evaluation")
    assert code == 2
    assert err.startswith("jaxedit: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not out
    assert not (tmp_path / "evaluation").exists()


@pytest.mark.parametrize("shape", [(1,), (16, 1), (5,), (9, 6)])
def test_directions_of_another_generator_are_refused_before_a_network_is_loaded(
    run, monkeypatch, tmp_path, shape
):
    def fetched(*arguments):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(face_attributes, "FaceIdentity", fetched)
    np.save(tmp_path / "red.npy", np.arange(np.prod(shape)).reshape(shape) + 1.0)
    code, _, err = run("--directions", tmp_path / "red.npy", "--attributes", "red", "--out", tmp_path / "out")
    assert code == 2
    assert err.count("\n") == 1
    assert "expected a direction" in err or "expected directions of shape [6]" in err
    assert not (tmp_path / "out").exists()


def test_names_are_checked_before_a_network_is_loaded(run, monkeypatch, tmp_path):
    def fetched(*arguments, **more):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(face_attributes, "FaceIdentity", fetched)
    np.savez(tmp_path / "theirs.npz", green=np.eye(6)[1])
    arguments = ("--directions", tmp_path / "theirs.npz", "--attributes", "red", "--out", tmp_path / "out")
    code, _, err = run(*arguments)
    assert code == 2 and "method 'theirs': expected one that moves any of red; it moves green" in err
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", fetched)
    code, _, err = run("--attributes", "hue", "--out", tmp_path / "out")
    assert code == 2 and "some of red, green, blue; got 'hue'" in err
    assert not (tmp_path / "out").exists()


def test_help_has_examples(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "Examples:\n" in out
    assert "    jaxedit evaluate" in out


def test_methods_have_names():
    assert named_paths(["mine=axes", "some/folder", "a/published.npz"]) == {
        "mine": "axes",
        "folder": "some/folder",
        "published": "a/published.npz",
    }
    for wrong in ("=axes", "mine="):
        with pytest.raises(InputError, match="NAME=PATH"):
            named_paths([wrong])


def test_renames_are_read():
    assert parse_renames(["pose=-yaw", "old=age"]) == {"pose": "-yaw", "old": "age"}
    for wrong in ("pose", "=yaw", "pose=", "pose=-", "a=b=c"):
        with pytest.raises(InputError, match="OLD=NEW"):
            parse_renames([wrong])


def test_latents_follow_the_truncation(run, no_page, tmp_path):
    spreads = []
    for psi in (1.0, 0.5):
        out = tmp_path / str(psi)
        assert run("--attributes", "red", "--truncation-psi", psi, "--no-independent", "--out", out)[0] == 0
        with np.load(out / "measurements" / "unedited.npz") as file:
            spreads.append(float(jnp.std(file["values"])))
    assert spreads[1] == pytest.approx(spreads[0] / 2, rel=1e-4)
