"""InterFaceGAN: each attribute along the normal of a linear boundary between its extremes.

Shen, Gu, Tang and Zhou, *Interpreting the Latent Space of GANs for Semantic Face Editing*, CVPR 2020. Of all latents
those with the highest and the lowest scores, a share each, become two classes y = ±1, and a linear support vector
machine separates them,

    min over v, b of ½ ‖v‖² + C Σ max(0, 1 − yᵢ (v·wᵢ + b)),        n = v / ‖v‖.

The conditional form moves along what is left of n after projection onto the complement of the normals N of the
attributes that shall stay,

    n − N⁺N n.

The machine is solved in its dual, one coordinate after the other in random order (Hsieh et al., *A Dual Coordinate
Descent Method for Large-scale Linear SVM*, ICML 2008), which needs a small penalty on b: ½ (b / s)² with s = 10, on
latents centred between the classes, gives LIBSVM's normals (the authors') to 1e-5 in their cosine.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from benchmarks.baselines.common import TrainingSplit, scaled
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.base import Generator


@functools.partial(jax.jit, static_argnames="num_epochs")
def linear_svm(
    x: Float[Array, "num_samples num_features"],
    y: Float[Array, " num_samples"],
    C: float | Float[Array, ""],
    key: PRNGKeyArray,
    *,
    bias_scale: float | Float[Array, ""] = 1.0,
    num_epochs: int,
) -> tuple[Float[Array, " num_features"], Float[Array, ""], Float[Array, ""]]:
    """The linear support vector machine with hinge loss; the bias comes of a feature that is s everywhere.

    With α the dual variables, 0 ≤ α ≤ C, and u = Σ αᵢ yᵢ xᵢ, each step minimises ½ ‖u‖² − Σ α over one αᵢ:

        αᵢ ← clip(αᵢ − (yᵢ u·xᵢ − 1) / ‖xᵢ‖², 0, C).

    Args:
        x: samples.
        y: classes, ±1.
        C: weight of the hinge loss, summed over samples.
        key: of the order.
        bias_scale: s, by which the penalty of the bias, ½ (b / s)², becomes small, and the solution slow.
        num_epochs: passes over the samples.

    Returns:
        Weights, bias, and the duality gap relative to the primal objective: how far at most it is from its minimum.
    """
    num_samples = len(x)
    features = jnp.concatenate([x, jnp.full((num_samples, 1), bias_scale, x.dtype)], axis=1)
    squares = (features**2).sum(1)

    def step(state: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        u, alpha = state
        gradient = y[i] * jnp.dot(features[i], u, precision=lax.Precision.HIGHEST) - 1
        new = jnp.clip(alpha[i] - gradient / squares[i], 0, C)
        return (u + (new - alpha[i]) * y[i] * features[i], alpha.at[i].set(new)), None

    def epoch(state: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
        return lax.scan(step, state, jax.random.permutation(key, num_samples))

    start = jnp.zeros(features.shape[1], x.dtype), jnp.zeros(num_samples, x.dtype)
    (_, alpha), _ = lax.scan(epoch, start, jax.random.split(key, num_epochs))
    u = jnp.matmul(alpha * y, features, precision=lax.Precision.HIGHEST)
    margins = y * jnp.matmul(features, u, precision=lax.Precision.HIGHEST)
    primal = 0.5 * (u @ u) + C * jnp.maximum(0, 1 - margins).sum()
    dual = alpha.sum() - 0.5 * (u @ u)
    return u[:-1], u[-1] * bias_scale, (primal - dual) / primal


def boundary_normals(
    w: Float[Array, "num_samples w_dim"],
    labels: Float[Array, "num_samples num_attributes"],
    key: PRNGKeyArray,
    *,
    share: float,
    C: float,
    num_epochs: int,
) -> Float[Array, "num_attributes w_dim"]:
    """The unit normals of all attributes' boundaries, towards more of the attribute."""
    count = max(1, int(share * len(w)))
    order = jnp.argsort(labels, axis=0)
    chosen = jnp.concatenate([order[-count:], order[:count]]).T
    y = jnp.concatenate([jnp.ones(count), -jnp.ones(count)])

    def normal(rows: Array, key: Array) -> Array:
        x = w[rows] - w[rows].mean(0)
        v, _, _ = linear_svm(x, y, C, key, bias_scale=10.0, num_epochs=num_epochs)
        return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)

    return jax.vmap(normal)(chosen, jax.random.split(key, labels.shape[1]))


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
    num_epochs: int = 200,
    seed: int = 0,
    name: str | None = None,
) -> LinearDirections:
    """The normals of all attributes.

    Args:
        split: to learn from.
        generator: not used.
        conditional: whether to project out the normals of the attributes that shall stay.
        conditions: those attributes, by default the judged ones; each but the one that is moved.
        share: of all samples, in each of the two classes. The authors' 2 % of half a million are 10,000 samples; of a
            few thousand they would be fewer than w has dimensions.
        C: weight of the hinge loss.
        num_epochs: passes of the solver.
        seed: of the solver's order.
        name: of the method.

    Raises:
        InputError: if a number is out of its range, or a name is unknown.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"share: expected a share in (0, 0.5], got {share}")
    if not C > 0 or num_epochs < 1:
        raise InputError(f"C and num_epochs: expected positive numbers, got {C} and {num_epochs}")
    normals = boundary_normals(
        split.w, split.labels, jax.random.key(seed), share=share, C=C, num_epochs=num_epochs
    )
    if conditional:
        staying = split.columns(split.judged() if conditions is None else conditions)
        rows = []
        for i in range(len(normals)):
            others = [j for j in staying if j != i]
            rows.append(
                project_out(normals[i : i + 1], normals[jnp.array(others)]) if others else normals[i : i + 1]
            )
        normals = jnp.concatenate(rows)
    name = name or ("interfacegan-conditional" if conditional else "interfacegan")
    return LinearDirections(name, split.attribute_names, scaled(normals, split.probes))
