"""The parts of the accelerator suite, each for a process of its own (see `benchmarks.speed.gpu_suite`).

    python -m benchmarks.speed.gpu_parts labeling --json labeling.json
    python -m benchmarks.speed.gpu_parts labeling --size small

Each part measures at the full size, or at a small one, to try it on a CPU.
"""

import dataclasses
import enum
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.peers import projector as projector_peer
from benchmarks.peers import stylegan2 as stylegan2_peer
from benchmarks.reporting import Rows, finish, measure
from benchmarks.speed import projection
from benchmarks.speed.axis_learning import PLAIN, sweep
from benchmarks.speed.latents import edit_latency
from benchmarks.speed.synthesis import converted, run_stylegan2
from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.axes import AxesConfig, fit_pca, fit_pca_streamed, learn_axes
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.refine import refine_axes
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.labels.config import LabelingConfig
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labeling import label
from jaxedit.latents.seed_stream import sample_w, z_batches
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents

_NAME = "mobile-stylegan-ffhq"


class Size(enum.StrEnum):
    """How much a part measures."""

    FULL = "full"
    SMALL = "small"

    def of(self, full: Any, small: Any) -> Any:
        """The value at this size."""
        return full if self is Size.FULL else small


def stylegan2(dtype: str, config: StyleGAN2Config) -> StyleGAN2:
    """A StyleGAN2 with random weights."""
    return StyleGAN2(config, initial_params(config, jax.random.key(0), noise_strength=0.1), dtype=dtype)


def synthesis(make: Callable[[str], Generator], batch_sizes: tuple[int, ...], repeats: int) -> Rows:
    """Images per second. The images stay on the device.

    Args:
        make: makes the generator of a dtype.
        batch_sizes: images per call.
        repeats: measured calls.
    """
    rows: Rows = []
    reference: np.ndarray | None = None
    for dtype, precision in (("float32", "highest"), ("float32", "default"), ("bfloat16", "default")):
        generator = make(dtype)
        w = sample_w(generator, 0, max(batch_sizes))
        for batch in batch_sizes:
            latents = jnp.asarray(w[:batch])
            with jax.default_matmul_precision(precision):
                seconds = measure(lambda g=generator, latents=latents: g.synthesis(latents), repeats=repeats)
                image = np.asarray(generator.synthesis(latents), np.float32)[:1]
            reference = image if reference is None else reference
            rows.append(
                {
                    "dtype": dtype,
                    "precision of products": precision,
                    "batch": batch,
                    "images/s": batch / seconds["median"],
                    "median ms/call": 1e3 * seconds["median"],
                    "min ms/call": 1e3 * seconds["min"],
                    "first call s": seconds["first"],
                    "peak device memory MB": _device_memory(),
                    "mean difference from the first row": float(np.abs(image - reference).mean()),
                }
            )
    return rows


