"""Change outside the person: readings, scores and reports of the toy generator, whose person is the left half."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation import Evaluation, EvaluationConfig, Evaluators, LinearDirections, evaluate
from jaxedit.evaluation.report.comparison_page import write_page
from jaxedit.evaluation.report.published import main_numbers
from tests.evaluation.conftest import NAMES, W_DIM

DIRECTIONS = LinearDirections("linear", NAMES, np.eye(3, W_DIM, dtype=np.float32))
FACES = 0.5 * np.random.RandomState(3).standard_normal((6, W_DIM)).astype(np.float32)
CONFIG = EvaluationConfig(targets=["red"], pilot=2, sheet_faces=0, num_resamples=20, batch_size=6)


def run(toy, classifier, out, **evaluators):
    found = Evaluators(classifier, {"red": np.random.RandomState(0).randn(4000)}, **evaluators)
    return evaluate(toy, [DIRECTIONS], FACES, found, CONFIG, out=out, progress=False)


def mean_change(one, other):
    return jnp.abs(one - other).mean((1, 2, 3))


@pytest.fixture(scope="module")
def result(toy, classifier, left_half, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    return run(toy, classifier, out, perceptual=mean_change, person=left_half)


def test_is_what_changed_behind_the_person_at_equal_change(result):
    scores = result.cells["linear", "red"].background
    assert scores.share == pytest.approx(0.5, abs=0.01)
    # One standard deviation is 1 in w, which is 0.1 of one color of three in [-1, 1].
    assert scores.psnr.value == pytest.approx(-20 * np.log10(0.05 / np.sqrt(3)), abs=0.5)
    assert scores.perceptual.value == pytest.approx(0.1 / 3, rel=0.06)
    assert scores.psnr.low <= scores.psnr.value <= scores.psnr.high


def test_is_in_every_report(result):
    scores = result.cells["linear", "red"].background
    content = json.loads((result.folder / "evaluation.json").read_text())
    assert content["results"][0]["background"]["psnr"]["value"] == pytest.approx(scores.psnr.value, abs=1e-4)
    assert "background" in content["definitions"]
    row = main_numbers(result, truncation_psi=1.0, seed=0)["rows"][0]
    assert row["background_psnr"] == pytest.approx(scores.psnr.value, abs=1e-3)
    assert row["background_perceptual"] == pytest.approx(scores.perceptual.value, abs=1e-3)
    head, line = result.summary().splitlines()
    assert "background PSNR" in head and f"{scores.psnr.value:.1f} dB" in line
    page = write_page(result).read_text()
    assert page.count(">background PSNR [dB]<") == page.count(">background distance<") == 2


def test_folders_without_it_are_loaded_and_resumed_without_it(toy, classifier, left_half, tmp_path):
    run(toy, classifier, tmp_path)
    older = Evaluation.load(tmp_path)
    assert older.cells["linear", "red"].background is None
    assert "background" not in older.summary()
    assert "background" not in json.dumps(dataclasses.asdict(older.request))
    assert "background_psnr" not in main_numbers(older, truncation_psi=1.0, seed=0)["rows"][0]
    with pytest.raises(InputError, match="another evaluators"):
        run(toy, classifier, tmp_path, person=left_half)
    assert run(toy, classifier, tmp_path).to_json() == older.to_json()


def test_images_full_of_the_person_have_no_background(toy, classifier, left_half, tmp_path):
    everywhere = run(toy, classifier, tmp_path, person=lambda images: jnp.ones(images.shape[:3]))
    scores = everywhere.cells["linear", "red"].background
    assert scores.share == 0 and np.isnan(scores.psnr.value) and scores.perceptual is None
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["results"][0]["background"]["psnr"]["value"] is None
