"""Speed of projection: steps per second and images per hour; and of encoding latents into axis coordinates.

    python -m benchmarks.speed.projection                                          # the default generator, preset fast
    python -m benchmarks.speed.projection --preset quality --batch-sizes 1 --batch-sizes 8
    python -m benchmarks.speed.projection --stylegan2 1024 --preset official --batch-sizes 8
    python -m benchmarks.speed.projection --stylegan2 1024 --preset official --batch-sizes 1 --batch-sizes 8 \
        --peer path/to/stylegan2-ada-pytorch                                 # with the official projector

The images come from the generator. The benchmark measures a few steps after compilation, and extrapolates to the number
of steps of the preset: all steps take the same time. The official projector takes one image at a time. Its perceptual
network is `--vgg16 vgg16.pt`, or by default the LPIPS of jaxedit in the same form (`benchmarks/peers/projector.py`).
"""

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.peers import projector as projector_peer
from benchmarks.peers import stylegan2 as stylegan2_peer
from benchmarks.reporting import Rows, finish, measure
from benchmarks.speed.synthesis import CHANNEL_BASES, converted
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.projection_problem import prepare_problem
from jaxedit.inversion.projection_steps import initial_state, take_steps
from jaxedit.latents.pca import PCA
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.registry import load_axes, load_generator

_NAME = "mobile-stylegan-ffhq"


def steps(
    generator: Generator, config: ProjectionConfig, batch_sizes: list[int], measured_steps: int, repeats: int
) -> Rows:
    """Speed of the compiled steps for each batch size.

    Args:
        generator: generator of the images.
        config: settings of the projection.
        batch_sizes: images at once.
        measured_steps: steps of a measured chunk.
        repeats: measured chunks.
    """
    short = dataclasses.replace(config, steps_per_chunk=measured_steps)
    rows: Rows = []
    for batch in batch_sizes:
        images = np.clip(np.asarray(generator.synthesis(jnp.asarray(sample_w(generator, 3, batch)))), -1, 1)
        start = time.perf_counter()
        problem = prepare_problem(generator, jnp.asarray(images), short)
        state = initial_state(problem, short)
        jax.block_until_ready(state)
        prepared = time.perf_counter() - start
        seconds = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            state, parts = take_steps(problem, state, jnp.asarray(0), measured_steps)
            jax.block_until_ready(parts)
            seconds.append(time.perf_counter() - start)
        one = statistics.median(seconds[1:]) / measured_steps
        memory = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
        rows.append(
            {
                "batch": batch,
                "projector": "jaxedit",
                "steps/s": 1 / one,
                "images/h": 3600 * batch / (one * config.num_steps),
                f"s for {config.num_steps} steps": one * config.num_steps,
                "preparation s": prepared,
                "first chunk s, with compilation": seconds[0],
                "device memory MB": memory / 1e6 if memory else "not counted",
            }
        )
    return rows


def official(
    projector: Any,
    vgg16: Path | None,
    generator: Any,
    config: ProjectionConfig,
    measured_steps: int,
    repeats: int,
) -> Rows:
    """Speed of the official projector, for the same number of steps.

    Args:
        projector: module of the official projector, from `projector.load`.
        vgg16: file of the perceptual network, or None.
        generator: official generator, on the device to use.
        config: settings of the projection; only the number of steps counts.
        measured_steps: difference between the two measured numbers of steps.
        repeats: measured pairs of runs.
    """
    one = statistics.median(
        projector_peer.seconds_per_step(projector, generator, vgg16, measured_steps, repeats)
    )
    memory = projector_peer.peak_memory()
    return [
        {
            "batch": 1,
            "projector": "official PyTorch",
            "steps/s": 1 / one,
            "images/h": 3600 / (one * config.num_steps),
            f"s for {config.num_steps} steps": one * config.num_steps,
            "device memory MB": memory / 1e6 if memory else "not counted",
        }
    ]


