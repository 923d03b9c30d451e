"""Speed on an accelerator, in one run of less than ten minutes.

    python -m benchmarks.speed.gpu_suite --json benchmarks/results/accelerator.json
    python -m benchmarks.speed.gpu_suite --json benchmarks/results/accelerator.json --peer path/to/stylegan2-ada-pytorch
    python -m benchmarks.speed.gpu_suite --size small     # small sizes, on two CPU cores
    python -m benchmarks.speed.gpu_suite --parts labeling --parts sweep

Measures synthesis at 1024² (float32, bfloat16) with the default generator and StyleGAN2 config-f, labeling, the
published recipe for 80,000 steps, a sweep of 32 configurations, the PCA of a million latents, projection, and the
refinement of an axis. With --peer, StyleGAN2 and its projection run beside the official code.

Each part is a process of its own, and has its own memory of the device. Results are written after each part, so an
interrupted run keeps the finished parts. A part that fails or takes too long is named, and the others go on. Compiling
takes longer than measuring: 6 to 25 s a program on an H200. On a machine without a network, copy the cache of another
machine and set JAXEDIT_HOME to it.
"""

import json as jsonlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.reporting import print_table
from benchmarks.speed.gpu_parts import NAMES, Size
from jaxedit.storage.atomic import write_atomically


def run_part(
    name: str, size: Size, peer: Path | None, folder: Path, limit: float
) -> tuple[dict[str, Any] | None, str]:
    """Run a part in a process.

    Args:
        name: of the part.
        size: how much is measured.
        peer: clone of the official StyleGAN2, or None.
        folder: for its numbers.
        limit: seconds after which the process is stopped.

    Returns:
        Its numbers, or None if it failed; and the end of its output.
    """
    path = folder / f"{name}-{size}.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.gpu_parts",
        name,
        "--size",
        str(size),
        "--json",
        str(path),
    ]
    command += ["--peer", str(peer)] if peer is not None else []
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        # The official code shares the device.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    } | dict(os.environ)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=max(1.0, limit), check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"stopped after {limit:.0f} s"
    if done.returncode != 0:
        return None, "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
    return jsonlib.loads(path.read_text()), ""


def main(
    size: Annotated[Size, typer.Option(help="how much is measured")] = Size.FULL,
    parts: Annotated[list[str], typer.Option(help=f"parts to measure, of: {', '.join(NAMES)}")] = list(NAMES),  # noqa: B006
    peer: Annotated[
        Path | None, typer.Option(help="clone of stylegan2-ada-pytorch, to compare StyleGAN2 with")
    ] = None,
    part_limit: Annotated[float, typer.Option(help="seconds after which a part is stopped")] = 240,
    limit: Annotated[float, typer.Option(help="seconds after which parts that wait are left out")] = 1800,
    json: Annotated[
        Path | None, typer.Option(help="JSON file for the numbers, written after each part")
    ] = None,
) -> None:
    """Measure all parts."""
    if unknown := sorted(set(parts) - set(NAMES)):
        raise typer.BadParameter(f"--parts: expected some of {', '.join(NAMES)}, got {unknown[0]}")
    start = time.perf_counter()
    failed: list[str] = []
    environment: dict[str, Any] = {}
    results: dict[str, Any] = {}

    def left() -> float:
        return limit - (time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in parts:
            if left() < 1:
                failed.append(name)
                continue
            began = time.perf_counter()
            found, trouble = run_part(name, size, peer, folder, min(part_limit, left()))
            print(f"{name}: {time.perf_counter() - began:.0f} s {trouble}", flush=True)
            if found is None:
                failed.append(name)
                continue
            environment = found["environment"]
            results |= found["results"]
            print_table(name, results[name])
            if json is not None:
                whole = {"benchmark": "accelerator suite", "environment": environment, "results": results}
                write_atomically(json, (jsonlib.dumps(whole, indent=2) + "\n").encode())
    if failed:
        raise SystemExit(f"without a result: {', '.join(failed)}")


if __name__ == "__main__":
    typer.run(main)
