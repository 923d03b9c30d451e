"""Steps of the attribute axes in W+: each style input moves along its own curve.

A generator draws pose with its coarse style inputs, expression with the next, skin and hair with the finer ones. An
edit that moves only the inputs which draw the attribute changes less of everything else. And what makes a face older
is not what makes it younger, turned round: the curve of an axis bends. With S_il the step of axis i in style input l,
B_il its bend and u_i how far the axis has been moved from the unedited latent,

    w⁺'_l = w⁺_l + Σ_i u_i S_il + φ(u_i) B_il,        φ(u) = √(1 + u²) − 1,

so the far ends of a curve are straight, in the directions S + B and S − B. An edit from position c to c' on the axis
moves u by T_i(c') − T_i(c). T is the position itself between the two ends of the axis; beyond them it goes on with a
slope below one: a face that is feminine already, or turned far, has nowhere to go, and the generator would draw other
things instead. Edits add up in any order and are undone by their negatives. Neighbouring inputs share one curve (a
group), kept in whitened PCA coordinates, S_il = V_k diag(√λ) s_{i,g(l)} and likewise B.

Reading goes the other way: of the latents in W+ those are edits of a latent of W whose layers differ by steps and
bends alone. The û are the least-squares coefficients of the steps, beside the bends, in what the layers differ by from
their mean. Taking them out leaves the layers w⁰_l, whose mean has a position c⁰ on the axis; the latent's is
T⁻¹(T(c⁰) + û). The layers of a latent that a projection found differ for other reasons: `AttributeAxes.edit` and `read`
take it as the pivot, and leave what its layers differ by out of account.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxedit.errors import InputError
from jaxedit.latents.pca import PCA


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["coordinates", "bends", "ends", "slopes", "group_of_layer"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class LayerCurves:
    """The curves of all axes; a pytree.

    Attributes:
        coordinates: s, the move of each group of style inputs for one standard deviation of each attribute, in
            whitened PCA coordinates, float32.
        bends: b, what comes to it with φ of the amount, likewise.
        ends: of each axis, the positions beyond which T is slower, the first negative, the second positive.
        slopes: of T there, in (0, 1].
        group_of_layer: g, the group of each style input.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    coordinates: Float[Array, "num_attributes num_groups k"]
    bends: Float[Array, "num_attributes num_groups k"]
    ends: Float[Array, "num_attributes 2"]
    slopes: Float[Array, " num_attributes"]
    group_of_layer: Int[Array, " num_ws"]

    @property
    def num_ws(self) -> int:
        """How many style inputs the steps are for."""
        return self.group_of_layer.shape[0]

    def places(
        self, pca: PCA, moved: Float[Array, "batch num_attributes"]
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Σ_i u_i S_il + φ(u_i) B_il: where the curves lead from the unedited latent."""
        num_attributes, num_groups, k = self.coordinates.shape
        by_group = jnp.concatenate([moved, bending(moved)], axis=1) @ jnp.concatenate(
            [self.coordinates, self.bends]
        ).reshape(2 * num_attributes, -1)
        moves = (by_group.reshape(-1, num_groups, k) * whitened_scale(pca)) @ pca.components[:k]
        return moves[:, self.group_of_layer]

    def along(self, positions: Float[Array, "batch num_attributes"]) -> Float[Array, "batch num_attributes"]:
        """T: positions on the axes as places along the curves."""
        inside = jnp.clip(positions, self.ends[:, 0], self.ends[:, 1])
        return inside + (positions - inside) * self.slopes

    def positions(self, along: Float[Array, "batch num_attributes"]) -> Float[Array, "batch num_attributes"]:
        """T⁻¹."""
        inside = jnp.clip(along, self.ends[:, 0], self.ends[:, 1])
        return inside + (along - inside) / self.slopes

    def moved(
        self, pca: PCA, w_plus: Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch num_attributes"]:
        """û: how far each axis has been moved, judged by what the layers differ by."""
        k = self.coordinates.shape[2]
        # Curves lie in the span of the first k components and are equal within a group: only that part can match.
        deviations = (w_plus - w_plus.mean(1, keepdims=True)) @ pca.components[:k].T / whitened_scale(pca)
        curves = jnp.concatenate([self.coordinates, self.bends])[:, self.group_of_layer]
        curves = (curves - curves.mean(1, keepdims=True)).reshape(len(curves), -1)
        gram = curves @ curves.T
        # Axes whose groups all move alike leave no trace in the deviations; they are read from the mean.
        ridge = 1e-6 * (jnp.trace(gram) / len(gram) + 1e-12)
        products = deviations.reshape(len(deviations), -1) @ curves.T
        solution = jax.scipy.linalg.solve(gram + ridge * jnp.eye(len(gram)), products.T, assume_a="pos").T
        return solution[:, : len(self.coordinates)]


def bending(amounts: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """φ(m) = √(1 + m²) − 1, written so that small amounts keep their digits."""
    square = amounts * amounts
    return square / (jnp.sqrt(1 + square) + 1)


def load_layer_curves(path: str | Path, attribute_names: tuple[str, ...], pca: PCA) -> LayerCurves:
    """Curves from a file, for these axes.

    Args:
        path: an `.npz` of `attribute_names`, `steps` and `bends` [num_attributes, num_groups, w_dim] in W, `ends`
            [num_attributes, 2], `slopes` [num_attributes] and `group_of_layer` [num_ws]. Curves are kept in W because
            that is the same whatever signs a PCA gives its directions.
        attribute_names: of the axes.
        pca: of the axes.

    Raises:
        InputError: if the file cannot be read or does not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            known = [str(name) for name in file["attribute_names"]]
            curves = {name: file[name].astype(np.float32) for name in ("steps", "bends")}
            ends, slopes = file["ends"].astype(np.float32), file["slopes"].astype(np.float32)
            group_of_layer = file["group_of_layer"].astype(np.int32)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: expected an .npz file of layer steps: {error}") from error
    num_groups = int(group_of_layer.max()) + 1
    for name, array in curves.items():
        if array.shape != (len(known), num_groups, pca.w_dim) or not np.isfinite(array).all():
            raise InputError(
                f"{path}: expected finite {name} [{len(known)}, {num_groups}, {pca.w_dim}], got shape {array.shape}"
            )
    if ends.shape != (len(known), 2) or not ((ends[:, 0] < 0) & (ends[:, 1] > 0)).all():
        raise InputError(f"{path}: expected ends [{len(known)}, 2] below and above zero, got {ends.tolist()}")
    if slopes.shape != (len(known),) or not ((slopes > 0) & (slopes <= 1)).all():
        raise InputError(f"{path}: expected slopes [{len(known)}] in (0, 1], got {slopes.tolist()}")
    missing = [name for name in attribute_names if name not in known]
    if missing:
        raise InputError(
            f"{path}: expected steps of {', '.join(attribute_names)}, found none of {missing[0]}"
        )
    rows = [known.index(name) for name in attribute_names]
    back = np.asarray(pca.components[: pca.num_components]).T
    steps, bends = (
        jnp.asarray(curves[name][rows] @ back / np.asarray(whitened_scale(pca)))
        for name in ("steps", "bends")
    )
    return LayerCurves(
        steps, bends, jnp.asarray(ends[rows]), jnp.asarray(slopes[rows]), jnp.asarray(group_of_layer)
    )


def whitened_scale(pca: PCA) -> Float[Array, " k"]:
    """√λ of the first k coordinates; a direction without variance keeps its coordinate, as in the linear path."""
    variance = pca.explained_variance[: pca.num_components]
    return jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
