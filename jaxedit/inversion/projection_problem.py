"""The problem that a projection solves: models that all images share, and the target of each image."""

import dataclasses
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Shaped

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, as_w_plus, weights_fingerprint
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder, encode
from jaxedit.inversion.loss_images import LossSizes, face_part, rendered_side
from jaxedit.latents.pca import PCA, fit_pca
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import shrink
from jaxedit.parallel import replicate, shard_batch

TERMS = ("total", "lpips", "face", "pixel", "identity", "spread", "prior", "noise")
"""The loss, and its parts before they are weighted."""

MIN_SIDE, MAX_SIDE = 64, 4096
"""Smallest and largest side of a target image, in pixels."""

_W_SEED = 123  # of the latents that W is measured with: the published projector's

_LEAST_VARIANCE = 1e-3  # of a component, relative to the first: steps along the others would be too small

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
_SHARED = ("generator", "lpips", "identity", "pca", "basis", "w_std", "schedule", "weights")
_PER_IMAGE = ("start", "keys", "targets")


@dataclasses.dataclass(frozen=True)
class LatentPrior:
    """What is known of the latents before the search.

    Attributes:
        initial: where to start, [batch, w_dim] of W or [batch, num_ws, w_dim] of W+, of one image also [w_dim] or
            [num_ws, w_dim]; None for an encoder's latent or the mean of W, as the config says.
        encoder: finds the start where the config asks for `encoder_passes` and `initial` is None.
        pca: PCA of W for the prior loss; None for one that is fitted to `ProjectionConfig.num_w_samples` latents.
    """

    initial: Shaped[Array | np.ndarray, "*batch w_dim"] | None = None
    encoder: Encoder | None = None
    pca: PCA | None = None


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=[*_SHARED, *_PER_IMAGE], meta_fields=["sizes"]
)
@dataclasses.dataclass(frozen=True)
class ProjectionProblem:
    """Everything that a step reads and no step changes; a pytree.

    Only settings that shape the program are static. Loss weights and the schedule are arrays, so that another run with
    other values compiles nothing.

    Attributes:
        generator: makes the images.
        lpips: the perceptual network.
        identity: the face descriptor; None without an identity loss.
        pca: PCA of W, for the prior loss and the coordinates.
        basis: principal components of W, each times its standard deviation; None where steps are taken in W's own axes.
        w_std: standard deviation of W: the root mean squared distance of latents to their mean.
        schedule: the settings of learning rate, latent noise and patience, by name.
        weights: weight of each term that is computed, by name.
        start: the first latents.
        keys: key data of the random numbers of each image.
        targets: what the losses compare with: "pixels" and, where used, "features", "face", "identity", "mask"; the
            batch comes first in each array.
        sizes: pixels a side at which losses compare.
    """

    __no_type_check__ = True

    generator: Any
    lpips: LPIPS
    identity: FaceIdentity | None
    pca: PCA
    basis: Float[Array, "w_dim w_dim"] | None
    w_std: Float[Array, ""]
    schedule: dict[str, Float[Array, ""]]
    weights: dict[str, Float[Array, ""]]
    start: Float[Array, "batch num_ws w_dim"]
    keys: Array
    targets: dict[str, Any]
    sizes: LossSizes

    def on(self, mesh: Mesh) -> "ProjectionProblem":
        """The problem on the devices of a mesh: models on every device, each image on one."""
        shared = {name: replicate(getattr(self, name), mesh) for name in _SHARED}
        per_image = {name: shard_batch(getattr(self, name), mesh) for name in _PER_IMAGE}
        return ProjectionProblem(**shared, **per_image, sizes=self.sizes)

    def identity_of_run(self, config: ProjectionConfig) -> dict[str, Any]:
        """Everything that the result depends on, JSON-serializable: settings, and hashes of generator and images."""
        targets = self.targets
        given = (self.start, targets["pixels"], targets.get("mask"), self.pca.mean)
        return {
            **config.describe(),
            "generator": weights_fingerprint(self.generator),
            "image": _hash_of(given),
        }


