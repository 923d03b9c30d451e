"""Speed of StyleGAN3: images and gradients of jaxedit and of the original, taking turns in one process.

    python -m benchmarks.speed.synthesis_stylegan3                                  # jaxedit alone
    python -m benchmarks.speed.synthesis_stylegan3 --peer path/to/stylegan3 --json results.json
    python -m benchmarks.speed.synthesis_stylegan3 --kinds r --resolutions 1024 --repeats 1 --peer path/to/stylegan3

Both have the same random weights. The channel base is 16384 at 256² and 32768 at 1024², as in the published generators.
Medians do not include the first call, which compiles. A gradient is that of a mean over the image in w. The
original runs its plain operations on a CPU; it needs the extra `benchmark`, scipy, and a setuptools below 81.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import Array, DTypeLike

from benchmarks.peers import stylegan3 as peer_code
from benchmarks.peers.stylegan2 import state_dict
from benchmarks.reporting import Rows, finish, measure_side_by_side
from jaxedit.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from jaxedit.generators.stylegan3.initial import StyleGAN3Design, initial_params
from jaxedit.latents.seed_stream import sample_z
from weights_conversion.models.stylegan3.state_dict import convert_state_dict

CHANNEL_BASES = {1024: 32768, 512: 32768, 256: 16384}
"""Channel bases by resolution."""


def random_generator(kind: str, resolution: int, dtype: DTypeLike = jnp.float32) -> StyleGAN3:
    """A generator of jaxedit with random weights."""
    make = StyleGAN3Design.rotation if kind == "r" else StyleGAN3Design
    design = make(resolution, channel_base=CHANNEL_BASES[resolution])
    config = design.config()
    return StyleGAN3(config, initial_params(design, config, jax.random.key(0)), dtype=dtype)


def converted(peer: Any, dtype: DTypeLike = jnp.float32) -> StyleGAN3:
    """A generator with the weights of the original."""
    config, params = convert_state_dict(state_dict(peer), name="the peer")
    shape = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k != "family"}
    return StyleGAN3(StyleGAN3Config(**shape), params, dtype=dtype)


@jax.jit
def _gradient(generator: StyleGAN3, w: Array) -> Array:
    return jax.grad(lambda w: jnp.mean(generator.synthesis(w) ** 2))(w)


def _keep(last: dict[str, Any], name: str, function: Callable[[], Any]) -> Any:
    last[name] = function()
    return last[name]


def run(generator: StyleGAN3, peer: Any, batch: int, repeats: int, *, gradients: bool) -> Rows:
    """Times of jaxedit and, if there is one, of the peer.

    Args:
        generator: of jaxedit.
        peer: the original with the same weights, or None.
        batch: images per call.
        repeats: measured calls of each.
        gradients: whether to measure the gradient too.
    """
    w = np.asarray(generator.mapping(jnp.asarray(sample_z(0, batch, generator.z_dim))))
    tasks: dict[str, dict[str, Callable[[], Any]]] = {
        "image": {"jaxedit": lambda: generator.synthesis(w)},
        "gradient": {"jaxedit": lambda: _gradient(generator, w)},
    }
    if peer is not None:
        tasks["image"]["official PyTorch"] = lambda: peer_code.synthesis(peer, w)
        tasks["gradient"]["official PyTorch"] = lambda: peer_code.gradient(peer, w)
    rows: Rows = []
    for task, functions in tasks.items():
        if task == "gradient" and not gradients:
            continue
        last: dict[str, Any] = {}
        kept = {name: functools.partial(_keep, last, name, function) for name, function in functions.items()}
        times = measure_side_by_side(kept, repeats=repeats)
        for name, seconds in times.items():
            row: dict[str, Any] = {
                "task": task,
                "batch": batch,
                "runtime": name,
                "median s/image": seconds["median"] / batch,
                "min s/image": seconds["min"] / batch,
                "max s/image": seconds["max"] / batch,
                "time ratio jaxedit / this": times["jaxedit"]["median"] / seconds["median"],
                "first call s": seconds["first"],
            }
            if name != "jaxedit":
                ours = np.asarray(last["jaxedit"], np.float64)
                theirs = last[name].float().cpu().numpy()
                theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
                row["relative difference"] = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
            rows.append(row)
    return rows


def main(
    kinds: Annotated[list[str], typer.Option(help="t, r")] = ["t", "r"],  # noqa: B006
    resolutions: Annotated[list[int], typer.Option(help="256, 512, 1024")] = [256],  # noqa: B006
    batch_sizes: Annotated[list[int], typer.Option(help="images per call")] = [1],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="measured calls of each")] = 3,
    gradients: Annotated[bool, typer.Option(help="measure gradients too")] = True,
    bfloat16: Annotated[bool, typer.Option(help="jaxedit in bfloat16, without the peer")] = False,
    peer: Annotated[Path | None, typer.Option(help="clone of stylegan3")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Compare StyleGAN3 with the original."""
    if unknown := (set(resolutions) - set(CHANNEL_BASES)) | (set(kinds) - {"t", "r"}):
        raise typer.BadParameter(f"expected kinds t, r and resolutions {list(CHANNEL_BASES)}, got {unknown}")
    if bfloat16 and peer is not None:
        raise typer.BadParameter("--bfloat16: expected no --peer, which computes in float32")
    dtype = jnp.bfloat16 if bfloat16 else jnp.float32
    results = {}
    for kind in kinds:
        for resolution in resolutions:
            original = None
            if peer is not None:
                original = peer_code.load(peer, kind, resolution, CHANNEL_BASES[resolution])
                generator = converted(original, dtype)
                original = original.to("cuda") if jax.default_backend() == "gpu" else original
            else:
                generator = random_generator(kind, resolution, dtype)
            rows: Rows = []
            for batch in batch_sizes:
                rows += run(generator, original, batch, repeats, gradients=gradients)
            results[f"StyleGAN3-{kind.upper()} at {resolution}², {jnp.dtype(dtype).name}"] = rows
    finish("synthesis of StyleGAN3", results, json, ["numpy"] if peer is None else ["torch", "numpy"])


if __name__ == "__main__":
    typer.run(main)
