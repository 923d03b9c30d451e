"""The curves of the axes learnt through images: edit, render, look, and go down the gradient of what went wrong.

A regression from w to labels promises what the image does not keep: directions found by it alone fool the regressor.
Here the networks look at the image of the edited latent, and everything between the curve and their opinion is
differentiated. For a face w, an axis i and an amount a, with x the curve of `jaxedit.axes.layer_curves`, Δ_j the change
of column j (standard deviations) and e the identity descriptors, an image costs

    ℓ = κ Σ_t ω_t huber(Δ_t − a)             columns t of the target: move by the amount
      + β Σ_j ω_j Δ_j² + Σ_j ω_j μ m_j Δ_j    all others: stay, on each face and (m_j, a running mean) on average
      + Σ_d γ_d ‖e'_d − e_d‖²                 the same person
      + ρ ‖x(a)‖²                             and a likely one.

Several networks may stand for one attribute, as columns of their own. What fools one of them must please the others
too.

The curves have thousands of coordinates and an image is dear, so the gradients are preconditioned: with J the
derivative of the columns and descriptors at some images, H = E[Jᵀ W J] + (ρ + λ) 1 is the Gauss–Newton matrix of ℓ,
and a batch moves the curve by −η H⁻¹ times its gradient. η falls with the number of batches, and the curve is the mean
over them (Polyak and Juditsky, 1992).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.layer_curves import pseudo_huber
from jaxedit.errors import InputError
from jaxedit.latents.pca import PCA

Look = Callable[[Array], tuple[Array, tuple[Array, ...]]]
"""Images to (positions [batch, num_columns] in standard deviations, identity descriptors [batch, ...] each)."""


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
    """ω: which columns are those of the target, and how much each of the others counts; a pytree."""

    __no_type_check__ = True

    target: Float[Array, " num_columns"]
    others: Float[Array, " num_columns"]


def column_weights(
    target: str, columns: Sequence[str], weights: dict[str, float], *, default: float = 0.1
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


@functools.partial(jax.jit, static_argnames="config")
def gradient(
    render: Callable[[Array], Array],
    look: Look,
    pca: PCA,
    group_of_layer: Array,
    curve: tuple[Float[Array, "num_groups k"], Float[Array, "num_groups k"]],
    w: Float[Array, "batch w_dim"],
    amounts: Float[Array, " batch"],
    before: tuple[Float[Array, "batch num_columns"], tuple[Array, ...]],
    weights: ColumnWeights,
    means: Float[Array, "batch num_columns"],
    config: ImageLossConfig,
) -> tuple[tuple[Array, Array], dict[str, Array]]:
    """Gradient of the mean of ℓ over a batch with respect to a curve (its step, its bend); and what was seen.

    Args:
        render: latents of W+ to images, a pytree.
        look: the networks, a pytree.
        pca: of the axes.
        group_of_layer: of the steps.
        curve: (s, b) of the axis.
        w: unedited latents.
        amounts: a.
        before: what `look` says of the unedited images.
        weights: ω of the target.
        means: m for the side of each amount.
        config: weights of the loss.
    """

    def loss(curve: tuple[Array, Array]) -> tuple[Array, dict[str, Array]]:
        moves = place(curve, amounts)
        images = jnp.clip(render(w[:, None] + in_layers(pca, group_of_layer, moves)), -1, 1)
        positions, descriptors = look(images)
        squares = [((e - e0) ** 2).sum(-1) for e, e0 in zip(descriptors, before[1], strict=True)]
        losses = jax.vmap(image_loss, in_axes=(0, 0, 0, 0, 0, None, 0, None))(
            jnp.clip(positions, -4, 4), before[0], squares, moves, amounts, weights, means, config
        )
        seen = {
            "loss": losses,
            "changes": jnp.clip(positions, -4, 4) - before[0],
            "squares": jnp.stack(squares, 1),
        }
        return losses.mean(), seen

    return jax.grad(loss, has_aux=True)(curve)


@jax.jit
def derivatives(
    render: Callable[[Array], Array],
    look: Look,
    pca: PCA,
    group_of_layer: Array,
    w: Float[Array, " w_dim"],
    move: Float[Array, "num_groups k"],
    cotangents: tuple[Float[Array, "num_rows num_columns"], tuple[Array, ...]],
) -> Float[Array, "num_rows num_groups k"]:
    """J: derivatives of combinations of columns and descriptors with respect to the move of one latent."""

    def seen(move: Array) -> tuple[Array, tuple[Array, ...]]:
        w_plus = w[None, None] + in_layers(pca, group_of_layer, move[None])
        positions, descriptors = look(jnp.clip(render(w_plus), -1, 1))
        return positions[0], tuple(e[0] for e in descriptors)

    _, transpose = jax.vjp(seen, move)
    return jax.lax.map(lambda row: transpose(row)[0], cotangents)


def place(
    curve: tuple[Float[Array, "num_groups k"], Float[Array, "num_groups k"]], amounts: Float[Array, " batch"]
) -> Float[Array, "batch num_groups k"]:
    """x(a) = a s + φ(a) b."""
    step, bend = curve
    return amounts[:, None, None] * step + pseudo_huber(amounts)[:, None, None] * bend


def in_layers(
    pca: PCA, group_of_layer: Array, moves: Float[Array, "batch num_groups k"]
) -> Float[Array, "batch num_ws w_dim"]:
    """Whitened moves of the groups as moves of the style inputs."""
    k = moves.shape[-1]
    return ((moves * pca.whitened_scale) @ pca.components[:k])[:, group_of_layer]


@dataclasses.dataclass(frozen=True)
class Moments:
    """What derivatives at some images say on average.

    Attributes:
        columns: E[JᵀJ] of each column.
        column_means: E[J] of each column.
        descriptors: E[JᵀJ] of each descriptor.
    """

    columns: Float[np.ndarray, "num_columns coordinates coordinates"]
    column_means: Float[np.ndarray, "num_columns coordinates"]
    descriptors: Float[np.ndarray, "num_descriptors coordinates coordinates"]

    @classmethod
    def of(
        cls,
        column_rows: Float[np.ndarray, "num_images num_columns coordinates"],
        descriptor_rows: Float[np.ndarray, "num_rows num_descriptors coordinates"],
    ) -> "Moments":
        """From rows of J. Those of descriptors are of random signs ε of their entries: E[(εᵀ J x)²] = ‖J x‖².

        Single images with a landmark that jumps have derivatives a hundred times as long as others: rows longer than
        three times the median of their column are cut to that, and rows that are not finite left out.
        """

        def tidy(rows: np.ndarray) -> np.ndarray:
            rows = np.asarray(rows[np.isfinite(rows).all(1)], np.float64)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            return rows * np.minimum(1, 3 * np.median(lengths) / np.maximum(lengths, 1e-30))

        columns = [tidy(rows) for rows in np.swapaxes(column_rows, 0, 1)]
        descriptors = [tidy(rows) for rows in np.swapaxes(descriptor_rows, 0, 1)]
        return cls(
            np.stack([rows.T @ rows / len(rows) for rows in columns]),
            np.stack([rows.mean(0) for rows in columns]),
            np.stack([rows.T @ rows / len(rows) for rows in descriptors]),
        )

    def inverse(
        self, weights: ColumnWeights, config: ImageLossConfig, *, damping: float
    ) -> Float[np.ndarray, "coordinates coordinates"]:
        """H⁻¹, with λ = damping · mean eigenvalue of E[Jᵀ W J]."""
        each = config.target * np.asarray(weights.target) + 2 * config.others * np.asarray(weights.others)
        total = np.tensordot(each, self.columns, 1)
        total += np.tensordot(2 * np.asarray(config.identity), self.descriptors, 1)
        size = len(total)
        return np.linalg.inv(total + (damping * np.trace(total) / size + 2 * config.length) * np.eye(size))

    def first_step(
        self, weights: ColumnWeights, config: ImageLossConfig, *, damping: float = 2.0
    ) -> Float[np.ndarray, " coordinates"]:
        """The step that is best if images were linear in the latent, changing its target by one on average.

        What few images say of thousands of coordinates is damped more than in a preconditioner.
        """
        target = np.asarray(weights.target) @ self.column_means
        step = self.inverse(weights, config, damping=damping) @ target
        return step / (target @ step)


class Curve:
    """A curve that is being learnt.

    Attributes:
        state: everything that a run needs in order to go on, arrays by name: `step` and `bend` [num_groups, k] as they
            are now, `mean_step` and `mean_bend` over the batches, `sums` [2, num_columns] and `counts` [2] of the
            running means of either side, `lengths` of the last gradients, `batches`.
    """

    def __init__(
        self,
        step: Float[np.ndarray, "num_groups k"],
        num_columns: int,
        inverse: Float[np.ndarray, "coordinates coordinates"],
        *,
        rate: float = 0.06,
    ) -> None:
        """Begin.

        Args:
            step: the first one; the bend begins at zero.
            num_columns: of the look.
            inverse: H⁻¹.
            rate: η of the first batches; it falls as 1 / (1 + batches / 30).
        """
        self.inverse, self.rate = inverse, rate
        zero = np.zeros_like(step, dtype=np.float64)
        self.state: dict[str, np.ndarray] = {
            "step": np.array(step, np.float64),
            "bend": zero,
            "mean_step": np.array(step, np.float64),
            "mean_bend": zero,
            "sums": np.zeros((2, num_columns)),
            "counts": np.zeros(2),
            "lengths": np.zeros(0),
            "batches": np.zeros((), np.int64),
        }

    @property
    def current(self) -> tuple[Array, Array]:
        """(s, b) as they are now."""
        return jnp.asarray(self.state["step"], jnp.float32), jnp.asarray(self.state["bend"], jnp.float32)

    def means(self, amounts: Float[np.ndarray, " batch"]) -> Float[np.ndarray, "batch num_columns"]:
        """m for the side of each amount."""
        sides = self.state["sums"] / np.maximum(self.state["counts"], 1e-9)[:, None]
        return sides[(amounts > 0).astype(int)].astype(np.float32)

    def gains(self, weights: ColumnWeights) -> Float[np.ndarray, " 2"]:
        """Change of the target for each standard deviation asked, of late, to either side (down, up)."""
        moved = self.state["sums"] @ np.asarray(weights.target, np.float64)
        return np.array([-1, 1]) * moved / np.maximum(self.state["counts"], 1e-9)

    def rescaled(
        self, gains: Float[np.ndarray, " 2"]
    ) -> tuple[Float[np.ndarray, "num_groups k"], Float[np.ndarray, "num_groups k"]]:
        """The mean (s, b), stretched so that an amount of ± one changes the target by about that: to x(± 1 / gain).

        A descent that weighs the target against all else comes to shorter steps than were asked. Of the bend, which is
        learnt from smaller numbers, two fifths are kept: as much of it as paid in images.
        """
        down, up = 1 / np.clip(gains, 0.4, 1.5)
        curve = jnp.asarray(self.state["mean_step"]), jnp.asarray(_KEPT_BEND * self.state["mean_bend"])
        below, above = np.asarray(place(curve, jnp.asarray([-down, up])), np.float64)
        return (above - below) / 2, (above + below) / (2 * float(pseudo_huber(jnp.float32(1.0))))

    def take(
        self,
        amounts: Float[np.ndarray, " batch"],
        gradients: Sequence[tuple[np.ndarray, np.ndarray]],
        changes: Float[np.ndarray, "batch num_columns"],
    ) -> None:
        """Go one batch further.

        Args:
            amounts: of the images.
            gradients: of each image by itself, (of the step, of the bend).
            changes: what each column saw.
        """
        state = self.state
        step, bend = np.zeros_like(state["step"]), np.zeros_like(state["bend"])
        lengths = list(state["lengths"])
        for amount, (of_step, of_bend) in zip(amounts, gradients, strict=True):
            # A landmark that jumps has any derivative, or none.
            length = float(np.linalg.norm(of_step)) / abs(float(amount)) ** 2
            if not (np.isfinite(length) and np.isfinite(of_bend).all()):
                continue
            lengths.append(length)
            shorter = min(1.0, 2.5 * float(np.median(lengths[-200:])) / max(length, 1e-30))
            step += shorter * np.asarray(of_step, np.float64)
            bend += shorter * np.asarray(of_bend, np.float64)
        squares = np.asarray(amounts, np.float64) ** 2
        bends = np.asarray(pseudo_huber(jnp.asarray(amounts)), np.float64) ** 2
        rate = self.rate / (1 + int(state["batches"]) / 30)
        shape = step.shape
        state["step"] = state["step"] - rate * (self.inverse @ step.ravel() / squares.sum()).reshape(shape)
        # Bends answer to small numbers: below this they would follow the noise.
        least = max(float(bends.sum()), 0.8 * len(amounts))
        state["bend"] = state["bend"] - rate * (self.inverse @ bend.ravel() / least).reshape(shape)
        state["lengths"] = np.array(lengths[-200:])
        for amount, change in zip(amounts, changes, strict=True):
            side = int(amount > 0)
            state["sums"][side] = 0.97 * state["sums"][side] + change
            state["counts"][side] = 0.97 * state["counts"][side] + abs(amount)
        state["batches"] = state["batches"] + 1
        share = 1 / max(int(state["batches"]) - _FORGOTTEN, 1)
        for name in ("step", "bend"):
            state[f"mean_{name}"] = state[f"mean_{name}"] + share * (state[name] - state[f"mean_{name}"])


_KEPT_BEND = 0.4
_FORGOTTEN = 10
"""Batches whose curves are not in the mean."""


def calibrated(
    curves: tuple[Float[np.ndarray, "n num_groups k"], Float[np.ndarray, "n num_groups k"]],
    effects: Float[np.ndarray, "2 n num_faces n"],
    amount: float,
) -> tuple[Float[np.ndarray, "n num_groups k"], Float[np.ndarray, "n num_groups k"]]:
    """Curves mixed so that on average each changes its attribute by ± one and the others by none.

    Args:
        curves: steps and bends of some attributes.
        effects: for either side (down, up) what each curve does to each of these attributes on each face, towards the
            side, for one standard deviation asked. Means m off the diagonal with standard errors ε count as
            m · max(0, 1 − ε² / m²): less by what chance may have made of them.
        amount: at which that was measured.
    """
    steps, bends = (np.asarray(c, np.float64) for c in curves)
    phi = float(pseudo_huber(jnp.float32(amount)))
    ends = []
    for side, seen in zip((-1, 1), effects, strict=True):
        mean, error = seen.mean(1), seen.std(1) / np.sqrt(seen.shape[1])
        off = mean * np.maximum(0, 1 - error**2 / np.maximum(mean**2, 1e-30)) * (1 - np.eye(len(mean)))
        matrix = off + np.diag(np.clip(np.diag(mean), 0.5, 1.5))
        ends.append(np.tensordot(np.linalg.inv(matrix), side * amount * steps + phi * bends, 1))
    down, up = ends
    return (up - down) / (2 * amount), (up + down) / (2 * phi)
