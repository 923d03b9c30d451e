"""The page of the demo: edited faces, heat maps, tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.evaluation.report.contact_sheet import attribute_text
from jaxedit.evaluation.report.page import PageImage, Section, Table, write_report
from jaxedit.evaluation.report.published import leakage_table


def write_page(
    path: Path,
    axes: AttributeAxes,
    images: tuple[PageImage, ...],
    plots: Mapping[str, PageImage],
    metrics: Mapping[str, Any],
    *,
    license_note: str,
) -> Path:
    """Write the page.

    Args:
        path: the file.
        axes: the learned axes.
        images: the overview, then the contact sheets.
        plots: the plots by name: "effects", "correlations", "variance", "training", and "image_effects" if measured.
        metrics: the numbers, as `metrics.json` holds them.
        license_note: what the license of the weights says.

    Raises:
        OutputError: if the file cannot be written.
    """
    summary, evaluation, peak = metrics["summary"], metrics["evaluation"], metrics["peak_memory_gb"]
    memory = "–" if peak is None else f"{peak:.1f} GB"
    headlines = [
        (str(len(axes.attribute_names)), "labeled axes"),
        (f"{summary['axis_label_correlation']:.2f}", "correlation of axis and label"),
        (
            f"{_shipped_leakage(evaluation):.2f}",
            f"leakage in the images of {evaluation['faces']} other faces",
        ),
        (f"{metrics['total_seconds']:.0f} s", "from weights to this page"),
        (memory, "peak memory"),
    ]
    sections = [
        Section(
            "Faces, edited",
            (
                "Each face was generated, then moved along one axis and generated again. Amounts are in standard "
                f"deviations (σ) of the attribute over {metrics['num_labelled_latents']:,} generated faces.",
            ),
            images[:1],
            wide=True,
        ),
        Section(
            "One axis, one attribute",
            (),
            tuple(plots[name] for name in ("effects", "image_effects") if name in plots),
            wide=True,
        ),
        Section(
            "Compared with other methods",
            (
                "The shipped axes were measured beforehand, together with other methods fitted to the same labels and "
                f"with published directions, on {evaluation['faces']} held-out faces. Each method moved every face "
                "until the attribute had changed by the same amount in the image. Leakage is the change of the other "
                f"attributes among {', '.join(map(attribute_text, evaluation['leakage_attributes']))}, relative to "
                "that amount. Identity is the distance between the face's descriptors before and after; about 0.6 "
                "means another person. A dash: the method did not reach that amount.",
            ),
            (),
            (leakage_table(evaluation),),
            wide=True,
        ),
        Section("Axes and labels", (), (plots["correlations"], plots["variance"])),
        Section("Training", (), (plots["training"],), wide=True),
        Section("Numbers", (), (), _tables(axes, metrics)),
        Section(
            "Contact sheets",
            (
                "Below each image: the face's position on the axis, in years or degrees where the attribute has such a "
                "unit.",
            ),
            images[1:],
        ),
    ]
    return write_report(
        path,
        title="Editing faces along labeled axes",
        lead="jaxedit learned axes of a StyleGAN's latent space for this page. Each axis is bound to one attribute and "
        "decorrelated from the others. The images show edits along them.",
        headlines=headlines,
        sections=sections,
        footer=(
            license_note,
            "The faces are generated and show no real people. The attribute values are estimates of an image's "
            "appearance by small networks.",
        ),
    )


def _shipped_leakage(evaluation: Mapping[str, Any]) -> float:
    """Mean over the targets of the axes that ship, which come first."""
    first = evaluation["rows"][0]["method"]
    return float(np.mean([row["leakage"] for row in evaluation["rows"] if row["method"] == first]))


def _tables(axes: AttributeAxes, metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    attributes = tuple(
        (
            attribute_text(name),
            row["unit"],
            f"{row['axis_label_correlation']:.2f}",
            f"{row['effect']:.2f}",
            f"{row['leakage']:.2f}",
        )
        for name, row in metrics["attributes"].items()
    )
    stages = [(name, f"{seconds:.1f}") for name, seconds in metrics["seconds"].items()]
    means = [(name.replace("_", " "), f"{value:.4f}") for name, value in metrics["summary"].items()]
    settings = [(n.replace("_", " "), "–" if v is None else str(v)) for n, v in metrics["config"].items()]
    machine = [("device", ", ".join(metrics["devices"])), ("processor cores", str(metrics["cpu_count"]))]
    machine += list(metrics["versions"].items())
    return (
        Table(
            "Attributes, on held-out faces",
            ("attribute", "unit", "correlation", "effect", "leakage"),
            attributes,
        ),
        Table("Settings of the training", ("setting", "value"), tuple(settings)),
        Table("Means, on held-out faces", ("metric", "value"), tuple(means)),
        Table("Wall time", ("stage", "seconds"), (*stages, ("all", f"{metrics['total_seconds']:.1f}"))),
        Table("Machine and versions", ("item", "value"), tuple(machine)),
    )
