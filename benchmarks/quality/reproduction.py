"""The published recipe over the number of labels and of steps, beside the default one.

    python -m benchmarks.quality.reproduction --out reproduction --json reproduction.json --plot reproduction.png
    python -m benchmarks.quality.reproduction --labels labels --sizes 5000,10000,30000,100000 --out reproduction

Lesné et al. train an autoencoder of 8 × 512 on 60 principal components for 150 epochs. *published* is that.
*histogram* is the same with labels as their code prepares them. *longer* takes as many steps as 150 epochs of 100,000
labels are. *heavier* is longer, with an attribute loss that weighs a thousand times more. *default* is the recipe of
this library. Each is measured on 30 % of its labels, which it does not see. Images are of the edit as published: the
code is set to ±2.5 and decoded. Finished axes are kept in --out, and interrupted trainings resume.
"""

import dataclasses
import re
import zlib
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.reporting import Rows, finish, save_panels
from jaxedit.attributes.classifier import as_argument
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.evaluation.effects import read_latents
from jaxedit.evaluation.report.contact_sheet import amount_text, attribute_text, draw_grid
from jaxedit.generators.protocol import Generator
from jaxedit.images import save_image, to_uint8
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.seed_stream import sample_w, sample_z
from jaxedit.nn.resize import shrink
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.runs import RunFolder

_NAME = "mobile-stylegan-ffhq"
_SHOWN = ("age", "gender", "smile", "yaw", "hair_lightness", "eyeglasses")
_AMOUNT = 2.5
_LATENTS_OF_PCA = 10_000
_SIDE, _ON_SHEET = 192, 3
_FACES_SEED = 99
_CHECKED = 512  # labels whose checksum tells them from others


class Case(NamedTuple):
    """A recipe."""

    config: AxesConfig
    num_components: int


def cases(long_steps: int) -> dict[str, Case]:
    """The recipes, by name."""
    longer = {"num_epochs": None, "num_steps": long_steps, "steps_per_chunk": 500}
    paper = AxesConfig.paper
    return {
        "published": Case(paper(), 60),
        "histogram": Case(paper(label_transform="histogram"), 60),
        "longer": Case(paper(**longer), 60),
        "heavier": Case(paper(**longer, attribute_weight=1e-2, decorrelation_weight=1e-4), 60),
        "default": Case(AxesConfig(), 200),
    }


def learned(case: Case, dataset: LabelledLatents, w_of_pca: np.ndarray, folder: Path) -> AttributeAxes:
    """The axes of an earlier run, or new ones."""
    if folder.exists():
        return load_axes(folder)
    pca = fit_pca(w_of_pca, case.num_components, accurate=True)
    axes = learn_axes(dataset, pca, case.config, checkpoint_dir=folder.with_suffix(".training"))
    axes.save(folder)
    return axes


def first(dataset: LabelledLatents, count: int) -> LabelledLatents:
    """The first of the labels."""
    if count > len(dataset):
        raise typer.BadParameter(f"--sizes: expected {len(dataset)} labels or fewer, got {count}")
    return dataclasses.replace(dataset, w=dataset.w[:count], values=dataset.values[:count])


def published_edit(
    axes: AttributeAxes, w: Float[Array, "faces w_dim"], name: str, amount: float
) -> Float[Array, "faces w_dim"]:
    """The edit as published: the code is set to the amount and decoded."""
    return axes.edit(w, {name: amount}, absolute=True, mode="decode", space="w")


def in_images(generator: Generator, axes: AttributeAxes, num_faces: int, sheet: Path) -> dict[str, float]:
    """What the published edit changes in images, in standard deviations of the labels; and a sheet of three faces."""
    classifier = load_classifiers(face_classifiers(axes.attribute_names))
    columns = [classifier.names.index(name) for name in axes.attribute_names]
    z = jnp.asarray(sample_z(_FACES_SEED, num_faces, generator.z_dim))
    w = generator.mapping(z, truncation_psi=0.7)
    targets = [name for name in _SHOWN if name in axes.attribute_names]
    effects, rows = [], []
    with tqdm(total=2 * num_faces * len(targets), desc=sheet.stem, unit="image") as bar:
        for name in targets:
            positions, images = [], []
            for amount in (-_AMOUNT, _AMOUNT):
                edited = published_edit(axes, w, name, amount)
                (read,) = read_latents(generator, [as_argument(classifier)], edited, 4, bar)
                positions.append(np.asarray(axes.quantile_transform.transform(read[:, columns])))
                images.append(to_uint8(shrink(generator.synthesis(edited[:_ON_SHEET]), _SIDE)))
            effects.append((positions[1] - positions[0]).mean(0))
            rows.append(np.stack([np.asarray(side) for side in images], 1).reshape(-1, _SIDE, _SIDE, 3))
    own = [axes.attribute_names.index(name) for name in targets]
    grid = draw_grid(
        np.stack(rows),
        row_names=[attribute_text(name) for name in targets],
        column_heads=[
            amount_text(sign * _AMOUNT) for _ in range(min(num_faces, _ON_SHEET)) for sign in (-1, 1)
        ],
    )
    save_image(grid, sheet)
    found = np.asarray(effects, np.float32)
    changes = {f"{name} from −2.5 to 2.5": float(found[i, own[i]]) for i, name in enumerate(targets)}
    return changes | {"leakage in images": float(np.mean(np.asarray(leakage_of_effects(found, own))))}


