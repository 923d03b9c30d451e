"""Projection: images ↦ latents whose images look like them, by gradient descent compiled as one scan.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, appendix D, and beyond it; what is
made small, and how, stands in `ProjectionConfig`.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8
from tqdm import tqdm

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.protocol import Generator, broadcast_w, weights_fingerprint
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.images import from_pixels
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.loss_images import clip_softly, face_part, render
from jaxedit.inversion.lpips import LPIPS
from jaxedit.inversion.lpips_pretrained import load_lpips
from jaxedit.inversion.presets import preset
from jaxedit.inversion.priors import noise_regularity, prior, spread, white
from jaxedit.latents.pca import PCA, fit_pca
from jaxedit.nn.resize import shrink
from jaxedit.parallel import check_batch, gather, replicate, shard_batch
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint

TERMS = ("total", "lpips", "face", "pixel", "identity", "spread", "prior", "noise")
"""The loss of a step, and its parts, not weighted."""

MIN_PHOTO = 64
_KIND = "projection"
_ADAM = optax.scale_by_adam(b1=0.9, b2=0.999)


@dataclasses.dataclass(frozen=True)
class ProjectionResult:
    """What a projection found, on the host.

    Attributes:
        w_plus: latents of W+; equal along `num_ws` where the projection stayed in W.
        image: the generator's images of them, in about [-1, 1].
        loss_history: "total" and the unweighted parts, at each step.
        is_finite: whether the run of each image stayed finite; where it did not, its last good latent is here.
        steps: how many steps each image took.
        noise: the noise images by layer, where they were sought.
        config: with which.
    """

    w_plus: Float[np.ndarray, "batch num_ws w_dim"]
    image: Float[np.ndarray, "batch height width 3"]
    loss_history: dict[str, Float[np.ndarray, "batch num_steps"]]
    is_finite: np.ndarray
    steps: np.ndarray
    noise: dict[str, np.ndarray] | None
    config: ProjectionConfig

    @property
    def w(self) -> Float[np.ndarray, "batch w_dim"]:
        """The mean over the style inputs."""
        return self.w_plus.mean(1)


def project(
    generator: Generator,
    images: Float[Array | np.ndarray, "*batch height width channels"]
    | UInt8[Array | np.ndarray, "*batch height width channels"],
    config: ProjectionConfig | None = None,
    *,
    pca: PCA | None = None,
    masks: Float[Array | np.ndarray, "batch mask_height mask_width"] | None = None,
    initial: Float[Array | np.ndarray, "batch *num_ws w_dim"] | None = None,
    mesh: Mesh | None = None,
    checkpoint_dir: str | Path | None = None,
    progress: bool = True,
) -> ProjectionResult:
    """Find latents for images.

    Args:
        generator: makes the images.
        images: RGB, float in [-1, 1] or uint8, square; for faces aligned as FFHQ is (`jaxedit.inversion.align`). One
            image or a batch; all of a batch are sought at once, and what is found for one does not depend on the others
            (up to rounding).
        config: the settings; `ProjectionConfig.fast()` on a CPU and `.quality()` elsewhere if None.
        pca: of W, for the prior; fitted to the latents that W is measured with if None.
        masks: weights of the pixels in the perceptual and the pixel loss, at least 0.
        initial: latents of W or W+ to start from instead of the mean of W.
        mesh: over whose devices the batch is divided, a multiple of their number.
        checkpoint_dir: where the state is kept between chunks. A run that was stopped goes on from there with the same
            arguments, to the same result.
        progress: whether to show a bar with the loss.

    Raises:
        InputError: if the images are not square RGB of 64 pixels or more, or NaN, if the config asks for noise inputs
            that the generator has not, or anything has another shape; if the memory does not suffice for the batch.
        DownloadError: if the perceptual network or the face descriptor cannot be fetched.
        CheckpointError: if `checkpoint_dir` holds another run, or is damaged.
        OutputError: if it cannot be written.
    """
    config = config or preset(None)
    target = checked_images(images)
    if config.optimize_noise and not isinstance(generator, StyleGAN2):
        raise InputError(
            f"optimize_noise: expected a generator with noise inputs, got {type(generator).__name__}, which has none"
        )
    if masks is not None and masks.shape[0] != len(target):
        raise InputError(f"masks: expected one for each of {len(target)} images, got {masks.shape[0]}")
    if mesh is not None:
        check_batch("images", len(target), mesh)
    job = prepare(generator, target, config, pca, masks, initial)
    try:
        return _run(job, config, mesh, checkpoint_dir, progress)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "Out of memory" not in str(error):
            raise
        advice = (
            f"project {max(1, len(target) // 2)} at once" if len(target) > 1 else "take a smaller lpips_size"
        )
        raise InputError(
            f"images: the memory does not suffice for {len(target)} at once: {advice}"
        ) from error


_SCHEDULE = (
    "num_steps",
    "num_w_steps",
    "learning_rate",
    "rampup",
    "rampdown",
    "latent_noise",
    "latent_noise_ramp",
    "patience",
)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "generator",
        "lpips",
        "identity",
        "pca",
        "w_std",
        "schedule",
        "weights",
        "start",
        "keys",
        "targets",
    ],
    meta_fields=["lpips_size"],
)
@dataclasses.dataclass(frozen=True)
class _Job:
    """All that the steps read: models, which all images share, and by image what is looked for.

    Of the settings only those shape the program that say what is computed: how much a loss weighs, and when the steps
    grow smaller, are numbers like others, so that a second run with other values compiles nothing.
    """

    __no_type_check__ = True

    generator: Any
    lpips: LPIPS
    identity: FaceIdentity | None
    pca: PCA
    w_std: Array
    schedule: dict[str, Array]
    """The settings that `_SCHEDULE` names."""
    weights: dict[str, Array]
    """Of the terms that are computed."""
    lpips_size: int
    start: Array
    """[batch, num_ws, w_dim]"""
    keys: Array
    targets: dict[str, Any]
    """features, face, pixels, identity, mask; each with the batch first."""


def checked_images(images: Any) -> Float[Array, "batch height width 3"]:
    """A batch in [-1, 1] of one image or several.

    Raises:
        InputError: if they are not square RGB of 64 pixels or more, or not finite.
    """
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or not len(images):
        raise InputError(f"images: expected [batch, side, side, 3] (square RGB), got {list(images.shape)}")
    if images.shape[1] < MIN_PHOTO:
        raise InputError(f"images: expected {MIN_PHOTO} pixels a side or more, got {images.shape[1]}")
    bad = ~np.isfinite(np.asarray(images)).all((1, 2, 3))
    if bad.any():
        raise InputError(f"images: expected finite numbers, got NaN or infinity in image {int(bad.argmax())}")
    return from_pixels(jnp.asarray(images))


def prepare(
    generator: Generator,
    target: Float[Array, "batch height width 3"],
    config: ProjectionConfig,
    pca: PCA | None = None,
    masks: Any = None,
    initial: Any = None,
) -> _Job:
    """What every step reads: models, start, and what of the images is compared with. Arguments as of `project`."""
    random = np.random.RandomState(123)  # the same latents in every run, as in the published projector
    z = random.randn(config.num_w_samples, generator.z_dim).astype(np.float32)
    w = generator.mapping(jnp.asarray(z))
    mean = w.mean(0)
    w_std = jnp.sqrt(jnp.square(w - mean).sum(1).mean())
    if pca is None:
        pca = fit_pca(w)
    elif pca.w_dim != generator.w_dim:
        raise InputError(f"pca: expected one of width {generator.w_dim}, got {pca.w_dim}")
    batch = len(target)
    if initial is None:
        start = jnp.broadcast_to(mean, (batch, generator.num_ws, generator.w_dim))
    else:
        expected = ((batch, generator.w_dim), (batch, generator.num_ws, generator.w_dim))
        if initial.shape not in expected:
            raise InputError(f"initial: expected shape {expected[0]} or {expected[1]}, got {initial.shape}")
        start = broadcast_w(jnp.asarray(initial, jnp.float32), generator.num_ws)
    lpips = load_lpips(config.lpips, dtype=config.dtype)
    identity = FaceIdentity() if config.identity_weight > 0 else None
    targets: dict[str, Any] = {"pixels": shrink(target, config.lpips_size)}
    mask = None if masks is None else jnp.asarray(masks, jnp.float32)
    weights = {name: getattr(config, f"{name}_weight") for name in TERMS[1:]}
    # Without a weight a regularization is still shown, and costs next to nothing; a network is left out.
    weights = {name: value for name, value in weights.items() if value > 0 or name in ("spread", "prior")}
    if not config.optimize_noise:
        weights.pop("noise", None)
    measured = _targets(lpips, identity, target, mask, config.lpips_size, tuple(weights))
    # The same for every image, so that its place in a batch does not matter; as numbers, which a mesh can divide.
    key = jax.random.key_data(jax.random.key(config.seed))
    keys = jnp.broadcast_to(key, (batch, *key.shape))
    return _Job(
        generator=generator,
        lpips=lpips,
        identity=identity,
        pca=pca,
        w_std=w_std,
        schedule={name: jnp.float32(getattr(config, name)) for name in _SCHEDULE},
        weights={name: jnp.float32(value) for name, value in weights.items()},
        lpips_size=config.lpips_size,
        start=start,
        keys=keys,
        targets=targets | measured,
    )


@functools.partial(jax.jit, static_argnames=("size", "terms"))
def _targets(
    lpips: LPIPS,
    identity: FaceIdentity | None,
    target: Array,
    mask: Array | None,
    size: int,
    terms: tuple[str, ...],
) -> dict[str, Any]:
    """What the losses compare with, measured once."""
    measured: dict[str, Any] = {}
    if "lpips" in terms:
        measured["features"] = lpips.features(shrink(target, size))
    if "face" in terms:
        measured["face"] = lpips.features(face_part(target, size))
    if identity is not None:
        measured["identity"] = identity(shrink(target, 2 * size))
    if mask is not None:
        measured["mask"] = mask
    return measured


def _rates(step: Array, schedule: dict[str, Array]) -> tuple[Array, Array]:
    """Learning rate, and the strength of the latent noise."""
    num_steps = schedule["num_steps"]
    t = step / num_steps
    down = jnp.minimum(1.0, (1.0 - t) / jnp.maximum(schedule["rampdown"], 1e-9))
    up = jnp.minimum(1.0, (t + 1.0 / num_steps) / jnp.maximum(schedule["rampup"], 1e-9))
    rate = schedule["learning_rate"] * (0.5 - 0.5 * jnp.cos(down * jnp.pi)) * up
    left = jnp.maximum(0.0, 1.0 - t / jnp.maximum(schedule["latent_noise_ramp"], 1e-9))
    return rate, schedule["latent_noise"] * jnp.square(left)


def _loss(parameters: dict[str, Any], job: _Job, jitter: Array) -> tuple[Array, dict[str, Array]]:
    """The sum over the batch, whose gradient is that of each image by itself; and the parts by image."""
    w_plus, noise = parameters["w_plus"], parameters.get("noise")
    images = clip_softly(render(job.generator, w_plus + jitter, noise, is_cheap=True))
    small = shrink(images, job.lpips_size)
    targets, mask = job.targets, job.targets.get("mask")
    zero = jnp.zeros(len(w_plus))
    parts = dict.fromkeys(TERMS, zero)
    if "lpips" in job.weights:
        parts["lpips"] = job.lpips.distance(job.lpips.features(small), targets["features"], mask)
    if "face" in job.weights:
        part = face_part(images, job.lpips_size)
        parts["face"] = job.lpips.distance(job.lpips.features(part), targets["face"])
    if "pixel" in job.weights:
        squares = jnp.square(small - targets["pixels"]).mean(3)
        weight = jnp.ones_like(squares) if mask is None else _resized(mask, squares.shape)
        parts["pixel"] = (squares * weight).sum((1, 2)) / jnp.maximum(weight.sum((1, 2)), 1e-6)
    if job.identity is not None:
        seen = job.identity(shrink(images, 2 * job.lpips_size))
        parts["identity"] = jnp.square(seen - targets["identity"]).sum(1)
    parts["spread"] = spread(w_plus, job.w_std)
    parts["prior"] = prior(w_plus, job.pca)
    if noise is not None:
        parts["noise"] = noise_regularity(noise)
    parts["total"] = sum((weight * parts[name] for name, weight in job.weights.items()), start=zero)
    return parts["total"].sum(), parts


def _resized(mask: Array, shape: tuple[int, ...]) -> Array:
    return jax.image.resize(mask, shape, "linear", antialias=True)


def initial_state(job: _Job, config: ProjectionConfig) -> dict[str, Any]:
    """Parameters, moments of Adam, and by image how it fares."""
    batch = len(job.start)
    parameters: dict[str, Any] = {"w_plus": job.start}
    if config.optimize_noise:
        keys = jax.vmap(lambda key: jax.random.fold_in(jax.random.wrap_key_data(key), 2**31 - 1))(job.keys)
        parameters["noise"] = {
            name: jax.vmap(functools.partial(jax.random.normal, shape=image.shape))(
                jax.vmap(jax.random.fold_in, (0, None))(keys, i)
            )
            for i, (name, image) in enumerate(job.generator.const_noise().items())
        }
    adam = _ADAM.init(parameters)
    return {
        "parameters": parameters,
        "mu": adam.mu,
        "nu": adam.nu,
        "best": jnp.full(batch, jnp.inf, jnp.float32),
        "best_step": jnp.zeros(batch, jnp.int32),
        "is_finite": jnp.ones(batch, bool),
        "steps": jnp.zeros(batch, jnp.int32),
    }


def _step(job: _Job, state: dict[str, Any], step: Array) -> tuple[Any, Any]:
    rate, strength = _rates(step, job.schedule)
    parameters = state["parameters"]
    shape = parameters["w_plus"].shape

    def draw(key: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(jax.random.wrap_key_data(key), step), (1, shape[2]))

    jitter = strength * job.w_std * jax.vmap(draw)(job.keys)
    (_, parts), gradient = jax.value_and_grad(_loss, has_aux=True)(parameters, job, jitter)
    # In W all style inputs move alike. The mean of what each asks for, not the sum: Adam does not see the factor, but
    # its memory of the sizes must fit the single ones that follow in W+.
    latent = gradient["w_plus"]
    in_w = jnp.broadcast_to(latent.mean(1, keepdims=True), latent.shape)
    gradient = gradient | {"w_plus": jnp.where(step < job.schedule["num_w_steps"], in_w, latent)}
    adam = optax.ScaleByAdamState(count=step, mu=state["mu"], nu=state["nu"])
    update, adam = _ADAM.update(gradient, adam)
    moved = jax.tree.map(lambda p, u: p - rate * u, parameters, update)
    if "noise" in moved:
        moved["noise"] = white(moved["noise"])
    finite = functools.reduce(
        jnp.logical_and,
        [jnp.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves((moved, gradient))],
        jnp.isfinite(parts["total"]),
    )
    is_finite = state["is_finite"] & finite
    patience = job.schedule["patience"]
    goes_on = is_finite & ((patience == 0) | (step - state["best_step"] <= patience))
    goes_on &= step < job.schedule["num_steps"]
    is_better = goes_on & (parts["total"] < 0.99 * state["best"])

    def chosen(new: Array, old: Array) -> Array:
        return jnp.where(goes_on.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    after = {
        "parameters": jax.tree.map(chosen, moved, parameters),
        "mu": jax.tree.map(chosen, adam.mu, state["mu"]),
        "nu": jax.tree.map(chosen, adam.nu, state["nu"]),
        "best": jnp.where(is_better, parts["total"], state["best"]),
        "best_step": jnp.where(is_better, step, state["best_step"]).astype(jnp.int32),
        "is_finite": is_finite,
        "steps": state["steps"] + goes_on.astype(jnp.int32),
    }
    return after, parts


@functools.partial(jax.jit, static_argnames=("length",), donate_argnames=("state",))
def _chunk(job: _Job, state: dict[str, Any], first: Array, length: int) -> tuple[Any, Any]:
    """So many steps; those beyond the last change nothing."""
    return jax.lax.scan(functools.partial(_step, job), state, first + jnp.arange(length))


@jax.jit
def _images(generator: Any, parameters: dict[str, Any]) -> Array:
    return render(generator, parameters["w_plus"], parameters.get("noise"), is_cheap=False)


def _run(
    job: _Job,
    config: ProjectionConfig,
    mesh: Mesh | None,
    checkpoint_dir: str | Path | None,
    progress: bool,
) -> ProjectionResult:
    state = initial_state(job, config)
    history: list[dict[str, np.ndarray]] = []
    first, length = 0, min(config.steps_per_chunk, config.num_steps)
    folder = None if checkpoint_dir is None else Path(checkpoint_dir)
    fingerprint = "" if folder is None else _fingerprint(job, config)
    if folder is not None and folder.exists():
        first, state, history = _resume(folder, fingerprint, state)
    if mesh is not None:
        state, job = shard_batch(state, mesh), _divided(job, mesh)
    with tqdm(
        total=config.num_steps, initial=first, desc="projection", unit="step", disable=not progress
    ) as bar:
        while first < config.num_steps and bool(np.asarray(_goes_on(state, first, config))):
            state, parts = _chunk(job, state, jnp.asarray(first), length)
            done = min(length, config.num_steps - first)
            kept = gather(parts)
            history.append({name: part[:done].T for name, part in kept.items()})
            first += done
            bar.update(done)
            bar.set_postfix(loss=f"{kept['total'][done - 1].mean():.4f}")
            if folder is not None:
                _save(folder, fingerprint, first, state, history)
    parameters = state["parameters"]
    image = np.asarray(gather(_images(job.generator, parameters)))
    host = gather(state)
    return ProjectionResult(
        w_plus=host["parameters"]["w_plus"],
        image=image,
        loss_history={name: np.concatenate([part[name] for part in history], axis=1) for name in TERMS},
        is_finite=host["is_finite"],
        steps=host["steps"],
        noise=host["parameters"].get("noise"),
        config=config,
    )


def _goes_on(state: dict[str, Any], step: int, config: ProjectionConfig) -> Any:
    """Whether any image still moves."""
    waiting = step - np.asarray(gather(state["best_step"]))
    is_patient = (config.patience == 0) | (waiting <= config.patience)
    return (np.asarray(gather(state["is_finite"])) & is_patient).any()


def _divided(job: _Job, mesh: Mesh) -> _Job:
    """Models on every device, what belongs to an image on its own."""
    shared = {
        name: replicate(getattr(job, name), mesh)
        for name in ("generator", "lpips", "identity", "pca", "w_std", "schedule", "weights")
    }
    own = {name: shard_batch(getattr(job, name), mesh) for name in ("start", "keys", "targets")}
    return _Job(**shared, **own, lpips_size=job.lpips_size)


def _fingerprint(job: _Job, config: ProjectionConfig) -> str:
    """Of what the result depends on."""
    described = [dataclasses.asdict(config), weights_fingerprint(job.generator)]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for leaf in jax.tree.leaves((job.start, job.targets["pixels"], job.targets.get("mask"), job.pca.mean)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _save(folder: Path, fingerprint: str, step: int, state: Any, history: list[dict[str, Any]]) -> None:
    joined = {name: np.concatenate([part[name] for part in history], axis=1) for name in TERMS}
    save_checkpoint(
        folder,
        kind=_KIND,
        config={"fingerprint": fingerprint, "step": step},
        arrays={"state": gather(state), "history": joined},
    )


def _resume(folder: Path, fingerprint: str, like: dict[str, Any]) -> tuple[int, Any, list[dict[str, Any]]]:
    config, arrays = load_checkpoint(folder, kind=_KIND)
    if config.get("fingerprint") != fingerprint:
        raise CheckpointError(
            f"{folder}: expected the state of this run, found that of another image, generator or config"
        )
    structure: Callable[[Any], Any] = functools.partial(jax.tree.unflatten, jax.tree.structure(like))
    state = structure([jnp.asarray(leaf) for leaf in jax.tree.leaves(arrays["state"])])
    return int(config["step"]), state, [arrays["history"]]
