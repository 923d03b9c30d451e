import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_regression
from sklearn.linear_model import Lasso
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import KBinsDiscretizer, scale

from jaxedit.errors import InputError
from jaxedit.evaluation.disentanglement import (
    dci,
    disentanglement_and_completeness,
    lasso,
    mutual_information,
    mutual_information_gap,
    quantile_bins,
    separated_attribute_predictability,
)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def halves(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, ...]:
    middle = len(codes) // 2
    return codes[:middle], factors[:middle], codes[middle:], factors[middle:]


def correlated(num: int, correlation: float, seed: int = 0) -> np.ndarray:
    """Three factors, each pair of which correlates by so much."""
    return normal(num, 3, seed=seed) @ np.linalg.cholesky(
        correlation + (1 - correlation) * np.eye(3)
    ).T.astype(np.float32)


def rotation(k: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(normal(k, k, seed=seed))[0]


FACTORS = normal(4000, 3)
PERFECT = np.concatenate([2 - 3 * FACTORS[:, [2, 0, 1]], normal(4000, 5, seed=1)], axis=1)
"""The factors in another order, scaled, shifted and turned round, and five codes of nothing."""


def test_perfect_codes_score_one():
    result = dci(*halves(PERFECT, FACTORS), penalty=0.1)
    np.testing.assert_allclose(result.disentanglement, 1, atol=1e-3)
    np.testing.assert_allclose(result.completeness, 1, atol=1e-3)
    np.testing.assert_allclose(result.informativeness, 1 - 0.1**2, atol=2e-3)
    np.testing.assert_array_equal(np.argmax(result.importance, axis=0), [1, 2, 0])
    np.testing.assert_allclose(separated_attribute_predictability(PERFECT, FACTORS), 1, atol=5e-3)
    # Independent codes look informative by (20 − 1)² / 2n nats of ln 20.
    np.testing.assert_allclose(
        mutual_information_gap(PERFECT, FACTORS), 1, atol=361 / 8000 / np.log(20) + 5e-3
    )


def test_rotated_codes_score_low_but_are_as_informative():
    turned = FACTORS @ rotation(3)
    result = dci(*halves(turned, FACTORS))
    assert result.disentanglement < 0.5
    assert result.completeness < 0.5
    assert result.informativeness > 0.998
    assert mutual_information_gap(turned, FACTORS) < 0.3
    assert separated_attribute_predictability(turned, FACTORS) < 0.6
    equal = FACTORS[:, :2] @ np.array([[1, 1], [1, -1]], np.float32) / np.sqrt(2)
    result = dci(*halves(equal, FACTORS[:, :2]))
    np.testing.assert_allclose([result.disentanglement, result.completeness], 0, atol=1e-2)
    assert mutual_information_gap(equal, FACTORS[:, :2]) < 0.02
    assert separated_attribute_predictability(equal, FACTORS[:, :2]) < 0.06


def test_codes_of_noise_score_zero():
    noise = normal(4000, 6, seed=1)
    result = dci(*halves(noise, FACTORS), penalty=0.1)
    assert (result.disentanglement, result.completeness) == (0, 0)
    np.testing.assert_allclose(result.informativeness, 0, atol=0.01)
    assert 0 <= mutual_information_gap(noise, FACTORS) < 0.01
    assert 0 <= separated_attribute_predictability(noise, FACTORS) < 0.005


def test_correlated_factors_cap_mig_and_sap_but_not_dci():
    factors = correlated(20_000, 0.6)
    result = dci(*halves(factors, factors))
    assert result.disentanglement > 0.99
    assert result.completeness > 0.99
    np.testing.assert_allclose(separated_attribute_predictability(factors, factors), 1 - 0.6**2, atol=0.02)
    gap = mutual_information_gap(factors, factors)
    rival = -0.5 * np.log(1 - 0.6**2) / np.log(20)
    np.testing.assert_allclose(gap, 1 - rival, atol=0.02)


def test_disentanglement_and_completeness_by_hand():
    # Code 0 serves factor 0 alone; code 1 serves both alike; code 2 nothing.
    importance = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    disentanglement, completeness = disentanglement_and_completeness(importance)
    np.testing.assert_allclose(disentanglement, (3 * 1 + 2 * 0) / 5, rtol=1e-6)
    of_first = 1 + (0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(3)
    np.testing.assert_allclose(completeness, (of_first + 1) / 2, rtol=1e-6)
    assert disentanglement_and_completeness(np.zeros((4, 3), np.float32)) == (0, 0)


def test_importances_of_another_regressor():
    importance = normal(8, 3, seed=4) ** 2
    result = dci(*halves(PERFECT, FACTORS), importance=importance)
    np.testing.assert_allclose(
        result[:2], disentanglement_and_completeness(importance), rtol=1e-6, err_msg=str(result[:2])
    )
    assert result.informativeness > 0.99


@pytest.mark.parametrize("penalty", [0.01, 0.05, 0.3])
def test_lasso_agrees_with_scikit_learn(penalty):
    # Correlated codes, one of them constant, and a mean and scale to standardize away.
    codes = 5 + 3 * normal(600, 30) @ (np.eye(30) + 0.3 * normal(30, 30, seed=1)).astype(np.float32)
    factors = codes[:, :4] @ normal(4, 4, seed=2) + 2 * normal(600, 4, seed=3)
    codes[:, 7] = 4.0
    expected = Lasso(alpha=penalty, fit_intercept=False, tol=1e-10, max_iter=100_000)
    expected.fit(scale(codes.astype(np.float64)), scale(factors.astype(np.float64)))
    weights = np.asarray(lasso(codes, factors, penalty))
    np.testing.assert_allclose(weights, expected.coef_.T, atol=2e-4)
    assert (weights[7] == 0).all()
    assert ((weights == 0) == (expected.coef_.T == 0)).mean() > 0.98


def test_mutual_information_agrees_with_scikit_learn():
    codes = np.concatenate([PERFECT[:, :2], np.round(FACTORS[:, :1] + normal(4000, 1, seed=5))], axis=1)
    code_bins, factor_bins = quantile_bins(codes, 20), quantile_bins(FACTORS, 20)
    found = np.asarray(mutual_information(code_bins, factor_bins, 20))
    for i, j in np.ndindex(found.shape):
        expected = mutual_info_score(np.asarray(code_bins)[:, i], np.asarray(factor_bins)[:, j])
        np.testing.assert_allclose(found[i, j], expected, atol=1e-5)


def test_mutual_information_of_gaussian_variables():
    factors = correlated(20_000, 0.8)
    bins = quantile_bins(factors, 20)
    found = float(mutual_information(bins, bins, 20)[0, 1])
    np.testing.assert_allclose(found, -0.5 * np.log(1 - 0.8**2), atol=0.04)
    np.testing.assert_allclose(found, mutual_info_regression(factors[:, :1], factors[:, 1])[0], atol=0.04)


def test_quantile_bins_have_equal_shares_and_keep_equal_values_together():
    values = normal(1000, 2)
    bins = np.asarray(quantile_bins(values, 20))
    for column in range(2):
        np.testing.assert_array_equal(np.bincount(bins[:, column]), 50)
    expected = KBinsDiscretizer(20, encode="ordinal", strategy="quantile").fit_transform(values)
    assert (bins == expected).mean() > 0.99  # which side an edge belongs to is open
    discrete = np.random.RandomState(0).randint(0, 3, (1000, 2)).astype(np.float32)
    bins = np.asarray(quantile_bins(discrete, 20))
    for column in range(2):
        assert len(set(zip(discrete[:, column], bins[:, column], strict=True))) == 3


def test_scores_ignore_scale_shift_and_monotone_maps():
    codes = FACTORS @ rotation(3) + 0.3 * normal(4000, 3, seed=1)
    moved = codes * np.array([1, -5, 0.1], np.float32) + 3
    for score in (mutual_information_gap, separated_attribute_predictability):
        np.testing.assert_allclose(score(moved, FACTORS), score(codes, FACTORS), atol=2e-3)
    np.testing.assert_allclose(dci(*halves(moved, FACTORS))[:3], dci(*halves(codes, FACTORS))[:3], atol=1e-3)
    mapped = mutual_information_gap(np.exp(codes), FACTORS**3)
    np.testing.assert_allclose(mapped, mutual_information_gap(codes, FACTORS), atol=1e-5)


def test_columns_that_do_not_vary_count_nothing():
    codes, factors = PERFECT.copy(), FACTORS.copy()
    codes[:, 4], factors[:, 0] = 7.3, 0.1
    result = dci(*halves(codes, factors), penalty=0.1)
    assert (np.asarray(result.importance)[4] == 0).all()
    np.testing.assert_allclose(result.disentanglement, 1, atol=1e-3)
    np.testing.assert_allclose(result.completeness, 2 / 3, atol=1e-3)
    np.testing.assert_allclose(separated_attribute_predictability(codes, factors), 2 / 3, atol=5e-3)
    np.testing.assert_allclose(mutual_information_gap(codes, factors), 2 / 3, atol=0.02)


def test_scores_work_under_jit_and_vmap():
    both = np.stack([PERFECT, PERFECT[:, ::-1]])
    batched = jax.jit(jax.vmap(separated_attribute_predictability, in_axes=(0, None)))(both, FACTORS)
    np.testing.assert_allclose(batched, 1, atol=5e-3)
    gaps = jax.jit(jax.vmap(mutual_information_gap, in_axes=(0, None)))(both, FACTORS)
    np.testing.assert_allclose(gaps[0], gaps[1], atol=1e-6)
    train, factors, test, truth = halves(PERFECT, FACTORS)
    swept = jax.vmap(lambda alpha: dci(train, factors, test, truth, penalty=alpha).informativeness)
    np.testing.assert_allclose(swept(jnp.array([0.1, 0.5])), [0.99, 0.75], atol=5e-3)


def test_errors_of_the_inputs():
    codes, factors = PERFECT[:50], FACTORS[:50]
    for score in (mutual_information_gap, separated_attribute_predictability, lasso):
        with pytest.raises(InputError, match="codes and factors: expected"):
            # Unwrapped: with types enforced, jaxtyping refuses it first.
            inspect.unwrap(score)(codes[:40], factors)
        with pytest.raises(InputError, match="codes: expected two or more"):
            score(codes[:, :1], factors)
        with pytest.raises(InputError, match="NaN or infinity in 1 of 50"):
            score(np.where(np.arange(50)[:, None] == 3, np.nan, codes).astype(np.float32), factors)
    with pytest.raises(InputError, match="held_out_codes: expected 8 columns"):
        inspect.unwrap(dci)(codes, factors, codes[:, :4], factors)
    with pytest.raises(InputError, match="penalty"):
        lasso(codes, factors, -1.0)
    with pytest.raises(InputError, match="importance: expected shape"):
        inspect.unwrap(dci)(codes, factors, codes, factors, importance=normal(3, 3) ** 2)
    with pytest.raises(InputError, match="numbers ≥ 0"):
        disentanglement_and_completeness(-np.ones((3, 3), np.float32))
    with pytest.raises(InputError, match="num_bins"):
        mutual_information_gap(codes, factors, num_bins=1)
