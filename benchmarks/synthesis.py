"""Synthesis at 1024²: this library against OpenVINO, which runs the original files, in the same process.

    python -m benchmarks.synthesis
    python -m benchmarks.synthesis --batch-sizes 1 --repeats 15 --json results.json

Needs the extra `benchmark`. OpenVINO's model takes one latent a call, so a batch is as many calls.
"""

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

from benchmarks.common import Rows, finish, measure_side_by_side
from jaxedit.attributes.latents import sample_w
from jaxedit.pretrained import load_generator
from jaxedit.sources import RANDOM_FACE, fetch


def openvino_synthesis(options: dict[str, str]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The original network: latents [batch, 512] ↦ a list of images [1, 3, 1024, 1024]."""
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
    """Seconds for each batch size, and how far apart the images are."""
    generator = load_generator("mobile-stylegan-ffhq")
    # Left to itself OpenVINO computes in bfloat16 where the processor can; in float32 it is the fair peer.
    peers = {
        "OpenVINO float32": openvino_synthesis({"INFERENCE_PRECISION_HINT": "f32"}),
        "OpenVINO as it comes": openvino_synthesis({}),
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
                "jaxedit / this": times["jaxedit"]["median"] / seconds["median"],
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
            "runtime": "jaxedit, first call (compiles)",
            "median ms/image": 1e3 * start["compile"]["first"],
        }
    )
    return rows


def main(
    batch_sizes: Annotated[list[int], typer.Option(help="images a call")] = [1, 4],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="measured calls of each runtime, taking turns")] = 11,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Compare with OpenVINO."""
    finish(
        "synthesis", {"synthesis at 1024², float32": run(batch_sizes, repeats)}, json, ["openvino", "numpy"]
    )


if __name__ == "__main__":
    typer.run(main)
