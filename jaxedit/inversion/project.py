"""Projection: find latents whose images look like given images, by gradient descent on a perceptual loss.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, appendix D, and beyond it:
`ProjectionConfig` describes the loss. `projection_problem` prepares what is compared, `projection_steps` has the steps.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxedit.errors import InputError
from jaxedit.generators.conditional import without_class
from jaxedit.generators.protocol import Generator, check_square_rgb
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.image_arguments import ImagesLike, as_batch
from jaxedit.inversion.loss_images import render
from jaxedit.inversion.presets import preset
from jaxedit.inversion.projection_problem import (
    MAX_SIDE,
    MIN_SIDE,
    TERMS,
    LatentPrior,
    ProjectionProblem,
    first_latents,
    prepare_problem,
)
from jaxedit.inversion.projection_steps import (
    Parameters,
    ProjectionState,
    initial_state,
    is_patient,
    take_steps,
)
from jaxedit.nn.chunked_loop import CheckpointKeeper, ChunkedLoop, History, run_chunks
from jaxedit.parallel import check_batch, gather, shard_batch

_KIND = "projection"


@dataclasses.dataclass(frozen=True)
class ProjectionResult:
    """What a projection found, as NumPy arrays on the host.

    Attributes:
        w_plus: latents of W+, float32; equal along `num_ws` where the projection stayed in W.
        image: the generator's images of them, float32, nominally in [-1, 1].
        loss_history: loss terms at each step, by name: "total", and "lpips", "face", "pixel", "identity", "spread",
            "prior" and "noise" before they are weighted.
        is_finite: whether the search of each image stayed finite. Where it did not, `w_plus` is its last finite latent.
        steps: number of steps that each image took.
        noise: noise images by layer, where they were optimized.
        config: the settings.
    """

    w_plus: Float[np.ndarray, "batch num_ws w_dim"]
    image: Float[np.ndarray, "batch height width 3"]
    loss_history: dict[str, Float[np.ndarray, "batch num_steps"]]
    is_finite: Bool[np.ndarray, " batch"]
    steps: Int[np.ndarray, " batch"]
    noise: dict[str, np.ndarray] | None
    config: ProjectionConfig

    @property
    def w(self) -> Float[np.ndarray, "batch w_dim"]:
        """Latents of W: the mean over the layers of W+."""
        return self.w_plus.mean(1)


def project(
    generator: Generator,
    images: ImagesLike,
    config: ProjectionConfig | None = None,
    *,
    masks: Shaped[Array | np.ndarray, "*batch mask_height mask_width"] | None = None,
    prior: LatentPrior | None = None,
    mesh: Mesh | None = None,
    checkpoint_dir: str | Path | None = None,
    progress: bool = True,
) -> ProjectionResult:
    """Find latents whose images look like the given images.

    All images of a batch are searched at once. The result for one does not depend on the others, up to rounding.

    Args:
        generator: makes the images.
        images: one image, a list of images of one size, or a batch; square, of 64 to 4096 pixels a side. Each is an
            array [side, side, 3], uint8 or floats in [-1, 1] (clipped to it), or an image of Pillow; gray and RGBA
            (over white) are converted. Faces must be aligned as FFHQ is: see `jaxedit.align`.
        config: the settings; None for `ProjectionConfig.fast()` on a CPU and `ProjectionConfig.quality()` elsewhere.
        masks: weights of the pixels in the perceptual and the pixel loss, at least 0, of any resolution: numbers or
            booleans [batch, height, width], of one image also [height, width].
        prior: what is known of the latents before the search, or an encoder that finds the start; None for a start at
            the mean of W.
        mesh: the batch is divided over its devices and must be a multiple of their number.
        checkpoint_dir: folder for the state after each chunk of steps. An interrupted run resumes when it is called
            again with the same arguments, and ends in the same bits.
        progress: whether to show a bar with the loss.

    Raises:
        InputError: if images, masks or prior have another shape, type or range, or are not finite; if the config asks
            for noise images and the generator has none; if the batch does not fit into memory.
        DownloadError: if the perceptual network or the face descriptor cannot be fetched.
        CheckpointError: if `checkpoint_dir` holds another run, or is damaged.
        OutputError: if `checkpoint_dir` or the cache of the networks cannot be written.

    Examples:
        A small generator with random weights finds its own images again:

        >>> import jax, jaxedit
        >>> from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config
        >>> from jaxedit.generators.stylegan2.initial import initial_params
        >>> shape = StyleGAN2Config.of_size(
        ...     64, channel_base=512, channel_max=16, z_dim=12, w_dim=16, mapping_layers=2
        ... )
        >>> generator = StyleGAN2(shape, initial_params(shape, jax.random.key(3), noise_strength=0.1))
        >>> z = jax.random.normal(jax.random.key(1), (2, 12))
        >>> images = generator.synthesis(generator.mapping(z, truncation_psi=0.5))
        >>> config = jaxedit.ProjectionConfig.fast(
        ...     num_steps=20, num_w_steps=10, learning_rate=0.1, lpips_size=64, face_weight=0.0,
        ...     identity_weight=0.0,
        ... )
        >>> result = jaxedit.project(generator, images, config, progress=False)
        >>> result.w_plus.shape, result.image.shape
        ((2, 10, 16), (2, 64, 64, 3))
        >>> bool((result.loss_history["total"][:, -1] < result.loss_history["total"][:, 0]).all())
        True
    """
    config = config or preset(None)
    target = as_batch(images, "images", min_side=MIN_SIDE, max_side=MAX_SIDE)
    check_noise_inputs(generator, config)
    if mesh is not None:
        check_batch("images", len(target), mesh)
    try:
        if config.num_steps == 0:
            return _without_steps(generator, target, config, prior or LatentPrior())
        problem = prepare_problem(generator, target, config, masks=masks, prior=prior)
        return _run(problem, config, mesh, checkpoint_dir, progress)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "Out of memory" not in str(error):
            raise
        advice = (
            f"project {max(1, len(target) // 2)} at once" if len(target) > 1 else "take a smaller lpips_size"
        )
        raise InputError(
            f"images: the memory does not suffice for {len(target)} at once: {advice}"
        ) from error


def _without_steps(
    generator: Generator, images: Array, config: ProjectionConfig, prior: LatentPrior
) -> ProjectionResult:
    """The start of a projection as its result."""
    start = first_latents(generator, images, config, prior)
    assert start is not None  # a config without steps has encoder passes
    batch = len(images)
    parameters = Parameters(start, None)
    return ProjectionResult(
        w_plus=np.asarray(start),
        image=np.asarray(_images(generator, parameters)),
        loss_history={name: np.zeros((batch, 0), np.float32) for name in TERMS},
        is_finite=np.isfinite(np.asarray(start)).all((1, 2)),
        steps=np.zeros(batch, np.int32),
        noise=None,
        config=config,
    )


@jax.jit
def _images(generator: Any, parameters: Parameters) -> Array:
    return render(generator, *parameters, is_cheap=False)


def check_noise_inputs(generator: Generator, config: ProjectionConfig) -> None:
    """Raise `InputError` if the settings search noise that the generator does not take, or it makes no square RGB."""
    check_square_rgb(generator, use="projection")
    if config.optimize_noise and not isinstance(without_class(generator), StyleGAN2):
        raise InputError(
            f"optimize_noise (preset official): expected a generator with noise inputs, got "
            f"{type(without_class(generator)).__name__}, which has none"
        )


def _run(
    problem: ProjectionProblem,
    config: ProjectionConfig,
    mesh: Mesh | None,
    checkpoint_dir: str | Path | None,
    progress: bool,
) -> ProjectionResult:
    keeper = None
    if checkpoint_dir is not None:
        keeper = CheckpointKeeper(checkpoint_dir, kind=_KIND, identity=problem.identity_of_run(config))
    state = initial_state(problem, config)
    if mesh is not None:
        problem = problem.on(mesh)
    full_length = min(config.steps_per_chunk, config.num_steps)

    def chunk(state: ProjectionState, first: int, length: int) -> tuple[ProjectionState, History]:
        # Always a full chunk, so that only one program is compiled; steps beyond the last change nothing.
        placed = state if mesh is None else shard_batch(state, mesh)
        state, terms = take_steps(problem, placed, jnp.asarray(first), full_length)
        return state, {name: values[:length] for name, values in gather(terms).items()}

    def any_goes_on(state: ProjectionState, step: int) -> bool:
        is_finite, best_step = gather((state.is_finite, state.best_step))
        return bool((is_finite & is_patient(best_step, step, config.patience)).any())

    loop = ChunkedLoop(
        num_steps=config.num_steps,
        steps_per_chunk=full_length,
        name="projection",
        progress=progress,
        describe=lambda terms: {"loss": f"{terms['total'][-1].mean():.4f}"},
        goes_on=any_goes_on,
    )
    state, history = run_chunks(chunk, state, loop, keeper)
    image = np.asarray(gather(_images(problem.generator, state.parameters)))
    found: Any = gather(state)
    return ProjectionResult(
        w_plus=found.parameters.w_plus,
        image=image,
        loss_history={name: np.ascontiguousarray(history[name].T) for name in TERMS},
        is_finite=found.is_finite,
        steps=found.steps,
        noise=found.parameters.noise,
        config=config,
    )
