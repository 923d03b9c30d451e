"""Missing values on the way from labels to axes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from jaxedit.axes.config import AxesConfig
from jaxedit.axes.correlations import axis_label_correlation, label_correlations
from jaxedit.axes.learning.learn import learn_axes, learn_axes_sweep
from jaxedit.axes.learning.losses import attribute_loss
from jaxedit.axes.learning.training import run_chunk
from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labels_file import Labels, load_labels, save_labels
from jaxedit.labels.quantile_transform import fit_quantile_transform
from jaxedit.labels.selection import predictable_attributes, ridge_correlations
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.ridge import ridge

NAMES = ("size", "hat", "length")


CONFIG = AxesConfig(num_layers=2, hidden_width=16, num_steps=40, steps_per_chunk=20, batch_size=128)


@pytest.fixture(scope="module")
def dataset() -> LabelledLatents:
    """A number, a rare yes or no, and three levels, each missing in other rows."""
    rs = np.random.RandomState(0)
    w = rs.randn(1500, 12).astype(np.float32)
    noise = 0.3 * rs.randn(1500, 3)
    scores = w[:, :3] + 0.5 * w[:, 1:4] + noise
    values = np.stack([30 + 5 * scores[:, 0], scores[:, 1] > 1.2, np.digitize(scores[:, 2], [-0.5, 1.0])], 1)
    values[rs.rand(1500, 3) < [0.0, 0.3, 0.6]] = np.nan
    return LabelledLatents(w, values.astype(np.float32), NAMES, ("cm", "0 or 1", "0…2"))


def test_levels_are_placed_by_their_frequencies():
    levels = np.repeat([0.0, 1.0, 2.0], [700, 250, 50]).astype(np.float32)[:, None]
    with_missing = np.concatenate([levels, np.full((400, 1), np.nan, np.float32)])
    expected = norm.ppf([0.35, 0.825, 0.975])  # of the mean rank of each level
    for values in (levels, with_missing):
        transform = fit_quantile_transform(values, ["length"])
        scores = np.asarray(transform.transform(np.float32([[0.0], [1.0], [2.0], [np.nan]])))[:, 0]
        np.testing.assert_allclose(scores[:3], expected, atol=1e-4)
        assert np.isnan(scores[3])
        np.testing.assert_allclose(transform.inverse_transform(scores[:3, None])[:, 0], [0, 1, 2], atol=1e-4)
    rare = np.repeat([0.0, 1.0], [995, 5]).astype(np.float32)[:, None]
    with pytest.raises(InputError, match=r"'hat'.* got 0 in 995 of 1000 samples; another .* in 11 samples"):
        fit_quantile_transform(rare, ["hat"])
    with pytest.raises(InputError, match="'hat': expected two known values or more, got 0 and 1000 missing"):
        fit_quantile_transform(np.full_like(rare, np.nan), ["hat"])


def test_the_transform_of_known_values_does_not_depend_on_missing_ones():
    values = np.random.RandomState(0).gamma(3.0, 2.0, (500, 1)).astype(np.float32)
    padded = np.full((800, 1), np.nan, np.float32)
    padded[np.random.RandomState(1).permutation(800)[:500]] = values
    for a, b in zip(*map(jax.tree.leaves, map(fit_quantile_transform, (values, padded))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_statistics_are_over_known_values(dataset):
    values = np.asarray(dataset.values)
    known = ~np.isnan(values)
    filled, mask = jnp.asarray(np.where(known, values, 99)), jnp.asarray(known)
    x = jnp.asarray(dataset.w)
    B = ridge(x, filled, known=mask)
    r = axis_label_correlation(x, filled, mask)
    for i in range(3):
        own = known[:, i]
        np.testing.assert_allclose(B[:, i], ridge(x[own], filled[own, i : i + 1])[:, 0], atol=2e-5)
        np.testing.assert_allclose(r[i], np.corrcoef(x[own, i], values[own, i])[0, 1], atol=1e-5)
    both = known[:, 1] & known[:, 2]
    expected = np.corrcoef(values[both, 1], values[both, 2])[0, 1]
    np.testing.assert_allclose(label_correlations(filled, mask)[1, 2], expected, atol=1e-5)
    few = mask.at[:, 2].set(~mask[:, 1]).at[:29, 1:].set(True)
    assert label_correlations(filled, few)[1, 2] == 0
    expected = np.where(known, np.asarray(x)[:, :3] - values, 0) ** 2
    np.testing.assert_allclose(attribute_loss(x, filled, mask), expected.sum(1).mean(), rtol=1e-5)
    gradient = jax.grad(lambda codes: attribute_loss(codes, jnp.where(mask, filled, jnp.nan), mask))(x)
    assert np.isfinite(gradient).all() and (np.asarray(gradient)[:, :3][~known] == 0).all()


def test_selection(dataset):
    values = jnp.asarray(dataset.values)
    r = np.asarray(ridge_correlations(jnp.asarray(dataset.w), values, known=~jnp.isnan(values)))
    assert r[0] > 0.9 and 0.6 < r[1] < r[0] and r[2] > 0.8
    complete = dataset.select(["size"])
    same = ridge_correlations(complete.w, complete.values, known=jnp.ones((1500, 1), bool))
    np.testing.assert_allclose(same, ridge_correlations(complete.w, complete.values), atol=1e-5)
    assert list(predictable_attributes(dataset)) == list(NAMES)


@pytest.fixture(scope="module")
def pca(dataset):
    return fit_pca(dataset.w, 12)


@pytest.fixture(scope="module")
def axes(dataset, pca):
    return learn_axes(dataset, pca, CONFIG, progress=False)


def test_axes_are_learned_from_known_values(dataset, pca, axes, tmp_path):
    assert np.asarray(axes.report.known_labels)[0] == 450
    assert 250 < axes.report.known_labels[1] < 400 and 120 < axes.report.known_labels[2] < 240
    assert (np.asarray(axes.report.axis_label_correlation) > [0.85, 0.5, 0.7]).all()
    assert np.isfinite(axes.history["attribute"]).all()
    w = np.asarray(dataset.w[:50])
    raised = np.asarray(axes.read(axes.edit(w, {"hat": 1.0})) - axes.read(w))
    assert raised[:, 1].min() > 0.05

    programs = run_chunk._cache_size()
    other = dataclasses.replace(
        dataset, values=jnp.where(jnp.isnan(dataset.values), jnp.nan, dataset.values + 1)
    )
    other = dataclasses.replace(other, values=jnp.asarray(other.values).at[:99, 0].set(jnp.nan))
    learn_axes(other, pca, CONFIG, progress=False)
    assert run_chunk._cache_size() == programs  # one program for all datasets with missing values
    again = jaxedit_load(axes.save(tmp_path / "axes"))
    np.testing.assert_array_equal(again.report.known_labels, axes.report.known_labels)
    older = dataclasses.replace(axes, report=dataclasses.replace(axes.report, known_labels=None))
    assert jaxedit_load(older.save(tmp_path / "older")).report.known_labels is None


@pytest.mark.slow
def test_a_sweep_learns_from_known_values_too(dataset, pca, axes):
    (swept,) = learn_axes_sweep(dataset, pca, [CONFIG], progress=False)
    np.testing.assert_allclose(
        swept.report.axis_label_correlation, axes.report.axis_label_correlation, atol=2e-3
    )


def jaxedit_load(folder):
    from jaxedit.axes.attribute_axes import AttributeAxes

    return AttributeAxes.load(folder)


def test_what_is_hardly_known_is_refused(dataset, pca):
    values = np.array(dataset.values)
    values[3:, 2] = np.nan
    with pytest.raises(InputError, match="'length': expected two known values or more"):
        learn_axes(dataclasses.replace(dataset, values=values), pca, AxesConfig(num_steps=1), progress=False)
    values[0, 0] = np.inf
    with pytest.raises(InputError, match="NaN where a value is missing, got infinity in 1 of 1500 rows"):
        dataclasses.replace(dataset, values=values)


def test_labels_with_missing_values_are_kept(tmp_path, run):
    values = np.float32([[1, np.nan], [3, 0], [5, 1]])
    labels = Labels("toy", 1, values, ("age", "hat"), ("years", "0 or 1"), np.zeros(3, "f"), np.zeros(3, "f"))
    path = save_labels(labels, tmp_path / "labels.npz")
    np.testing.assert_array_equal(load_labels(path).values, values)
    with np.load(path) as file:
        arrays = dict(file)
    assert arrays["format"] == 2  # earlier versions refuse it
    np.savez(tmp_path / "damaged.npz", **(arrays | {"format": np.int32(1)}))
    with pytest.raises(InputError, match="found NaN or infinity in values"):
        load_labels(tmp_path / "damaged.npz")
    code, printed, err = run("info", path)
    assert code == 0, err
    assert printed.splitlines()[-1].split() == ["hat", "0", "or", "1", "0.05", "0.50", "0.95", "1"]
