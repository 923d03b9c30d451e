"""The demo with generated faces: weights, labeled latents, axes, edited faces, and a page that shows them.

The demo learns its axes from the shipped labels, so that it shows every step. `jaxedit.load_axes` and the commands use
the shipped axes instead, which were learned with the same settings.
"""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.demos.faces_page import write_page
from jaxedit.environment import devices, peak_memory_gb, versions
from jaxedit.errors import InputError, JaxeditError, OutputError
from jaxedit.evaluation.effects import ImageEffects, effects_of_steps
from jaxedit.evaluation.report.contact_sheet import (
    STEPS,
    EditSteps,
    amount_text,
    attribute_text,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
)
from jaxedit.evaluation.report.page import PageImage
from jaxedit.evaluation.report.plots import (
    plot_correlations,
    plot_effects,
    plot_explained_variance,
    plot_training,
    save_figure,
)
from jaxedit.evaluation.report.published import load_numbers
from jaxedit.images import save_image
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, evaluation_path
from jaxedit.pretrained.registry import (
    load_generator,
    load_labelled_latents,
    with_layer_curves,
)
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.download import cache_dir
from jaxedit.storage.paths import as_path

FIRST_FACE = 7
"""Seed of the first face, the one of the examples; the others follow it."""

TRUNCATION_PSI = 0.7
"""Truncation of the faces. `jaxedit edit --seed` has the same default, and so shows the same faces."""

ATTRIBUTES = (
    "age",
    "gender",
    "smile",
    "yaw",
    "pitch",
    "mouth_opening",
    "eye_opening",
    "skin_lightness",
    "light_from_right",
    "hair_lightness",
    "lip_redness",
    "background_lightness",
    "eyeglasses",
    "sunglasses",
    "facial_hair",
    "headwear",
    "hair_length",
    "fringe",
    "curl",
    "gray_hair",
)
"""Of faces, those that the demo learns and shows, so that it takes two minutes; `load_axes` has more."""

_OVERVIEW = (
    ("age", -2.0),
    ("age", 2.0),
    ("smile", -2.0),
    ("smile", 2.0),
    ("yaw", -2.0),
    ("yaw", 2.0),
    ("eyeglasses", 2.0),
    ("headwear", 2.0),
)


