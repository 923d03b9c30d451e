"""The losses of the axis autoencoder (Lesné et al. 2023, section 3.2), as pure functions.

total = reconstruction + attribute_weight · attribute + decorrelation_weight · decorrelation
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxedit.axes.correlations import correlation_matrix, label_correlations


def reconstruction_loss(
    head: Float[Array, "batch k"], reconstructed: Float[Array, "batch k"], w_dim: int
) -> Float[Array, ""]:
    """Mean squared error over all of w, 1/(B·w_dim) Σ (ŵ − w)², from the first k PCA coordinates.

    The PCA is a rotation and the tail passes by untouched, so the error in w is that of the first k coordinates.
    """
    return jnp.sum((reconstructed - head) ** 2) / (len(head) * w_dim)


def attribute_loss(
    codes: Float[Array, "batch k"],
    labels: Float[Array, "batch num_attributes"],
    known: Bool[Array, "batch num_attributes"] | None = None,
) -> Float[Array, ""]:
    """Squared error of the attribute axes, 1/B Σ_b Σ_i (c_bi − y_bi)². Axis i is bound to attribute i.

    A label that is not `known` adds nothing; each known label weighs the same, whichever attribute it is of.
    """
    errors = codes[:, : labels.shape[1]] - labels
    if known is not None:
        errors = jnp.where(known, errors, 0.0)
    return jnp.mean(jnp.sum(errors**2, axis=1))


def decorrelation_loss(codes: Float[Array, "batch k"], target: Float[Array, "k k"]) -> Float[Array, ""]:
    """Summed absolute difference Σ_ij |corr(c)_ij − target_ij| of the batch's correlation matrix to its target."""
    return jnp.sum(jnp.abs(correlation_matrix(codes) - target))


def correlation_target(
    labels: Float[Array, "batch num_attributes"] | None,
    k: int,
    known: Bool[Array, "batch num_attributes"] | None = None,
) -> Float[Array, "k k"]:
    """The identity, with the natural correlations of `labels`, if given, in the block of the attribute axes."""
    target = jnp.eye(k)
    if labels is None:
        return target
    num_attributes = labels.shape[1]
    return target.at[:num_attributes, :num_attributes].set(label_correlations(labels, known))
