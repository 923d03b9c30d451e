"""Pivotal tuning: change the generator's weights a little, so that one latent shows one image.

Roich, Mokady, Bermano and Cohen-Or, *Pivotal Tuning for Latent-based Editing of Real Images*, ACM TOG 2022. The pivot
is the latent of a projection. The weights of the synthesis network are trained to render the image from it. A locality
loss compares the images of nearby latents with those of the untuned generator, so that edits still work.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Shaped

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.conditional import ConditionedGenerator, without_class
from jaxedit.generators.protocol import Generator, as_w_plus
from jaxedit.inversion.config import TuningConfig
from jaxedit.inversion.image_arguments import ImageLike, as_batch
from jaxedit.inversion.loss_images import LossSizes, clip_softly, face_part, render, rendered_side
from jaxedit.inversion.projection_problem import MAX_SIDE, MIN_SIDE
from jaxedit.nn.chunked_loop import ChunkedLoop, run_chunks
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import shrink
from jaxedit.storage.arrays import read_arrays, write_arrays

_KIND = "generator delta"
_EXPECTED = "a delta of a generator"
_EARLIER_METADATA = "__about__"
"""Name of the metadata in files of earlier versions."""


@dataclasses.dataclass(frozen=True)
class GeneratorDelta:
    """Difference between the tuned and the untuned weights of a synthesis network.

    Attributes:
        generator: `describe()` of the generator that it belongs to; of a conditional one, all classes share it.
        arrays: differences, float16, by dotted name of the weight.
    """

    generator: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def apply(self, generator: Generator) -> Any:
        """Return the tuned generator. The given one stays as it is.

        Raises:
            InputError: if the delta belongs to another generator.
        """
        if isinstance(generator, ConditionedGenerator):
            return generator.with_generator(self.apply(generator.generator))
        if json.dumps(generator.describe(), sort_keys=True) != json.dumps(self.generator, sort_keys=True):
            raise InputError(
                f"delta: expected that of a generator {generator.describe()}, got that of {self.generator}"
            )
        graph, *states = nnx.split(generator, _is_tuned, ...)
        tuned, rest = states
        flat = dict(nnx.to_flat_state(tuned))
        names = {_dotted(path): path for path in flat}
        if names.keys() != self.arrays.keys():
            raise InputError("delta: expected the weights of this generator, got others")
        moved = {
            names[name]: flat[names[name]].replace(flat[names[name]][...] + jnp.asarray(array, jnp.float32))
            for name, array in self.arrays.items()
        }
        return nnx.merge(graph, nnx.from_flat_state(list(moved.items())), rest)

    def save(self, path: str | Path) -> Path:
        """Write the delta to a compressed `.npz`.

        Raises:
            OutputError: if the file cannot be written.
        """
        return write_arrays(path, self.arrays, {"generator": self.generator}, kind=_KIND, compressed=True)

    @classmethod
    def load(cls, path: str | Path) -> "GeneratorDelta":
        """Read a file of `save`, of this version or an earlier one.

        Raises:
            CheckpointError: if the file is missing, damaged, or something else.
        """
        try:
            arrays, metadata = read_arrays(path, kind=_KIND, expected=_EXPECTED)
            if _EARLIER_METADATA in arrays:
                metadata = json.loads(str(arrays.pop(_EARLIER_METADATA)))
        except (InputError, ValueError) as error:
            raise CheckpointError(str(error)) from error
        if not isinstance(metadata, dict) or "generator" not in metadata:
            raise CheckpointError(f"{path}: expected {_EXPECTED}, found another file")
        if not all(array.dtype == np.float16 and np.isfinite(array).all() for array in arrays.values()):
            raise CheckpointError(f"{path}: damaged: expected finite float16 numbers")
        return cls(metadata["generator"], arrays)


def _is_tuned(path: tuple[Any, ...], value: Any) -> bool:
    """Whether a variable is a weight of the synthesis network."""
    return isinstance(value, nnx.Param) and "mapping_network" not in path


def _without_depthwise(weights: Any) -> Any:
    """The weights, of which the depthwise kernels stay as they are: on a CPU their derivatives take as long as all the
    others, and the pointwise weights behind them suffice."""
    flat = dict(nnx.to_flat_state(weights))
    held = {
        path: variable.replace(jax.lax.stop_gradient(variable[...])) if "depthwise" in path else variable
        for path, variable in flat.items()
    }
    return nnx.from_flat_state(list(held.items()))


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


class TuningState(NamedTuple):
    """State of a tuning."""

    weights: Any
    """Weights of the synthesis network, an NNX state."""
    moments: Any
    """Of Adam."""
    is_finite: Bool[Array, ""]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["weights", "rest", "lpips", "identity", "w_plus", "small", "face", "descriptor", "key"],
    meta_fields=["graph", "sizes"],
)
@dataclasses.dataclass(frozen=True)
class TuningProblem:
    """Everything that a step of a tuning reads and no step changes; a pytree.

    Attributes:
        graph: structure of the generator.
        weights: untuned weights of the synthesis network.
        rest: the generator's other arrays.
        lpips: the perceptual network.
        identity: the face descriptor; None without an identity loss.
        w_plus: the pivot.
        small: the target at the size at which LPIPS compares.
        face: the middle of the target, likewise; None where there are too few pixels.
        descriptor: face descriptor of the target.
        key: key data of the random latents near the pivot.
        sizes: pixels a side at which losses compare.
    """

    __no_type_check__ = True

    graph: Any
    weights: Any
    rest: Any
    lpips: LPIPS
    identity: FaceIdentity | None
    w_plus: Float[Array, "1 num_ws w_dim"]
    small: Float[Array, "1 side side 3"]
    face: Float[Array, "1 face_side face_side 3"] | None
    descriptor: Float[Array, "1 features"] | None
    key: Array
    sizes: LossSizes


def tune(
    generator: Generator,
    image: ImageLike,
    w_plus: Shaped[Array | np.ndarray, "*one w_dim"],
    config: TuningConfig | None = None,
    *,
    progress: bool = True,
) -> GeneratorDelta:
    """Tune the synthesis network so that one latent shows one image (pivotal tuning).

    Args:
        generator: the generator, which stays as it is.
        image: the target, square, of 64 to 4096 pixels a side, as `project` takes it.
        w_plus: the pivot, a projection of the image: floats [num_ws, w_dim] or [1, num_ws, w_dim]; of W [w_dim] or
            [1, w_dim].
        config: the settings; None for `TuningConfig()`.
        progress: whether to show a bar with the loss.

    Returns:
        The difference of the weights. A run that does not stay finite ends at the last finite weights.

    Raises:
        InputError: if image or pivot have another shape, type or range, or are not finite.
        DownloadError: if the perceptual network or the face descriptor cannot be fetched.

    Examples:
        >>> import jax, jaxedit
        >>> from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config
        >>> from jaxedit.generators.stylegan2.initial import initial_params
        >>> shape = StyleGAN2Config.of_size(
        ...     64, channel_base=512, channel_max=16, z_dim=12, w_dim=16, mapping_layers=2
        ... )
        >>> generator = StyleGAN2(shape, initial_params(shape, jax.random.key(0)))
        >>> w_plus = jax.numpy.repeat(generator.mapping(jax.random.normal(jax.random.key(1), (1, 12))), 10, axis=0)
        >>> image = 0.8 * generator.synthesis(w_plus[None])[0].clip(-1, 1)
        >>> config = jaxedit.TuningConfig(num_steps=4, lpips_size=64, identity_weight=0.0, locality_weight=0.0)
        >>> delta = jaxedit.tune(generator, image, w_plus, config, progress=False)
        >>> delta.apply(generator).synthesis(w_plus[None]).shape
        (1, 64, 64, 3)
    """
    config = config or TuningConfig()
    target = as_batch(image, "image", min_side=MIN_SIDE, max_side=MAX_SIDE)
    if len(target) != 1:
        raise InputError(f"image: expected one, got {len(target)}: each image has weights of its own")
    described = json.loads(json.dumps(without_class(generator).describe()))
    pivot = as_w_plus("w_plus", w_plus, generator, batch=1)
    rendering, side = rendered_side(generator, is_cheap=True), target.shape[1]
    sizes = LossSizes.of(rendering, side, config.lpips_size)
    sizes.warn_of_left_out(rendering, side, face=True, identity=config.identity_weight > 0)
    identity = FaceIdentity() if config.identity_weight > 0 and sizes.identity else None
    graph, *states = nnx.split(generator, _is_tuned, ...)
    weights, rest = states
    problem = TuningProblem(
        graph=graph,
        weights=weights,
        rest=rest,
        lpips=LPIPS.from_pretrained("alex"),
        identity=identity,
        w_plus=pivot,
        small=shrink(target, sizes.whole),
        face=face_part(target, sizes.face) if sizes.face else None,
        descriptor=None if identity is None else identity(shrink(target, sizes.identity)),
        key=jax.random.key_data(jax.random.key(config.seed)),
        sizes=sizes,
    )
    tuned = nnx.merge(graph, _run(problem, config, progress).weights, rest)
    new, old = (nnx.state(without_class(one), _is_tuned) for one in (tuned, generator))
    difference = jax.tree.map(lambda new, old: new - old, new, old)
    arrays = {
        _dotted(path): np.asarray(variable[...], np.float16)
        for path, variable in nnx.to_flat_state(difference)
    }
    return GeneratorDelta(described, arrays)


def _run(problem: TuningProblem, config: TuningConfig, progress: bool) -> TuningState:
    full_length = min(config.steps_per_chunk, config.num_steps)

    def chunk(state: TuningState, first: int, length: int) -> tuple[TuningState, dict[str, Array]]:
        # Always a full chunk, so that only one program is compiled; steps beyond the last change nothing.
        state, losses = _chunk(problem, state, jnp.asarray(first), config)
        return state, {"loss": losses[:length]}

    loop = ChunkedLoop(
        num_steps=config.num_steps,
        steps_per_chunk=full_length,
        name="tuning",
        progress=progress,
        describe=lambda curves: {"loss": f"{curves['loss'][-1]:.4f}"},
        goes_on=lambda state, step: bool(state.is_finite),
    )
    start = TuningState(problem.weights, _adam(config).init(problem.weights), jnp.asarray(True))
    return run_chunks(chunk, start, loop)[0]


def _adam(config: TuningConfig) -> optax.GradientTransformation:
    # Relative steps: gains are folded into the weights, so their sizes differ by orders of magnitude.
    return optax.chain(
        optax.scale_by_adam(),
        optax.scale_by_param_block_rms(),
        optax.scale_by_learning_rate(optax.cosine_decay_schedule(config.learning_rate, config.num_steps)),
    )


def _distance(
    problem: TuningProblem, images: Array, small: Array, face: Array | None, config: TuningConfig
) -> Float[Array, ""]:
    """Perceptual and pixel distance of images to targets, which are given at the size at which they are compared."""
    seen = shrink(images, problem.sizes.whole)
    total = problem.lpips(seen, small)
    if face is not None:
        total += 0.5 * problem.lpips(face_part(images, problem.sizes.face), face)
    return (total + config.pixel_weight * jnp.square(seen - small).mean((1, 2, 3))).sum()


def _loss(weights: Any, problem: TuningProblem, step: Array, config: TuningConfig) -> Float[Array, ""]:
    def images(weights: Any, w_plus: Array) -> Array:
        generator = nnx.merge(problem.graph, _without_depthwise(weights), problem.rest)
        return clip_softly(render(generator, w_plus, None, is_cheap=True))

    shown = images(weights, problem.w_plus)
    loss = _distance(problem, shown, problem.small, problem.face, config)
    if problem.identity is not None and problem.descriptor is not None:
        seen = problem.identity(shrink(shown, problem.sizes.identity))
        loss = loss + config.identity_weight * jnp.square(seen - problem.descriptor).sum()

    def locality(weights: Any) -> Array:
        generator = nnx.merge(problem.graph, problem.weights, problem.rest)
        key = jax.random.fold_in(jax.random.wrap_key_data(problem.key), step)
        w = generator.mapping(jax.random.normal(key, (1, generator.z_dim)))[:, None]
        away = w - problem.w_plus
        length = jnp.sqrt(jnp.square(away).sum(2, keepdims=True) + 1e-12)
        near = problem.w_plus + config.locality_distance * away / length
        untuned = jax.lax.stop_gradient(clip_softly(render(generator, near, None, is_cheap=True)))
        small = shrink(untuned, problem.sizes.whole)
        face = face_part(untuned, problem.sizes.face) if problem.sizes.face else None
        return _distance(problem, images(weights, near), small, face, config)

    if config.locality_weight > 0:
        is_due = step % config.locality_every == config.locality_every - 1
        local = jax.lax.cond(is_due, locality, lambda _: jnp.zeros(()), weights)
        loss = loss + config.locality_weight * config.locality_every * local
    return loss


@functools.partial(jax.jit, static_argnames=("config",))
def _chunk(
    problem: TuningProblem, state: TuningState, first: Array, config: TuningConfig
) -> tuple[TuningState, Array]:
    """Several steps, compiled, from the step `first`. Returns the state and the losses."""

    def one(state: TuningState, step: Array) -> tuple[TuningState, Array]:
        loss, gradient = jax.value_and_grad(_loss)(state.weights, problem, step, config)
        update, moments = _adam(config).update(gradient, state.moments, state.weights)
        weights = optax.apply_updates(state.weights, update)
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((weights, loss))]
        is_finite = state.is_finite & functools.reduce(jnp.logical_and, finite)
        goes_on = is_finite & (step < config.num_steps)
        moved = TuningState(weights, moments, is_finite)
        after = jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), moved, state)
        return after._replace(is_finite=is_finite), loss

    steps = first + jnp.arange(min(config.steps_per_chunk, config.num_steps))
    return jax.lax.scan(one, state, steps)
