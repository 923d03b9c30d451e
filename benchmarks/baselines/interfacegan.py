"""InterFaceGAN: each attribute along the normal of a linear boundary between its extremes.

Shen, Gu, Tang and Zhou, *Interpreting the Latent Space of GANs for Semantic Face Editing*, CVPR 2020. Of all latents
those with the highest and the lowest scores, a share each, become two classes y = ±1, and a linear support vector
machine separates them,

    min over v, b of ½ ‖v‖² + C Σ max(0, 1 − yᵢ (v·wᵢ + b)),        n = v / ‖v‖.

The conditional form moves along what is left of n after projection onto the complement of the normals N of the
attributes that shall stay,

    n − N⁺N n.

The machine is solved in its dual by sequential minimal optimization: of all pairs of dual variables the one that
promises most is set to its minimum, until no pair violates the optimality conditions by more than a tolerance (Fan,
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
    """A solution.

    Attributes:
        weights: v.
        bias: b.
        violation: by how much the optimality conditions are violated at most.
        gap: primal minus dual objective, relative to the primal: how far it is from its minimum at most.
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

    Its dual is min ½ αᵀQα − Σα over 0 ≤ α ≤ C with Σ αy = 0, Q = yyᵀ ∘ xxᵀ, and v = Σ αyx. With G = Qα − 1 a pair
    (i, j) of which αᵢyᵢ may grow and αⱼyⱼ may fall violates the conditions by yⱼGⱼ − yᵢGᵢ, and moving both by

        t = (yⱼGⱼ − yᵢGᵢ) / ‖xᵢ − xⱼ‖²,

    clipped to the box, is the best that it can do.

    Args:
        x: samples.
        y: classes, ±1.
        C: weight of the hinge loss, summed over samples.
        tolerance: of the violation; LIBSVM's.
        max_steps: after which it stops in any case.
    """
    x = x - x.mean(0)  # changes b alone
    gram = jnp.matmul(x, x.T, precision=lax.Precision.HIGHEST)
    squares = jnp.diagonal(gram)

    def scores(alpha: Array, gradient: Array) -> tuple[Array, Array]:
        """−yG, which should nowhere be larger among those that may grow than among those that may fall."""
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
    """The unit normals of all attributes' boundaries, towards more of the attribute."""
    count = max(1, int(share * len(w)))
    order = jnp.argsort(labels, axis=0)
    chosen = jnp.concatenate([order[-count:], order[:count]]).T
    y = jnp.concatenate([jnp.ones(count), -jnp.ones(count)])

    def normal(rows: Array) -> Array:
        v = linear_svm(w[rows], y, C).weights
        return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)

    # One after the other: they take very different numbers of steps.
    return lax.map(normal, chosen)


def project_out(
    directions: Float[Array, "num_directions w_dim"], others: Float[Array, "num_others w_dim"]
) -> Float[Array, "num_directions w_dim"]:
    """What is left of directions after projection onto the complement of the span of others."""
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
    """The normals of all attributes.

    Args:
        split: to learn from.
        generator: not used.
        conditional: whether to project out the normals of the attributes that shall stay.
        conditions: those attributes, by default the leakage attributes; each but the one that is moved.
        share: of all samples, in each of the two classes. The authors' 2 % of half a million are 10,000 samples; of a
            few thousand they would be fewer than w has dimensions.
        C: weight of the hinge loss.
        name: of the method.

    Raises:
        InputError: if a number is out of its range, or a name is unknown.
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
