"""LPIPS beside the identity distance: in the scores, the JSON, the table of the command line and the page."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import cli
from jaxedit.attributes.faces import face_attributes
from jaxedit.errors import InputError
from jaxedit.evaluation import Evaluation, EvaluationConfig, Evaluators, LinearDirections, evaluate
from jaxedit.evaluation.report.comparison_page import write_page
from jaxedit.evaluation.report.published import main_numbers
from jaxedit.nn.lpips import LPIPS
from tests.evaluation.conftest import NAMES, W_DIM, LinearGenerator

SIZE = 32


class Larger(LinearGenerator):
    """Large enough for LPIPS."""

    resolution = SIZE

    def synthesis(self, w):
        return jnp.tile(super().synthesis(w), (1, 2, 2, 1))


DIRECTIONS = LinearDirections("linear", NAMES, np.eye(3, W_DIM, dtype=np.float32))
FACES = np.random.RandomState(3).standard_normal((6, W_DIM)).astype(np.float32)


CONFIG = EvaluationConfig(targets=["red"], pilot=2, sheet_faces=0, num_resamples=20, batch_size=6)


def run(classifier, out, perceptual=None):
    identity = {"identity": lambda images: images.mean((1, 2))}
    evaluators = Evaluators(classifier, identity=identity, perceptual=perceptual)
    return evaluate(Larger(), [DIRECTIONS], FACES, evaluators, CONFIG, out=out, progress=False)


@pytest.fixture(scope="module")
def result(classifier, tmp_path_factory):
    return run(classifier, tmp_path_factory.mktemp("evaluation"), perceptual=LPIPS.from_pretrained())


def test_is_the_distance_of_edited_and_original_images(result):
    cell = result.cells["linear", "red"]
    images = Larger().synthesis(jnp.asarray(FACES))
    ends = [
        jnp.clip(images.at[..., 0].add(0.1 * amount), -1, 1)  # a tenth of w, as the generator does
        for amount in cell.amounts
    ]
    distance = jax.jit(LPIPS.from_pretrained())
    down, up = (distance(jnp.clip(images, -1, 1), end).mean() for end in ends)
    assert cell.perceptual.low <= cell.perceptual.value <= cell.perceptual.high
    assert min(down, up) > 1e-4
    # Readings start from images of 8 bits, and are scaled to exactly the change.
    np.testing.assert_allclose(cell.perceptual.value, (down + up) / 2, rtol=0.2)


def test_is_in_every_report(result):
    value = result.cells["linear", "red"].perceptual.value
    content = json.loads((result.folder / "evaluation.json").read_text())
    assert content["results"][0]["perceptual"]["value"] == pytest.approx(value, abs=1e-5)
    assert "LPIPS" in content["definitions"]["perceptual"]
    row = main_numbers(result, truncation_psi=1.0, seed=0)["rows"][0]
    assert row["perceptual"] == pytest.approx(value, abs=1e-4)
    head, line = result.summary().splitlines()
    assert "perceptual" in head
    assert f"{value:.3f}" in line
    assert write_page(result).read_text().count(">perceptual distance<") == 2  # the means, the target


def test_folders_without_lpips_are_loaded_and_resumed_without_it(classifier, tmp_path):
    run(classifier, tmp_path)
    older = Evaluation.load(tmp_path)
    assert older.cells["linear", "red"].perceptual is None
    assert "perceptual" not in older.summary()
    assert "perceptual" not in main_numbers(older, truncation_psi=1.0, seed=0)["rows"][0]
    message = r'another evaluators: expected {"perceptual": true}, found {"perceptual": false}; give another'
    with pytest.raises(InputError, match=message):
        run(classifier, tmp_path, perceptual=LPIPS.from_pretrained())
    assert run(classifier, tmp_path).to_json() == older.to_json()


@pytest.mark.parametrize("option", ["--lpips", "--no-lpips"])
def test_command(monkeypatch, capsys, classifier, tmp_path, option):
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: Larger())
    monkeypatch.setattr(face_attributes, "FaceAttributes", lambda: classifier)
    names = [face_attributes.FaceAttribute(name, "", "") for name in classifier.names]
    monkeypatch.setattr(face_attributes, "FACE_ATTRIBUTES", names)
    monkeypatch.setattr(face_attributes, "FaceIdentity", lambda: lambda images: images.mean((1, 2)))
    monkeypatch.setattr("jaxedit.evaluation.report.comparison_page.write_page", lambda result: result.folder)
    np.savez(tmp_path / "directions.npz", red=np.eye(W_DIM)[0])
    command = ["jaxedit", "evaluate", "-g", "toy", "--faces", "6", "--pilot", "2", "--no-independent", option]
    command += ["--directions", str(tmp_path / "directions.npz"), "--attributes", "red"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "evaluation")])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0, capsys.readouterr().err
    content = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert (content["results"][0]["perceptual"] is not None) == (option == "--lpips")
