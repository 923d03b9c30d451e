"""The page of read photographs: one figure for each face, and a table of all readings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.evaluation.report.page import PageImage, Section, Table, write_report
from jaxedit.photographs.tables import address, cell_text, shown_name

_IMAGE = "reading.jpg"
_WIDTH, _HEIGHT = 768, 256


def write_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    units: Mapping[str, str],
    failures: Mapping[Path, str],
    sort: str,
) -> Path:
    """Write the page.

    Args:
        path: the file.
        rows: of the faces, in their order; see `read_photos`.
        units: attribute → its unit.
        failures: photograph or folder → why it was not read.
        sort: the column by which the rows are sorted.

    Raises:
        OutputError: if the file cannot be written.
    """
    figures = tuple(_figure(row, sort) for row in rows)
    sections = []
    if rows:
        text = (
            "The crop, the image of its latent, and where the two differ: what the generator cannot draw is yellow and "
            "red. “unusual” is a percentile among the generator's own faces.",
        )
        sections.append(Section(f"Faces, by {sort}", text, figures))
        sections.append(Section("Readings", _READINGS, tables=(_readings(rows, units),), wide=True))
    if failures:
        cells = tuple((shown_name(place.name), shown_name(reason)) for place, reason in failures.items())
        table = Table("Photographs and faces that were not read", ("photograph", "why"), cells)
        sections.append(Section("Left out", tables=(table,), wide=True))
    return write_report(
        path,
        title="Photographs, read",
        lead="Values are estimates of an image's appearance, and say nothing certain about a person.",
        headlines=[(str(len(rows)), "faces"), (str(len(failures)), "left out")],
        sections=sections,
    )


_READINGS = (
    "The first number is what the network reads of the crop itself, where there is one. In brackets stands what the "
    "latent says, within its interval: it holds the labels of two thirds of generated faces.",
)


def _figure(row: Mapping[str, Any], sort: str) -> PageImage:
    name = f"{shown_name(row['photo'])}, face {row['face']}"
    parts = [f"unusual {row['unusual']:.0f}", f"LPIPS {row['lpips']:.2f}"]
    if sort not in ("photo", "face", "unusual", "lpips", "problem"):
        parts.insert(0, f"{sort} {cell_text(row[sort])}")
    if row["problem"]:
        parts.append(str(row["problem"]))
    caption = f"{name}: {', '.join(parts)}".replace("-", "−")
    return PageImage(address(row["folder"], _IMAGE), name, caption, _WIDTH, _HEIGHT)


def _readings(rows: Sequence[Mapping[str, Any]], units: Mapping[str, str]) -> Table:
    head = ("photograph", "face", *(f"{name} ({unit})" for name, unit in units.items()))
    cells = tuple(
        (shown_name(row["photo"]), str(row["face"]), *(_reading(row, name) for name in units)) for row in rows
    )
    return Table("All faces", head, cells)


def _reading(row: Mapping[str, Any], name: str) -> str:
    low, value, high = (f"{row[column]:.3g}" for column in (f"{name} low", name, f"{name} high"))
    latent = f"({low} … {value} … {high})"
    network = row.get(f"{name} network")
    text = latent if network is None else f"{network:.3g} {latent}"
    return text.replace("-", "−")
