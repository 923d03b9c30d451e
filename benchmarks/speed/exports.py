"""Exported programs beside this library and the original files in OpenVINO, taking turns in one process.

    python -m benchmarks.speed.exports
    python -m benchmarks.speed.exports --repeats 15 --json exports.json

One image of the default generator at 1024², one latent. Needs the extras `stablehlo`, `onnx` and `benchmark`, and
onnxruntime. OpenVINO computes in float32, as the others do.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.export
import numpy as np
import typer

from benchmarks.reporting import Rows, finish, measure_side_by_side
from benchmarks.speed.synthesis import openvino_synthesis
from jaxedit.export.onnx_models import build
from jaxedit.export.stablehlo import lower, programs_of
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.registry import load_generator

Draw = Callable[[], Any]


def stablehlo(generator: MobileStyleGAN, w: np.ndarray) -> tuple[Draw, int]:
    """The exported program on this machine, and its bytes with those of its weights."""
    program = programs_of(generator, None)["synthesis"]
    serialized = lower(program).serialize()
    call = jax.jit(jax.export.deserialize(serialized).call)
    weights = jax.device_put(dict(program.weights))
    size = len(serialized) + sum(array.nbytes for array in weights.values())
    return (lambda: call(weights, w)), size


def onnx_runtime(generator: MobileStyleGAN, w: np.ndarray, weights: Any, threads: int) -> tuple[Draw, int]:
    """The exported model in ONNX Runtime, its images as [batch, height, width, 3], and its bytes."""
    import onnxruntime

    serialized = build("synthesis", generator, weights=weights)[0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    return (lambda: session.run(None, {"latents": w[:, None]})[0].transpose(0, 2, 3, 1)), len(serialized)


def run(repeats: int, threads: int) -> Rows:
    """Time, size and largest difference from this library's image, in steps of 255."""
    generator = load_generator("mobile-stylegan-ffhq")
    assert isinstance(generator, MobileStyleGAN)
    w = np.asarray(sample_w(generator, 0, 1))
    original = openvino_synthesis({"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads)})
    functions: dict[str, Draw] = {"jaxedit": lambda: generator.synthesis(w)}
    sizes = {}
    functions["StableHLO in JAX"], sizes["StableHLO in JAX"] = stablehlo(generator, w)
    for weights in ("float32", "float16", "int16"):
        name = f"ONNX Runtime, {weights} weights"
        functions[name], sizes[name] = onnx_runtime(generator, w, weights, threads)
    functions["OpenVINO, original files"] = lambda: original(w)[0].transpose(0, 2, 3, 1)
    image = np.clip(np.asarray(functions["jaxedit"]()), -1, 1)
    times = measure_side_by_side(functions, repeats=repeats)
    peer = times["OpenVINO, original files"]["median"]
    return [
        {
            "runtime": name,
            "median ms": 1e3 * own["median"],
            "min ms": 1e3 * own["min"],
            "time ratio this / OpenVINO": own["median"] / peer,
            "MB": sizes[name] / 1e6 if name in sizes else "",
            "max difference of 255": 127.5
            * float(np.abs(np.clip(np.asarray(functions[name]()), -1, 1) - image).max()),
        }
        for name, own in times.items()
    ]


def main(
    repeats: Annotated[int, typer.Option(help="measured calls of each runtime")] = 9,
    threads: Annotated[int, typer.Option(help="of ONNX Runtime and OpenVINO")] = 2,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Measure, print, and write."""
    finish("exports", {"exports": run(repeats, threads)}, json, ["onnxruntime", "openvino", "numpy"])


if __name__ == "__main__":
    typer.run(main)