def _hash_of(tree: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def prepare_problem(
    generator: Generator,
    images: Float[Array, "batch side side 3"],
    config: ProjectionConfig,
    *,
    masks: Shaped[Array | np.ndarray, "*batch mask_height mask_width"] | None = None,
    prior: LatentPrior | None = None,
) -> ProjectionProblem:
    """Measure W, load the networks and compute what the losses compare with.

    Args:
        generator: makes the images.
        images: the targets, in [-1, 1].
        config: the settings.
        masks: as for `project`.
        prior: as for `project`.

    Raises:
        InputError: if the prior has another shape than the generator's latents.
        DownloadError, OutputError: if a network cannot be fetched.
    """
    rendering, target = rendered_side(generator, is_cheap=True), images.shape[1]
    sizes = LossSizes.of(rendering, target, config.lpips_size)
    sizes.warn_of_left_out(
        rendering, target, face=config.face_weight > 0, identity=config.identity_weight > 0
    )
    prior = prior or LatentPrior()
    start = first_latents(generator, images, config, prior)
    mask = None if masks is None else _checked_masks(masks, len(images))
    random = np.random.RandomState(_W_SEED)
    z = random.randn(config.num_w_samples, generator.z_dim).astype(np.float32)
    w = generator.mapping(jnp.asarray(z))
    mean = w.mean(0)
    w_std = jnp.sqrt(jnp.square(w - mean).sum(1).mean())
    pca = fit_pca(w) if prior.pca is None else prior.pca
    if pca.w_dim != generator.w_dim:
        raise InputError(f"pca: expected one of width {generator.w_dim}, got {pca.w_dim}")
    lpips = LPIPS.from_pretrained(config.lpips, dtype=config.dtype)
    weights = _term_weights(config, sizes)
    identity = FaceIdentity() if "identity" in weights else None
    # Every image has the same key, so that its place in a batch does not matter; as numbers, which a mesh can divide.
    key = jax.random.key_data(jax.random.key(config.seed))
    targets: dict[str, Any] = {"pixels": shrink(images, sizes.whole)}
    targets |= _features(lpips, identity, images, sizes, tuple(weights))
    if mask is not None:
        targets["mask"] = jnp.asarray(mask)
    if start is None:
        start = jnp.broadcast_to(mean, (len(images), generator.num_ws, generator.w_dim))
    return ProjectionProblem(
        generator=generator,
        lpips=lpips,
        identity=identity,
        pca=pca,
        basis=_whitening(pca) if config.coordinates == "pca" else None,
        w_std=w_std,
        schedule={name: jnp.float32(getattr(config, name)) for name in _SCHEDULE},
        weights={name: jnp.float32(value) for name, value in weights.items()},
        start=start,
        keys=jnp.broadcast_to(key, (len(images), *key.shape)),
        targets=targets,
        sizes=sizes,
    )


def first_latents(
    generator: Generator,
    images: Float[Array, "batch side side 3"],
    config: ProjectionConfig,
    prior: LatentPrior,
) -> Float[Array, "batch num_ws w_dim"] | None:
    """Where a projection starts; None for the mean of W.

    Raises:
        InputError: if given latents have another shape, or an encoder is missing or of another generator.
    """
    if prior.initial is not None:
        return as_w_plus("initial", prior.initial, generator, batch=len(images))
    if not config.encoder_passes:
        return None
    if prior.encoder is None:
        raise InputError(
            f"encoder_passes: {config.encoder_passes} passes need an encoder: give LatentPrior(encoder=…), from "
            "`load_encoder` or `train_encoder`"
        )
    prior.encoder.check_generator(generator)
    return _encoded(prior.encoder, generator, images, num_passes=config.encoder_passes)


_encoded = jax.jit(encode, static_argnames=("num_passes",))


def _whitening(pca: PCA) -> Float[Array, "w_dim w_dim"]:
    variance = pca.explained_variance
    return pca.components * jnp.sqrt(variance + _LEAST_VARIANCE * variance[0])[:, None]


def _checked_masks(masks: Any, batch: int) -> Float[np.ndarray, "batch mask_height mask_width"]:
    """Masks as floats. One mask [height, width] is that of one image."""
    array = np.asarray(masks)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size or array.dtype.kind not in "biuf":
        raise InputError(
            f"masks: expected numbers [batch, height, width], got {list(array.shape)} of {array.dtype}"
        )
    if len(array) != batch:
        raise InputError(f"masks: expected one for each of {batch} images, got {len(array)}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all() or array.min() < 0:
        raise InputError(f"masks: expected finite weights, 0 or more, got {array.min()} … {array.max()}")
    return array


def _term_weights(config: ProjectionConfig, sizes: LossSizes) -> dict[str, float]:
    """Weights of the terms that are computed. A term with a network is left out at weight 0 and where there are too few
    pixels; spread and prior cost next to nothing and are always reported."""
    weights: dict[str, float] = {name: getattr(config, f"{name}_weight") for name in TERMS[1:]}
    if not config.optimize_noise:
        del weights["noise"]
    weights |= {name: 0.0 for name in ("face", "identity") if not getattr(sizes, name)}
    return {name: value for name, value in weights.items() if value > 0 or name in ("spread", "prior")}


@functools.partial(jax.jit, static_argnames=("sizes", "terms"))
def _features(
    lpips: LPIPS, identity: FaceIdentity | None, images: Array, sizes: LossSizes, terms: tuple[str, ...]
) -> dict[str, Any]:
    """What the networks see in the targets, computed once."""
    seen: dict[str, Any] = {}
    if "lpips" in terms:
        seen["features"] = lpips.features(shrink(images, sizes.whole))
    if "face" in terms:
        seen["face"] = lpips.features(face_part(images, sizes.face))
    if identity is not None:
        seen["identity"] = identity(shrink(images, sizes.identity))
    return seen
