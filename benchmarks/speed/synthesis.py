"""Speed of synthesis: jaxedit against the original implementations, taking turns in one process.

    python -m benchmarks.speed.synthesis
    python -m benchmarks.speed.synthesis --batch-sizes 1 --repeats 15 --json results.json
    python -m benchmarks.speed.synthesis --peer path/to/stylegan2-ada-pytorch --batch-sizes 1 --batch-sizes 8

The default compares MobileStyleGAN with OpenVINO, which runs the original files. Its model takes one latent per call,
so a batch takes several calls. `--peer` (a clone of the official code) compares StyleGAN2 with the official one:
config-f at 1024², and 256² with a channel base of 16384, both with the same random weights. A CPU computes in float32;
a GPU also in mixed precision (float16 in PyTorch, bfloat16 in jaxedit). Needs the extra `benchmark`.
"""

import dataclasses
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import DTypeLike

from benchmarks.peers import stylegan2 as stylegan2_peer
from benchmarks.reporting import Rows, finish, measure_side_by_side, peak_memory
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.latents.seed_stream import sample_w, sample_z
from jaxedit.pretrained.registry import load_generator
from jaxedit.storage.download import RANDOM_FACE, fetch
from weights_conversion.models.stylegan2.state_dict import convert_state_dict

CHANNEL_BASES = {1024: 32768, 256: 16384}
"""Channel bases of StyleGAN2 by resolution."""


