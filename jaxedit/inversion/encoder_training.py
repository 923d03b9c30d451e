"""Training of an encoder on a generator's own images.

Frozen features of the images are computed once, also of versions with the light, blur and compression of photographs;
a small head then learns in minutes what latent they belong to. With a second pass it also learns from the images of its
own first answers. The loss is the squared error of the latent in the metric of the images: the mean of JᵀJ, where J is
the derivative of LPIPS' features, so that what nobody sees counts little.
"""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, check_square_rgb, weights_fingerprint
from jaxedit.inversion.encoder import Encoder, initial_params
from jaxedit.inversion.encoder_config import EncoderConfig, EncoderTrainingConfig
from jaxedit.inversion.encoder_pairs import (
    PAIR_ARRAYS,
    Pairs,
    Units,
    seen_versions,
    training_latents,
    training_pairs,
)
from jaxedit.inversion.loss_images import clip_softly
from jaxedit.latents.renders import Render, cheap_render
from jaxedit.latents.seed_stream import sample_w
from jaxedit.nn.chunked_loop import ChunkedLoop, History, Snapshot, run_chunks
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.lpips import MIN_SIZE as MIN_LPIPS_SIZE
from jaxedit.storage.runs import RunFolder

RUN_KIND = "encoder training"
"""Kind of the run folder."""

_LATENT_WEIGHT = 0.5  # of the plain squared error beside that in the metric of the images
_PIXEL_WEIGHT = 0.1  # of the pixels beside LPIPS in that metric
_MEAN_SHARE = 0.5  # of examples that start at the mean, where there are others
_RANK = 192  # of that metric
_STEPS_PER_CHUNK = 250
_NUM_IMAGES = 64  # that the channels' components are measured with


def train_encoder(
    generator: Generator,
    config: EncoderTrainingConfig | None = None,
    *,
    out: str | Path | None = None,
    progress: bool = True,
) -> Encoder:
    """Train an encoder from images to latents of W+.

    Args:
        generator: any of square RGB images; a pytree, differentiable unless `num_probes` is 0.
        config: settings.
        out: folder of the run, which resumes when it was interrupted. None keeps nothing.
        progress: whether to show bars.

    Raises:
        InputError: if the generator's images are not square RGB or too small, or `out` holds another run.
        DownloadError: if AlexNet cannot be fetched.
        OutputError: if `out` cannot be written.

    Examples:
        >>> import jaxedit
        >>> from jaxedit.inversion.encoder_training import EncoderTrainingConfig, train_encoder
        >>> generator = jaxedit.load_generator("mobile-stylegan-ffhq")
        >>> encoder = train_encoder(generator, EncoderTrainingConfig(num_latents=2048))  # doctest: +SKIP
        >>> encoder.save("encoder")  # doctest: +SKIP
    """
    config = config or EncoderTrainingConfig()
    check_square_rgb(generator, use="an encoder")
    if generator.resolution < config.side:
        raise InputError(
            f"side: expected at most the generator's {generator.resolution} pixels a side, got {config.side}"
        )
    shape = config.shape(generator.num_ws, generator.w_dim)
    trunk = LPIPS.from_pretrained("alex")
    with tempfile.TemporaryDirectory() as temporary:
        request = {"generator": weights_fingerprint(generator), "config": dataclasses.asdict(config)}
        run = RunFolder.open(temporary if out is None else out, kind=RUN_KIND, request=request)
        render = cheap_render(generator)
        encoder = _untrained(generator, shape, trunk, render, config, run)
        probes = _probes(generator, encoder, render, config, run, progress)
        pairs = training_pairs(generator, encoder, render, config, run, progress=progress)
        head = _fit(encoder, probes, pairs, None, config, run, progress)
        encoder = encoder.with_head(head)
        if config.num_passes > 1:
            present = _present(encoder, render, pairs, config, run, progress)
            head = _fit(encoder, probes, pairs, present, config, run, progress)
            encoder = encoder.with_head(head)
    return encoder


def _untrained(
    generator: Generator,
    shape: EncoderConfig,
    trunk: LPIPS,
    render: Render,
    config: EncoderTrainingConfig,
    run: RunFolder,
) -> Encoder:
    """An encoder whose head knows nothing, with what is measured once."""

    def make() -> dict[str, np.ndarray]:
        w = sample_w(generator, config.seed, config.num_w_samples, batch_size=min(1000, config.num_w_samples))
        rows = [*w[: _NUM_IMAGES - 1], w.mean(0)]
        rendered = jax.jit(lambda render, w: jnp.clip(render(w), -1, 1))
        images = jnp.concatenate([rendered(render, jnp.asarray(row)[None]) for row in rows])
        params = initial_params(shape, trunk, w, images, images[-1:], seed=config.seed)
        return {
            f"{part}.{name}": np.asarray(array) for part in params for name, array in params[part].items()
        }

    flat = run.get_or_make("start", make)
    params: dict[str, dict[str, Array]] = {"head": {}, "fixed": {}}
    for name, array in flat.items():
        part, _, key = name.partition(".")
        params[part][key] = jnp.asarray(array)
    return Encoder(shape, trunk, params, weights_fingerprint(generator))


