import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    r = np.random.RandomState(0)
    columns = [
        40 + 10 * r.randn(8000),
        np.exp(r.randn(8000)),
        r.beta(0.5, 0.5, 8000),
        5 + r.rand(8000) * 1e-3,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def quantile_transform(values) -> QuantileTransform:
    return fit_quantile_transform(values)


def test_positions_are_the_normal_scores(values, quantile_transform):
    positions = np.asarray(quantile_transform.transform(values))
    scores = scipy.stats.norm.ppf((scipy.stats.rankdata(values, axis=0) - 0.5) / len(values))
    inside = np.abs(scores) < 2.5
    assert np.abs(positions - scores)[inside].max() < 0.1
    assert np.sqrt(np.mean((positions - scores) ** 2, axis=0)).max() < 0.03
    for column in positions.T:
        assert scipy.stats.kstest(column, "norm").statistic < 0.01


def test_round_trip_in_the_attributes_unit(values, quantile_transform):
    back = quantile_transform.inverse_transform(quantile_transform.transform(values))
    np.testing.assert_allclose(back, values, rtol=1e-5, atol=1e-5)


def test_increasing_smooth_and_invertible_far_outside_the_fitted_range(quantile_transform):
    positions = np.linspace(-8, 8, 2001).astype(np.float32)[:, None].repeat(4, axis=1)
    values = np.asarray(quantile_transform.inverse_transform(positions))
    assert (np.diff(values, axis=0) >= 0).all()
    assert (np.diff(values[:, :3], axis=0) > 0).all()
    np.testing.assert_allclose(quantile_transform.transform(values)[:, :2], positions[:, :2], atol=1e-3)
    # Linear tails: equal steps.
    steps = np.diff(values[-200:, 0])
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-2)


def test_ties_share_the_score_of_their_mean_rank():
    values = np.array([0.0] * 500 + [1.0] * 300 + [2.0] * 200, np.float32)[:, None]
    quantile_transform = fit_quantile_transform(values)
    positions = np.asarray(quantile_transform.transform(np.array([[0.0], [1.0], [2.0]], np.float32)))[:, 0]
    np.testing.assert_allclose(positions, scipy.stats.norm.ppf([0.25, 0.65, 0.9]), atol=1e-5)
    np.testing.assert_allclose(
        quantile_transform.inverse_transform(positions[:, None])[:, 0], [0, 1, 2], atol=1e-5
    )


def test_two_values_and_few_samples():
    quantile_transform = fit_quantile_transform(np.array([[0.0], [1.0]], np.float32))
    positions = quantile_transform.transform(np.array([[0.0], [0.5], [1.0]], np.float32))
    np.testing.assert_allclose(positions[:, 0], scipy.stats.norm.ppf([0.25, 0.5, 0.75]), atol=1e-5)


def test_errors_name_the_attribute(values):
    names = ["age", "skew", "share", "width"]
    constant = values.copy()
    constant[:, 1] = 3.0
    with pytest.raises(InputError, match=r"'skew'.*variance"):
        fit_quantile_transform(constant, names)
    constant[7, 2] = np.nan
    with pytest.raises(InputError, match=r"'share'.*NaN|'skew'"):
        fit_quantile_transform(constant, names)
    with pytest.raises(InputError, match="attribute_names"):
        fit_quantile_transform(values, names[:2])
    with pytest.raises(InputError, match="two samples"):
        fit_quantile_transform(values[:1])
    with pytest.raises(InputError, match="4 attributes"):
        fit_quantile_transform(values).transform(values[:, :2])


def test_works_under_jit_vmap_and_grad(values, quantile_transform):
    expected = quantile_transform.transform(values)
    jitted = jax.jit(lambda g, v: g.transform(v))(quantile_transform, values)
    np.testing.assert_allclose(jitted, expected, atol=1e-5)
    np.testing.assert_allclose(
        jax.vmap(quantile_transform.transform)(jnp.asarray(values)), expected, atol=1e-5
    )
    slope = jax.grad(lambda v: quantile_transform.transform(v)[0])(jnp.asarray(values[0]))
    assert np.isfinite(slope).all() and slope[0] > 0
    back = jax.grad(lambda t: quantile_transform.inverse_transform(t)[0])(expected[0])
    np.testing.assert_allclose(back[0] * slope[0], 1.0, rtol=1e-3)


def test_save_and_load(tmp_path, quantile_transform):
    quantile_transform.save(tmp_path / "g")
    jax.tree.map(np.testing.assert_array_equal, QuantileTransform.load(tmp_path / "g"), quantile_transform)
