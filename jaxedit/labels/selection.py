"""Selection of attributes: those that a linear model predicts from w."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
    """
    rows = w.shape[0] // folds * folds
    w, values = w[:rows], values[:rows]
    fold_of_row = jnp.arange(rows) // (rows // folds)
    w_folds = w.reshape(folds, -1, w.shape[1])

    def predict(fold: Array) -> Array:
        seen = (fold_of_row != fold).astype(w.dtype)
        w_mean, v_mean = ((x * seen[:, None]).sum(0) / seen.sum() for x in (w, values))
        mean_eigenvalue = ((w - w_mean) ** 2 * seen[:, None]).sum() / seen.sum() / w.shape[1]
        coefficients = ridge(w, values, penalty=relative_penalty * mean_eigenvalue, weights=seen)
        return jnp.matmul(w_folds[fold] - w_mean, coefficients, precision="highest") + v_mean

    predicted = jax.lax.map(predict, jnp.arange(folds)).reshape(rows, -1)
    a = predicted - predicted.mean(0)
    b = values - values.mean(0)
    return (a * b).sum(0) / jnp.sqrt((a**2).sum(0) * (b**2).sum(0))


def predictable_attributes(dataset: LabelledLatents, *, least: float = 0.6) -> dict[str, float]:
    """The attributes that a ridge regression from w predicts on held-out samples with r ≥ `least`, and their r.

    The regression predicts quantile-transformed values, as the axes do: a few gross errors of a classifier would
    dominate raw values.

    Raises:
        InputError: if there are fewer than 50 samples, or an attribute has no variance.
    """
    if len(dataset) < 10 * _FOLDS:
        raise InputError(
            f"dataset: expected {10 * _FOLDS} samples or more to select attributes, got {len(dataset)}"
        )
    values = jnp.asarray(dataset.values)
    scores = fit_quantile_transform(values, dataset.attribute_names).transform(values)
    r = ridge_correlations(jnp.asarray(dataset.w), scores)
    return {name: float(x) for name, x in zip(dataset.attribute_names, r, strict=True) if x >= least}
