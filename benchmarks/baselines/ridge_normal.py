"""Ridge normals: for each attribute, the gradient of its ridge regression on w.

    dᵢ ∝ bᵢ = (C + αᵢ I)⁻¹ Cov[w, yᵢ],        C = Cov[w] = V diag(λ) Vᵀ

The normal is the shortest edit in w that changes the prediction. For each attribute, αᵢ minimizes the generalized
cross-validation error (Golub, Heath and Wahba, 1979)

    GCV(α) = mean (y − ŷ)² / (1 − tr H / N)²,        tr H = 1 + Σ λ / (λ + α).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.baselines.covariance import covariance
from benchmarks.baselines.training_labels import TrainingSplit, scaled
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.protocol import Generator

ALPHAS = tuple(np.geomspace(1e-4, 1e1, 41).tolist())
"""Candidates of αᵢ. For comparison, λ ranges from 8 down to 0.003 for the default generator."""


@jax.jit
def ridge_normals(
    w: Float[Array, "num_samples w_dim"],
    labels: Float[Array, "num_samples num_attributes"],
    alphas: Float[Array, " num_alphas"],
) -> tuple[Float[Array, "num_attributes w_dim"], Float[Array, " num_attributes"]]:
    """bᵢ and αᵢ of all attributes.

    Args:
        w: latents.
        labels: their labels.
        alphas: candidates of αᵢ.
    """
    n = len(w)
    with jax.default_matmul_precision("highest"):
        centered = w - w.mean(0)
        variances, V = jnp.linalg.eigh(centered.T @ centered / n)
        variances = jnp.maximum(variances, 0.0)
        s = covariance(w, labels) @ V
        shrunk = variances + alphas[:, None]
        # mean (y − ŷ)² = Var[y] − Σ s² (λ + 2α) / (λ + α)².
        residual = jnp.var(labels, axis=0)[:, None] - (s**2) @ ((shrunk + alphas[:, None]) / shrunk**2).T
        freedom = 1 - (1 + (variances / shrunk).sum(1)) / n
        alpha = alphas[jnp.argmin(residual / freedom**2, axis=1)]
        return (s / (variances + alpha[:, None])) @ V.T, alpha


def fit(
    split: TrainingSplit, generator: Generator, *, alpha: float | None = None, name: str = "ridge-normal"
) -> LinearDirections:
    """Directions of all attributes.

    Args:
        split: training data.
        generator: not used.
        alpha: α of all attributes, or None for cross-validation.
        name: name of the method.

    Raises:
        InputError: if α is not positive.
    """
    if alpha is not None and not alpha > 0:
        raise InputError(f"alpha: expected a positive number, got {alpha}")
    alphas = ALPHAS if alpha is None else (alpha,)
    normals, _ = ridge_normals(split.w, split.labels, jnp.asarray(alphas, jnp.float32))
    # The probes that scale directions are nearly the same regression and overestimate its effect in images.
    return LinearDirections(name, split.attribute_names, scaled(normals, split.probes, shortest=2.0))
