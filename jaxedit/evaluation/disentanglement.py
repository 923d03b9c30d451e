"""Disentanglement scores of the literature, DCI, MIG and SAP, of codes against known factors.

All three measure how far each factor v_j has one code dimension c_i of its own:

- `dci` (Eastwood and Williams, *A Framework for the Quantitative Evaluation of Disentangled Representations*, ICLR
  2018) by the weights of regressions of the factors on all codes;
- `mutual_information_gap` (MIG; Chen, Li, Grosse and Duvenaud, *Isolating Sources of Disentanglement in Variational
  Autoencoders*, NeurIPS 2018) by the mutual information of pairs of a code and a factor;
- `separated_attribute_predictability` (SAP; Kumar, Sattigeri and Balakrishnan, *Variational Inference of
  Disentangled Latent Concepts from Unlabeled Observations*, ICLR 2018) by the R² of such pairs.

They were made for independent factors. Attributes of faces correlate: older people wear glasses more often. MIG and
SAP take one pair at a time, so that the axis of a correlated attribute lowers the score even if every axis equals its
label: SAP is then mean_j (1 − max_{i≠j} ρ_ij²) and not 1, and codes trained to be uncorrelated may score higher while
they follow their labels less. The regressions of DCI hold the other codes fixed, so that exact labels score 1 however
they correlate. Where factors correlate, compare with the scores of the labels themselves.

None of them knows which code *should* belong to which factor, and none uses the decoder or an image.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import entr
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxedit.errors import InputError

_HIGHEST = lax.Precision.HIGHEST


class DCI(NamedTuple):
    """Result of `dci`.

    Attributes:
        disentanglement: D in [0, 1]: 1 if each code matters for one factor only.
        completeness: C in [0, 1]: 1 if one code is enough for each factor.
        informativeness: held-out R², mean over the factors; at most 1, about 0 for codes without information. The
            paper reports the normalized error √(1 − R²) of each factor instead.
        importance: R_ij ≥ 0, of code i for factor j.
    """

    disentanglement: Float[Array, ""]
    completeness: Float[Array, ""]
    informativeness: Float[Array, ""]
    importance: Float[Array, "num_codes num_factors"]


def dci(
    codes: Float[Array | np.ndarray, "num_samples num_codes"],
    factors: Float[Array | np.ndarray, "num_samples num_factors"],
    held_out_codes: Float[Array | np.ndarray, "num_held_out num_codes"],
    held_out_factors: Float[Array | np.ndarray, "num_held_out num_factors"],
    *,
    penalty: ArrayLike = 0.02,
    importance: Float[Array | np.ndarray, "num_codes num_factors"] | None = None,
) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

    A Lasso regression of each standardized factor on all standardized codes gives the importance R_ij = |β_ij|. With
    the entropies H to the base of the number of outcomes,

        P_ij = R_ij / Σ_j R_ij,    D_i = 1 − H(P_i·),    D = Σ_i D_i (Σ_j R_ij / Σ_ij R_ij),
        P̃_ij = R_ij / Σ_i R_ij,    C_j = 1 − H(P̃_·j),    C = mean_j C_j.

    The base of H makes C depend on the number of codes, and the noise of few samples gives small weights to many
    codes: compare representations of one size on the same samples.

    Args:
        codes: for the regressions, of samples on which the codes were not trained: trained codes follow their labels
            too well.
        factors: their true values.
        held_out_codes: other samples, for the informativeness.
        held_out_factors: their true values.
        penalty: α of the Lasso; the paper's code takes 0.02.
        importance: importance by another regressor (a random forest, say), used in place of |β|. The informativeness
            remains that of the Lasso.

    Raises:
        InputError: if shapes do not fit, there are fewer than two samples, codes or factors, or something is not
            finite or negative where it may not be (the last two not under `jax.jit`).
    """
    _check(codes, factors)
    _check(held_out_codes, held_out_factors, "held_out_codes", "held_out_factors")
    for name, held_out, fitted in (("codes", held_out_codes, codes), ("factors", held_out_factors, factors)):
        if held_out.shape[1] != fitted.shape[1]:
            raise InputError(
                f"held_out_{name}: expected {fitted.shape[1]} columns as {name} have, got {held_out.shape[1]}"
            )
    _check_penalty(penalty)
    if importance is not None:
        _check_importance(importance)
        if importance.shape != (codes.shape[1], factors.shape[1]):
            raise InputError(
                f"importance: expected shape {(codes.shape[1], factors.shape[1])}, got {importance.shape}"
            )
    arrays = (jnp.asarray(a) for a in (codes, factors, held_out_codes, held_out_factors))
    return _dci(*arrays, jnp.asarray(penalty, jnp.float32), importance)


