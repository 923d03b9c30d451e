import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from jaxedit.axes import AxesConfig, fit_pca, learn_axes, learn_axes_sweep
from jaxedit.axes.learning import learn
from jaxedit.axes.learning.network import TrainedAutoencoder
from jaxedit.errors import CheckpointError, InputError, JaxeditError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.storage.checkpoints import save_checkpoint
from tests.axes.conftest import NAMES, SMALL


def assert_same(a, b):
    """Assert that trees are equal in all bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_axes_follow_their_labels_and_edits_stay_on_their_axis(axes):
    assert axes.attribute_names == NAMES
    report = axes.report
    assert np.min(report.axis_label_correlation) > 0.8
    assert report.code_correlation < 0.1
    assert np.mean(report.leakage) < 0.1
    assert report.effects.shape == (3, 3)
    np.testing.assert_allclose(np.diagonal(report.effects), 1.0, atol=0.25)
    assert report.reconstruction_error < 0.01
    assert set(report.summary()) >= {"leakage", "axis_label_correlation", "code_correlation"}


def test_history_is_kept_for_every_step_and_chunk(axes):
    assert axes.history["total"].shape == (SMALL.num_steps,)
    np.testing.assert_array_equal(axes.history["held_out_step"], [20, 40, 60])
    expected = (
        axes.history["reconstruction"]
        + SMALL.attribute_weight * axes.history["attribute"]
        + SMALL.decorrelation_weight * axes.history["decorrelation"]
    )
    np.testing.assert_allclose(axes.history["total"], expected, rtol=1e-4)
    last = axes.history["held_out_axis_label_correlation"][-1]
    np.testing.assert_allclose(last, axes.report.axis_label_correlation.mean(), atol=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(dataset, pca, axes):
    again = learn_axes(dataset, pca, SMALL, progress=False)
    assert_same(again, axes)
    other = learn_axes(dataset, pca, dataclasses.replace(SMALL, seed=1), progress=False)
    assert not np.array_equal(other.history["total"], axes.history["total"])


def test_an_interrupted_run_resumes_to_the_same_bits(dataset, pca, axes, tmp_path, monkeypatch):
    calls = 0
    original = learn.run_chunk

    def killed_in_the_last_chunk(*arguments):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(learn, "run_chunk", killed_in_the_last_chunk)
    with pytest.raises(KeyboardInterrupt):
        learn_axes(dataset, pca, SMALL, checkpoint_dir=tmp_path / "run", progress=False)
    assert_same(learn_axes(dataset, pca, SMALL, checkpoint_dir=tmp_path / "run", progress=False), axes)
    assert calls == 4  # two chunks before, one killed, one after
    # A finished run has nothing left to do.
    assert_same(learn_axes(dataset, pca, SMALL, checkpoint_dir=tmp_path / "run", progress=False), axes)
    assert calls == 4
    with pytest.raises(CheckpointError, match="another config"):
        other = dataclasses.replace(SMALL, seed=1)
        learn_axes(dataset, pca, other, checkpoint_dir=tmp_path / "run", progress=False)
    shifted = dataclasses.replace(dataset, values=dataset.values + 1)
    with pytest.raises(CheckpointError, match="another checksums"):
        learn_axes(shifted, pca, SMALL, checkpoint_dir=tmp_path / "run", progress=False)


def test_a_sweep_equals_single_runs(dataset, pca, axes):
    stronger = dataclasses.replace(SMALL, attribute_weight=0.1, learning_rate=3e-3, seed=2)
    first, second = learn_axes_sweep(dataset, pca, [SMALL, stronger], progress=False)
    assert (first.config, second.config) == (SMALL, stronger)
    single = learn_axes(dataset, pca, stronger, progress=False)
    for swept, alone in ((first, axes), (second, single)):
        np.testing.assert_allclose(swept.history["total"], alone.history["total"], rtol=1e-2)
        np.testing.assert_allclose(
            swept.report.axis_label_correlation, alone.report.axis_label_correlation, atol=0.02
        )
    assert not np.allclose(first.history["total"], second.history["total"])


def test_a_sweep_names_the_setting_that_may_not_differ(dataset, pca):
    with pytest.raises(InputError, match="one hidden_width"):
        learn_axes_sweep(dataset, pca, [SMALL, dataclasses.replace(SMALL, hidden_width=8)])
    with pytest.raises(InputError, match="got none"):
        learn_axes_sweep(dataset, pca, [])


@pytest.mark.slow
def test_the_published_recipe_trains(dataset, pca):
    config = AxesConfig.paper(
        num_layers=3, hidden_width=32, num_epochs=2, attribute_weight=1.0, learning_rate=3e-3
    )
    axes = learn_axes(dataset, pca, config, progress=False)
    assert len(axes.history["total"]) == 2 * (1400 // 256)
    assert axes.history["total"][-1] < axes.history["total"][0]


def test_the_published_architecture():
    autoencoder = nnx.eval_shape(lambda: TrainedAutoencoder(60, AxesConfig.paper(), rngs=nnx.Rngs(0)))
    for network in (autoencoder.encoder, autoencoder.decoder):
        assert [layer.kernel.shape for layer in network.layers] == [(60, 512), *[(512, 512)] * 6, (512, 60)]
        assert len(network.norms) == 7
    assert autoencoder.code_norm.scale.shape == (60,)
    assert autoencoder.linear is None


def test_errors_of_the_inputs(dataset, pca):
    with pytest.raises(InputError, match="PCA's width 16, got 32"):
        learn_axes(dataset, fit_pca(dataset.w[:, :16], 8), SMALL)
    with pytest.raises(InputError, match="1…2 attributes"):
        learn_axes(dataset, fit_pca(dataset.w, 2), SMALL)
    with pytest.raises(InputError, match="batches of 1500"):
        learn_axes(dataset, pca, dataclasses.replace(SMALL, batch_size=1500))
    flat = dataset.values.copy()
    flat[:, 1] = 0
    with pytest.raises(InputError, match="'smile'"):
        learn_axes(LabelledLatents(dataset.w, flat, NAMES, dataset.attribute_units), pca, SMALL)


@pytest.mark.filterwarnings("ignore")
def test_divergence_is_an_error(dataset, pca):
    with pytest.raises(JaxeditError, match="learning_rate"):
        learn_axes(dataset, pca, dataclasses.replace(SMALL, learning_rate=1e30), progress=False)


def test_a_training_of_an_earlier_version_is_refused(dataset, pca, tmp_path):
    identity = learn._identity(dataset, pca, SMALL)
    arrays = {"state": {"step": np.int32(20)}, "losses": np.zeros((20, 4)), "held_out": np.zeros((1, 3))}
    folder = save_checkpoint(tmp_path / "run", kind="axes-training", config=identity, arrays=arrays)
    with pytest.raises(CheckpointError, match="remove it or give another folder"):
        learn_axes(dataset, pca, SMALL, checkpoint_dir=folder, progress=False)
