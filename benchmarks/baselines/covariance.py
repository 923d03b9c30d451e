"""Covariance directions: the covariance of the latents with the label of each attribute.

    dᵢ = Cov[w, yᵢ]

For Gaussian w and yᵢ, the conditional mean E[w | yᵢ] moves along dᵢ. An edit therefore also changes all correlated
attributes. For two classes, dᵢ is proportional to the difference of the class means.
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
    """Cov[y, w], one row for each attribute."""
    centered = labels - labels.mean(0)
    return jnp.matmul(centered.T, w - w.mean(0), precision=jax.lax.Precision.HIGHEST) / len(w)


def fit(split: TrainingSplit, generator: Generator, *, name: str = "covariance") -> LinearDirections:
    """Directions of all attributes. The generator is not used."""
    directions = scaled(covariance(split.w, split.labels), split.probes)
    return LinearDirections(name, split.attribute_names, directions)
