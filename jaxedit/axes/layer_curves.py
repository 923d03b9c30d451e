"""Curves of the attribute axes in W+: each layer moves along its own curve.

A generator draws pose with its coarse layers, expression with the next, skin and hair with the finer ones. An edit
that moves only the layers which draw the attribute changes less of everything else. What makes a face older is not
what makes it younger, turned round: the curve of an axis bends. With S_il the tangent of axis i in layer l, B_il its
curvature, and u_i the distance that the axis has been moved from the unedited latent,

    w⁺'_l = w⁺_l + Σ_i u_i S_il + φ(u_i) B_il,        φ(u) = √(1 + u²) − 1    (the pseudo-Huber function),

so the far ends of a curve are straight, in the directions S + B and S − B. Neighboring layers share one curve (a
group g), kept in whitened PCA coordinates: S_il = V_k diag(√λ) s_{i,g(l)}, and likewise B.

Edits saturate. An edit from position c to c' on the axis moves u by T_i(c') − T_i(c). T is the position itself between
the two ends of the axis, and has a slope below one beyond them: a face that is feminine already, or turned far, has
nowhere to go, and the generator would draw other things instead. Edits add up in any order, and their negatives undo
them.

Reading inverts this. A latent of W+ is taken for a latent of W after edits: its layers differ by tangents and
curvatures alone. The û are the least-squares coefficients of the tangents (fitted together with the curvatures) in the
deviations of the layers from their mean. Without these moves, the layers w⁰_l have a mean with position c⁰ on the
axis, and the position of the latent is T⁻¹(T(c⁰) + û). The layers of a projected photograph differ for other reasons:
pass it as the `pivot` of `AttributeAxes.edit` and `read`, which then leave these differences out.
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
from jaxedit.storage.arrays import read_arrays, write_arrays


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["tangents", "curvatures", "ends", "slopes", "group_of_layer"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class LayerCurves:
    """The curves of all axes; a pytree of arrays.

    Attributes:
        tangents: s, the move of each group of layers for one standard deviation of each attribute, in whitened PCA
            coordinates, float32.
        curvatures: b, the move for each unit of φ(u), in the same coordinates, float32.
        ends: positions on each axis beyond which edits saturate: the first negative, the second positive.
        slopes: slope of T beyond the ends of each axis, in (0, 1].
        group_of_layer: g, the group of each layer of W+.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    tangents: Float[Array, "num_attributes num_groups k"]
    curvatures: Float[Array, "num_attributes num_groups k"]
    ends: Float[Array, "num_attributes 2"]
    slopes: Float[Array, " num_attributes"]
    group_of_layer: Int[Array, " num_ws"]

    @property
    def num_ws(self) -> int:
        """Number of layers of W+."""
        return self.group_of_layer.shape[0]

    @property
    def num_attributes(self) -> int:
        """Number of attribute axes."""
        return self.tangents.shape[0]

    def displacement(
        self, pca: PCA, moves: Float[Array, "batch num_attributes"]
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Σ_i u_i S_il + φ(u_i) B_il: the displacement of each layer from the unedited latent, for moves u."""
        num_groups, k = self.tangents.shape[1:]
        amounts = jnp.concatenate([moves, pseudo_huber(moves)], axis=1)
        curves = jnp.concatenate([self.tangents, self.curvatures])

        def in_w(whitened: Float[Array, "rows num_groups k"]) -> Float[Array, "rows num_groups w_dim"]:
            return (whitened * pca.whitened_scale) @ pca.components[:k]

        # The same sums in the order that takes fewer products: over the curves last, or first for a few latents. An
        # exported program leaves their number open.
        batch = moves.shape[0]
        if isinstance(batch, int) and batch > len(curves):
            by_group = (amounts @ in_w(curves).reshape(len(curves), -1)).reshape(-1, num_groups, pca.w_dim)
        else:
            by_group = in_w((amounts @ curves.reshape(len(curves), -1)).reshape(-1, num_groups, k))
        return by_group[:, self.group_of_layer]

    def saturate(
        self, positions: Float[Array, "batch num_attributes"]
    ) -> Float[Array, "batch num_attributes"]:
        """T: positions on the axes as distances along the curves."""
        inside = jnp.clip(positions, self.ends[:, 0], self.ends[:, 1])
        return inside + (positions - inside) * self.slopes

    def unsaturate(
        self, distances: Float[Array, "batch num_attributes"]
    ) -> Float[Array, "batch num_attributes"]:
        """T⁻¹: distances along the curves as positions on the axes."""
        inside = jnp.clip(distances, self.ends[:, 0], self.ends[:, 1])
        return inside + (distances - inside) / self.slopes

    def estimate_moves(
        self, pca: PCA, w_plus: Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch num_attributes"]:
        """û: the moves that earlier edits made, estimated from the differences between layers."""
        k = self.tangents.shape[2]
        # Curves lie in the span of the first k components and are equal within a group: only that part can match.
        deviations = (w_plus - w_plus.mean(1, keepdims=True)) @ pca.components[:k].T / pca.whitened_scale
        curves = jnp.concatenate([self.tangents, self.curvatures])[:, self.group_of_layer]
        curves = (curves - curves.mean(1, keepdims=True)).reshape(len(curves), -1)
        gram = curves @ curves.T
        # Axes whose groups all move alike leave no trace in the deviations; they are read from the mean.
        ridge = 1e-6 * (jnp.trace(gram) / len(gram) + 1e-12)
        products = deviations.reshape(deviations.shape[0], -1) @ curves.T
        solution = jax.scipy.linalg.solve(gram + ridge * jnp.eye(len(gram)), products.T, assume_a="pos").T
        return solution[:, : self.num_attributes]


def pseudo_huber(amounts: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """φ(u) = √(1 + u²) − 1, written so that small amounts keep their digits."""
    square = amounts * amounts
    return square / (jnp.sqrt(1 + square) + 1)


_FILE_KIND = "layer curves"
"""Kind of an array file of curves."""

_FILE_FIELDS = ("tangents", "curvatures", "ends", "slopes", "group_of_layer")
_FORMER_NAMES = {"steps": "tangents", "bends": "curvatures"}
"""Names in files of earlier versions."""


def load_layer_curves(path: str | Path, attribute_names: tuple[str, ...], pca: PCA) -> LayerCurves:
    """Curves of these axes from a file.

    Args:
        path: an `.npz` with `attribute_names`, `tangents` and `curvatures` [num_attributes, num_groups, w_dim] in W,
            `ends` [num_attributes, 2], `slopes` [num_attributes] and `group_of_layer` [num_ws]. Files keep curves in
            W, where the signs that a PCA gives its directions do not matter.
        attribute_names: of the axes.
        pca: of the axes.

    Raises:
        InputError: if the file cannot be read, a curve is missing, or a shape or range does not fit.
    """
    found = read_arrays(path, kind=_FILE_KIND, expected="a file of layer curves (.npz)").arrays
    found = {_FORMER_NAMES.get(name, name): array for name, array in found.items()}
    missing = [name for name in (*_FILE_FIELDS, "attribute_names") if name not in found]
    if missing:
        raise InputError(f"{path}: expected a file of layer curves (.npz), found one without {missing[0]}")
    known = [str(name) for name in found["attribute_names"]]
    curves = {name: found[name].astype(np.float32) for name in ("tangents", "curvatures")}
    ends, slopes = found["ends"].astype(np.float32), found["slopes"].astype(np.float32)
    group_of_layer = found["group_of_layer"].astype(np.int32)
    if group_of_layer.ndim != 1 or not len(group_of_layer) or group_of_layer.min() < 0:
        raise InputError(
            f"{path}: expected group_of_layer [num_ws], 0 or more, got {group_of_layer.tolist()}"
        )
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
            f"{path}: expected curves of {', '.join(attribute_names)}, found none of {missing[0]}"
        )
    rows = [known.index(name) for name in attribute_names]
    # On the host, and to the device together: JAX compiles a program for each step and each new shape.
    components = np.asarray(pca.components)[: pca.num_components]
    scale = np.asarray(jax.jit(lambda pca: pca.whitened_scale)(pca))
    tangents, curvatures = (curves[name][rows] @ components.T / scale for name in ("tangents", "curvatures"))
    return LayerCurves(*jax.device_put((tangents, curvatures, ends[rows], slopes[rows], group_of_layer)))


def save_layer_curves(
    path: str | Path, curves: LayerCurves, attribute_names: tuple[str, ...], pca: PCA
) -> Path:
    """Write a file that `load_layer_curves` reads, half as large through half precision (a thousandth of a curve).

    Args:
        path: where to.
        curves: of the axes.
        attribute_names: of the axes.
        pca: of the axes.

    Raises:
        OutputError: if the file cannot be written.
    """
    from_whitened = np.asarray(pca.components[: pca.num_components])
    scale = np.asarray(pca.whitened_scale)
    in_w = {
        name: (np.asarray(getattr(curves, name)) * scale) @ from_whitened
        for name in ("tangents", "curvatures")
    }
    arrays = {
        "attribute_names": np.asarray(attribute_names),
        **{name: array.astype(np.float16) for name, array in in_w.items()},
        "ends": np.asarray(curves.ends),
        "slopes": np.asarray(curves.slopes),
        "group_of_layer": np.asarray(curves.group_of_layer),
    }
    return write_arrays(path, arrays, kind=_FILE_KIND, compressed=True)
