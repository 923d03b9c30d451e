"""The page of an evaluation: one HTML file that holds its plots, contact sheets and tables."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from jaxedit.evaluation.readings import UNEDITED_IMAGES, folder_name, unit_name
from jaxedit.evaluation.report.comparison_plots import figures
from jaxedit.evaluation.report.contact_sheet import amount_text, attribute_text, draw_grid
from jaxedit.evaluation.report.page import (
    PageImage,
    Section,
    Table,
    interval_text,
    number_text,
    write_report,
)
from jaxedit.evaluation.report.plots import save_figure
from jaxedit.evaluation.report.rate_tables import code_tables, rate_tables
from jaxedit.evaluation.results import DEFINITIONS, Evaluation
from jaxedit.evaluation.scores import BackgroundScores, CellScores
from jaxedit.evaluation.statistics import Estimate
from jaxedit.evaluation.unit_arrays import image_arrays
from jaxedit.images import save_image

PAGE_FILE = "index.html"

_PLOT_SCALE = 0.75
_SHEET_SCALE = 0.62
"""At which images are shown where the page is wide enough: so that all have letters of one size."""

_ALTS = {
    "effects": "Heat maps, one for each method: change of the attributes by an edit of each target",
    "leakage": "Bars of leakage with intervals, a plot for each target, a group of bars for each method",
    "absolute_leakage": "Bars of absolute leakage with intervals, a plot for each target",
    "curves": "Curves of the change of other attributes, and of identity, over the change of the target",
    "rates": "Curves of attribute preservation, and of identity preservation, over the target change rate",
    "sliders": "Curves of the target along a slider, and bars of the share of faces on which it never falls",
    "calibration": "Curves of the measured value over the value that was asked for",
}

_CAPTIONS = {
    "effects": "Each row edits one target to the same mean change. Numbers: the change of each attribute, ½ (up − "
    "down), in its standard deviations. Ideal is a change of the target alone.",
    "leakage": "Lower is better. Lines: 95 % intervals over faces. Dotted: what chance would give on so few faces if "
    "nothing leaked. Independent networks did not give the labels that methods learn from. They read the same images, "
    "and their leakage is divided by their own reading of the target.",
    "absolute_leakage": "Like leakage, but changes in opposite ways on different faces count too. The networks' own "
    "noise is part of it, for all methods alike.",
    "curves": "Left of 0: edits downwards. Dotted: leakage of 0.1, 0.3 and 1.",
    "rates": "From the left: 0, ½, 1, 1½ and 2 times the amount of equal change. Higher is better, at the same target "
    "change rate.",
    "sliders": "Above: mean change of the target along a slider of which 1 is the amount of equal change. Dotted: "
    "change in proportion. Below: the share of faces on which the target never falls between −2 and 2.",
    "calibration": "A value is asked for in the attribute's own unit, and measured by the labeling networks. Dotted: "
    "ideal. Bands, where there are few methods: 10th to 90th percentile of the faces.",
}


def write_page(evaluation: Evaluation) -> Path:
    """Write `index.html` into the folder of an evaluation, and its images into `plots` and `sheets`.

    The page holds the images itself: it can be moved and sent by itself.

    Returns:
        The path of the page.

    Raises:
        OutputError: if a file cannot be written.
    """
    out = evaluation.folder
    plots = {name: _plot(out, name, figure) for name, figure in figures(evaluation).items()}
    sheets = []
    for attribute in evaluation.targets:
        name = attribute_text(attribute)
        for number, sheet in enumerate(draw_sheets(evaluation, attribute), 1):
            path = save_image(sheet, out / "sheets" / f"{folder_name(attribute)}-{number}.jpg")
            alt = f"Faces edited along {name}, a row for each method"
            sheets.append(_embedded(path, "jpeg", alt, name.capitalize(), _SHEET_SCALE))
    request, plural = evaluation.request, "" if evaluation.request.change == 1 else "s"
    return write_report(
        out / PAGE_FILE,
        title="Editing methods at equal change",
        lead=f"{len(evaluation.methods)} methods edit {request.num_faces} faces that they have not learned from. Each "
        f"moves each target by {request.change:g} standard deviation{plural} on average. What else changes?",
        headlines=[
            (str(len(evaluation.methods)), "methods"),
            (str(len(evaluation.targets)), "targets"),
            (str(request.num_faces), "faces"),
            (str(len(request.leakage_attributes)), "attributes that count as leakage"),
        ],
        sections=[s for s in _sections(evaluation, plots, sheets) if s.images or s.tables],
        footer=(
            f"Generator: {request.generator or 'not named'}. Beside this page: all numbers in evaluation.json, the "
            "readings of each face in measurements.",
            "The faces are generated and show no real people. The attribute values are estimates of an image's "
            "appearance by small networks.",
        ),
    )


def _sections(
    evaluation: Evaluation, plots: Mapping[str, PageImage], sheets: Sequence[PageImage]
) -> list[Section]:
    """The parts of the page; some may be empty."""

    def part(title: str, text: Sequence[str] = (), *names: str, tables: Sequence[Table] = ()) -> Section:
        images = tuple(plots[name] for name in names if name in plots)
        return Section(title, tuple(text), images, tuple(tables), wide=True)

    rows = (
        "Rows are methods, all at the same mean change of the target, in standard deviations. The outermost images "
        "of the first face take twice the amount. The faces are the first ones, not a selection."
    )
    rates = (
        "The numbers of the literature. Each face is edited towards the other half of the faces, above or below the "
        "median of the target. Target change rate (TCR): share of faces that get there. Attribute preservation rate "
        "(APR): share of the other attributes that stay in their half. Identity preservation score (IPS): mean cosine "
        "of face descriptors before and after."
    )
    codes = (
        "Does each attribute have one code of a method's own? Codes come from the encoder of axes; of other methods "
        "they are the positions along their moves. No image and no edit enters, and correlated attributes lower MIG "
        "and SAP even of exact labels. Compare with the rows of the labels and of chance."
    )
    columns = (
        "Change of each network's reading, ½ (up − down), in standard deviations, at the amounts at which the "
        "labeling networks read the wanted change."
    )
    definitions = Table("The numbers on this page", ("number", "meaning"), tuple(DEFINITIONS.items()))
    return [
        part("At a glance", _glance_text(evaluation), "leakage", tables=_glance_tables(evaluation)),
        Section("Faces", (rows,), tuple(sheets), wide=True),
        part("One edit, one attribute", (), "effects"),
        part("Weaker and stronger edits", (), "curves"),
        part("Change rates", (rates,), "rates", tables=rate_tables(evaluation)),
        part("As a slider", (), "sliders"),
        part("In the attribute's own unit", (), "calibration", tables=_calibration_tables(evaluation)),
        part("Changes in opposite ways", (), "absolute_leakage"),
        part("Numbers", tables=_target_tables(evaluation)),
        part("Disentanglement of codes", (codes,), tables=code_tables(evaluation)),
        part("Independent networks", (columns,), tables=_independent_tables(evaluation)),
        part("Definitions", tables=(definitions,)),
    ]


def draw_sheets(
    evaluation: Evaluation, attribute: str
) -> list[UInt8[np.ndarray, "sheet_height sheet_width 3"]]:
    """Sheets with a row for each method: the first face at −2 … 2, further ones at −1 … 1, two faces to a sheet.

    Args:
        evaluation: a finished one or not.
        attribute: the target.

    Returns:
        The sheets; none if no images were kept.
    """
    unedited = evaluation.run.read(UNEDITED_IMAGES, arrays=image_arrays(None, "faces"))
    methods = [m for m in evaluation.methods if (m, attribute) in evaluation.cells]
    units = {
        m: evaluation.run.read(unit_name(m, attribute, "images"), arrays=image_arrays(4, "faces"))
        for m in methods
    }
    kept = {m: unit for m, unit in units.items() if unit is not None}
    if unedited is None or not kept:
        return []
    faces = min(len(unedited["images"]), *(unit["images"].shape[1] for unit in kept.values()))
    parts = []
    for face in range(faces):
        positions = (-2.0, -1.0, 0.0, 1.0, 2.0) if face == 0 else (-1.0, 0.0, 1.0)
        rows = []
        for unit in kept.values():
            images = dict(zip(unit["positions"].tolist(), unit["images"][:, face], strict=True))
            images[0.0] = unedited["images"][face]
            rows.append(np.stack([images[position] for position in positions]))
        parts.append(
            draw_grid(
                np.stack(rows),
                row_names=[""] * len(kept) if face % 2 else list(kept),
                column_heads=[amount_text(evaluation.request.change * position) for position in positions],
            )
        )
    return [np.concatenate(parts[i : i + 2], axis=1) for i in range(0, faces, 2)]


def _plot(out: Path, name: str, figure: Figure) -> PageImage:
    path = save_figure(figure, out / "plots" / f"{name}.png")
    return _embedded(path, "png", _ALTS[name], _CAPTIONS[name], _PLOT_SCALE)


def _embedded(path: Path, kind: str, alt: str, caption: str, scale: float) -> PageImage:
    """An image that the page holds itself, shown at a part of its size."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        width, height = (round(scale * side) for side in image.size)
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return PageImage(address, alt, caption, width, height)


