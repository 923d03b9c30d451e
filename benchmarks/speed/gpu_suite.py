"""Speed on an accelerator, in one run of less than ten minutes.

    python -m benchmarks.speed.gpu_suite --json benchmarks/results/accelerator.json
    python -m benchmarks.speed.gpu_suite --small          # small sizes: a few minutes on two CPU cores

Measures synthesis at 1024² (float32, bfloat16) with the default generator and StyleGAN2 config-f, labeling, the
published recipe for 80,000 steps, a sweep of 32 configurations, and the PCA of a million latents. Results are written
after each part, so an interrupted run keeps the finished parts. On a machine without a network, copy the cache of
another machine and set JAXEDIT_HOME to it. `benchmarks.speed.synthesis --peer` compares with the official StyleGAN2.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.reporting import Rows, finish, measure
from benchmarks.speed.axis_learning import PLAIN, sweep
from benchmarks.speed.latents import edit_latency
from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.axes import AxesConfig, fit_pca, fit_pca_streamed, learn_axes
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.labels.config import LabelingConfig
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labeling import label
from jaxedit.latents.seed_stream import sample_w, z_batches
from jaxedit.pretrained.registry import load_generator, load_labelled_latents

_NAME = "mobile-stylegan-ffhq"


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
    reference = None
    for dtype in ("float32", "bfloat16"):
        generator = make(dtype)
        w = sample_w(generator, 0, max(batch_sizes))
        for batch in batch_sizes:
            latents = jnp.asarray(w[:batch])
            image = np.asarray(generator.synthesis(latents[:1]))
            reference = image if reference is None else reference
            seconds = measure(lambda g=generator, latents=latents: g.synthesis(latents), repeats=repeats)
            rows.append(
                {
                    "dtype": dtype,
                    "batch": batch,
                    "images/s": batch / seconds["median"],
                    "median ms/call": 1e3 * seconds["median"],
                    "min ms/call": 1e3 * seconds["min"],
                    "first call s": seconds["first"],
                    "peak device memory MB": _device_memory(),
                    "mean difference from float32": float(np.abs(image - reference).mean()),
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


def published_recipe(dataset: LabelledLatents, num_steps: int, measured_steps: int) -> Rows:
    """Time of the published recipe. The paper reports 45 minutes for 80,000 steps on an RTX 3090."""
    pca = fit_pca(jnp.asarray(dataset.w), num_components=60)
    config = AxesConfig.paper(num_epochs=None, num_steps=measured_steps, steps_per_chunk=measured_steps)
    learn_axes(dataset, pca, config, progress=False)
    start = time.perf_counter()
    axes = learn_axes(dataset, pca, dataclasses.replace(config, seed=1), progress=False)
    seconds = time.perf_counter() - start
    return [
        {
            "steps measured": measured_steps,
            "seconds": seconds,
            f"s for {num_steps} steps": seconds * num_steps / measured_steps,
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


def main(
    small: Annotated[bool, typer.Option("--small", help="small sizes, to try all parts on a CPU")] = False,
    json: Annotated[
        Path | None, typer.Option(help="JSON file for the numbers, written after each part")
    ] = None,
) -> None:
    """Measure all parts."""
    dataset = load_labelled_latents(_NAME)
    sizes = (1, 2) if small else (1, 8, 32)
    config = StyleGAN2Config.of_size(256, channel_base=16384) if small else StyleGAN2Config()
    parts: dict[str, Callable[[], Rows]] = {
        "synthesis at 1024²": lambda: synthesis(
            lambda dtype: load_generator(_NAME, dtype=dtype), sizes, 2 if small else 20
        ),
        f"StyleGAN2 at {config.resolution}²": lambda: synthesis(
            lambda dtype: stylegan2(dtype, config), sizes, 2 if small else 20
        ),
        "labeling": lambda: labeling(8 if small else 2048, 4 if small else 32),
        "default recipe": lambda: default_recipe(dataset),
        "published recipe": lambda: published_recipe(dataset, 80_000, 20 if small else 80_000),
        "sweep of 32 (3 × 256)": lambda: sweep(
            dataset, fit_pca(jnp.asarray(dataset.w)), 10 if small else 2500
        ),
        "edit": lambda: edit_latency(
            learn_axes(dataset, fit_pca(jnp.asarray(dataset.w)), PLAIN, progress=False)
        ),
        "streamed PCA": lambda: streamed_pca(8192 if small else 1_000_000),
    }
    results: dict[str, Any] = {}
    for name, run in parts.items():
        print(f"{name} …", flush=True)
        start = time.perf_counter()
        results[name] = run()
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        if json is not None:
            finish("accelerator suite", results, json, ["optax"])
    finish("accelerator suite", results, json, ["optax"])


if __name__ == "__main__":
    typer.run(main)
