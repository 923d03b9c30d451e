"""Refinement on another domain: leakage in the image of plain axes against that of refined ones.

    python -m benchmarks.quality.refinement --work refinement-run
    python -m benchmarks.quality.refinement --work refinement-run --json benchmarks/results/refinement_cpu.json \\
        --sheet docs/images/refined_axes.jpg

The generator is a StyleGAN2 of 128² with 12 layers and random weights of a fixed seed, no trained one. Its images are
smooth blobs of color, whose brightness, color and layout W determines and entangles. The classifier is eight formulas.
The axes are learned from 2,048 labels, then refined through images. Both are compared on held-out latents at equal
change of the target (`jaxedit.evaluation.evaluate`).

An interrupted run resumes.
"""

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import Array, Float
from PIL import Image

from benchmarks.reporting import environment
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.refine import refine_axes
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.evaluation import (
    AxesMethod,
    Evaluation,
    EvaluationConfig,
    Evaluators,
    draw_grid,
    evaluate,
    render_edit_steps,
)
from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.labels.config import LabelingConfig
from jaxedit.labels.labeling import label
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.seed_stream import sample_w
from jaxedit.storage.atomic import write_atomically

_HELD_OUT_SEED = 77
_GENERATOR_SEED = 1
_RGB_GAIN = 0.3
"""Of the layers that make the image: random weights would leave [-1, 1] in a tenth of the pixels."""


