"""An HTML page of images and tables that opens from the disk, without a server and without scripts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np

from jaxedit.evaluation.statistics import Estimate
from jaxedit.storage.atomic import write_atomically


@dataclasses.dataclass(frozen=True)
class PageImage:
    """An image of the page.

    Attributes:
        path: relative to the page, or the image itself as a `data:` address.
        alt: description of the image, for those who do not see it.
        caption: text below it.
        width: in pixels; it is shown no wider than this.
        height: in pixels, so that the page does not move while it loads.
    """

    path: str
    alt: str
    caption: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page. Columns after the first are aligned to the right when all their cells are numbers."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        return tuple(
            column > 0 and bool(self.rows) and all(_is_number(row[column]) for row in self.rows)
            for column in range(len(self.head))
        )


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: paragraphs.
        images: shown side by side where there is room.
        tables: below the images.
        wide: whether each image and each table takes the full width.
    """

    title: str
    text: tuple[str, ...] = ()
    images: tuple[PageImage, ...] = ()
    tables: tuple[Table, ...] = ()
    wide: bool = False


def write_report(
    path: str | Path,
    *,
    title: str,
    lead: str,
    headlines: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    footer: Sequence[str] = (),
) -> Path:
    """Write the page. All texts are plain: markup in them is escaped.

    Args:
        path: the file of the page. Paths of images are relative to it.
        title: heading.
        lead: a sentence below the heading.
        headlines: pairs of number and name, shown large.
        sections: the parts.
        footer: notes at the end.

    Raises:
        OutputError: if the file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxedit.evaluation.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.jinja").render(
        title=title, lead=lead, headlines=headlines, sections=sections, footer=footer
    )
    return write_atomically(path, html.encode())


def _is_number(text: str) -> bool:
    return (
        text.replace("−", "-").lstrip("+-").replace(".", "", 1).replace("e-", "", 1).isdigit() or text == "–"
    )


def number_text(value: float, digits: int = 2) -> str:
    """A number as pages show it; a dash where it is not defined."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def interval_text(estimate: Estimate, digits: int = 2) -> str:
    """The interval of an estimate."""
    if not np.isfinite([estimate.low, estimate.high]).all():
        return "–"
    return f"{number_text(estimate.low, digits)}\u00a0…\u00a0{number_text(estimate.high, digits)}"
