"""The prior's dial: likeness of projections against the effect of their edits.

    python -m benchmarks.quality.editability_dial --out dial --json dial.json --plot dial.png portrait.jpg ...

Each photograph is projected with several weights of the prior, which keeps the latent near the faces that the generator
knows. Distances, effects and leakage are those of `projection_quality`; *prior* is the mean squared whitened coordinate
of the latent, 1 for latents of W. Finished projections are kept in --out, with a sheet of edits for each.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import typer
from matplotlib.figure import Figure

from benchmarks.quality.projection_quality import ProjectionMeasurement
from benchmarks.reporting import Rows, check_photographs, finish, save_panels
from jaxedit.inversion.align import align
from jaxedit.inversion.presets import preset as preset_of
from jaxedit.inversion.priors import prior
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.registry import load_generator

_NAME = "mobile-stylegan-ffhq"
_TARGETS = ("age", "smile", "yaw")
_LEAST_NAMED = 0.1


def means(rows: Rows) -> Rows:
    """Means over the photographs, by weight."""
    found: Rows = []
    for weight in dict.fromkeys(row["weight"] for row in rows):
        own = [row for row in rows if row["weight"] == weight]
        names = ("lpips", "psnr_256", "identity, independent network", "prior", "effect", "leakage")
        found.append(
            {"weight": weight, "photographs": len(own)}
            | {name: float(np.mean([row[name] for row in own])) for name in names}
        )
    return found


def draw(rows: Rows, path: Path) -> None:
    """LPIPS over the effect of edits: a point for each weight, means and single photographs."""
    figure = Figure(figsize=(5.4, 4), layout="constrained", dpi=120)
    panel = figure.subplots()
    for photo in dict.fromkeys(row["photo"] for row in rows):
        own = [row for row in rows if row["photo"] == photo]
        panel.plot(
            [row["effect"] for row in own], [row["lpips"] for row in own], color="#c9ced3", linewidth=1
        )
    mean = means(rows)
    panel.plot([row["effect"] for row in mean], [row["lpips"] for row in mean], marker="o", color="#1f6fb2")
    for row in mean:
        if row["weight"] >= _LEAST_NAMED:  # smaller ones lie on one another
            place = row["effect"], row["lpips"]
            panel.annotate(f"{row['weight']:g}", place, (4, -12), textcoords="offset points", fontsize=8)
    panel.set_xlabel("effect of edits by ±1.5 on age, smile, yaw (mean, standard deviations)", fontsize=9)
    panel.set_ylabel("LPIPS (less is better)")
    save_panels(figure, path)


def main(
    photos: Annotated[list[Path], typer.Argument(help="photographs; the largest face of each is taken")],
    weights: Annotated[
        str, typer.Option(help="weights of the prior, by commas")
    ] = "0,0.003,0.01,0.03,0.1,0.3,1,3",
    preset: Annotated[str, typer.Option(help="preset of the projection")] = "quick",
    out: Annotated[Path, typer.Option(help="folder of latents and sheets")] = Path("dial"),
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the curve")] = None,
) -> None:
    """Measure likeness and edits over the weight of the prior."""
    check_photographs(photos)
    out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(_NAME)
    measurement = ProjectionMeasurement(generator, out)
    pca = fit_pca(sample_w(generator, 0, 10_000), 1)
    rows: Rows = []
    for photo in photos:
        crop = align(photo, largest_only=True)[0].image
        for weight in map(float, weights.split(",")):
            config = dataclasses.replace(preset_of(preset, has_encoder=True), prior_weight=weight)
            name = f"{photo.stem}, {preset}, prior {weight:g}"
            w_plus = measurement.projected(name, crop, config)
            row = measurement.row(name, crop, w_plus)
            row["prior"] = float(prior(jnp.asarray(w_plus), pca)[0])
            for kind in ("effect", "leakage"):
                row[kind] = float(np.mean([row[f"{target} {kind}"] for target in _TARGETS]))
            rows.append({"photo": photo.stem, "weight": weight} | row)
        finish("editability dial", {"means": means(rows), "photographs": rows}, json)
        if plot is not None:
            draw(rows, plot)


if __name__ == "__main__":
    typer.run(main)