def _device_memory() -> float | str:
    """Peak device memory of this process in MB, or "not counted" by backends that do not report it."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use", 0) / 1e6 or "not counted"


def labeling(num_samples: int, batch_size: int) -> Rows:
    """Labeled latents per second, from the seed to the file."""
    generator, classifier = load_generator(_NAME), FaceAttributes()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        # The first run compiles. The second run, with other latents, gives the throughput.
        for seed in (1, 2):
            start = time.perf_counter()
            label(
                generator,
                classifier,
                Path(folder) / str(seed),
                LabelingConfig(num_samples, seed, batch_size, shard_size=num_samples),
                generator_name=_NAME,
                progress=False,
            )
            seconds.append(time.perf_counter() - start)
    return [
        {
            "batch": batch_size,
            "latents": num_samples,
            "latents/s": num_samples / seconds[1],
            "first run s": seconds[0],
        }
    ]


def published_recipe(dataset: LabelledLatents, num_steps: int, measured_steps: int, chunk: int) -> Rows:
    """Time of the published recipe. The paper reports 45 minutes for 80,000 steps on an RTX 3090."""
    pca = fit_pca(jnp.asarray(dataset.w), num_components=60)
    config = AxesConfig.paper(num_epochs=None, num_steps=measured_steps, steps_per_chunk=chunk)
    # One chunk compiles.
    start = time.perf_counter()
    learn_axes(dataset, pca, dataclasses.replace(config, num_steps=chunk), progress=False)
    first = time.perf_counter() - start
    start = time.perf_counter()
    axes = learn_axes(dataset, pca, dataclasses.replace(config, seed=1), progress=False)
    seconds = time.perf_counter() - start
    return [
        {
            "steps measured": measured_steps,
            "seconds": seconds,
            f"s for {num_steps} steps": seconds * num_steps / measured_steps,
            f"first {chunk} steps, with compilation, s": first,
            "held-out correlation": axes.report.summary()["axis_label_correlation"],
        }
    ]


def default_recipe(dataset: LabelledLatents) -> Rows:
    """Time of the default recipe, from labels to axes."""
    pca = fit_pca(jnp.asarray(dataset.w))
    rows: Rows = []
    for run in ("first, with compilation", "second"):
        start = time.perf_counter()
        axes = learn_axes(dataset, pca, AxesConfig(), progress=False)
        rows.append({"run": run, "seconds": time.perf_counter() - start} | axes.report.summary())
    return rows


def streamed_pca(num_samples: int) -> Rows:
    """Time of the PCA of streamed latents, which the mapping network computes batch by batch."""
    generator = load_generator(_NAME)
    batch = min(65_536, num_samples)

    def batches() -> Iterator[jax.Array]:
        for _, z in z_batches(0, num_samples, generator.z_dim, batch_size=batch):
            yield generator.mapping(jnp.asarray(z))

    start = time.perf_counter()
    jax.block_until_ready(fit_pca_streamed(batches(), num_components=60, progress=False))
    return [{"samples": num_samples, "seconds with random numbers": time.perf_counter() - start}]


def projections(
    presets: dict[str, ProjectionConfig], dtypes: tuple[str, ...], batch_sizes: list[int], measured_steps: int
) -> Rows:
    """Speed of projection with the default generator, by preset and number format of generator and LPIPS."""
    rows: Rows = []
    for name, config in presets.items():
        for dtype in dtypes:
            generator = load_generator(_NAME, dtype=dtype)
            typed = dataclasses.replace(config, dtype=dtype)  # type: ignore[arg-type]
            for row in projection.steps(generator, typed, batch_sizes, measured_steps, repeats=3):
                rows.append({"preset": name, "dtype": dtype} | row)
    return rows


def official_projection(
    peer: Path | None, resolution: int, batch_sizes: list[int], measured_steps: int
) -> Rows:
    """Speed of the official preset with StyleGAN2, beside the official projector where its code is given."""
    shape = StyleGAN2Config.of_size(resolution, channel_base=projection.CHANNEL_BASES[resolution])
    config = ProjectionConfig.official()
    if peer is None:
        generator = StyleGAN2(shape, initial_params(shape, jax.random.key(0), noise_strength=0.1))
        return projection.steps(generator, config, batch_sizes, measured_steps, repeats=3)
    theirs = stylegan2_peer.load(
        peer,
        resolution=resolution,
        channel_base=projection.CHANNEL_BASES[resolution],
        mixed_precision=False,
        conv_clamp=None,
    )
    projector = projector_peer.load()
    generator = converted(theirs, shape, jnp.float32)
    rows = projection.steps(generator, config, batch_sizes, measured_steps, repeats=3)
    theirs = theirs.to("cuda" if jax.default_backend() == "gpu" else "cpu")
    rows += projection.official(projector, None, theirs, config, measured_steps, repeats=3)
    rows[-1]["CUDA extensions"] = stylegan2_peer.has_cuda_extensions()
    for row in rows:
        row["images/h, jaxedit / this"] = rows[0]["images/h"] / row["images/h"]
    return rows


def refinement(config: RefinementConfig) -> Rows:
    """Time of the refinement of one axis; the second run is without compilation."""
    generator, axes = load_generator(_NAME), load_axes(_NAME)
    classifier = load_classifiers(face_classifiers(axes.attribute_names))
    rows: Rows = []
    for run in ("first, with compilation", "second"):
        start = time.perf_counter()
        refine_axes(generator, axes, classifier, config, progress=False)
        rows.append(
            {
                "run": run,
                "latents": config.num_latents,
                "images of the descent": config.num_images,
                "calibration latents": config.num_calibration_latents,
                "seconds": time.perf_counter() - start,
                "peak device memory MB": _device_memory(),
            }
        )
    return rows


def parts(size: Size, peer: Path | None) -> dict[str, Callable[[], Rows]]:
    """All parts by name."""
    repeats = size.of(20, 2)
    batches = size.of((1, 8, 32), (1, 2))
    steps = size.of(25, 2)
    config = StyleGAN2Config.of_size(256, channel_base=16384) if size is Size.SMALL else StyleGAN2Config()

    def dataset() -> LabelledLatents:
        return load_labelled_latents(_NAME)

    def with_pca(function: Callable[[LabelledLatents, Any], Any]) -> Any:
        data = dataset()
        return function(data, fit_pca(jnp.asarray(data.w)))

    def stylegan2_beside_official() -> Rows:
        assert peer is not None
        rows: Rows = []
        for mixed in (False, True) if jax.default_backend() == "gpu" else (False,):
            found = run_stylegan2(peer, config.resolution, list(batches), repeats, mixed_precision=mixed)
            rows += [{"precision": "mixed" if mixed else "float32"} | row for row in found]
        return rows

    chosen: dict[str, Callable[[], Rows]] = {
        "synthesis": lambda: synthesis(lambda dtype: load_generator(_NAME, dtype=dtype), batches, repeats),
        "stylegan2": lambda: synthesis(lambda dtype: stylegan2(dtype, config), batches, repeats),
        "labeling": lambda: [
            row for batch in size.of((32, 128), (4,)) for row in labeling(size.of(4096, 8), batch)
        ],
        "default-recipe": lambda: default_recipe(dataset()),
        "published-recipe": lambda: published_recipe(
            dataset(), 80_000, size.of(80_000, 20, 5000), size.of(5000, 10)
        ),
        "sweep": lambda: with_pca(lambda data, pca: sweep(data, pca, size.of(1000, 10))),
        "edit": lambda: edit_latency(with_pca(lambda d, p: learn_axes(d, p, PLAIN, progress=False))),
        "streamed-pca": lambda: streamed_pca(size.of(1_000_000, 8192)),
        "projection-official": lambda: official_projection(
            peer, config.resolution, size.of([1, 8], [1]), steps
        ),
        "projection": lambda: projections(
            {"fast": ProjectionConfig.fast(), "quality": ProjectionConfig.quality()}
            if size is not Size.SMALL
            else {"fast": ProjectionConfig.fast(num_w_samples=256)},
            size.of(("float32", "bfloat16"), ("float32",)),
            size.of([8, 32], [1]),
            steps,
        ),
        "refinement": lambda: refinement(
            RefinementConfig(
                attributes=("smile",),
                num_latents=size.of(512, 8),
                num_derivatives=size.of(160, 4),
                num_images=size.of(640, 8),
                num_calibration_latents=size.of(96, 4),
                num_calibrations=size.of(2, 1),
                batch_size=size.of(32, 4),
                gradient_batch_size=size.of(8, 1),
            )
        ),
    }
    if peer is not None:
        chosen["stylegan2"] = stylegan2_beside_official
    return chosen


NAMES = tuple(parts(Size.FULL, None))
"""All parts, in the order in which the suite measures them."""


def main(
    name: Annotated[str, typer.Argument(help=f"the part: {', '.join(NAMES)}")],
    size: Annotated[Size, typer.Option(help="how much is measured")] = Size.FULL,
    peer: Annotated[
        Path | None, typer.Option(help="clone of stylegan2-ada-pytorch, to compare StyleGAN2 with")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Measure one part of the accelerator suite."""
    if name not in NAMES:
        raise typer.BadParameter(f"expected one of {', '.join(NAMES)}, got {name}")
    start = time.perf_counter()
    rows = parts(size, peer)[name]()
    finish(name, {name: rows}, json, ["optax"])
    print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    typer.run(main)
