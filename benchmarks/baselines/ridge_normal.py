"""Ridge normals: each attribute along the gradient of its own linear regression on w.

    dᵢ ∝ bᵢ = (C + αᵢ I)⁻¹ Cov[w, yᵢ],        C = Cov[w] = V diag(λ) Vᵀ

The normal is the shortest move in w that changes the prediction. αᵢ is chosen for each attribute by generalized
cross-validation (Golub, Heath and Wahba, 1979), the smallest of

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
"""The penalties that are tried, in units of λ (from 8 down to 0.003 for the default generator)."""


@jax.jit
def ridge_normals(
    w: Float[Array, "num_samples w_dim"],
    labels: Float[Array, "num_samples num_attributes"],
    alphas: Float[Array, " num_alphas"],
) -> tuple[Float[Array, "num_attributes w_dim"], Float[Array, " num_attributes"]]:
    """bᵢ and the chosen αᵢ."""
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
    """The normals of all attributes.

    Args:
        split: to learn from.
        generator: not used.
        alpha: α for all attributes, or None for cross-validation.
        name: of the method.

    Raises:
        InputError: if α is not positive.
    """
    if alpha is not None and not alpha > 0:
        raise InputError(f"alpha: expected a positive number, got {alpha}")
    alphas = ALPHAS if alpha is None else (alpha,)
    normals, _ = ridge_normals(split.w, split.labels, jnp.asarray(alphas, jnp.float32))
    # The probe that sizes directions is nearly the same regression and flatters it: images change by less.
    return LinearDirections(name, split.attribute_names, scaled(normals, split.probes, shortest=2.0))
