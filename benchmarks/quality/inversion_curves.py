"""Likeness over time of the ways from a photograph to its latent.

    python -m benchmarks.quality.inversion_curves --json curves.json --plot curves.png portrait.jpg ...

Passes of the encoder, and Adam from the mean of W or from the encoder's latent, in W's own axes or in its whitened
principal components. Time is processor time of this process (of all its threads), so that other work on the machine
does not matter; programs are compiled before. LPIPS and PSNR are those of the generator's full images at 256². The
prior is the mean squared whitened coordinate: 1 for latents of W, and the larger, the less edits can be trusted.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from matplotlib.figure import Figure

from benchmarks.reporting import Rows, check_photographs, finish, save_panels
from jaxedit.generators.protocol import Generator
from jaxedit.inversion.align import align
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder, encode
from jaxedit.inversion.priors import prior
from jaxedit.inversion.projection_problem import LatentPrior, prepare_problem
from jaxedit.inversion.projection_steps import initial_state, take_steps
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.latents.pca import PCA
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_generator

_NAME = "mobile-stylegan-ffhq"
_PASSES = (1, 2, 3, 5)
_CHUNK = 6
"""Steps between two measurements."""

_WAYS: dict[str, dict[str, Any]] = {
    "from the mean of W": {"encoder_passes": 0, "coordinates": "w", "learning_rate": 0.1},
    "from the encoder": {"coordinates": "w", "learning_rate": 0.1},
    "from the encoder, whitened": {},
}


class Reconstruction:
    """Measures latents of one photograph."""

    def __init__(self, generator: Generator, crop: np.ndarray, pca: PCA) -> None:
        self.generator, self.pca = generator, pca
        self.original = crop.astype(np.float32) / 127.5 - 1
        self.synthesis = jax.jit(lambda generator, w: jnp.clip(generator.synthesis(w), -1, 1))

    def row(self, way: str, steps: int, seconds: float, w_plus: Any) -> dict[str, Any]:
        """Numbers of a latent."""
        image = np.asarray(self.synthesis(self.generator, jnp.asarray(w_plus)))[0]
        length = float(prior(jnp.asarray(w_plus), self.pca)[0])
        return {"way": way, "steps": steps, "seconds": seconds, "prior": length} | compare(
            self.original, image
        )


def encoder_rows(reconstruction: Reconstruction, encoder: Encoder) -> Rows:
    """The encoder alone, by number of passes."""
    rows: Rows = []
    encoded = jax.jit(encode, static_argnames=("num_passes",))
    image = jnp.asarray(reconstruction.original)[None]
    for passes in _PASSES:
        encoded(encoder, reconstruction.generator, image, num_passes=passes).block_until_ready()
        start = time.process_time()
        w_plus = encoded(encoder, reconstruction.generator, image, num_passes=passes).block_until_ready()
        rows.append(reconstruction.row("encoder alone", passes, time.process_time() - start, w_plus))
    return rows


def search_rows(reconstruction: Reconstruction, way: str, config: ProjectionConfig, encoder: Encoder) -> Rows:
    """A search, measured every few steps."""
    image = jnp.asarray(reconstruction.original)[None]
    problem = prepare_problem(reconstruction.generator, image, config, prior=LatentPrior(encoder=encoder))
    take_steps(problem, initial_state(problem, config), jnp.asarray(config.num_steps), _CHUNK)  # compiles
    state, seconds = initial_state(problem, config), 0.0
    rows = [reconstruction.row(way, 0, 0.0, state.parameters.w_plus)]
    for first in range(0, config.num_steps, _CHUNK):
        start = time.process_time()
        state, _ = take_steps(problem, state, jnp.asarray(first), _CHUNK)
        jax.block_until_ready(state)
        seconds += time.process_time() - start
        steps = min(first + _CHUNK, config.num_steps)
        rows.append(reconstruction.row(way, steps, seconds, state.parameters.w_plus))
    return rows


def draw(rows: Rows, path: Path) -> None:
    """LPIPS over time and over the prior: a line for each way, the mean over the photographs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    over_time, over_prior = figure.subplots(1, 2)
    for way in dict.fromkeys(row["way"] for row in rows):
        by_steps: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            if row["way"] == way:
                by_steps.setdefault(row["steps"], []).append(row)
        mean = {
            name: [np.mean([row[name] for row in group]) for group in by_steps.values()]
            for name in ("seconds", "lpips", "prior")
        }
        over_time.plot(mean["seconds"], mean["lpips"], marker="o", markersize=3, label=way)
        over_prior.plot(mean["prior"], mean["lpips"], marker="o", markersize=3)
    over_time.set_xlabel("processor seconds")
    over_time.set_ylabel("LPIPS (less is better)")
    over_time.legend(fontsize=8)
    over_prior.set_xlabel("prior (less is more editable)")
    save_panels(figure, path)


def main(
    photos: Annotated[list[Path], typer.Argument(help="photographs; the largest face of each is taken")],
    num_steps: Annotated[int, typer.Option(help="number of steps of each search")] = 24,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the curves")] = None,
) -> None:
    """Measure likeness over time."""
    check_photographs(photos)
    generator = load_generator(_NAME)
    encoder = load_encoder(_NAME, generator)
    some = ProjectionConfig.quick(num_steps=num_steps)
    rows: Rows = []
    pca = None
    for photo in photos:
        crop = align(photo, largest_only=True)[0].image
        image = jnp.asarray(crop)[None] / 127.5 - 1
        pca = pca or prepare_problem(generator, image, some, prior=LatentPrior(encoder=encoder)).pca
        reconstruction = Reconstruction(generator, crop, pca)
        found = encoder_rows(reconstruction, encoder)
        for way, changes in _WAYS.items():
            config = dataclasses.replace(some, **changes)
            found += search_rows(reconstruction, way, config, encoder)
        rows += [{"photo": photo.stem} | row for row in found]
        finish("inversion curves", {"curves": rows}, json)
        if plot is not None:
            draw(rows, plot)


if __name__ == "__main__":
    typer.run(main)
