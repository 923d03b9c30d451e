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
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.pca import PCA
from jaxedit.errors import InputError


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


def load_layer_steps(
    path: str | Path, attribute_names: tuple[str, ...], pca: PCA, autoencoder: AxisAutoencoder
) -> LayerSteps:
    """Steps from a file, for these axes.

    Args:
        path: an `.npz` of `attribute_names`, `steps` [num_attributes, num_groups, w_dim] in W and `group_of_layer`
            [num_ws]. Steps are kept in W because that is the same whatever signs a PCA gives its directions.
        attribute_names: of the axes. One that the file lacks moves all layers alike, by the linear path of the axes.
        pca: of the axes.
        autoencoder: of the axes; it must have a linear path.

    Raises:
        InputError: if the file cannot be read or does not fit, or the axes have no linear path.
    """
    if autoencoder.linear is None:
        raise InputError("layer steps: expected axes with a linear path (AxesConfig.linear_path)")
    try:
        with np.load(path, allow_pickle=False) as file:
            known = [str(name) for name in file["attribute_names"]]
            steps, group_of_layer = file["steps"].astype(np.float32), file["group_of_layer"].astype(np.int32)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: expected an .npz file of layer steps: {error}") from error
    num_groups = int(group_of_layer.max()) + 1
    if steps.shape != (len(known), num_groups, pca.w_dim) or not np.isfinite(steps).all():
        raise InputError(
            f"{path}: expected finite steps [{len(known)}, {num_groups}, {pca.w_dim}], got shape {steps.shape}"
        )
    coordinates = (steps @ np.asarray(pca.components[: pca.num_components]).T) / np.asarray(_scale(pca))
    alike = np.asarray(autoencoder.linear.decoder[...])
    rows = [
        coordinates[known.index(name)] if name in known else np.repeat(alike[i][None], num_groups, axis=0)
        for i, name in enumerate(attribute_names)
    ]
    return LayerSteps(jnp.asarray(np.stack(rows)), jnp.asarray(group_of_layer))


def _scale(pca: PCA) -> Float[Array, " k"]:
    """√λ of the first k coordinates; a direction without variance keeps its coordinate, as in the linear path."""
    variance = pca.explained_variance[: pca.num_components]
    return jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