def _glance_text(evaluation: Evaluation) -> tuple[str, ...]:
    shared = evaluation.shared_targets()
    attributes = ", ".join(map(attribute_text, evaluation.request.leakage_attributes))
    text = (
        f"Leakage is the mean change of the other attributes (among {attributes}) for each unit of change of the "
        "target.",
    )
    if not shared or len(shared) == len(evaluation.targets):
        return text
    names = ", ".join(map(attribute_text, shared))
    return (*text, f"Not every method has every target. The means in the table are over {names}.")


def _glance_tables(evaluation: Evaluation) -> list[Table]:
    """Means over the targets that all methods have."""
    shared, networks = evaluation.shared_targets(), list(evaluation.request.identity_networks)
    independent = list(evaluation.request.independent_attributes)
    if not shared:
        return []
    rows = []
    for method in evaluation.methods:
        cells = [evaluation.cells[method, attribute] for attribute in shared]
        leakage = evaluation.mean(method, "leakage")
        row = [method, number_text(leakage.value, 3), interval_text(leakage, 3)]
        for name in independent:
            found = [cell.independent[name].leakage for cell in cells]
            known = [estimate for estimate in found if estimate is not None]
            row.append(number_text(Estimate.mean(known).value, 3) if known else "–")
        row.append(number_text(evaluation.mean(method, "absolute_leakage").value, 3))
        row += [
            number_text(float(np.mean([cell.identity[name].value for cell in cells])), 3) for name in networks
        ]
        distances = [cell.perceptual.value for cell in cells if cell.perceptual is not None]
        row += [number_text(float(np.mean(distances)), 3)] if distances else []
        row += _background_means([cell.background for cell in cells if cell.background is not None])
        row.append(f"{100 * evaluation.mean(method, 'monotone_share').value:.0f}")
        rows.append(tuple(row))
    head = (
        "method",
        "leakage",
        "95 % interval",
        *(f"leakage by {name}" for name in independent),
        "absolute leakage",
        *(_identity_head(name) for name in networks),
        *_perceptual_head(evaluation),
        *_background_head(evaluation),
        "monotone [%]",
    )
    return [Table(f"Means over {len(shared)} targets", head, tuple(rows))]