def draw(rows: Rows, path: Path) -> None:
    """Correlation, leakage and reconstruction over the number of labels, a line for each recipe."""
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=110)
    panels = figure.subplots(1, 3)
    shown = {
        "axis_label_correlation": "correlation of axis and label, held out",
        "leakage": "leakage in W (less is better)",
        "reconstruction_error": "mean squared error of W (less is better)",
    }
    for panel, (measure, label) in zip(panels, shown.items(), strict=True):
        for name in dict.fromkeys(row["recipe"] for row in rows):
            own = [row for row in rows if row["recipe"] == name]
            panel.plot([row["labels"] for row in own], [row[measure] for row in own], marker="o", label=name)
        panel.set_xscale("log")
        panel.set_xlabel("labels")
        panel.set_ylabel(label, fontsize=9)
    panels[0].legend(frameon=False, fontsize=8)
    save_panels(figure, path)


def filled(page: str, results: dict[str, Rows]) -> str:
    """A page with its tables between `<!-- table NAME -->` and `<!-- end -->` written anew."""

    def table(match: re.Match[str]) -> str:
        rows = results[match[2]]
        heads = list(rows[0]) if rows else []
        lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
        for row in rows:
            lines.append(
                [
                    f"{v:,.3g}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v
                    for v in row.values()
                ]
            )
        text = "\n".join("| " + " | ".join(word.replace("_", " ") for word in line) + " |" for line in lines)
        return f"{match[1]}\n\n{text}\n\n{match[3]}"

    return re.sub(r"(<!-- table (\w+) -->).*?(<!-- end -->)", table, page, flags=re.DOTALL)


def main(
    labels: Annotated[
        Path | None, typer.Option(help="folder of `jaxedit label`; default: the shipped labels")
    ] = None,
    sizes: Annotated[str, typer.Option(help="numbers of labels, by commas")] = "2048,4096,8192",
    recipes: Annotated[str, typer.Option(help="recipes, by commas; default: all")] = "",
    long_steps: Annotated[int, typer.Option(help="steps of the longer trainings")] = 41_000,
    faces: Annotated[int, typer.Option(help="faces that are edited; 0 for none")] = 16,
    out: Annotated[Path, typer.Option(help="folder of axes and sheets")] = Path("reproduction"),
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the curves")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page whose tables are filled")] = None,
) -> None:
    """Train the recipes and compare them. Images are made for the largest number of labels."""
    chosen = cases(long_steps)
    for name in filter(None, recipes.split(",")):
        if name not in chosen:
            raise typer.BadParameter(f"--recipes: expected some of {', '.join(chosen)}, got {name!r}")
    chosen = {name: case for name, case in chosen.items() if not recipes or name in recipes.split(",")}
    generator = load_generator(_NAME)
    dataset = load_labelled_latents(labels or _NAME, generator)
    w_of_pca = np.asarray(sample_w(generator, 0, _LATENTS_OF_PCA))
    counts = sorted(map(int, sizes.split(",")))
    parts = {count: first(dataset, count) for count in counts}
    # What is kept is taken again: it must have been learned from these labels, and as long.
    labels_known = zlib.crc32(np.ascontiguousarray(dataset.values[:_CHECKED]).tobytes())
    request = {"attributes": dataset.attribute_names, "labels": labels_known, "long_steps": long_steps}
    RunFolder.open(out, kind="reproduction", request=request)
    rows: Rows = []
    images: Rows = []
    for name, case in chosen.items():
        for count in counts:
            axes = learned(case, parts[count], w_of_pca, out / f"{name}-{count}")
            row: dict[str, Any] = {"recipe": name, "labels": count, "steps": len(axes.history["total"])}
            row |= axes.report.summary()
            rows.append(row)
            if faces and count == counts[-1]:
                kept = out / f"{name}-{count}-{faces}.json"
                if not kept.exists():
                    found = in_images(generator, axes, faces, out / f"{name}-{count}.png")
                    write_atomically(kept, dumps(found).encode())
                images.append({"recipe": name, "labels": count} | loads(kept.read_text()))
            finish("reproduction", {"axes": rows, "images": images}, json)
    if plot is not None:
        draw(rows, plot)
    if page is not None:
        write_atomically(page, filled(page.read_text(), {"axes": rows, "images": images}).encode())


if __name__ == "__main__":
    typer.run(main)
