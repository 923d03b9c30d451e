"""The script that learns the curves of the default axes, as small as it goes, and stopped on its way."""

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.quality import learn_layer_steps
from jaxedit.axes.layer_curves import load_layer_curves
from jaxedit.latents.pca import fit_pca
from jaxedit.pretrained.registry import load_labelled_latents

pytestmark = pytest.mark.slow

SIZES = {
    "faces": 4,
    "derivatives": 1,
    "images": 4,
    "calibration-faces": 2,
    "calibrations": 1,
    "batch-size": 2,
    "attributes": "smile",
}
ARGUMENTS = [text for name, value in SIZES.items() for text in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a whole run, and what it said."""
    out = tmp_path_factory.mktemp("curves")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn_layer_steps, "_BATCH", 2)
        patch.setattr(learn_layer_steps, "_SAVE_EVERY", 1)
        patch.setattr(learn_layer_steps, "_PREVIEW_FACES", 4)
        result = CliRunner().invoke(learn_layer_steps.app, ["--out", str(out), *ARGUMENTS])
        assert result.exit_code == 0, result.output
        first = (out / "steps.npz").read_bytes()
        # As after a kill between the two batches, before the calibration.
        (out / "steps.npz").unlink()
        (out / "descent" / "000002.npz").unlink()
        again = CliRunner().invoke(learn_layer_steps.app, ["--out", str(out), *ARGUMENTS])
        assert again.exit_code == 0, again.output
    return out, first


def test_a_stopped_run_ends_with_the_same_steps(run):
    out, first = run
    assert (out / "steps.npz").read_bytes() == first
    assert not list(out.rglob("*.partial"))


def test_the_steps_fit_the_default_axes(run):
    out, _ = run
    pca = fit_pca(load_labelled_latents("mobile-stylegan-ffhq").w)
    steps = load_layer_curves(out / "steps.npz", ("smile",), pca)
    assert steps.tangents.shape == (1, 6, pca.num_components)
    lengths = np.linalg.norm(np.asarray(steps.tangents[0]), axis=1)
    assert (lengths > 0.01).all()
    assert np.isfinite(steps.curvatures).all()


def test_wrong_numbers_and_names_are_refused(tmp_path):
    for arguments, text in (
        (["--faces", "2", "--derivatives", "3"], "--faces: expected"),
        (["--images", "0"], "--images: expected 1"),
        ([*ARGUMENTS, "--attributes", "hat"], "got hat"),
    ):
        result = CliRunner().invoke(learn_layer_steps.app, ["--out", str(tmp_path / "new"), *arguments])
        assert result.exit_code == 1
        assert text in result.output
