import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes import AttributeAxes
from jaxedit.axes.layer_steps import LayerSteps
from jaxedit.errors import InputError

GROUPS = np.array([0, 0, 1, 1, 2, 2, 2, 2], np.int32)


@pytest.fixture(scope="module")
def layered(axes) -> AttributeAxes:
    """The axes with random steps, different in each of three groups of eight style inputs."""
    coordinates = np.random.RandomState(3).randn(3, 3, axes.pca.num_components).astype(np.float32)
    return dataclasses.replace(axes, steps=LayerSteps(jnp.asarray(coordinates), jnp.asarray(GROUPS)))


@pytest.fixture(scope="module")
def w(dataset) -> np.ndarray:
    return dataset.w[:6]


def test_each_style_input_moves_by_the_step_of_its_group(layered, w):
    edited = np.asarray(layered.edit(w, {"smile": 0.5}))
    assert edited.shape == (6, 8, w.shape[1])
    scale = np.sqrt(np.asarray(layered.pca.explained_variance[: layered.pca.num_components]))
    for layer, group in enumerate(GROUPS):
        step = (np.asarray(layered.steps.coordinates)[1, group] * scale) @ np.asarray(
            layered.pca.components[: len(scale)]
        )
        np.testing.assert_allclose(edited[:, layer] - w, np.broadcast_to(0.5 * step, w.shape), atol=1e-4)


def test_an_empty_edit_is_exact(layered, w):
    for edits in ({}, {"age": 0.0}):
        edited = np.asarray(layered.edit(w, edits))
        np.testing.assert_array_equal(edited, np.repeat(w[:, None], 8, axis=1))


def test_edits_add_up_in_any_order_and_are_undone(layered, w):
    edits = [("age", 1.0), ("smile", -0.7), ("yaw", 0.4)]
    together = layered.edit(w, dict(edits))
    for order in itertools.permutations(edits):
        latents = w
        for name, amount in order:
            latents = layered.edit(latents, {name: amount})
        np.testing.assert_allclose(latents, together, atol=2e-4)
    for name, amount in edits:
        together = layered.edit(together, {name: -amount})
    np.testing.assert_allclose(together, np.repeat(w[:, None], 8, axis=1), atol=5e-4)


def test_an_edited_latent_reads_as_moved_by_the_amount(layered, w):
    before = np.asarray(layered.encode(w))
    after = np.asarray(layered.encode(layered.edit(w, {"age": 1.5, "yaw": -1.0})))
    np.testing.assert_allclose(after[:, :3] - before[:, :3], np.tile([1.5, 0.0, -1.0], (6, 1)), atol=2e-3)
    np.testing.assert_allclose(after[:, 3:], before[:, 3:], atol=2e-3)


def test_absolute_positions_hold_after_other_edits(layered, w):
    edited = layered.edit(layered.edit(w, {"smile": 1.0}), {"age": 40.0}, absolute=True, units="raw")
    ages = layered.read(edited)[:, 0]
    np.testing.assert_allclose(ages, 40.0, rtol=1e-2)
    again = layered.edit(edited, {"age": 40.0}, absolute=True, units="raw")
    np.testing.assert_allclose(again, edited, atol=2e-3)


def test_chosen_layers_alone_change(layered, w):
    edited = np.asarray(layered.edit(w, {"age": 1.0}, layers=range(0, 4)))
    np.testing.assert_array_equal(edited[:, 4:], np.repeat(w[:, None], 4, axis=1))
    assert np.abs(edited[:, :4] - w[:, None]).min(2).max() > 0


def test_space_w_is_the_edit_without_steps(layered, axes, w):
    np.testing.assert_array_equal(layered.edit(w, {"age": 1.0}, space="w"), axes.edit(w, {"age": 1.0}))
    np.testing.assert_array_equal(
        layered.edit(w, {"age": 1.0}, mode="decode"), axes.edit(w, {"age": 1.0}, mode="decode")
    )


def test_gradients_flow_through_an_edit(layered, w):
    gradient = jax.grad(lambda w: layered.edit(w, {"age": 1.0}).sum())(jnp.asarray(w))
    np.testing.assert_allclose(gradient, np.full_like(w, 8.0), atol=1e-3)


def test_saved_axes_keep_their_steps(layered, w, tmp_path):
    loaded = AttributeAxes.load(layered.save(tmp_path / "axes"))
    np.testing.assert_array_equal(loaded.edit(w, {"age": 1.0}), layered.edit(w, {"age": 1.0}))


def test_what_does_not_fit_is_refused(layered, axes, w):
    with pytest.raises(InputError, match="no layer steps"):
        axes.edit(w, {"age": 1.0}, space="w_plus")
    with pytest.raises(InputError, match="mode 'decode'"):
        layered.edit(w, {"age": 1.0}, space="w_plus", mode="decode")
    with pytest.raises(InputError, match="8 layers"):
        layered.edit(np.repeat(w[:, None], 5, axis=1), {"age": 1.0})
