"""The loss of an edit, measured in the image, and its derivatives with respect to the curve of an axis.

A regression from w to labels promises what the image does not keep: directions found by it alone fool the regressor.
Here the networks read the image of the edited latent, and the whole way from the curve to their readings is
differentiated. For a latent w, an axis i and an amount a, with x the curve of `jaxedit.axes.layer_curves`, Δ_j the
change of column j (standard deviations) and e the identity descriptors, an image costs

    ℓ = κ Σ_t ω_t huber(Δ_t − a)             columns t of the target: move by the amount
      + β Σ_j ω_j Δ_j² + Σ_j ω_j μ m_j Δ_j    all others: stay, on each image and (m_j, a running mean) on average
      + Σ_d γ_d ‖e'_d − e_d‖²                 the same identity
      + ρ ‖x(a)‖²                             and a likely latent.

Several networks may measure one attribute, as columns of their own. An edit that fools one of them must please the
others too.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxedit.axes.layer_curves import pseudo_huber
from jaxedit.errors import InputError
from jaxedit.latents.pca import PCA
from jaxedit.parallel import over_batch

Reader = Callable[[Array], tuple[Array, tuple[Array, ...]]]
"""Images to (positions [batch, num_columns] in standard deviations, identity descriptors [batch, ...] each)."""

LARGEST_POSITION = 4.0
"""Standard deviations to which positions are clipped: of a million normal numbers some sixty lie beyond."""


@dataclasses.dataclass(frozen=True)
class ImageLossConfig:
    """The weights of ℓ.

    Attributes:
        target: κ.
        others: β.
        mean: μ.
        identity: γ, one for each descriptor.
        length: ρ.
    """

    target: float = 3.0
    others: float = 0.5
    mean: float = 2.0
    identity: tuple[float, ...] = (4.0, 1.0)
    length: float = 0.01


@functools.partial(jax.tree_util.register_dataclass, data_fields=["target", "others"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class ColumnWeights:
    """ω: which columns measure the target, and how much each of the others counts; a pytree."""

    __no_type_check__ = True

    target: Float[Array, " num_columns"]
    others: Float[Array, " num_columns"]


def column_weights(
    target: str, columns: Sequence[str], weights: Mapping[str, float], *, default: float = 0.1
) -> ColumnWeights:
    """ω of a target. Columns named `attribute` or `attribute@network` share the weight of their attribute.

    Args:
        target: an attribute.
        columns: names of all columns.
        weights: of the attributes, as others.
        default: of attributes that `weights` lacks.

    Raises:
        InputError: if the target has no column.
    """
    attributes = [column.split("@")[0] for column in columns]
    if target not in attributes:
        raise InputError(f"target {target!r}: expected an attribute of the columns {', '.join(columns)}")
    shares = np.array([1 / attributes.count(name) for name in attributes], np.float32)
    is_target = np.array([name == target for name in attributes])
    other = np.array([weights.get(name, default) for name in attributes], np.float32)
    return ColumnWeights(
        jnp.asarray(np.where(is_target, shares, 0)), jnp.asarray(np.where(is_target, 0, shares * other))
    )


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["render", "reader", "pca", "group_of_layer"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class EditModel:
    """The way from the move of a latent to readings of its image; a pytree.

    Attributes:
        render: latents of W+ to images, a pytree.
        reader: images to positions and descriptors, a pytree.
        pca: of the axes.
        group_of_layer: the group of each layer of W+.
    """

    __no_type_check__ = True

    render: Callable[[Array], Array]
    reader: Reader
    pca: PCA
    group_of_layer: Int[Array, " num_ws"]

    def read(
        self, w: Float[Array, "batch w_dim"], moves: Float[Array, "batch num_groups k"]
    ) -> tuple[Float[Array, "batch num_columns"], tuple[Array, ...]]:
        """Positions and descriptors of latents that are moved, in whitened coordinates of each group."""
        w_plus = w[:, None] + in_layers(self.pca, self.group_of_layer, moves)
        return self.reader(jnp.clip(self.render(w_plus), -1, 1))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["w", "amounts", "positions", "descriptors", "means"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class EditBatch:
    """Edits of one axis; a pytree of arrays with the batch first.

    Attributes:
        w: unedited latents.
        amounts: a.
        positions: of the unedited images.
        descriptors: of the unedited images.
        means: m for the side of each amount: the running mean of Δ over |a|.
    """

    __no_type_check__ = True

    w: Float[Array, "batch w_dim"]
    amounts: Float[Array, " batch"]
    positions: Float[Array, "batch num_columns"]
    descriptors: tuple[Array, ...]
    means: Float[Array, "batch num_columns"]


def image_loss(
    positions: Float[Array, " num_columns"],
    before: Float[Array, " num_columns"],
    distances: Sequence[Float[Array, ""]],
    move: Float[Array, "num_groups k"],
    amount: Float[Array, ""],
    weights: ColumnWeights,
    mean: Float[Array, " num_columns"],
    config: ImageLossConfig,
) -> Float[Array, ""]:
    """ℓ of one image.

    Args:
        positions: of the image of the edited latent.
        before: of the unedited one.
        distances: squared distances of the descriptors.
        move: x(a), whitened.
        amount: a.
        weights: ω.
        mean: m, by side: the running mean of Δ over |a|.
        config: the other weights.
    """
    change = positions - before
    miss = jnp.abs(change - amount)
    huber = jnp.where(miss < 1, 0.5 * miss**2, miss - 0.5)
    return (
        config.target * (weights.target * huber).sum()
        + config.others * (weights.others * change**2).sum()
        + config.mean * (weights.others * mean * change).sum()
        + sum(gamma * d for gamma, d in zip(config.identity, distances, strict=True))
        + config.length * (move**2).sum()
    )


def image_gradients(
    model: EditModel,
    curve: tuple[Float[Array, "num_groups k"], Float[Array, "num_groups k"]],
    weights: ColumnWeights,
    batch: EditBatch,
    config: ImageLossConfig,
    *,
    mesh: Mesh | None = None,
) -> tuple[tuple[Array, Array], dict[str, Array]]:
    """Gradient of ℓ of each image with respect to the curve (its tangent, its curvature), and what was read.

    Args:
        model: from moves to readings.
        curve: (s, b) of the axis.
        weights: ω of the target.
        batch: the edits; on a mesh, as many as a multiple of its devices.
        config: weights of the loss.
        mesh: over whose devices the batch is divided.

    Returns:
        Gradients [batch, num_groups, k] of tangent and curvature; "loss" [batch] and "changes" [batch, num_columns].
    """
    return _image_gradients((model, curve, weights), batch, config=config, mesh=mesh)


@functools.partial(jax.jit, static_argnames=("config", "mesh"))
def _image_gradients(shared: Any, batch: EditBatch, *, config: ImageLossConfig, mesh: Mesh | None) -> Any:
    def rows(shared: Any, batch: EditBatch) -> Any:
        model, curve, weights = shared
        # A copy of the curve for each image, so that one pass gives the gradient of each.
        copies = tuple(jnp.broadcast_to(part, (len(batch.w), *part.shape)) for part in curve)

        def loss(curves: tuple[Array, Array]) -> tuple[Array, dict[str, Array]]:
            moves = along_curve(curves, batch.amounts)
            positions, descriptors = model.read(batch.w, moves)
            positions = jnp.clip(positions, -LARGEST_POSITION, LARGEST_POSITION)
            squares = [((e - e0) ** 2).sum(-1) for e, e0 in zip(descriptors, batch.descriptors, strict=True)]
            losses = jax.vmap(image_loss, in_axes=(0, 0, 0, 0, 0, None, 0, None))(
                positions, batch.positions, squares, moves, batch.amounts, weights, batch.means, config
            )
            return losses.sum(), {"loss": losses, "changes": positions - batch.positions}

        return jax.grad(loss, has_aux=True)(copies)

    return rows(shared, batch) if mesh is None else over_batch(rows, mesh)(shared, batch)


def derivatives(
    model: EditModel,
    w: Float[Array, "batch w_dim"],
    moves: Float[Array, "batch num_groups k"],
    cotangents: tuple[Float[Array, "batch num_rows num_columns"], tuple[Array, ...]],
    *,
    mesh: Mesh | None = None,
) -> Float[Array, "batch num_rows num_groups k"]:
    """J: derivatives of combinations of columns and descriptors with respect to the move of each latent.

    Args:
        model: from moves to readings.
        w: latents; on a mesh, as many as a multiple of its devices.
        moves: where the derivatives are taken, in whitened coordinates.
        cotangents: the weights of the columns, and those of the entries of each descriptor, in each combination.
        mesh: over whose devices the latents are divided.
    """
    return _derivatives(model, (w, moves, cotangents), mesh=mesh)


@functools.partial(jax.jit, static_argnames="mesh")
def _derivatives(model: EditModel, batch: Any, *, mesh: Mesh | None) -> Array:
    def rows(model: EditModel, batch: Any) -> Array:
        def one(latent: Any) -> Array:
            w, move, cotangents = latent

            def read(move: Array) -> tuple[Array, tuple[Array, ...]]:
                positions, descriptors = model.read(w[None], move[None])
                return positions[0], tuple(e[0] for e in descriptors)

            _, transpose = jax.vjp(read, move)
            return jax.lax.map(lambda row: transpose(row)[0], cotangents)

        # Unrolled: each device has few latents, often one.
        leaves, structure = jax.tree.flatten(batch)
        return jnp.stack([one(jax.tree.unflatten(structure, latent)) for latent in zip(*leaves, strict=True)])

    return rows(model, batch) if mesh is None else over_batch(rows, mesh)(model, batch)


def along_curve(
    curve: tuple[Float[Array, "*batch num_groups k"], Float[Array, "*batch num_groups k"]],
    amounts: Float[Array, " batch"],
) -> Float[Array, "batch num_groups k"]:
    """x(a) = a s + φ(a) b."""
    tangent, curvature = curve
    return amounts[:, None, None] * tangent + pseudo_huber(amounts)[:, None, None] * curvature


def in_layers(
    pca: PCA, group_of_layer: Array, moves: Float[Array, "batch num_groups k"]
) -> Float[Array, "batch num_ws w_dim"]:
    """Whitened moves of the groups as moves of the layers."""
    k = moves.shape[-1]
    return ((moves * pca.whitened_scale) @ pca.components[:k])[:, group_of_layer]
