"""Correlations of codes, with each other and with labels."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

_LEAST_PAIRS = 30
"""Samples from which a correlation of labels says something: its standard error is 0.2 here."""


def correlation_matrix(codes: Float[Array, "batch k"]) -> Float[Array, "k k"]:
    """Pearson correlations between the columns; 0 with a column that does not vary, 1 on the diagonal of others."""
    centered = codes - codes.mean(0)
    norm = jnp.sqrt(jnp.sum(centered**2, axis=0) + 1e-12)
    unit = centered / norm
    return jnp.matmul(unit.T, unit, precision=lax.Precision.HIGHEST)


def axis_label_correlation(
    codes: Float[Array, "batch k"],
    labels: Float[Array, "batch num_attributes"],
    known: Bool[Array, "batch num_attributes"] | None = None,
) -> Float[Array, " num_attributes"]:
    """Pearson correlation of each attribute axis with its label, over the samples whose label is `known`."""
    num_attributes = labels.shape[1]
    if known is not None:
        a, b = (_centered(x, known) for x in (codes[:, :num_attributes], labels))
        return (a * b).sum(0) / jnp.sqrt(((a**2).sum(0) + 1e-12) * ((b**2).sum(0) + 1e-12))
    both = correlation_matrix(jnp.concatenate([codes[:, :num_attributes], labels], axis=1))
    return jnp.diagonal(both, num_attributes)


def label_correlations(
    labels: Float[Array, "num_samples num_attributes"],
    known: Bool[Array, "num_samples num_attributes"] | None = None,
) -> Float[Array, "num_attributes num_attributes"]:
    """Pearson correlations between labels, each pair over the samples where both are `known` (default: all).

    0 for a pair that is known together in fewer than 30 samples.
    """
    if known is None:
        return correlation_matrix(labels)
    # Without the means of all known labels, what is left of the means of a pair is small.
    x, mask = _centered(labels, known), known.astype(labels.dtype)

    def product(a: Array, b: Array) -> Array:
        return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST)

    count, sums, squares = product(mask, mask), product(x, mask), product(x**2, mask)
    least_one = jnp.maximum(count, 1.0)
    covariance = product(x, x) - sums * sums.T / least_one
    variance = jnp.maximum(squares - sums**2 / least_one, 0.0) + 1e-12
    return jnp.where(count >= _LEAST_PAIRS, covariance / jnp.sqrt(variance * variance.T), 0.0)


def _centered(x: Float[Array, "batch columns"], known: Bool[Array, "batch columns"]) -> Array:
    """Columns without the mean over their known entries; 0 at the others."""
    mean = jnp.where(known, x, 0.0).sum(0) / jnp.maximum(known.sum(0), 1)
    return jnp.where(known, x - mean, 0.0)


def mean_off_diagonal(matrix: Float[Array, "k k"]) -> Float[Array, ""]:
    """Mean magnitude of the entries off the diagonal; 0 for a 1×1 matrix."""
    k = len(matrix)
    return jnp.sum(jnp.abs(matrix) * (1 - jnp.eye(k))) / max(k * (k - 1), 1)
