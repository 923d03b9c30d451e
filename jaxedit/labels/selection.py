"""Selection of attributes: those that a linear model predicts from w."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.quantile_transform import fit_quantile_transform
from jaxedit.latents.ridge import ridge

_FOLDS = 5


@partial(jax.jit, static_argnames="folds")
def ridge_correlations(
    w: Float[Array, "num_samples w_dim"],
    values: Float[Array, "num_samples num_attributes"],
    *,
    folds: int = _FOLDS,
    relative_penalty: float = 0.03,
    known: Bool[Array, "num_samples num_attributes"] | None = None,
) -> Float[Array, " num_attributes"]:
    """Correlation of each attribute with its ridge regression from w, on samples that the regression has not seen.

    For each fold the regression (`jaxedit.latents.ridge`) is fitted on the other folds, with α the relative penalty
    times the mean eigenvalue of the covariance of w. The result is Pearson's r between the predictions and the values
    of all folds.

    Args:
        w: latents. Samples beyond a multiple of `folds` are left out.
        values: attribute values; their scale does not matter.
        folds: number of folds.
        relative_penalty: α in units of the mean eigenvalue.
        known: which values are known; by default all.
    """
    rows = w.shape[0] // folds * folds
    w, values = w[:rows], values[:rows]
    if known is not None:
        known = known[:rows]
        values = jnp.where(known, values, 0.0)
    fold_of_row = jnp.arange(rows) // (rows // folds)
    w_folds = w.reshape(folds, -1, w.shape[1])

    def predict(fold: Array) -> Array:
        seen = (fold_of_row != fold).astype(w.dtype)
        w_mean, v_mean = ((x * seen[:, None]).sum(0) / seen.sum() for x in (w, values))
        mean_eigenvalue = ((w - w_mean) ** 2 * seen[:, None]).sum() / seen.sum() / w.shape[1]
        penalty = relative_penalty * mean_eigenvalue
        coefficients = ridge(w, values, penalty=penalty, weights=seen, known=known)
        if known is not None:  # each attribute has its own means, over the latents where it is known
            weights = known * seen[:, None]
            count = weights.sum(0)
            w_means = jnp.matmul(weights.T, w - w_mean, precision="highest") / count[:, None]
            v_mean = (values * weights).sum(0) / count - (w_means * coefficients.T).sum(1)
        return jnp.matmul(w_folds[fold] - w_mean, coefficients, precision="highest") + v_mean

    predicted = jax.lax.map(predict, jnp.arange(folds)).reshape(rows, -1)
    if known is None:
        a, b = (x - x.mean(0) for x in (predicted, values))
    else:
        a, b = (jnp.where(known, x - (x * known).sum(0) / known.sum(0), 0.0) for x in (predicted, values))
    return (a * b).sum(0) / jnp.sqrt((a**2).sum(0) * (b**2).sum(0))


def predictable_attributes(dataset: LabelledLatents, *, least: float = 0.6) -> dict[str, float]:
    """The attributes that a ridge regression from w predicts on held-out samples with r ≥ `least`, and their r.

    The regression predicts quantile-transformed values, as the axes do: a few gross errors of a classifier would
    dominate raw values. Missing values do not count.

    Raises:
        InputError: if there are fewer than 50 samples, or an attribute has no variance.
    """
    if len(dataset) < 10 * _FOLDS:
        raise InputError(
            f"dataset: expected {10 * _FOLDS} samples or more to select attributes, got {len(dataset)}"
        )
    values = jnp.asarray(dataset.values)
    scores = fit_quantile_transform(values, dataset.attribute_names).transform(values)
    known = None if dataset.is_complete else ~jnp.isnan(values)
    r = ridge_correlations(jnp.asarray(dataset.w), scores, known=known)
    return {name: float(x) for name, x in zip(dataset.attribute_names, r, strict=True) if x >= least}