def _probes(
    generator: Generator,
    encoder: Encoder,
    render: Render,
    config: EncoderTrainingConfig,
    run: RunFolder,
    progress: bool,
) -> Float[np.ndarray, "num_probes width"]:
    """Derivatives g = Jᵀr of random combinations r of LPIPS' features in W+, each at another latent: the mean of g·gᵀ
    is that of JᵀJ."""
    if not config.num_probes:
        return np.zeros((0, generator.num_ws * generator.w_dim), np.float32)

    def make(unit: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        # Units of probes are numbered beyond those of the images, so that they have other latents.
        w_plus = training_latents(generator, encoder, len(rows), seed=config.seed, unit=2**20 + unit)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), unit), len(rows))
        found = [
            _probe(render, encoder.trunk, jnp.asarray(w)[None], key)
            for w, key in zip(w_plus, keys, strict=True)
        ]
        return {"probes": np.stack([np.asarray(g).reshape(-1) for g in found])}

    units = Units(run, "probes", config.num_probes, config.unit_size)
    return units.gather(make, progress="probes" if progress else None)["probes"]


@jax.jit
def _probe(render: Render, lpips: LPIPS, w_plus: Float[Array, "1 num_ws w_dim"], key: Array) -> Array:
    def combined(w_plus: Array) -> Array:
        images = clip_softly(render(w_plus))
        if min(images.shape[1:3]) < MIN_LPIPS_SIZE:
            images = jax.image.resize(images, (1, MIN_LPIPS_SIZE, MIN_LPIPS_SIZE, 3), "linear")
        features = lpips.features(images)
        keys = jax.random.split(key, len(features) + 1)
        total = (
            _PIXEL_WEIGHT**0.5 * (jax.random.normal(keys[0], images.shape) * images).sum() / images.size**0.5
        )
        for k, x in zip(keys[1:], features, strict=True):
            total += (jax.random.normal(k, x.shape) * x).sum() / (x.shape[1] * x.shape[2]) ** 0.5
        return total

    return jax.grad(combined)(w_plus)


def _present(
    encoder: Encoder,
    render: Render,
    pairs: Pairs,
    config: EncoderTrainingConfig,
    run: RunFolder,
    progress: bool,
) -> Pairs:
    """The encoder's latents of the pairs by one pass from one of their versions, and what it sees of their images."""
    first = jax.jit(lambda encoder, features, colors: encoder.first((features, colors)))
    once = EncoderTrainingConfig(num_versions=1, render_batch_size=config.render_batch_size)

    def make(unit: int, rows: np.ndarray) -> Pairs:
        version = rows % config.num_versions
        seen = (jnp.asarray(pairs[name][rows, version], jnp.float32) for name in ("features", "colors"))
        w_plus = np.asarray(first(encoder, *seen))
        features, colors = seen_versions(encoder, render, w_plus, jax.random.key(0), once)
        return {"features": features, "colors": colors, "w_plus": w_plus}

    units = Units(run, "present", len(pairs["w_plus"]), config.unit_size)
    return units.gather(make, arrays=PAIR_ARRAYS, progress="images of first latents" if progress else None)


class _Fit(NamedTuple):
    """State of the fit of a head."""

    head: dict[str, Array]
    adam: Any


