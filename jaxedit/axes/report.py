"""Quality of learned axes on held-out latents.

An axis should follow its label, be uncorrelated with the other axes and lose nothing. An edit along it should change
its own attribute and no other. *Probes* measure the last: ridge regressions from w to each quantile-transformed
attribute. They are linear and fitted on the training split, so they do not share the view of the autoencoder. With Δw
the edit of axis i by +1 and by −1,

    effect_ij = mean over held-out w of ½ (probe_j · Δw(+1) − probe_j · Δw(−1)),
    leakage_i = mean over j ≠ i of |effect_ij| / |effect_ii|.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.correlations import axis_label_correlation, correlation_matrix, mean_off_diagonal
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.latents.ridge import ridge


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "axis_label_correlation",
        "code_correlation",
        "attribute_code_correlation",
        "reconstruction_error",
        "effects",
        "leakage",
        "known_labels",
    ],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class AxesReport:
    """Held-out metrics; a pytree of float32 arrays.

    Attributes:
        axis_label_correlation: Pearson correlation of axis i with the quantile-transformed label i.
        code_correlation: mean magnitude of the correlations between different axes, over all k axes.
        attribute_code_correlation: the same, over the attribute axes alone.
        reconstruction_error: mean squared error over all of w.
        effects: effect_ij, the change of probe j (in standard deviations of its label) by an edit of axis i by one.
        leakage: leakage_i, the mean magnitude of the effects on other attributes, relative to the effect on the
            attribute itself.
        known_labels: number of held-out labels of each attribute, over which the correlation with the label is; missing
            ones do not count. None for axes that an earlier version learned.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    axis_label_correlation: Float[Array, " num_attributes"]
    code_correlation: Float[Array, ""]
    attribute_code_correlation: Float[Array, ""]
    reconstruction_error: Float[Array, ""]
    effects: Float[Array, "num_attributes num_attributes"]
    leakage: Float[Array, " num_attributes"]
    known_labels: Int[Array, " num_attributes"] | None = None

    def summary(self) -> dict[str, float]:
        """Means of the metrics over the attributes, as plain numbers."""
        return {
            "axis_label_correlation": float(np.mean(self.axis_label_correlation)),
            "code_correlation": float(self.code_correlation),
            "attribute_code_correlation": float(self.attribute_code_correlation),
            "reconstruction_error": float(self.reconstruction_error),
            "leakage": float(np.mean(self.leakage)),
        }


def fit_probes(
    w_pca: Float[Array, "num_training w_dim"],
    labels: Float[Array, "num_training num_attributes"],
    explained_variance: Float[Array, " w_dim"],
    known: Bool[Array, "num_training num_attributes"] | None = None,
) -> Float[Array, "w_dim num_attributes"]:
    """Ridge regressions from all of w, in PCA coordinates, to the quantile-transformed attributes where `known`."""
    # Directions that carry nothing but rounding are left out instead of blown up.
    used = explained_variance > 1e-7 * explained_variance[0]
    whitener = jnp.where(used, 1 / jnp.sqrt(jnp.where(used, explained_variance, 1.0)), 0.0)
    return whitener[:, None] * ridge(w_pca * whitener, labels, known=known)


def held_out_report(
    autoencoder: AxisAutoencoder,
    w_pca: Float[Array, "num_held_out w_dim"],
    labels: Float[Array, "num_held_out num_attributes"],
    probes: Float[Array, "w_dim num_attributes"],
    k: int,
    known: Bool[Array, "num_held_out num_attributes"] | None = None,
) -> AxesReport:
    """The report on held-out latents, given in PCA coordinates.

    Args:
        autoencoder: the axes.
        w_pca: held-out latents in PCA coordinates.
        labels: their quantile-transformed attributes.
        probes: of `fit_probes`.
        k: how many coordinates go through the axes.
        known: which labels are known; by default all.
    """
    num_attributes = labels.shape[1]
    head = w_pca[:, :k]
    codes = autoencoder.encode(head)
    correlations = correlation_matrix(codes)
    # The tail does not move, so the probes see the first k coordinates alone. One axis at a time bounds the memory.
    head_probes = probes[:k]

    def effect(i: Array) -> Array:
        move = jax.nn.one_hot(i, k)
        change = autoencoder.decode(codes + move) - autoencoder.decode(codes - move)
        return 0.5 * jnp.matmul(change.mean(0), head_probes, precision=jax.lax.Precision.HIGHEST)

    effects = jax.lax.map(effect, jnp.arange(num_attributes))
    return AxesReport(
        axis_label_correlation=axis_label_correlation(codes, labels, known),
        code_correlation=mean_off_diagonal(correlations),
        attribute_code_correlation=mean_off_diagonal(correlations[:num_attributes, :num_attributes]),
        reconstruction_error=jnp.sum((autoencoder.decode(codes) - head) ** 2) / w_pca.size,
        effects=effects,
        leakage=leakage_of_effects(effects),
        known_labels=jnp.full(num_attributes, len(labels)) if known is None else known.sum(0),
    )