class Looks:
    """Eight numbers of an image of anything."""

    names = (
        "brightness",
        "warmth",
        "saturation",
        "contrast",
        "detail",
        "left_right",
        "top_bottom",
        "center",
    )
    units = ("", "", "log", "log", "log", "", "", "")

    def __call__(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch 8"]:
        """The values of images in [-1, 1]."""
        gray = images.mean(3)
        height, width = gray.shape[1:]
        edges = jnp.abs(jnp.diff(gray, axis=1)).mean((1, 2)) + jnp.abs(jnp.diff(gray, axis=2)).mean((1, 2))
        middle = gray[:, height // 4 : -height // 4, width // 4 : -width // 4].mean((1, 2))
        return jnp.stack(
            [
                gray.mean((1, 2)),
                (images[..., 0] - images[..., 2]).mean((1, 2)),
                jnp.log(images.std(3).mean((1, 2))),
                jnp.log(gray.std((1, 2))),
                jnp.log(edges),
                (gray[:, :, width // 2 :].mean((1, 2)) - gray[:, :, : width // 2].mean((1, 2))),
                (gray[:, : height // 2].mean((1, 2)) - gray[:, height // 2 :].mean((1, 2))),
                middle - gray.mean((1, 2)),
            ],
            axis=1,
        )


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done."""

    resolution: int = 128
    w_dim: int = 128
    num_labels: int = 2048
    num_held_out: int = 96
    pilot: int = 16
    refinement: RefinementConfig = dataclasses.field(
        default_factory=lambda: RefinementConfig(
            num_latents=512,
            num_derivatives=64,
            num_images=160,
            num_calibration_latents=96,
            num_calibrations=3,
            batch_size=8,
            gradient_batch_size=4,
        )
    )
    axes: AxesConfig = dataclasses.field(default_factory=AxesConfig)


SMALL = Sizes(
    resolution=32,
    w_dim=32,
    num_labels=256,
    num_held_out=8,
    pilot=4,
    refinement=RefinementConfig(
        num_latents=64, num_derivatives=32, num_images=32, num_calibration_latents=16, batch_size=8
    ),
    axes=AxesConfig(num_steps=40, steps_per_chunk=20, batch_size=64, hidden_width=32),
)
"""To try it out."""


def make_generator(sizes: Sizes) -> StyleGAN2:
    """A StyleGAN2 with random weights."""
    config = StyleGAN2Config.of_size(
        sizes.resolution, channel_base=2048, channel_max=32, z_dim=sizes.w_dim, w_dim=sizes.w_dim
    )
    params = initial_params(config, jax.random.key(_GENERATOR_SEED))
    for block in params["blocks"].values():
        block["to_rgb"]["weight"] = _RGB_GAIN * block["to_rgb"]["weight"]
    return StyleGAN2(config, params)


def learn_both(work: Path, generator: StyleGAN2, sizes: Sizes) -> tuple[AttributeAxes, AttributeAxes, Any]:
    """Plain axes, refined ones, and the labels."""
    config = LabelingConfig(num_samples=sizes.num_labels)
    labels = label(generator, Looks(), work / "labels", config, generator_name="random-stylegan2")
    dataset = labels.with_latents(generator, name="labels")
    plain = learn_axes(dataset, fit_pca(dataset.w), sizes.axes)
    refined = refine_axes(generator, plain, Looks(), sizes.refinement, out=work / "refinement")
    return plain, refined, dataset


def draw_sheet(
    path: Path, generator: StyleGAN2, plain: AttributeAxes, refined: AttributeAxes, w: np.ndarray
) -> None:
    """One latent, two rows for each attribute: along the plain axis, and along the refined one."""
    amounts = (-2.0, -1.0, 0.0, 1.0, 2.0)
    both = [render_edit_steps(generator, axes, w, amounts=amounts, size=112) for axes in (plain, refined)]
    names = [name.replace("_", " ") for name in both[0].attribute_names]
    sheet = draw_grid(
        np.stack([steps.images[i] for i in range(len(names)) for steps in both]),
        row_names=[f"{name}, {kind}" for name in names for kind in ("plain", "refined")],
        column_heads=["−2 σ", "−1 σ", "original", "+1 σ", "+2 σ"],
        title="Plain and refined axes",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, quality=85, optimize=True)


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Leakage of both on each target and over those that both reach, and the paired difference."""

    def numbers(estimate: Any) -> list[float | None]:
        values = (float(v) for v in (estimate.value, estimate.low, estimate.high))
        return [round(v, 4) if np.isfinite(v) else None for v in values]

    # Where a method does not move its target there is no equal change to compare at.
    both = [t for t in Looks.names if all(all(evaluation.cells[m, t].reached) for m in ("plain", "refined"))]

    def scores(score: str) -> dict[str, Any]:
        means = {name: evaluation.mean(name, score, both) for name in ("plain", "refined")}
        return {
            **{name: numbers(estimate) for name, estimate in means.items()},
            "refined - plain": numbers(means["refined"].minus(means["plain"])),
        }

    return {
        "interval": "value, 2.5th and 97.5th percentile over resampled latents",
        "targets_that_both_reach": both,
        "leakage": scores("leakage"),
        "absolute_leakage": scores("absolute_leakage"),
        "targets": {
            target: {
                name: {
                    "leakage": numbers(evaluation.cells[name, target].leakage),
                    "amounts": [round(float(a), 3) for a in evaluation.cells[name, target].amounts],
                    "reached": list(evaluation.cells[name, target].reached),
                }
                for name in ("plain", "refined")
            }
            for target in Looks.names
        },
    }


def run(work: Path, sizes: Sizes, sheet: Path | None) -> dict[str, Any]:
    """All of it; the numbers."""
    generator = make_generator(sizes)
    plain, refined, dataset = learn_both(work, generator, sizes)
    held_out = sample_w(generator, _HELD_OUT_SEED, sizes.num_held_out)
    evaluation = evaluate(
        generator,
        [AxesMethod("plain", plain), AxesMethod("refined", refined)],
        held_out,
        Evaluators(Looks(), reference=dataset),
        EvaluationConfig(
            targets=Looks.names,
            leakage_attributes=Looks.names,
            pilot=sizes.pilot,
            batch_size=8,
            sheet_faces=0,
            generator_name="random-stylegan2",
        ),
        out=work / "evaluation",
    )
    print(evaluation.summary())
    if sheet is not None:
        draw_sheet(sheet, generator, plain, refined, held_out[0])
    return {
        "benchmark": "refinement",
        "environment": environment(),
        "generator": {
            "family": "stylegan2",
            "weights": f"random, seed {_GENERATOR_SEED}",
            "resolution": sizes.resolution,
            "num_ws": generator.num_ws,
        },
        "num_labels": sizes.num_labels,
        "num_held_out": sizes.num_held_out,
        "refinement": sizes.refinement.as_dict(),
        "axis_label_correlation": dict(
            zip(
                plain.attribute_names,
                [round(float(r), 3) for r in plain.report.axis_label_correlation],
                strict=True,
            )
        ),
        **summary(evaluation),
    }


def main(
    work: Annotated[Path, typer.Option(help="folder of labels, refinement and readings")],
    small: Annotated[bool, typer.Option("--small", help="small sizes, to try it out")] = False,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
    sheet: Annotated[Path | None, typer.Option(help="also draw the sheet here (.jpg)")] = None,
) -> None:
    """Compare plain and refined axes of a generator that makes no faces."""
    numbers = run(work, SMALL if small else Sizes(), sheet)
    text = jsonlib.dumps(numbers, indent=1)
    print(text)
    if json is not None:
        write_atomically(json, (text + "\n").encode())


if __name__ == "__main__":
    typer.run(main)