def _identity_head(network: str) -> str:
    return "identity distance" if network == "identity" else f"identity distance by {network}"


def _perceptual_head(evaluation: Evaluation) -> list[str]:
    return ["perceptual distance"] if evaluation.request.has_perceptual else []


def _background_head(evaluation: Evaluation) -> list[str]:
    if not evaluation.request.background_keys:
        return []
    distance = ["background distance"] if evaluation.request.has_perceptual else []
    return ["background PSNR [dB]", *distance]


def _background_means(found: Sequence[BackgroundScores]) -> list[str]:
    """Means over targets, in the columns of `_background_head`."""
    if not found:
        return []
    distances = [scores.perceptual.value for scores in found if scores.perceptual is not None]
    means = [number_text(float(np.mean([scores.psnr.value for scores in found])), 1)]
    return means + ([number_text(float(np.mean(distances)), 3)] if distances else [])


def _target_tables(evaluation: Evaluation) -> list[Table]:
    """A table for each target, a row for each method."""
    networks = list(evaluation.request.identity_networks)
    head = (
        "method",
        "change −",
        "change +",
        "leakage",
        "95 % interval",
        "absolute",
        *(_identity_head(name) for name in networks),
        *_perceptual_head(evaluation),
        *_background_head(evaluation),
        "monotone [%]",
        "largest other change",
    )
    tables = []
    for attribute in evaluation.targets:
        rows = []
        for method in evaluation.methods:
            cell = evaluation.cells.get((method, attribute))
            if cell is None:
                continue
            rows.append(
                (
                    method + ("" if all(cell.reached) else " (change not reached)"),
                    *(number_text(change.value) for change in cell.target_change),
                    number_text(cell.leakage.value, 3),
                    interval_text(cell.leakage, 3),
                    number_text(cell.absolute_leakage.value, 3),
                    *(number_text(cell.identity[name].value, 3) for name in networks),
                    *([number_text(cell.perceptual.value, 3)] if cell.perceptual else []),
                    *(_background_means([cell.background]) if cell.background else []),
                    f"{100 * cell.monotone_share.value:.0f}",
                    _largest_other(cell, evaluation.request.other_attributes(attribute)),
                )
            )
        tables.append(Table(attribute_text(attribute).capitalize(), head, tuple(rows)))
    return tables


