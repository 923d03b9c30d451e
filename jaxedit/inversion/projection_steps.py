"""One step of a projection: the loss of a batch of latents, and an Adam step down its gradient.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, appendix D, extended to W+ and by the
terms that `ProjectionConfig` describes.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxedit.generators.conditional import without_class
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.loss_images import clip_softly, face_part, render
from jaxedit.inversion.priors import noise_regularity, prior, spread, white
from jaxedit.inversion.projection_problem import TERMS, ProjectionProblem
from jaxedit.nn.resize import shrink

_ADAM = optax.scale_by_adam(b1=0.9, b2=0.999)
_LEAST_GAIN = 0.01  # share by which a loss must fall to count as lower
_NOISE_DRAW = 2**31 - 1  # number of the draw for the first noise images; steps draw by their own number


class Parameters(NamedTuple):
    """What the search moves, the batch first in each array."""

    w_plus: Float[Array, "batch num_ws w_dim"]
    noise: dict[str, Float[Array, "batch height width"]] | None
    """By layer; None unless noise images are optimized."""


class ProjectionState(NamedTuple):
    """State of the search, by image."""

    parameters: Parameters
    mu: Parameters
    """Adam's mean of the gradients."""
    nu: Parameters
    """Adam's mean of their squares."""
    best: Float[Array, " batch"]
    """Lowest loss so far."""
    best_step: Int[Array, " batch"]
    is_finite: Bool[Array, " batch"]
    steps: Int[Array, " batch"]
    """Number of steps taken."""


def initial_state(problem: ProjectionProblem, config: ProjectionConfig) -> ProjectionState:
    """The state before the first step."""
    batch = len(problem.start)
    noise = None
    if config.optimize_noise:
        keys = jax.vmap(lambda key: jax.random.fold_in(jax.random.wrap_key_data(key), _NOISE_DRAW))(
            problem.keys
        )
        noise = {
            name: jax.vmap(functools.partial(jax.random.normal, shape=image.shape))(
                jax.vmap(jax.random.fold_in, (0, None))(keys, i)
            )
            for i, (name, image) in enumerate(without_class(problem.generator).const_noise().items())
        }
    # A copy: the steps use up the buffers of their state, and the start may be an array of the caller.
    parameters = Parameters(jnp.array(problem.start), noise)
    adam = _ADAM.init(parameters)
    return ProjectionState(
        parameters=parameters,
        mu=adam.mu,
        nu=adam.nu,
        best=jnp.full(batch, jnp.inf, jnp.float32),
        best_step=jnp.zeros(batch, jnp.int32),
        is_finite=jnp.ones(batch, bool),
        steps=jnp.zeros(batch, jnp.int32),
    )


@functools.partial(jax.jit, static_argnames=("length",), donate_argnames=("state",))
def take_steps(
    problem: ProjectionProblem, state: ProjectionState, first: Int[Array, ""], length: int
) -> tuple[ProjectionState, dict[str, Float[Array, "length batch"]]]:
    """Take several steps, compiled as one scan.

    Args:
        problem: what is looked for.
        state: before the first step; its buffers are used up.
        first: number of the first step, from 0.
        length: number of steps.

    Returns:
        The state after the steps, and the loss terms before each step, by name.
    """
    return jax.lax.scan(functools.partial(projection_step, problem), state, first + jnp.arange(length))


