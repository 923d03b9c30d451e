"""Decorrelated directions in whitened PCA coordinates, in closed form.

With x = w_pca[:k] / √λ[:k] and B [k, num_attributes] the joint ridge regression of the attributes on x,

    Δx = B (BᵀB)⁻¹ eᵢ

is the shortest edit that changes the prediction of attribute i by one and leaves all others unchanged. It is also the
most likely one, because x is white.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from benchmarks.baselines.training_labels import TrainingSplit
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.protocol import Generator
from jaxedit.latents.ridge import ridge


def decorrelated_moves(B: Float[Array, "k num_attributes"]) -> Float[Array, "num_attributes k"]:
    """Columns of B (BᵀB)⁻¹, as rows."""
    with jax.default_matmul_precision("highest"):
        return jax.scipy.linalg.solve(B.T @ B, B.T, assume_a="pos")


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    attribute_names: Sequence[str] | None = None,
    num_components: int = 200,
    name: str = "whitened",
) -> LinearDirections:
    """Directions of some attributes. Each leaves the predictions of the others unchanged.

    Args:
        split: training data.
        generator: not used.
        attribute_names: the attributes, by default the leakage attributes.
        num_components: k.
        name: name of the method.

    Raises:
        InputError: if a name is unknown, or k is not between the number of attributes and the width of w.
    """
    names = tuple(split.leakage_attributes() if attribute_names is None else attribute_names)
    columns = split.columns(names)
    if not len(names) <= num_components <= split.pca.w_dim:
        raise InputError(f"num_components: expected {len(names)}…{split.pca.w_dim}, got {num_components}")
    variance = split.pca.explained_variance[:num_components]
    scale = jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
    B = ridge(split.pca.transform(split.w)[:, :num_components] / scale, split.labels[:, jnp.array(columns)])
    moves = decorrelated_moves(B) * scale
    components = split.pca.components[:num_components]
    return LinearDirections(name, names, jnp.matmul(moves, components, precision=jax.lax.Precision.HIGHEST))