def onto_axes(num_latents: int, repeats: int) -> Rows:
    """Speed of w → PCA → c as one program. The latents stay on the device."""
    axes = load_axes(_NAME)
    w = jnp.asarray(np.random.RandomState(0).randn(num_latents, axes.pca.w_dim).astype(np.float32))
    pca: PCA = axes.pca
    rows: Rows = []
    for name, function in (
        ("PCA", jax.jit(lambda w: pca.transform(w))),
        ("PCA and encoder", jax.jit(lambda w: axes.encode(w))),
    ):
        seconds = measure(lambda f=function: f(w), repeats=repeats)
        rows.append(
            {
                "step": name,
                "latents": num_latents,
                "million latents/s": num_latents / seconds["median"] / 1e6,
                "median ms": 1e3 * seconds["median"],
                "first call s": seconds["first"],
            }
        )
    return rows


def main(
    preset: Annotated[str, typer.Option(help="fast, quality or official")] = "fast",
    batch_sizes: Annotated[list[int], typer.Option(help="images at once")] = [1, 4],  # noqa: B006
    measured_steps: Annotated[int, typer.Option(help="steps of a measured chunk")] = 5,
    repeats: Annotated[int, typer.Option(help="measured chunks")] = 3,
    num_latents: Annotated[int, typer.Option(help="latents to encode into axis coordinates")] = 65_536,
    stylegan2: Annotated[
        int | None,
        typer.Option(help="1024 or 256: StyleGAN2 with random weights instead of the default generator"),
    ] = None,
    peer: Annotated[
        Path | None, typer.Option(help="with --stylegan2: clone of stylegan2-ada-pytorch")
    ] = None,
    vgg16: Annotated[Path | None, typer.Option(help="with --peer: its perceptual network, vgg16.pt")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Measure the speed of projection."""
    if preset not in ("fast", "quality", "official"):
        raise typer.BadParameter(f"--preset: expected fast, quality or official, got {preset}")
    if stylegan2 not in (None, *CHANNEL_BASES):
        raise typer.BadParameter(f"--stylegan2: expected 1024 or 256, got {stylegan2}")
    if (stylegan2 is None and peer is not None) or (peer is None and vgg16 is not None):
        raise typer.BadParameter(
            "expected --peer together with --stylegan2, and --vgg16 together with --peer"
        )
    if vgg16 is not None and not vgg16.is_file():
        raise typer.BadParameter(f"--vgg16: expected a file, found none at {vgg16}")
    config: ProjectionConfig = getattr(ProjectionConfig, preset)()
    results: dict[str, Rows] = {}
    if stylegan2 is None:
        generator: Any = load_generator(_NAME)
        results[f"{_NAME}, {preset}"] = steps(generator, config, batch_sizes, measured_steps, repeats)
        results["latents to axis coordinates"] = onto_axes(num_latents, repeats)
    else:
        shape = StyleGAN2Config.of_size(stylegan2, channel_base=CHANNEL_BASES[stylegan2])
        title = f"StyleGAN2 at {stylegan2}², {preset}"
        if peer is None:
            generator = StyleGAN2(shape, initial_params(shape, jax.random.key(0), noise_strength=0.1))
            results[title] = steps(generator, config, batch_sizes, measured_steps, repeats)
        else:
            theirs = stylegan2_peer.load(
                peer,
                resolution=stylegan2,
                channel_base=CHANNEL_BASES[stylegan2],
                mixed_precision=False,
                conv_clamp=None,
            )
            projector = projector_peer.load()
            generator = converted(theirs, shape, jnp.float32)
            rows = steps(generator, config, batch_sizes, measured_steps, repeats)
            theirs = theirs.to("cuda" if jax.default_backend() == "gpu" else "cpu")
            results[title] = rows + official(projector, vgg16, theirs, config, measured_steps, repeats)
    finish("projection", results, json)


if __name__ == "__main__":
    typer.run(main)
