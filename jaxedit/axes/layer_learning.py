"""Layer steps from what random moves of the style inputs did in pictures.

Of a face with latent w each group g of style inputs is moved by its own random Δ_g (whitened PCA coordinates), the
picture is rendered and labelled again, and the change of the attributes δy and of the identity descriptor δe is
regressed on the moves within the span Q of the attributes' regression on W:

    δy ≈ Σ_g J_g Qᵀ Δ_g,        δe ≈ Σ_g K_g Qᵀ Δ_g.

The step of attribute i is s = Q u with u the solution of

    minimise  ‖K u‖² + Σ_g (m_g² + ρ / G) ‖u_g‖² + μ Σ_{j ∈ soft} (J_j u)²    subject to  J_i u = 1, J_j u = 0 (j held):

of all moves that change the attribute by one and those held by none, the one that keeps the person (K is the mean
response of the descriptor, m_g what a move of group g by one changes beyond it) and stays likely (ρ).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.axes.autoencoder import ridge


def attribute_basis(
    x: Float[Array, "num_samples k"], labels: Float[Array, "num_samples num_attributes"]
) -> Float[Array, "k num_attributes"]:
    """Q: an orthonormal basis of the regression of the labels on whitened coordinates."""
    with jax.default_matmul_precision("highest"):
        return jnp.linalg.qr(ridge(x, labels))[0]


def responses(
    moves: Float[Array, "num_moves num_groups k"],
    basis: Float[Array, "k num_directions"],
    changes: Float[Array, "num_moves num_values"],
    *,
    regularisation: float,
) -> Float[Array, "num_groups_directions num_values"]:
    """J or K: by how much each value changes with a move of each group along each direction of the basis.

    Args:
        moves: Δ.
        basis: Q.
        changes: δ of each picture.
        regularisation: of the ridge regression, relative to the variance of the moves.
    """
    with jax.default_matmul_precision("highest"):
        inputs = (moves @ basis).reshape(len(moves), -1)
        covariance = inputs.T @ inputs / len(inputs)
        damped = covariance + regularisation * (jnp.trace(covariance) / len(covariance)) * jnp.eye(
            len(covariance)
        )
        return jax.scipy.linalg.solve(damped, inputs.T @ changes / len(inputs), assume_a="pos")


def solve_step(
    attribute_responses: Float[Array, "num_groups_directions num_held"],
    soft_responses: Float[Array, "num_groups_directions num_soft"],
    identity_responses: Float[Array, "num_groups_directions num_features"],
    identity_rates: Float[Array, " num_groups"],
    target: int,
    *,
    length_weight: float = 0.1,
    soft_weight: float = 0.3,
) -> Float[Array, " num_groups_directions"]:
    """u of the module's docstring.

    Args:
        attribute_responses: J of the attributes that are held, the target among them.
        soft_responses: J of those that are held softly.
        identity_responses: K.
        identity_rates: m, descriptor distance of a move by one.
        target: column of the target.
        length_weight: ρ.
        soft_weight: μ.
    """
    with jax.default_matmul_precision("highest"):
        num_groups = len(identity_rates)
        diagonal = jnp.repeat(
            identity_rates**2 + length_weight / num_groups, len(attribute_responses) // num_groups
        )
        metric = (
            identity_responses @ identity_responses.T
            + jnp.diag(diagonal)
            + soft_weight * soft_responses @ soft_responses.T
        )
        inverse = jax.scipy.linalg.solve(metric, attribute_responses, assume_a="pos")
        wanted = jnp.zeros(attribute_responses.shape[1]).at[target].set(1.0)
        return inverse @ jnp.linalg.solve(attribute_responses.T @ inverse, wanted)