def openvino_synthesis(options: dict[str, str]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The original network in OpenVINO.

    Args:
        options: options of OpenVINO.

    Returns:
        A function from latents [batch, 512] to a list of images [1, 3, 1024, 1024], float32 in [-1, 1].
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(fetch(RANDOM_FACE)) as wheel:
        for ending in ("xml", "bin"):
            wheel.extract(f"random_face/data/SynthesisNetwork.{ending}", folder)
        core = openvino.Core()
        model = core.read_model(Path(folder) / "random_face/data/SynthesisNetwork.xml")
        request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(w: np.ndarray) -> list[np.ndarray]:
        return [request.infer([row[None]])[0] for row in w]

    return run


def run(batch_sizes: list[int], repeats: int) -> Rows:
    """Time per image for each batch size, and the largest difference between the images.

    Args:
        batch_sizes: images per call.
        repeats: measured calls of each runtime.
    """
    generator = load_generator("mobile-stylegan-ffhq")
    # By default, OpenVINO computes in bfloat16 where the processor supports it. float32 is the fair comparison.
    peers = {
        "OpenVINO float32": openvino_synthesis({"INFERENCE_PRECISION_HINT": "f32"}),
        "OpenVINO, default precision": openvino_synthesis({}),
    }
    rows: Rows = []
    for batch in batch_sizes:
        w = sample_w(generator, 0, batch)
        images = np.asarray(generator.synthesis(jnp.asarray(w)))
        functions: dict[str, Any] = {"jaxedit": partial(generator.synthesis, jnp.asarray(w))}
        functions |= {name: lambda w=w, peer=peer: peer(w) for name, peer in peers.items()}
        times = measure_side_by_side(functions, repeats=repeats)
        for name, seconds in times.items():
            row: dict[str, Any] = {
                "batch": batch,
                "runtime": name,
                "median ms/image": 1e3 * seconds["median"] / batch,
                "min ms/image": 1e3 * seconds["min"] / batch,
                "max ms/image": 1e3 * seconds["max"] / batch,
                "time ratio jaxedit / this": times["jaxedit"]["median"] / seconds["median"],
            }
            if name in peers:
                theirs = np.concatenate(peers[name](w)).transpose(0, 2, 3, 1)
                row["max difference"] = float(np.abs(images - theirs).max())
            rows.append(row)
    jax.clear_caches()
    start = measure_side_by_side({"compile": lambda: generator.synthesis(jnp.asarray(w[:1]))}, repeats=1)
    rows.append(
        {
            "batch": 1,
            "runtime": "jaxedit, first call with compilation",
            "median ms/image": 1e3 * start["compile"]["first"],
        }
    )
    return rows


def converted(peer: Any, config: StyleGAN2Config, dtype: DTypeLike) -> StyleGAN2:
    """A `StyleGAN2` with the weights of the official generator."""
    described = dataclasses.asdict(config) | {"family": StyleGAN2.family, "channels": list(config.channels)}
    arrays = convert_state_dict(stylegan2_peer.state_dict(peer), described, name="the peer")
    return StyleGAN2(config, arrays, dtype=dtype)


def run_stylegan2(
    folder: Path, resolution: int, batch_sizes: list[int], repeats: int, *, mixed_precision: bool
) -> Rows:
    """Time per image of jaxedit and the official generator, and the relative difference of their images.

    Args:
        folder: clone of stylegan2-ada-pytorch.
        resolution: resolution of the images.
        batch_sizes: images per call.
        repeats: measured calls of each runtime.
        mixed_precision: whether to compute in bfloat16 (jaxedit) and float16 (PyTorch) instead of float32.
    """
    import torch

    on_gpu = jax.default_backend() == "gpu"
    config = StyleGAN2Config.of_size(
        resolution,
        channel_base=CHANNEL_BASES[resolution],
        conv_clamp=256.0 if mixed_precision else None,
    )
    peer = stylegan2_peer.load(
        folder,
        resolution=resolution,
        channel_base=CHANNEL_BASES[resolution],
        mixed_precision=mixed_precision,
        conv_clamp=config.conv_clamp,
    )
    generator = converted(peer, config, jnp.bfloat16 if mixed_precision else jnp.float32)
    peer = peer.to("cuda" if on_gpu else "cpu")
    rows: Rows = []
    for batch in batch_sizes:
        w = np.asarray(generator.mapping(jnp.asarray(sample_z(0, batch, config.z_dim))))
        on_device = jnp.asarray(w)
        compiled = StyleGAN2._synthesis._cache_size()
        times = measure_side_by_side(
            {
                "jaxedit": lambda w=on_device: generator.synthesis(w),
                "official PyTorch": lambda w=w: stylegan2_peer.synthesis(peer, w),
            },
            repeats=repeats,
        )
        ours = np.asarray(generator.synthesis(on_device))
        theirs = stylegan2_peer.synthesis(peer, w).float().cpu().numpy().transpose(0, 2, 3, 1)
        for name, seconds in times.items():
            rows.append(
                {
                    "batch": batch,
                    "runtime": name,
                    "median ms/image": 1e3 * seconds["median"] / batch,
                    "min ms/image": 1e3 * seconds["min"] / batch,
                    "max ms/image": 1e3 * seconds["max"] / batch,
                    "images/s": batch / seconds["median"],
                    "time ratio jaxedit / this": times["jaxedit"]["median"] / seconds["median"],
                    "first call s": seconds["first"],
                }
            )
        rows[-2]["programs compiled"] = StyleGAN2._synthesis._cache_size() - compiled
        if on_gpu:
            rows[-1]["CUDA extensions"] = stylegan2_peer.has_cuda_extensions()
        rows[-1]["relative difference"] = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        if on_gpu:
            torch.cuda.empty_cache()
    return rows


def run_memory(folder: Path, resolution: int, batch_sizes: list[int]) -> Rows:
    """Peak memory of a new process that computes one batch twice, including libraries and weights."""
    rows: Rows = []
    for batch in batch_sizes:
        peaks = {
            name: peak_memory(
                "benchmarks.speed.synthesis_memory", name, str(folder), str(resolution), str(batch)
            )
            for name in ("jaxedit", "official PyTorch")
        }
        for name, peak in peaks.items():
            rows.append(
                {
                    "batch": batch,
                    "runtime": name,
                    "peak MB": peak / 1e6,
                    "memory ratio jaxedit / this": peaks["jaxedit"] / peak,
                }
            )
    return rows


def main(
    batch_sizes: Annotated[list[int], typer.Option(help="images per call")] = [1, 4],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="measured calls of each runtime")] = 11,
    peer: Annotated[
        Path | None,
        typer.Option(help="clone of stylegan2-ada-pytorch: measure StyleGAN2 instead of MobileStyleGAN"),
    ] = None,
    resolutions: Annotated[list[int], typer.Option(help="resolutions with --peer: 1024, 256")] = [1024, 256],  # noqa: B006
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Compare synthesis with OpenVINO, or with the official StyleGAN2."""
    if peer is None:
        results = {"synthesis at 1024², float32": run(batch_sizes, repeats)}
        finish("synthesis", results, json, ["openvino", "numpy"])
        return
    if unknown := set(resolutions) - set(CHANNEL_BASES):
        raise typer.BadParameter(
            f"--resolutions: expected some of {list(CHANNEL_BASES)}, got {sorted(unknown)}"
        )
    on_gpu = jax.default_backend() == "gpu"
    results = {}
    for resolution in resolutions:
        for mixed in (False, True) if on_gpu else (False,):
            title = f"StyleGAN2 at {resolution}², {'mixed precision' if mixed else 'float32'}"
            results[title] = run_stylegan2(peer, resolution, batch_sizes, repeats, mixed_precision=mixed)
        if not on_gpu:
            results[f"peak memory at {resolution}²"] = run_memory(peer, resolution, batch_sizes)
    finish("synthesis of StyleGAN2", results, json, ["torch", "numpy"])


if __name__ == "__main__":
    typer.run(main)