def _largest_other(cell: CellScores, others: Sequence[str]) -> str:
    changes = {name: cell.effects[name].value for name in others}
    finite = {name: value for name, value in changes.items() if np.isfinite(value)}
    if not finite:
        return "–"
    name = max(finite, key=lambda key: abs(finite[key]))
    return f"{attribute_text(name)} {number_text(finite[name])}".replace(" ", "\u00a0")


def _calibration_tables(evaluation: Evaluation) -> list[Table]:
    units = dict(zip(evaluation.request.measured, evaluation.request.units, strict=True))
    rows = [
        (
            method,
            attribute_text(attribute),
            number_text(cell.calibration.mean_absolute_error.value),
            interval_text(cell.calibration.mean_absolute_error),
            units[attribute],
        )
        for (method, attribute), cell in evaluation.cells.items()
        if cell.calibration is not None
    ]
    if not rows:
        return []
    return [Table("Mean absolute error", ("method", "target", "error", "95 % interval", "unit"), tuple(rows))]


def _independent_tables(evaluation: Evaluation) -> list[Table]:
    """For each group of independent networks and each target, the change of every column."""
    tables = []
    for name, columns in evaluation.request.evaluators["independent"].items():
        for attribute in evaluation.targets:
            cells = [
                (m, evaluation.cells[m, attribute].independent[name])
                for m in evaluation.methods
                if (m, attribute) in evaluation.cells
            ]
            rows = tuple(
                (column, *(number_text(scores.column_effects[column].value) for _, scores in cells))
                for column in columns
            )
            tables.append(
                Table(f"{name}: {attribute_text(attribute)}", ("column", *(m for m, _ in cells)), rows)
            )
    return tables