class _UnitKeeper:
    """Keeps a fit in a unit of the run."""

    def __init__(self, run: RunFolder, unit: str) -> None:
        self.run, self.unit = run, unit

    def load(self, state: Any) -> Snapshot | None:
        found = self.run.read(self.unit)
        leaves, structure = jax.tree.flatten(state)
        names = [f"state.{i:04d}" for i in range(len(leaves))]
        if found is None or not {"step", *names} <= found.keys():
            return None
        history = {
            name.partition(".")[2]: array for name, array in found.items() if name.startswith("history.")
        }
        return Snapshot(
            int(found["step"]), jax.tree.unflatten(structure, [jnp.asarray(found[n]) for n in names]), history
        )

    def save(self, snapshot: Snapshot) -> None:
        leaves = jax.tree.leaves(snapshot.state)
        arrays = {f"state.{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        arrays |= {f"history.{name}": values for name, values in snapshot.history.items()}
        self.run.write(self.unit, {"step": np.asarray(snapshot.step), **arrays})


def _fit(
    encoder: Encoder,
    probes: Float[np.ndarray, "num_probes width"],
    pairs: Pairs,
    present: Pairs | None,
    config: EncoderTrainingConfig,
    run: RunFolder,
    progress: bool,
) -> dict[str, Array]:
    """The head that fits the pairs: from the mean of W and, given them, from present latents."""
    mean = np.asarray(encoder.fixed["mean"][...])
    distance = (pairs["w_plus"] - mean).reshape(len(pairs["w_plus"]), -1)
    # Both parts of the loss are 1 for an encoder that always answers the mean of W.
    plain = np.square(distance).sum(1).mean()
    seen = _strongest(probes)
    seen = seen / np.sqrt(max(np.square(distance @ seen.T).sum(1).mean(), 1e-12))
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(config.learning_rate, config.num_steps, 0.01),
        weight_decay=config.weight_decay,
    )
    # Copies: a step uses up the buffers of its state.
    head = {name: jnp.array(value[...]) for name, value in encoder.head.items()}
    state = _Fit(head, optimizer.init(head))
    metric = jnp.asarray(seen), jnp.asarray(plain)
    step_of = functools.partial(_fit_step, optimizer)

    def chunk(state: _Fit, first: int, length: int) -> tuple[_Fit, History]:
        losses = []
        for step in range(first, first + length):
            example = _examples(encoder, pairs, present, config, step)
            state, loss = step_of(state, encoder, metric, example)
            losses.append(loss)
        return state, {"loss": np.asarray(losses)}

    loop = ChunkedLoop(
        num_steps=config.num_steps,
        steps_per_chunk=_STEPS_PER_CHUNK,
        name="encoder" if present is None else "encoder, further passes",
        progress=progress,
        describe=lambda curves: {"loss": f"{curves['loss'].mean():.3f}"},
        check=_check_finite,
    )
    unit = "head/first" if present is None else "head/further"
    return run_chunks(chunk, state, loop, _UnitKeeper(run, unit))[0].head


def _strongest(probes: Float[np.ndarray, "num_probes width"]) -> Float[np.ndarray, "rank width"]:
    """The directions in which the images change most, times how much: nearly the same metric at less arithmetic."""
    if not len(probes):
        return probes
    _, singular, directions = np.linalg.svd(probes, full_matrices=False)
    return singular[:_RANK, None] * directions[:_RANK]


def _check_finite(step: int, history: History) -> None:
    if not np.isfinite(history["loss"]).all():
        raise InputError(f"learning_rate: the training diverged before step {step}; give a lower one")


def _examples(
    encoder: Encoder, pairs: Pairs, present: Pairs | None, config: EncoderTrainingConfig, step: int
) -> dict[str, np.ndarray]:
    """Examples of a step: what is seen of wanted and present images, and both latents."""
    random = np.random.RandomState([config.seed, step])
    total = len(pairs["w_plus"])
    rows = random.randint(0, total, config.batch_size)
    version = random.randint(0, config.num_versions, config.batch_size)
    start = {name: np.asarray(encoder.fixed[f"mean_{name}"][...]) for name in ("features", "colors")}
    mean = np.asarray(encoder.fixed["mean"][...])
    # Single precision here: XLA on CPU is slow at converting from half precision.
    example = {name: pairs[name][rows, version].astype(np.float32) for name in ("features", "colors")}
    example["w_plus"] = pairs["w_plus"][rows]
    for name in ("features", "colors"):
        example[f"present_{name}"] = np.repeat(start[name], config.batch_size, axis=0)
    example["present_w_plus"] = np.broadcast_to(mean, example["w_plus"].shape).copy()
    if present is not None:
        goes_on = random.uniform(size=config.batch_size) > _MEAN_SHARE
        for name in ("features", "colors"):
            example[f"present_{name}"][goes_on] = present[name][rows[goes_on], 0]
        example["present_w_plus"][goes_on] = present["w_plus"][rows[goes_on]]
    return example


@functools.partial(jax.jit, static_argnums=(0,), donate_argnums=(1,))
def _fit_step(
    optimizer: optax.GradientTransformation,
    state: _Fit,
    encoder: Encoder,
    metric: tuple[Array, Array],
    example: dict[str, Array],
) -> tuple[_Fit, Float[Array, ""]]:
    probes, plain = metric
    wanted, shown = ((example[f"{which}features"], example[f"{which}colors"]) for which in ("", "present_"))

    def loss_of(head: dict[str, Array]) -> Float[Array, ""]:
        found = encoder.with_head(head).step(wanted, shown, example["present_w_plus"])
        error = (found - example["w_plus"]).reshape(len(found), -1)
        seen = jnp.square(error @ probes.T).sum(1)
        return (seen + _LATENT_WEIGHT * jnp.square(error).sum(1) / plain).mean()

    loss, gradient = jax.value_and_grad(loss_of)(state.head)
    update, adam = optimizer.update(gradient, state.adam, state.head)
    return _Fit(optax.apply_updates(state.head, update), adam), loss
