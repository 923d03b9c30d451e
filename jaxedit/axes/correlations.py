"""Correlations of codes, with each other and with labels."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def correlation_matrix(codes: Float[Array, "batch k"]) -> Float[Array, "k k"]:
    """Pearson correlations between the columns; 0 with a column that does not vary, 1 on the diagonal of others."""
    centered = codes - codes.mean(0)
    norm = jnp.sqrt(jnp.sum(centered**2, axis=0) + 1e-12)
    unit = centered / norm
    return jnp.matmul(unit.T, unit, precision=lax.Precision.HIGHEST)


def axis_label_correlation(
    codes: Float[Array, "batch k"], labels: Float[Array, "batch num_attributes"]
) -> Float[Array, " num_attributes"]:
    """Pearson correlation of each attribute axis with its label."""
    num_attributes = labels.shape[1]
    both = correlation_matrix(jnp.concatenate([codes[:, :num_attributes], labels], axis=1))
    return jnp.diagonal(both, num_attributes)


def mean_off_diagonal(matrix: Float[Array, "k k"]) -> Float[Array, ""]:
    """Mean magnitude of the entries off the diagonal; 0 for a 1×1 matrix."""
    k = len(matrix)
    return jnp.sum(jnp.abs(matrix) * (1 - jnp.eye(k))) / max(k * (k - 1), 1)
