"""InterFaceGAN: for each attribute, the normal of a linear boundary between its extremes.

Shen, Gu, Tang and Zhou, *Interpreting the Latent Space of GANs for Semantic Face Editing*, CVPR 2020. The latents
with the highest and the lowest scores form two classes y = ±1. A linear support vector machine separates them:

    min over v, b of ½ ‖v‖² + C Σ max(0, 1 − yᵢ (v·wᵢ + b)),        n = v / ‖v‖.

The conditional form removes from n its projection onto the normals N of the attributes that should not change:

    n − N⁺N n.

Sequential minimal optimization solves the dual problem. Each step chooses the pair of dual variables with the largest
expected decrease and minimizes over it, until no pair violates the optimality conditions by more than a tolerance (Fan,
Chen and Lin, *Working Set Selection Using Second Order Information*, JMLR 2005; LIBSVM, which the authors use).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from benchmarks.baselines.training_labels import TrainingSplit, scaled
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.protocol import Generator


class SupportVectorMachine(NamedTuple):
    """A solution of `linear_svm`.

    Attributes:
        weights: v.
        bias: b.
        violation: largest violation of the optimality conditions.
        gap: (primal − dual objective) / primal objective, an upper bound of the relative error of the objective.
    """

    weights: Float[Array, " num_features"]
    bias: Float[Array, ""]
    violation: Float[Array, ""]
    gap: Float[Array, ""]


@functools.partial(jax.jit, static_argnames="max_steps")
def linear_svm(
    x: Float[Array, "num_samples num_features"],
    y: Float[Array, " num_samples"],
    C: float | Float[Array, ""],
    *,
    tolerance: float = 1e-3,
    max_steps: int = 100_000,
) -> SupportVectorMachine:
    """The linear support vector machine with hinge loss.

    Its dual is min ½ αᵀQα − Σα over 0 ≤ α ≤ C with Σ αy = 0, Q = yyᵀ ∘ xxᵀ, and v = Σ αyx. Let G = Qα − 1. A pair
    (i, j) where αᵢyᵢ can grow and αⱼyⱼ can fall violates the optimality conditions by yⱼGⱼ − yᵢGᵢ. The best move of
    the pair, clipped to the box, is

        t = (yⱼGⱼ − yᵢGᵢ) / ‖xᵢ − xⱼ‖².

    Args:
        x: samples.
        y: classes, ±1.
        C: weight of the hinge loss, summed over samples.
        tolerance: largest violation of the optimality conditions. The default is that of LIBSVM.
        max_steps: largest number of steps.
    """
    x = x - x.mean(0)  # changes only b
    gram = jnp.matmul(x, x.T, precision=lax.Precision.HIGHEST)
    squares = jnp.diagonal(gram)

    def scores(alpha: Array, gradient: Array) -> tuple[Array, Array]:
        """−yG of the samples that can grow, and of those that can fall. At the optimum, max(first) ≤ min(second)."""
        grows = jnp.where(y > 0, alpha < C, alpha > 0)
        falls = jnp.where(y > 0, alpha > 0, alpha < C)
        score = -y * gradient
        return jnp.where(grows, score, -jnp.inf), jnp.where(falls, score, jnp.inf)

    def unfinished(state: tuple[Array, Array, Array]) -> Array:
        alpha, gradient, step = state
        up, down = scores(alpha, gradient)
        return (up.max() - down.min() > tolerance) & (step < max_steps)

    def move(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        alpha, gradient, step = state
        up, down = scores(alpha, gradient)
        i = jnp.argmax(up)
        gain = jnp.maximum(up[i] - down, 0.0)
        distance = jnp.maximum(squares[i] + squares - 2 * gram[i], 1e-12)
        j = jnp.argmax(jnp.where(jnp.isfinite(down), gain**2 / distance, -jnp.inf))
        room_i = jnp.where(y[i] > 0, C - alpha[i], alpha[i])
        room_j = jnp.where(y[j] > 0, alpha[j], C - alpha[j])
        t = jnp.minimum(gain[j] / distance[j], jnp.minimum(room_i, room_j))
        alpha = jnp.clip(alpha.at[i].add(y[i] * t).at[j].add(-y[j] * t), 0.0, C)
        return alpha, gradient + y * t * (gram[i] - gram[j]), step + 1

    start = jnp.zeros(len(x), x.dtype), -jnp.ones(len(x), x.dtype), jnp.int32(0)
    alpha, gradient, _ = lax.while_loop(unfinished, move, start)
    up, down = scores(alpha, gradient)
    v = jnp.matmul(alpha * y, x, precision=lax.Precision.HIGHEST)
    b = 0.5 * (up.max() + down.min())
    margins = y * (jnp.matmul(x, v, precision=lax.Precision.HIGHEST) + b)
    primal = 0.5 * (v @ v) + C * jnp.maximum(0, 1 - margins).sum()
    dual = alpha.sum() - 0.5 * (v @ v)
    return SupportVectorMachine(v, b, up.max() - down.min(), (primal - dual) / primal)


@functools.partial(jax.jit, static_argnames="share")
def boundary_normals(
    w: Float[Array, "num_samples w_dim"],
    labels: Float[Array, "num_samples num_attributes"],
    *,
    share: float,
    C: float | Float[Array, ""],
) -> Float[Array, "num_attributes w_dim"]:
    """Unit normals of the boundaries of all attributes. They point towards more of the attribute.

    Args:
        w: latents.
        labels: their labels.
        share: share of the samples in each of the two classes.
        C: weight of the hinge loss.
    """
    count = max(1, int(share * len(w)))
    order = jnp.argsort(labels, axis=0)
    chosen = jnp.concatenate([order[-count:], order[:count]]).T
    y = jnp.concatenate([jnp.ones(count), -jnp.ones(count)])

    def normal(rows: Array) -> Array:
        v = linear_svm(w[rows], y, C).weights
        return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)

    # Sequential, because the numbers of steps differ widely.
    return lax.map(normal, chosen)


def project_out(
    directions: Float[Array, "num_directions w_dim"], others: Float[Array, "num_others w_dim"]
) -> Float[Array, "num_directions w_dim"]:
    """Project directions onto the orthogonal complement of the span of `others`."""
    with jax.default_matmul_precision("highest"):
        basis = jnp.linalg.qr(others.T)[0]
        return directions - (directions @ basis) @ basis.T


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    conditional: bool = False,
    conditions: Sequence[str] | None = None,
    share: float = 0.1,
    C: float = 1.0,
    name: str | None = None,
) -> LinearDirections:
    """Directions of all attributes.

    Args:
        split: training data.
        generator: not used.
        conditional: whether to project out the normals of the attributes that should not change.
        conditions: those attributes, by default the leakage attributes; the target itself is left out.
        share: share of the samples in each of the two classes. The authors use 2 % of half a million, 10,000 samples.
            Of a few thousand samples, 2 % would be fewer than the dimensions of w.
        C: weight of the hinge loss.
        name: name of the method.

    Raises:
        InputError: if a number is out of range, or a name is unknown.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"share: expected a share in (0, 0.5], got {share}")
    if not C > 0:
        raise InputError(f"C: expected a positive number, got {C}")
    normals = boundary_normals(split.w, split.labels, share=share, C=C)
    if conditional:
        staying = split.columns(split.leakage_attributes() if conditions is None else conditions)
        rows = []
        for i in range(len(normals)):
            others = [j for j in staying if j != i]
            rows.append(
                project_out(normals[i : i + 1], normals[jnp.array(others)]) if others else normals[i : i + 1]
            )
        normals = jnp.concatenate(rows)
    name = name or ("interfacegan-conditional" if conditional else "interfacegan")
    return LinearDirections(name, split.attribute_names, scaled(normals, split.probes))