def lasso(
    codes: Float[Array | np.ndarray, "num_samples num_codes"],
    factors: Float[Array | np.ndarray, "num_samples num_factors"],
    penalty: ArrayLike = 0.02,
) -> Float[Array, "num_codes num_factors"]:
    """Lasso regressions of each factor on all codes, both standardized.

        β_·j = argmin_β 1/(2n) ‖v_j − c β‖² + α ‖β‖₁

    by accelerated proximal gradient steps (FISTA; Beck and Teboulle 2009) with restarts, until no optimality
    condition is missed by more than 1e-5 or 10,000 steps are taken. A column that does not vary has weight 0.

    Raises:
        InputError: as `dci`.
    """
    _check(codes, factors)
    _check_penalty(penalty)
    (x, _, _), (y, _, _) = _standardized(jnp.asarray(codes)), _standardized(jnp.asarray(factors))
    return _lasso(x, y, jnp.asarray(penalty, jnp.float32))


def disentanglement_and_completeness(
    importance: Float[Array | np.ndarray, "num_codes num_factors"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """D and C of `dci` from importances, both in [0, 1]; 0 if nothing is important.

    Raises:
        InputError: if the matrix is smaller than 2 × 2, or has a negative or infinite entry or NaN (not under
            `jax.jit`).
    """
    _check_importance(importance)
    return _disentanglement_and_completeness(jnp.asarray(importance))


def mutual_information_gap(
    codes: Float[Array | np.ndarray, "num_samples num_codes"],
    factors: Float[Array | np.ndarray, "num_samples num_factors"],
    *,
    num_bins: int = 20,
) -> Float[Array, ""]:
    """MIG (Chen et al. 2018), in [0, 1]: how much more information the best code has of a factor than the second best.

        MIG = mean_j (I(c_(1); v_j) − I(c_(2); v_j)) / H(v_j)

    with the codes in falling order of I(·; v_j). Codes and factors are cut into bins of equal *frequency*, so that
    the score does not change with a monotone map of a column and H is that of `num_bins` equal shares for continuous
    factors. (disentanglement_lib, whose 20 bins are the default here, cuts the codes into bins of equal width and has
    discrete factors.) The estimate from n samples is too high by about (num_bins − 1)² / 2n nats for each pair, which
    the difference mostly cancels. Independent codes keep a small positive score. A factor that does not vary counts 0.

    Even a code that follows its factor with correlation r has a score well below r: on Gaussian variables
    I = −½ ln(1 − r²), which is 0.5 nats at r = 0.8 where H = ln 20 = 3.0.

    Raises:
        InputError: as `dci`, and if there are fewer than two bins.
    """
    _check(codes, factors)
    if num_bins < 2:
        raise InputError(f"num_bins: expected 2 or more, got {num_bins}")
    return _mig(jnp.asarray(codes), jnp.asarray(factors), num_bins)


def separated_attribute_predictability(
    codes: Float[Array | np.ndarray, "num_samples num_codes"],
    factors: Float[Array | np.ndarray, "num_samples num_factors"],
) -> Float[Array, ""]:
    """SAP (Kumar et al. 2018) for continuous factors, in [0, 1].

        SAP = mean_j (R²_(1)j − R²_(2)j),    R²_ij = Cov(c_i, v_j)² / (Var c_i Var v_j),

    the R² of the linear regression of factor j on code i alone, in falling order for each factor. A column that does
    not vary has R² = 0.

    Raises:
        InputError: as `dci`.
    """
    _check(codes, factors)
    return _sap(jnp.asarray(codes), jnp.asarray(factors))


def quantile_bins(
    values: Float[Array | np.ndarray, "num_samples columns"], num_bins: int
) -> Int[Array, "num_samples columns"]:
    """The bin of each value, 0 … num_bins − 1, of bins of equal frequency in each column.

    Equal values share a bin, so that a column of few values has fewer bins.
    """
    return _quantile_bins(jnp.asarray(values), num_bins)


def mutual_information(
    code_bins: Int[Array | np.ndarray, "num_samples num_codes"],
    factor_bins: Int[Array | np.ndarray, "num_samples num_factors"],
    num_bins: int,
) -> Float[Array, "num_codes num_factors"]:
    """Mutual information in nats of each pair of binned columns, from their joint frequencies."""
    return _mutual_information(jnp.asarray(code_bins), jnp.asarray(factor_bins), num_bins)


@jax.jit
def _dci(
    codes: Array,
    factors: Array,
    held_out_codes: Array,
    held_out_factors: Array,
    penalty: Array,
    importance: Array | None,
) -> DCI:
    (x, x_mean, x_scale), (y, y_mean, y_scale) = _standardized(codes), _standardized(factors)
    weights = _lasso(x, y, penalty)
    importance = jnp.abs(weights) if importance is None else jnp.asarray(importance, jnp.float32)
    disentanglement, completeness = _disentanglement_and_completeness(importance)
    predicted = jnp.matmul((held_out_codes - x_mean) * x_scale, weights, precision=_HIGHEST)
    truth = (held_out_factors - y_mean) * y_scale
    variance = truth.var(0)
    error = jnp.mean((predicted - truth) ** 2, axis=0)
    r2 = jnp.where(variance > 0, 1 - error / jnp.where(variance > 0, variance, 1.0), 0.0)
    return DCI(disentanglement, completeness, r2.mean(), importance)


def _standardized(values: Array) -> tuple[Array, Array, Array]:
    """Columns of mean 0 and variance 1, or of zeros; and the means and factors that made them."""
    values = values.astype(jnp.float32)
    mean = values.mean(0)
    deviation = jnp.sqrt(jnp.mean((values - mean) ** 2, axis=0))
    # A constant column differs from its mean by rounding only.
    varies = deviation > 1e-6 * jnp.abs(mean)
    scale = jnp.where(varies, 1 / jnp.where(varies, deviation, 1.0), 0.0)
    return (values - mean) * scale, mean, scale


class _Steps(NamedTuple):
    """State of the Lasso's iteration; each factor (column) has a momentum of its own."""

    weights: Float[Array, "num_codes num_factors"]
    ahead: Float[Array, "num_codes num_factors"]
    momentum: Float[Array, " num_factors"]
    missed: Float[Array, ""]
    steps: Int[Array, ""]


@jax.jit
def _lasso(x: Array, y: Array, penalty: Array) -> Array:
    gram = jnp.matmul(x.T, x, precision=_HIGHEST) / len(x)
    target = jnp.matmul(x.T, y, precision=_HIGHEST) / len(x)
    # A little more than the largest eigenvalue, so that rounding does not make steps too long.
    step = 1 / (1.001 * jnp.linalg.eigvalsh(gram)[-1] + 1e-6)

    def descend(weights: Array) -> Array:
        moved = weights - step * (jnp.matmul(gram, weights, precision=_HIGHEST) - target)
        return jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - step * penalty, 0.0)

    def go_on(state: _Steps) -> Bool[Array, ""]:
        return (state.missed > 1e-5) & (state.steps < 10_000)

    def iterate(state: _Steps) -> _Steps:
        weights = descend(state.ahead)
        change = weights - state.weights
        # Momentum is dropped where it points uphill (O'Donoghue and Candès 2015).
        uphill = jnp.sum((state.ahead - weights) * change, axis=0) > 0
        momentum = jnp.where(uphill, 1.0, 0.5 * (1 + jnp.sqrt(1 + 4 * state.momentum**2)))
        ahead = weights + jnp.where(uphill, 0.0, (state.momentum - 1) / momentum) * change
        missed = jnp.abs(ahead - descend(ahead)).max() / step
        return _Steps(weights, ahead, momentum, missed, state.steps + 1)

    zeros = jnp.zeros_like(target)
    start = _Steps(zeros, zeros, jnp.ones(y.shape[1]), jnp.float32(jnp.inf), jnp.int32(0))
    return descend(lax.while_loop(go_on, iterate, start).ahead)


@jax.jit
def _disentanglement_and_completeness(importance: Array) -> tuple[Array, Array]:
    importance = importance.astype(jnp.float32)
    of_codes, of_factors = importance.sum(1), importance.sum(0)

    def scores(shares: Array, totals: Array) -> Array:
        """1 − H along the last axis; 0 for what has no importance at all."""
        probabilities = shares / jnp.where(totals > 0, totals, 1.0)[:, None]
        concentrated = 1 - entr(probabilities).sum(1) / jnp.log(float(shares.shape[1]))
        return jnp.where(totals > 0, jnp.clip(concentrated, 0.0, 1.0), 0.0)

    total = of_codes.sum()
    weight = of_codes / jnp.where(total > 0, total, 1.0)
    disentanglement = jnp.sum(weight * scores(importance, of_codes))
    # The weights add up to one but for rounding.
    return jnp.minimum(disentanglement, 1.0), scores(importance.T, of_factors).mean()


@functools.partial(jax.jit, static_argnums=1)
def _quantile_bins(values: Array, num_bins: int) -> Array:
    edges = jnp.quantile(values, jnp.arange(1, num_bins) / num_bins, axis=0)
    search = jax.vmap(lambda e, v: jnp.searchsorted(e, v, side="right"), in_axes=1, out_axes=1)
    return search(edges, values)


@functools.partial(jax.jit, static_argnums=2)
def _mutual_information(code_bins: Array, factor_bins: Array, num_bins: int) -> Array:
    n, num_factors = factor_bins.shape
    factor_hot = jax.nn.one_hot(factor_bins, num_bins).reshape(n, num_factors * num_bins)

    def of_code(bins: Array) -> Array:
        # Products of zeros and ones, summed: exact counts in any precision of the factors.
        counts = jax.nn.one_hot(bins, num_bins).T @ factor_hot
        joint = counts.reshape(num_bins, num_factors, num_bins) / n
        entropies = entr(joint.sum(2)).sum(0) + entr(joint.sum(0)).sum(1) - entr(joint).sum((0, 2))
        return jnp.maximum(entropies, 0.0)

    # One code at a time bounds the memory.
    return lax.map(of_code, code_bins.T)


@functools.partial(jax.jit, static_argnums=2)
def _mig(codes: Array, factors: Array, num_bins: int) -> Array:
    factor_bins = _quantile_bins(factors, num_bins)
    information = _mutual_information(_quantile_bins(codes, num_bins), factor_bins, num_bins)
    entropy = entr(jax.nn.one_hot(factor_bins, num_bins).mean(0)).sum(1)
    best = jnp.sort(information, axis=0)
    gaps = jnp.where(entropy > 0, (best[-1] - best[-2]) / jnp.where(entropy > 0, entropy, 1.0), 0.0)
    return gaps.mean()


@jax.jit
def _sap(codes: Array, factors: Array) -> Array:
    x, y = _standardized(codes)[0], _standardized(factors)[0]
    r2 = jnp.sort((jnp.matmul(x.T, y, precision=_HIGHEST) / len(x)) ** 2, axis=0)
    return (r2[-1] - r2[-2]).mean()


def _check(codes: Any, factors: Any, codes_name: str = "codes", factors_name: str = "factors") -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise InputError(
            f"{codes_name} and {factors_name}: expected [num_samples, num_codes] and [num_samples, num_factors], "
            f"got {codes.shape} and {factors.shape}"
        )
    for name, values in ((codes_name, codes), (factors_name, factors)):
        if min(values.shape) < 2:
            raise InputError(f"{name}: expected two or more samples and columns, got shape {values.shape}")
        _check_finite(name, values)


def _check_importance(importance: Any) -> None:
    if importance.ndim != 2 or min(importance.shape) < 2:
        raise InputError(f"importance: expected two or more codes and factors, got shape {importance.shape}")
    _check_finite("importance", importance)
    if not isinstance(importance, jax.core.Tracer) and (np.asarray(importance) < 0).any():
        raise InputError(f"importance: expected numbers ≥ 0, got {float(np.min(importance)):g}")


def _check_penalty(penalty: Any) -> None:
    if not isinstance(penalty, jax.core.Tracer) and not (np.isfinite(penalty) and penalty >= 0):
        raise InputError(f"penalty: expected a finite number ≥ 0, got {penalty}")


def _check_finite(name: str, values: Any) -> None:
    if not isinstance(values, jax.core.Tracer) and not np.isfinite(np.asarray(values)).all():
        bad = int((~np.isfinite(np.asarray(values))).any(axis=1).sum())
        raise InputError(
            f"{name}: expected finite numbers, got NaN or infinity in {bad} of {len(values)} rows"
        )
