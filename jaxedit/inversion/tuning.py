"""Pivotal tuning: the generator's own weights moved a little, so that one latent shows one image.

Roich, Mokady, Bermano and Cohen-Or, *Pivotal Tuning for Latent-based Editing of Real Images*, ACM TOG 2022. A latent of
a projection is the pivot; the weights of the synthesis network are trained to render the image from it, while a
locality term holds what they render from latents near by where the untuned generator had it, so that edits still work.
"""

import dataclasses
import functools
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, UInt8
from tqdm import tqdm

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.protocol import Generator
from jaxedit.inversion.config import TuningConfig
from jaxedit.inversion.loss_images import clip_softly, face_part
from jaxedit.inversion.lpips import LPIPS
from jaxedit.inversion.lpips_pretrained import load_lpips
from jaxedit.inversion.project import checked_images
from jaxedit.nn.resize import shrink
from jaxedit.storage.atomic import write_atomically

_FORMAT = "jaxedit-generator-delta"


@dataclasses.dataclass(frozen=True)
class GeneratorDelta:
    """What tuning added to the weights of a synthesis network.

    Attributes:
        generator: `describe()` of the generator that it belongs to.
        arrays: dotted name of a weight → difference, float16.
    """

    generator: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def apply(self, generator: Generator) -> Any:
        """The tuned generator; the given one stays as it is.

        Raises:
            InputError: if the delta is of another generator.
        """
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
        """Write it to an `.npz`.

        Raises:
            OutputError: if that fails.
        """
        buffer = io.BytesIO()
        described = json.dumps({"format": _FORMAT, "generator": self.generator})
        arrays: dict[str, Any] = {"__about__": np.asarray(described), **self.arrays}
        np.savez_compressed(buffer, **arrays)
        return write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "GeneratorDelta":
        """Read what `save` wrote.

        Raises:
            CheckpointError: if the file is missing, damaged, or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["__about__"]))
                arrays = {name: file[name] for name in file.files if name != "__about__"}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{path}: expected a delta of a generator: {error}") from error
        if not isinstance(about, dict) or about.get("format") != _FORMAT:
            raise CheckpointError(f"{path}: expected a delta of a generator, found another file")
        if not all(array.dtype == np.float16 and np.isfinite(array).all() for array in arrays.values()):
            raise CheckpointError(f"{path}: damaged: expected finite float16 numbers")
        return cls(about["generator"], arrays)


def _is_tuned(path: tuple[Any, ...], value: Any) -> bool:
    """Weights of the synthesis network."""
    return isinstance(value, nnx.Param) and path[0] != "mapping_network"


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["weights", "rest", "lpips", "identity", "w_plus", "small", "face", "descriptor", "key"],
    meta_fields=["graph"],
)
@dataclasses.dataclass(frozen=True)
class _Job:
    __no_type_check__ = True

    graph: Any
    weights: Any
    """Untuned."""
    rest: Any
    lpips: LPIPS
    identity: FaceIdentity | None
    w_plus: Array
    small: Array
    face: Any
    descriptor: Array | None
    key: Array


def tune(
    generator: Generator,
    image: Float[Array | np.ndarray, "*one height width 3"]
    | UInt8[Array | np.ndarray, "*one height width 3"],
    w_plus: Float[Array | np.ndarray, "num_ws w_dim"],
    config: TuningConfig | None = None,
    *,
    progress: bool = True,
) -> GeneratorDelta:
    """Tune the synthesis network to one image.

    Args:
        generator: which; it stays as it is.
        image: what it shall show, as for `project`.
        w_plus: the pivot, a projection of the image.
        config: the settings.
        progress: whether to show a bar with the loss.

    Returns:
        The difference of the weights; a run that does not stay finite ends at the last weights that were.

    Raises:
        InputError: if image or pivot have another shape or are not finite.
        DownloadError: if the perceptual network or the face descriptor cannot be fetched.
    """
    config = config or TuningConfig()
    target = checked_images(image)
    if len(target) != 1:
        raise InputError(f"image: expected one, got {len(target)}: each image has weights of its own")
    if w_plus.shape != (generator.num_ws, generator.w_dim) or not np.isfinite(np.asarray(w_plus)).all():
        raise InputError(
            f"w_plus: expected finite numbers [{generator.num_ws}, {generator.w_dim}], got shape {list(w_plus.shape)}"
        )
    lpips = load_lpips("alex")
    identity = FaceIdentity() if config.identity_weight > 0 else None
    graph, *states = nnx.split(generator, _is_tuned, ...)
    weights, rest = states
    size = config.lpips_size
    job = _Job(
        graph=graph,
        weights=weights,
        rest=rest,
        lpips=lpips,
        identity=identity,
        w_plus=jnp.asarray(w_plus, jnp.float32)[None],
        small=shrink(target, size),
        face=face_part(target, size),
        descriptor=None if identity is None else identity(shrink(target, 2 * size)),
        key=jax.random.key_data(jax.random.key(config.seed)),
    )
    state = (weights, _adam(config).init(weights), jnp.asarray(True))
    with tqdm(total=config.num_steps, desc="tuning", unit="step", disable=not progress) as bar:
        for first in range(0, config.num_steps, config.steps_per_chunk):
            state, losses = _chunk(job, state, jnp.asarray(first), config)
            done = min(config.steps_per_chunk, config.num_steps - first)
            bar.update(done)
            bar.set_postfix(loss=f"{float(losses[done - 1]):.4f}")
            if not state[2]:
                break
    difference = jax.tree.map(lambda new, old: new - old, state[0], weights)
    arrays = {
        _dotted(path): np.asarray(variable[...], np.float16)
        for path, variable in nnx.to_flat_state(difference)
    }
    return GeneratorDelta(json.loads(json.dumps(generator.describe())), arrays)


def _adam(config: TuningConfig) -> optax.GradientTransformation:
    # Relative steps: gains are folded into the weights, so their sizes differ by orders of magnitude.
    return optax.chain(
        optax.scale_by_adam(),
        optax.scale_by_param_block_rms(),
        optax.scale_by_learning_rate(optax.cosine_decay_schedule(config.learning_rate, config.num_steps)),
    )


def _distance(job: _Job, a: Array, b_small: Array, b_face: Array, config: TuningConfig) -> Array:
    """Perceptual and pixel distance of one image to another, which comes as it is compared."""
    small, face = shrink(a, config.lpips_size), face_part(a, config.lpips_size)
    total = job.lpips(small, b_small) + 0.5 * job.lpips(face, b_face)
    return (total + config.pixel_weight * jnp.square(small - b_small).mean((1, 2, 3))).sum()


def _loss(weights: Any, job: _Job, step: Array, config: TuningConfig) -> Array:
    def images(weights: Any, w_plus: Array) -> Array:
        return clip_softly(nnx.merge(job.graph, weights, job.rest).synthesis(w_plus))

    shown = images(weights, job.w_plus)
    loss = _distance(job, shown, job.small, job.face, config)
    if job.identity is not None and job.descriptor is not None:
        seen = job.identity(shrink(shown, 2 * config.lpips_size))
        loss = loss + config.identity_weight * jnp.square(seen - job.descriptor).sum()

    def locality(weights: Any) -> Array:
        generator = nnx.merge(job.graph, job.weights, job.rest)
        key = jax.random.fold_in(jax.random.wrap_key_data(job.key), step)
        w = generator.mapping(jax.random.normal(key, (1, generator.z_dim)))[:, None]
        away = w - job.w_plus
        length = jnp.sqrt(jnp.square(away).sum(2, keepdims=True) + 1e-12)
        near = job.w_plus + config.locality_distance * away / length
        untuned = jax.lax.stop_gradient(clip_softly(generator.synthesis(near)))
        small, face = shrink(untuned, config.lpips_size), face_part(untuned, config.lpips_size)
        return _distance(job, images(weights, near), small, face, config)

    if config.locality_weight > 0:
        is_due = step % config.locality_every == config.locality_every - 1
        local = jax.lax.cond(is_due, locality, lambda _: jnp.zeros(()), weights)
        loss = loss + config.locality_weight * config.locality_every * local
    return loss


@functools.partial(jax.jit, static_argnames=("config",))
def _chunk(job: _Job, state: Any, first: Array, config: TuningConfig) -> tuple[Any, Array]:
    def one(state: Any, step: Array) -> tuple[Any, Array]:
        weights, moments, is_finite = state
        loss, gradient = jax.value_and_grad(_loss)(weights, job, step, config)
        update, after = _adam(config).update(gradient, moments, weights)
        moved = optax.apply_updates(weights, update)
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((moved, loss))]
        is_finite = is_finite & functools.reduce(jnp.logical_and, finite)
        goes_on = is_finite & (step < config.num_steps)
        chosen = jax.tree.map(
            lambda new, old: jnp.where(goes_on, new, old), (moved, after), (weights, moments)
        )
        return (*chosen, is_finite), loss

    steps = first + jnp.arange(min(config.steps_per_chunk, config.num_steps))
    return jax.lax.scan(one, state, steps)
