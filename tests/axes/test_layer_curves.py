import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes import AttributeAxes
from jaxedit.axes.layer_curves import LayerCurves, load_layer_curves, pseudo_huber
from jaxedit.errors import InputError

GROUPS = np.array([0, 0, 1, 1, 2, 2, 2, 2], np.int32)
ENDS = np.array([[-2, 2], [-1, 0.5], [-9, 9]], np.float32)
SLOPES = np.array([0.5, 0.4, 1], np.float32)


@pytest.fixture(scope="module")
def layered(axes) -> AttributeAxes:
    """The axes with random curves, different in each of three groups of eight layers of W+."""
    curves = np.random.RandomState(3).randn(2, 3, 3, axes.pca.num_components).astype(np.float32)
    arrays = (*curves, ENDS, SLOPES, GROUPS)
    return dataclasses.replace(axes, curves=LayerCurves(*map(jnp.asarray, arrays)))


@pytest.fixture(scope="module")
def w(dataset) -> np.ndarray:
    return dataset.w[:6]


def test_each_layer_moves_along_the_curve_of_its_group(layered, w):
    scale = np.sqrt(np.asarray(layered.pca.explained_variance[: layered.pca.num_components]))
    components = np.asarray(layered.pca.components[: len(scale)])
    positions = np.asarray(layered.encode(w))[:, 1]

    def along(position):
        inside = np.clip(position, -1, 0.5)
        return inside + 0.4 * (position - inside)

    for amount in (0.5, -2.0, 2.0):
        edited = np.asarray(layered.edit(w, {"smile": amount}))
        assert edited.shape == (6, 8, w.shape[1])
        moved = (along(positions + amount) - along(positions))[:, None]
        assert np.ptp(np.abs(moved)) > 0.05  # faces near an end move less
        for layer, group in enumerate(GROUPS):
            tangent, curvature = (
                np.asarray(c)[1, group] for c in (layered.curves.tangents, layered.curves.curvatures)
            )
            move = ((moved * tangent + (np.hypot(1, moved) - 1) * curvature) * scale) @ components
            np.testing.assert_allclose(edited[:, layer] - w, move, atol=5e-4)


def test_an_empty_edit_is_exact(layered, w):
    for edits in ({}, {"age": 0.0}):
        edited = np.asarray(layered.edit(w, edits))
        np.testing.assert_array_equal(edited, np.repeat(w[:, None], 8, axis=1))


def test_edits_add_up_in_any_order_and_are_undone(layered, w):
    edits = [("age", 1.0), ("smile", -1.7), ("yaw", 1.4)]
    together = layered.edit(w, dict(edits))
    for order in itertools.permutations(edits):
        latents = w
        for name, amount in order:
            latents = layered.edit(latents, {name: amount})
        np.testing.assert_allclose(latents, together, atol=2e-4)
    for name, amount in edits:
        together = layered.edit(together, {name: -amount})
    np.testing.assert_allclose(together, np.repeat(w[:, None], 8, axis=1), atol=5e-4)


def test_reading_an_edited_latent_gives_the_amount(layered, w):
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


def test_differences_from_a_pivot_are_kept(layered, w):
    own = np.random.RandomState(4).randn(6, 8, w.shape[1]).astype(np.float32)
    own -= own.mean(1, keepdims=True)
    pivot = w[:, None] + own
    np.testing.assert_array_equal(layered.edit(pivot, {"age": 0.0}, pivot=pivot), pivot)
    # Each layer moves as that of the mean does, wherever the pivot's own differences would have put it.
    for edits in ({"age": 1.0, "smile": -1.7}, {"yaw": 2.0}):
        moved = layered.edit(pivot, edits, pivot=pivot)
        np.testing.assert_allclose(moved, layered.edit(w, edits) + own, atol=5e-4)
        assert np.abs(np.asarray(moved - layered.edit(pivot, edits))).max() > 0.1
    np.testing.assert_allclose(
        layered.read(moved, pivot=pivot), layered.read(layered.edit(w, edits)), rtol=1e-2
    )
    back = layered.edit(moved, {"yaw": -2.0}, pivot=pivot)
    np.testing.assert_allclose(back, pivot, atol=5e-4)
    one = layered.edit(
        pivot[:1] + np.zeros_like(pivot), {"age": 1.0}, pivot=pivot[:1]
    )  # one pivot for many edits
    np.testing.assert_allclose(one, np.repeat(one[:1], 6, axis=0), atol=1e-4)