class Stopwatch:
    """Wall time of each stage. It prints the name of a stage when the stage starts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of the `with` statement."""
        print(f"{name} …", file=sys.stderr, flush=True)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def run_demo(
    out: str | Path,
    *,
    generator_name: str = "mobile-stylegan-ffhq",
    seed: int = 0,
    faces: int = 6,
    config: AxesConfig | None = None,
    attribute_names: Sequence[str] | None = None,
) -> Path:
    """Learn axes from the shipped labels, edit faces along them, and write a page.

    The folder `out` gets `index.html`, `metrics.json`, the axes in `checkpoint/` (which `jaxedit.load_axes` reads), a
    contact sheet for each face in `sheets/`, and the plots in `plots/`. Files of an earlier run are replaced.

    Args:
        out: the folder.
        generator_name: a known generator.
        seed: seed of the training, 0 … 2³² − 1.
        faces: number of faces, each with a contact sheet, 1 … 1000.
        config: settings of the training; by default `AxesConfig` with this seed.
        attribute_names: rows of the contact sheets, by default all attributes.

    Returns:
        The path of the page.

    Raises:
        InputError: if a number or name is out of range.
        DownloadError: if the weights cannot be fetched.
        OutputError: if a folder cannot be written.
    """
    out = as_path(out)
    if not 1 <= faces <= 1000:
        raise InputError(f"faces: expected 1…1000, got {faces}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: expected 0…{2**32 - 1}, got {seed}")
    config = AxesConfig(seed=seed) if config is None else config
    _make_folder(out)
    watch = Stopwatch()

    with watch.stage("fetch and convert the weights"):
        generator = load_generator(generator_name)
    with watch.stage("map the labeled latents"):
        dataset = load_labelled_latents(generator_name, generator)
        dataset = dataset.select([name for name in ATTRIBUTES if name in dataset.attribute_names])
    with watch.stage("fit the PCA"):
        pca = jax.block_until_ready(fit_pca(dataset.w))
    with watch.stage("learn the axes"):
        axes = learn_axes(dataset, pca, config)
        if config.linear_path:
            axes = with_layer_curves(axes, generator_name)
    with watch.stage("save the axes"):
        axes.save(out / "checkpoint")
    with watch.stage("edit and render the faces"):
        edited, images = _write_sheets(out, generator, axes, faces, attribute_names)
    effects = None
    if (classifier := _cached_classifier()) is not None:
        with watch.stage("measure the edited faces"):
            effects = effects_of_steps(edited, axes, classifier)
    with watch.stage("draw the plots"):
        plots = _write_plots(out, axes, effects, faces)

    metrics = _metrics(axes, effects, watch.seconds, num_labelled=len(dataset))
    metrics["evaluation"] = load_numbers(evaluation_path(generator_name))
    write_atomically(out / "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())
    note = KNOWN_GENERATORS[generator_name].license_note
    return write_page(out / "index.html", axes, images, plots, metrics, license_note=note)


def _make_folder(out: Path) -> None:
    """Make the folder, and check that it can be written before minutes of work."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: could not make the folder: {error}") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: expected a folder that can be written")


def _write_sheets(
    out: Path, generator: Any, axes: AttributeAxes, faces: int, attribute_names: Sequence[str] | None
) -> tuple[list[EditSteps], tuple[PageImage, ...]]:
    """The edited images, and the overview and contact sheets that show them."""
    seeds = range(FIRST_FACE, FIRST_FACE + faces)
    z = np.concatenate([sample_z(seed, 1, generator.z_dim) for seed in seeds])
    w = generator.mapping(jnp.asarray(z), truncation_psi=TRUNCATION_PSI)
    edited, images = [], []
    for number, (seed, latent) in enumerate(zip(seeds, w, strict=True), 1):
        progress = f"face {number} of {faces}"
        steps = render_edit_steps(generator, axes, latent, attribute_names=attribute_names, progress=progress)
        sheet = draw_contact_sheet(steps, title=f"Seed {seed}: each row moves one axis")
        path = save_image(sheet, out / "sheets" / f"seed-{seed}.jpg")
        alt = f"The face of seed {seed} in {len(steps.attribute_names)} rows of five, an attribute a row"
        images.append(_image(out, path, alt, f"Seed {seed}. Click for full size."))
        edited.append(steps)
    heads = ["original", *(f"{attribute_text(n)} {amount_text(a)}" for n, a in _overview_columns(edited[0]))]
    overview = draw_grid(
        np.stack([_overview_row(steps) for steps in edited]),
        row_names=[f"seed {seed}" for seed in seeds],
        column_heads=heads,
    )
    path = save_image(overview, out / "sheets" / "overview.jpg")
    alt = f"{faces} faces, and each of them edited: {', '.join(heads[1:])}"
    caption = "Edits by two standard deviations, one attribute at a time."
    return edited, (_image(out, path, alt, caption), *images)


def _cached_classifier() -> FaceAttributes | None:
    """The face networks, if the cache holds them. The demo can do without them."""
    if not any((cache_dir() / "weights").glob("face-api-*")):
        return None
    try:
        return FaceAttributes()
    except JaxeditError:
        return None


def _overview_columns(steps: EditSteps) -> list[tuple[str, float]]:
    """The edits of the overview: well-known attributes of faces, or the first attributes of other images."""
    known = [(name, amount) for name, amount in _OVERVIEW if name in steps.attribute_names]
    return known or [(name, amount) for name in steps.attribute_names[:4] for amount in (STEPS[0], STEPS[-1])]


def _overview_row(steps: EditSteps) -> np.ndarray:
    """The original and the edits of the overview, from the images of the contact sheet."""
    cells = [steps.images[0, steps.amounts.index(0.0)]]
    for name, amount in _overview_columns(steps):
        cells.append(steps.images[steps.attribute_names.index(name), steps.amounts.index(amount)])
    return np.stack(cells)


def _write_plots(
    out: Path, axes: AttributeAxes, effects: ImageEffects | None, faces: int
) -> dict[str, PageImage]:
    history = {name: np.asarray(values) for name, values in axes.history.items()}
    steps = history.pop("held_out_step")
    prefix = "held_out_"
    losses = {name: values for name, values in history.items() if not name.startswith(prefix)}
    held_out = {n.removeprefix(prefix): values for n, values in history.items() if n.startswith(prefix)}
    names, report, k = axes.attribute_names, axes.report, axes.pca.num_components
    figures = {
        "effects": (
            plot_effects(report.effects, names),
            "Heat map: change of each attribute by a move of each axis",
            "Each row moves one axis by one standard deviation. Numbers: the change of each attribute, in its standard "
            "deviations, as linear probes of the latents read it on held-out faces. Ideal is 1 on the diagonal and 0 "
            "beside it.",
        ),
        "correlations": (
            plot_correlations(report.axis_label_correlation, names),
            "Bars: correlation of each axis with its label",
            "How well the position on an axis predicts the measured attribute of faces that were held out.",
        ),
        "variance": (
            plot_explained_variance(axes.pca.explained_variance, k),
            f"Curve: share of the variance of W over principal components, with {k} marked",
            f"The first {k} principal components of W go through the axes; the rest of a latent stays as it is.",
        ),
        "training": (
            plot_training(losses, held_out, steps),
            "Curves: loss terms and held-out metrics over the training steps",
            "Above: the loss terms of each batch and their moving mean. Below: metrics on held-out faces.",
        ),
    }
    if effects is not None:
        figures["image_effects"] = (
            plot_effects(effects.effects, effects.target_names, effects.measured_names),
            "Heat map: change of each attribute in the image by a move of each axis",
            f"The same in the images: the mean change over the {faces} faces of this page, as the classifier that "
            "made the labels measures it. So few faces leave an uncertainty of about 0.1.",
        )
    plots = {}
    for name, (figure, alt, caption) in figures.items():
        path = save_figure(figure, out / "plots" / f"{name}.png")
        plots[name] = _image(out, path, alt, caption)
    return plots


def _image(out: Path, path: Path, alt: str, caption: str) -> PageImage:
    with Image.open(path) as image:
        width, height = image.size
    return PageImage(path.relative_to(out).as_posix(), alt, caption, width, height)


def _metrics(
    axes: AttributeAxes, effects: ImageEffects | None, seconds: Mapping[str, float], *, num_labelled: int
) -> dict[str, Any]:
    """All numbers of the page, JSON-serializable."""
    report, variance = axes.report, np.asarray(axes.pca.explained_variance, np.float64)
    k = axes.pca.num_components
    peak = peak_memory_gb()
    return {
        "summary": report.summary(),
        "attributes": {
            name: {
                "unit": unit,
                "axis_label_correlation": float(report.axis_label_correlation[i]),
                "effect": float(report.effects[i, i]),
                "leakage": float(report.leakage[i]),
            }
            for i, (name, unit) in enumerate(zip(axes.attribute_names, axes.attribute_units, strict=True))
        },
        "image": None
        if effects is None
        else {
            "median_leakage": float(np.median(effects.leakage)),
            "leakage": dict(zip(effects.target_names, map(float, effects.leakage), strict=True)),
            "effects": np.asarray(effects.effects, np.float64).round(4).tolist(),
        },
        "num_labelled_latents": num_labelled,
        "num_axes": k,
        "variance_of_axes": float(variance[:k].sum() / variance.sum()),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "total_seconds": round(sum(seconds.values()), 2),
        "peak_memory_gb": None if peak is None else round(peak, 2),
        "devices": devices(),
        "cpu_count": os.cpu_count(),
        "config": dataclasses.asdict(axes.config),
        "versions": versions(),
    }
