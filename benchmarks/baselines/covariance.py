"""Covariance directions: each attribute along the latents' covariance with its label.

    dᵢ = Cov[w, yᵢ]

For Gaussian w this is, up to length, how the mean of w moves with the attribute, E[w | yᵢ]: the natural change, which
takes along whatever goes together with the attribute. (With two classes it is the difference of their means.)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from benchmarks.baselines.training_labels import TrainingSplit, scaled
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.protocol import Generator


def covariance(
    w: Float[Array, "num_samples w_dim"], labels: Float[Array, "num_samples num_attributes"]
) -> Float[Array, "num_attributes w_dim"]:
    """Cov[y, w]."""
    centered = labels - labels.mean(0)
    return jnp.matmul(centered.T, w - w.mean(0), precision=jax.lax.Precision.HIGHEST) / len(w)


def fit(split: TrainingSplit, generator: Generator, *, name: str = "covariance") -> LinearDirections:
    """The directions of all attributes."""
    directions = scaled(covariance(split.w, split.labels), split.probes)
    return LinearDirections(name, split.attribute_names, directions)