def test_only_chosen_layers_change(layered, w):
    edited = np.asarray(layered.edit(w, {"age": 1.0}, layers=range(0, 4)))
    np.testing.assert_array_equal(edited[:, 4:], np.repeat(w[:, None], 4, axis=1))
    assert np.abs(edited[:, :4] - w[:, None]).min(2).max() > 0


def test_space_w_is_the_edit_without_curves(layered, axes, w):
    np.testing.assert_array_equal(layered.edit(w, {"age": 1.0}, space="w"), axes.edit(w, {"age": 1.0}))
    np.testing.assert_array_equal(
        layered.edit(w, {"age": 1.0}, mode="decode"), axes.edit(w, {"age": 1.0}, mode="decode")
    )


def test_gradients_flow_through_an_edit(layered, w):
    gradient = jax.grad(lambda w: layered.edit(w, {"age": 1.0}).sum())(jnp.asarray(w))
    np.testing.assert_allclose(gradient, np.full_like(w, 8.0), atol=1e-3)


def test_pseudo_huber_is_accurate_for_small_amounts():
    np.testing.assert_allclose(pseudo_huber(jnp.float32(1e-3)), 5e-7, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(pseudo_huber)(0.0), 0.0)


def test_saved_axes_keep_their_curves(layered, w, tmp_path):
    loaded = AttributeAxes.load(layered.save(tmp_path / "axes"))
    np.testing.assert_array_equal(loaded.edit(w, {"age": 1.0}), layered.edit(w, {"age": 1.0}))


def test_inputs_that_do_not_fit_are_refused(layered, axes, w):
    with pytest.raises(InputError, match="no layer curves"):
        axes.edit(w, {"age": 1.0}, space="w_plus")
    with pytest.raises(InputError, match="mode 'decode'"):
        layered.edit(w, {"age": 1.0}, space="w_plus", mode="decode")
    with pytest.raises(InputError, match="8 layers"):
        layered.edit(np.repeat(w[:, None], 5, axis=1), {"age": 1.0})
    w_plus = np.repeat(w[:, None], 8, axis=1)
    with pytest.raises(InputError, match=r"pivot: expected with latents of W\+"):
        layered.edit(w, {"age": 1.0}, pivot=w_plus)
    with pytest.raises(InputError, match="pivot: expected the shape of w"):
        layered.read(w_plus, pivot=w_plus[:2])
    with pytest.raises(InputError, match="pivot: expected finite numbers"):
        layered.edit(w_plus, {"age": 1.0}, pivot=np.full_like(w_plus, np.nan))


def test_saved_curves_are_read_unchanged(layered, w, tmp_path):
    pca, names = layered.pca, layered.attribute_names
    scale = np.sqrt(np.asarray(pca.explained_variance[: pca.num_components]))
    in_w = {
        key: (np.asarray(curve) * scale) @ np.asarray(pca.components[: len(scale)])
        for key, curve in (("tangents", layered.curves.tangents), ("curvatures", layered.curves.curvatures))
    }
    path = tmp_path / "curves.npz"
    # In another order and with one more than the axes have.
    order, more = [2, 0, 1, 1], np.array([*(names[i] for i in (2, 0, 1)), "further"])
    rest = {"attribute_names": more, "group_of_layer": GROUPS, "ends": ENDS[order], "slopes": SLOPES[order]}
    np.savez(path, **rest, **{k: v[order] for k, v in in_w.items()})
    again = dataclasses.replace(layered, curves=load_layer_curves(path, names, pca))
    edits = {"age": 1.0, "smile": -1.5, "yaw": 0.5}
    np.testing.assert_allclose(again.edit(w, edits), layered.edit(w, edits), atol=1e-4)
    with pytest.raises(InputError, match="found none of hat"):
        load_layer_curves(path, ("hat",), pca)
    np.savez(path, **rest, tangents=in_w["tangents"][order])
    with pytest.raises(InputError, match="curvatures"):
        load_layer_curves(path, names, pca)
    np.savez(path, **(rest | {"slopes": 2 * SLOPES[order]}), **{k: v[order] for k, v in in_w.items()})
    with pytest.raises(InputError, match="slopes"):
        load_layer_curves(path, names, pca)
