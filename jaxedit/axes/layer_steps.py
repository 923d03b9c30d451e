"""Steps of the attribute axes in W+: each style input moves by its own amount.

A generator draws pose with its coarse style inputs, expression with the next, skin and hair with the finer ones. An
edit that moves only the inputs which draw the attribute changes less of everything else. With S_il the step of
axis i in style input l, an edit by the amounts m is

    w⁺'_l = w⁺_l + Σ_i m_i S_il,

so edits add up in any order and are undone by their negatives. Neighbouring inputs share one step (a group), kept in
whitened PCA coordinates, S_il = V_k diag(√λ) s_{i,g(l)}.

Reading goes the other way: of the latents in W+ those are edits of a latent of W whose layers differ by steps alone.
The amounts m̂ are the least-squares coefficients of the steps in what the layers differ by from their mean; taking
them out leaves the layers w⁰_l, and the code of the latent is that of the mean of w⁰ with m̂ added.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxedit.axes.pca import PCA


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["coordinates", "group_of_layer"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class LayerSteps:
    """The steps of all axes; a pytree.

    Attributes:
        coordinates: s, the move of each group of style inputs for one standard deviation of each attribute, in
            whitened PCA coordinates, float32.
        group_of_layer: g, the group of each style input.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    coordinates: Float[Array, "num_attributes num_groups k"]
    group_of_layer: Int[Array, " num_ws"]

    @property
    def num_ws(self) -> int:
        """How many style inputs the steps are for."""
        return self.group_of_layer.shape[0]

    def moves(
        self, pca: PCA, amounts: Float[Array, "batch num_attributes"]
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Σ_i m_i S_il."""
        _, num_groups, k = self.coordinates.shape
        by_group = (amounts @ self.coordinates.reshape(len(self.coordinates), -1)).reshape(-1, num_groups, k)
        return ((by_group * _scale(pca)) @ pca.components[:k])[:, self.group_of_layer]

    def amounts(
        self, pca: PCA, w_plus: Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch num_attributes"]:
        """m̂: by how much each axis was moved, judged by what the layers differ by."""
        k = self.coordinates.shape[2]
        # Steps lie in the span of the first k components and are equal within a group: only that part can match.
        deviations = (w_plus - w_plus.mean(1, keepdims=True)) @ pca.components[:k].T / _scale(pca)
        steps = self.coordinates[:, self.group_of_layer]
        steps = (steps - steps.mean(1, keepdims=True)).reshape(len(steps), -1)
        gram = steps @ steps.T
        # Axes whose groups all move alike leave no trace in the deviations; they are read from the mean.
        ridge = 1e-6 * (jnp.trace(gram) / len(gram) + 1e-12)
        products = deviations.reshape(len(deviations), -1) @ steps.T
        return jax.scipy.linalg.solve(gram + ridge * jnp.eye(len(gram)), products.T, assume_a="pos").T


def _scale(pca: PCA) -> Float[Array, " k"]:
    """√λ of the first k coordinates; a direction without variance keeps its coordinate, as in the linear path."""
    variance = pca.explained_variance[: pca.num_components]
    return jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