def projection_step(
    problem: ProjectionProblem, state: ProjectionState, step: Int[Array, ""]
) -> tuple[ProjectionState, dict[str, Float[Array, " batch"]]]:
    """One Adam step of every image that is still finite, has steps left and whose patience has not run out.

    Args:
        problem: what is looked for.
        state: before the step.
        step: number of the step, from 0. A step beyond the last changes nothing.

    Returns:
        The state after the step, and the loss terms before it, by name.
    """
    rate, strength = rates(step, problem.schedule)
    parameters = state.parameters
    width = parameters.w_plus.shape[2]

    def draw(key: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(jax.random.wrap_key_data(key), step), (1, width))

    jitter = strength * problem.w_std * jax.vmap(draw)(problem.keys)
    (_, terms), gradient = jax.value_and_grad(_loss, has_aux=True)(parameters, problem, jitter)
    # In W all layers move alike: by the mean of their gradients, not the sum. Adam does not see the factor, but its
    # mean of the squares must fit the single layers that follow in W+.
    in_w = jnp.broadcast_to(gradient.w_plus.mean(1, keepdims=True), gradient.w_plus.shape)
    gradient = gradient._replace(
        w_plus=jnp.where(step < problem.schedule["num_w_steps"], in_w, gradient.w_plus)
    )
    adam = optax.ScaleByAdamState(count=step, mu=state.mu, nu=state.nu)
    if problem.basis is not None:
        gradient = gradient._replace(w_plus=_times(gradient.w_plus, problem.basis.T))
    update, adam = _ADAM.update(gradient, adam)
    if problem.basis is not None:
        update = update._replace(w_plus=_times(update.w_plus, problem.basis))
    moved = jax.tree.map(lambda p, u: p - rate * u, parameters, update)
    if moved.noise is not None:
        moved = moved._replace(noise=white(moved.noise))
    is_finite = state.is_finite & _are_finite(moved, gradient) & jnp.isfinite(terms["total"])
    goes_on = is_finite & is_patient(state.best_step, step, problem.schedule["patience"])
    goes_on &= step < problem.schedule["num_steps"]
    is_better = goes_on & (terms["total"] < (1 - _LEAST_GAIN) * state.best)

    def chosen(new: Array, old: Array) -> Array:
        return jnp.where(goes_on.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    after = ProjectionState(
        parameters=jax.tree.map(chosen, moved, parameters),
        mu=jax.tree.map(chosen, adam.mu, state.mu),
        nu=jax.tree.map(chosen, adam.nu, state.nu),
        best=jnp.where(is_better, terms["total"], state.best),
        best_step=jnp.where(is_better, step, state.best_step).astype(jnp.int32),
        is_finite=is_finite,
        steps=state.steps + goes_on.astype(jnp.int32),
    )
    return after, terms


def _times(w_plus: Float[Array, "batch num_ws w_dim"], matrix: Float[Array, "w_dim w_dim"]) -> Array:
    return jnp.matmul(w_plus, matrix, precision=jax.lax.Precision.HIGHEST)


def rates(
    step: Int[Array, ""], schedule: dict[str, Float[Array, ""]]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Learning rate, and strength of the latent noise in standard deviations of W.

    The rate rises linearly over the first `rampup` of the steps and falls along a cosine over the last `rampdown`; the
    strength falls with the square of the steps that are left until `latent_noise_ramp`.
    """
    num_steps = schedule["num_steps"]
    t = step / num_steps
    down = jnp.minimum(1.0, (1.0 - t) / jnp.maximum(schedule["rampdown"], 1e-9))
    up = jnp.minimum(1.0, (t + 1.0 / num_steps) / jnp.maximum(schedule["rampup"], 1e-9))
    rate = schedule["learning_rate"] * (0.5 - 0.5 * jnp.cos(down * jnp.pi)) * up
    left = jnp.maximum(0.0, 1.0 - t / jnp.maximum(schedule["latent_noise_ramp"], 1e-9))
    return rate, schedule["latent_noise"] * jnp.square(left)


def is_patient(best_step: Any, step: Any, patience: Any) -> Any:
    """Whether an image is still searched at a step: patience is 0 (for ever), or its loss fell recently enough."""
    return (patience == 0) | (step - best_step <= patience)


def _loss(
    parameters: Parameters, problem: ProjectionProblem, jitter: Float[Array, "batch 1 w_dim"]
) -> tuple[Float[Array, ""], dict[str, Float[Array, " batch"]]]:
    """The sum over the batch, whose gradient is that of each image by itself; and the terms by image."""
    w_plus, noise = parameters
    images = clip_softly(render(problem.generator, w_plus + jitter, noise, is_cheap=True))
    small = shrink(images, problem.sizes.whole)
    targets, mask = problem.targets, problem.targets.get("mask")
    zero = jnp.zeros(len(w_plus))
    terms = dict.fromkeys(TERMS, zero)
    if "lpips" in problem.weights:
        terms["lpips"] = problem.lpips.distance(problem.lpips.features(small), targets["features"], mask)
    if "face" in problem.weights:
        part = face_part(images, problem.sizes.face)
        terms["face"] = problem.lpips.distance(problem.lpips.features(part), targets["face"])
    if "pixel" in problem.weights:
        terms["pixel"] = _pixel_loss(small, targets["pixels"], mask)
    if problem.identity is not None:
        seen = problem.identity(shrink(images, problem.sizes.identity))
        terms["identity"] = jnp.square(seen - targets["identity"]).sum(1)
    terms["spread"] = spread(w_plus, problem.w_std)
    terms["prior"] = prior(w_plus, problem.pca)
    if noise is not None:
        terms["noise"] = noise_regularity(noise)
    terms["total"] = sum((weight * terms[name] for name, weight in problem.weights.items()), start=zero)
    return terms["total"].sum(), terms


def _pixel_loss(
    images: Float[Array, "batch side side 3"],
    targets: Float[Array, "batch side side 3"],
    mask: Float[Array, "batch mask_height mask_width"] | None,
) -> Float[Array, " batch"]:
    """Mean squared difference, weighted by the mask."""
    squares = jnp.square(images - targets).mean(3)
    weight = jnp.ones_like(squares) if mask is None else _resized(mask, squares.shape)
    return (squares * weight).sum((1, 2)) / jnp.maximum(weight.sum((1, 2)), 1e-6)


def _resized(mask: Array, shape: tuple[int, ...]) -> Array:
    return jax.image.resize(mask, shape, "linear", antialias=True)


def _are_finite(*trees: Any) -> Bool[Array, " batch"]:
    """By image: whether all numbers are finite."""
    leaves = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves(trees)]
    return functools.reduce(jnp.logical_and, leaves)
