"""Tables, figure and page of the ablations (`benchmarks.quality.ablations`)."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from benchmarks.reporting import Rows, print_table
from jaxedit.errors import InputError
from jaxedit.evaluation.report.plots import save_figure


class Metric(NamedTuple):
    """Format of a metric.

    Attributes:
        heading: heading of its column.
        digits: decimal places.
        scale: factor of the printed numbers.
    """

    heading: str
    digits: int
    scale: float = 1.0


METRICS = {
    "axis_label_correlation": Metric("axis–label r", 3),
    "code_correlation": Metric("code corr.", 3),
    "attribute_code_correlation": Metric("attribute corr.", 3),
    "leakage": Metric("leakage", 3),
    "fresh_leakage": Metric("fresh leakage", 3),
    "effect": Metric("effect", 2),
    "move_length": Metric("move, σ", 2),
    "reconstruction_error": Metric("reconstr. × 10⁴", 1, 1e4),
    "disentanglement": Metric("DCI D", 3),
    "completeness": Metric("DCI C", 3),
    "informativeness": Metric("DCI I", 3),
    "mig": Metric("MIG", 3),
    "sap": Metric("SAP", 3),
    "seconds": Metric("s", 1),
}
"""Formats of all metrics, in the order of the columns."""

_PANELS = {
    "axis_label_correlation": "axis–label\ncorrelation",
    "attribute_code_correlation": "correlation of\nattribute axes",
    "fresh_leakage": "leakage\n(fresh probes)",
    "move_length": "length of a\nmove [σ]",
    "disentanglement": "DCI D",
}
_COLUMNS = (
    ("num_components", "num_layers", "hidden_width", "num_labels", "input_noise"),
    ("attribute_weight", "decorrelation_weight", "linear_damping", "parts", "split_seed"),
)
_BESIDE = {
    "num_labels": "num_labels_closed_form",
    "decorrelation_weight": "decorrelation_weight_other_target",
}
"""Studies that are drawn into the panels of another study with the same values."""
_BLUE, _ORANGE, _GRAY = "#2f6db3", "#d1742c", "#8a9099"


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of a run.

    Attributes:
        environment: date, device and versions.
        default: settings and sizes of the default cell.
        titles: titles of the studies, by name.
        studies: rows of the studies, by name. A row has "label", "default", "runs", and for each metric its mean and
            (as "METRIC sd") its standard deviation over the seeds.
    """

    environment: dict[str, Any]
    default: dict[str, Any]
    titles: dict[str, str]
    studies: dict[str, Rows]

    def to_json(self) -> str:
        """The content of a JSON file."""
        named = {"benchmark": "ablations", "environment": self.environment, "default": self.default}
        return json.dumps(named | {"titles": self.titles, "results": self.studies}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Read the content of a JSON file."""
        found = json.loads(text)
        return cls(found["environment"], found["default"], found["titles"], found["results"])


def shown(row: dict[str, Any], metric: str) -> str:
    """A mean with its standard deviation, if the row has them."""
    value = row.get(metric)
    if value is None:
        return ""
    mean, sd = _number(value, metric), row.get(f"{metric} sd")
    # The time depends on other programs of the machine, so its spread says nothing about the training.
    return mean if sd is None or metric == "seconds" else f"{mean} ± {_number(sd, metric)}"


def _number(value: float, metric: str) -> str:
    described = METRICS[metric]
    return f"{value * described.scale:.{described.digits}f}".replace("-", "−")


def print_studies(results: Results) -> None:
    """Print all studies as plain tables."""
    print("ablations: " + ", ".join(f"{key} {value}" for key, value in results.environment.items()))
    for name, rows in results.studies.items():
        table = [
            {"setting": row["label"] + (" (default)" if row.get("default") else "")}
            | {
                described.heading: shown(row, metric)
                for metric, described in METRICS.items()
                if metric in row
            }
            for row in rows
        ]
        print_table(results.titles[name], table)


def markdown_table(title: str, rows: Rows) -> str:
    """A study as a Markdown table. The default is bold."""
    metrics = [metric for metric in METRICS if any(metric in row for row in rows)]
    lines = [
        "| " + " | ".join([title, *(METRICS[metric].heading for metric in metrics)]) + " |",
        "|---" + "|--:" * len(metrics) + "|",
    ]
    for row in rows:
        cells = [row["label"], *(shown(row, metric) for metric in metrics)]
        if row.get("default"):
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fill(page: str, results: Results) -> str:
    """Fill in the content between the markers of a page.

    Markers are HTML comments, each closed by `<!-- end -->`:

        <!-- table STUDY -->                     the table of a study
        <!-- value STUDY | LABEL | METRIC -->    one mean ("METRIC sd": its deviation); the label may be "default"
        <!-- default NAME -->                    a setting or size of the default
        <!-- machine -->                         date, device and versions

    Markers of studies that are not in the results keep their content.

    Args:
        page: Markdown text.
        results: results of a run.

    Returns:
        The new text.

    Raises:
        InputError: if a marker is not closed, or names an unknown row, metric or setting.
    """
    opened = len(re.findall(r"<!-- (?:table |value |default |machine )", page))
    pattern = re.compile(r"(<!-- (table|value|default|machine) ?(.*?) ?-->)(.*?)(<!-- end -->)", re.DOTALL)
    if len(pattern.findall(page)) != opened:
        raise InputError("page: expected <!-- end --> after every marker")

    def content(kind: str, argument: str, old: str) -> str:
        if kind == "machine":
            return _machine(results.environment)
        if kind == "default":
            known = results.default["config"] | results.default
            if argument not in known:
                raise InputError(f"marker '{kind} {argument}': expected one of {', '.join(known)}")
            value = known[argument]
            return f"{value:g}" if isinstance(value, float) else f"{value}"
        study, *rest = (part.strip() for part in argument.split("|"))
        if study not in results.studies:
            return old
        if kind == "table":
            return "\n" + markdown_table(results.titles[study], results.studies[study]) + "\n"
        label, metric = rest
        rows = results.studies[study]
        row = next((r for r in rows if label == r["label"] or (label == "default" and r.get("default"))), {})
        if row.get(metric) is None:
            raise InputError(f"marker '{kind} {argument}': expected a row and a metric of the results")
        return _number(row[metric], metric.removesuffix(" sd"))

    def replaced(match: re.Match[str]) -> str:
        start, kind, argument, old, end = match.groups()
        return start + content(kind, argument, old) + end

    return pattern.sub(replaced, page)


def _machine(environment: dict[str, Any]) -> str:
    device, cores = environment["device"], environment["cpu_count"]
    where = f"{cores} cores of an {device}" if environment["platform"] == "cpu" else device
    return f"{where}, {environment['date']}, JAX {environment['jax']}, Flax {environment['flax']}"


def draw(results: Results, path: str | Path) -> Path:
    """Draw the studies as small multiples: one row per metric, one column per study.

    All panels of a metric share their limits.

    Args:
        results: results of a run.
        path: PNG file to write.

    Raises:
        InputError: if the results have none of the studies of the figure.
        OutputError: if the file cannot be written.
    """
    bands = [[name for name in band if name in results.studies] for band in _COLUMNS]
    bands = [band for band in bands if band]
    if not bands:
        raise InputError(f"figure: expected one of the studies {', '.join(sum(_COLUMNS, ()))}")
    layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.04, hspace=0.03, wspace=0.02)
    figure = Figure(figsize=(12.5, 0.6 + 7.2 * len(bands)), layout=layout, dpi=110)
    parts = figure.subfigures(len(bands), 1, squeeze=False)[:, 0]
    panels: dict[str, list[Axes]] = {metric: [] for metric in _PANELS}
    for part, band in zip(parts, bands, strict=True):
        grid = part.subplots(len(_PANELS), len(_COLUMNS[0]), squeeze=False)
        for i, metric in enumerate(_PANELS):
            for j, panel in enumerate(grid[i]):
                if j >= len(band):
                    panel.remove()
                    continue
                _draw_panel(panel, results, band[j], metric)
                panels[metric].append(panel)
                if j == 0:
                    panel.set_ylabel(_PANELS[metric], fontsize=11)
                else:
                    panel.tick_params(labelleft=False)
                if i == 0 and band[j] in _BESIDE and _BESIDE[band[j]] in results.studies:
                    corner = "lower right" if band[j] == "num_labels" else "lower left"
                    panel.legend(fontsize=8.5, frameon=False, loc=corner, handlelength=1.5)
                if i == len(_PANELS) - 1:
                    panel.set_xlabel(results.titles[band[j]].split(", ")[0], fontsize=11)
                else:
                    panel.tick_params(labelbottom=False)
    for metric, row in panels.items():
        _share_limits(row, log=metric == "fresh_leakage")
    return save_figure(figure, path)


def _draw_panel(panel: Axes, results: Results, study: str, metric: str) -> None:
    rows = results.studies[study]
    places = {row["label"]: place for place, row in enumerate(rows)}
    # Lines join numbers. Names and seeds have no order, so no line joins them.
    ordered = study != "split_seed" and all(re.fullmatch(r"[\d.e+-]+", label) for label in places)

    def plot(own: Rows, color: str, line: str, title: str) -> None:
        own = [row for row in own if row["label"] in places]
        panel.errorbar(
            [places[row["label"]] for row in own],
            [row[metric] for row in own],
            yerr=[row[f"{metric} sd"] or 0.0 for row in own],
            color=color,
            linestyle=line if ordered else "none",
            marker="o",
            markersize=4.5,
            linewidth=1.6,
            elinewidth=1.2,
            capsize=2.5,
            label=title,
        )

    def kind(name: str) -> str:
        """The part of a title after the comma."""
        return results.titles[name].partition(", ")[2].removesuffix(" target")

    beside = _BESIDE.get(study)
    if beside in results.studies:
        plot(results.studies[beside], _GRAY, "--", kind(beside))
    plot(rows, _BLUE, "-", kind(study) or "with network")
    for row in rows:
        if row["default"]:
            panel.plot(places[row["label"]], row[metric], "o", color=_ORANGE, markersize=8, zorder=5)
    panel.set_xlim(-0.5, len(rows) - 0.5)
    panel.set_xticks(range(len(rows)), _ticks(list(places)))
    panel.tick_params(labelsize=9.5, color=_GRAY)
    if not ordered and study != "split_seed":
        panel.tick_params(axis="x", labelsize=8.5)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(_GRAY)
    panel.grid(visible=True, color="#e4e7ea", linewidth=0.8)
    panel.set_axisbelow(True)


def _ticks(labels: list[str]) -> list[str]:
    """Labels of the ticks: weights as powers of ten, long names broken into lines."""
    powers = any(re.fullmatch(r"0\.0+1|1e-\d+", label) for label in labels)

    def tick(label: str) -> str:
        if powers and re.fullmatch(r"0\.0*1|1e[+-]\d+", label):
            return f"$10^{{{round(math.log10(float(label)))}}}$"
        for long, short in (("linear path + network", "both"), ("linear path alone, ", "linear\n")):
            label = label.replace(long, short)
        return label.replace(" path alone", "\nalone").replace(" alone", "\nalone")

    return [tick(label) for label in labels]


def _share_limits(row: list[Axes], *, log: bool) -> None:
    low = min(panel.dataLim.y0 for panel in row)
    high = max(panel.dataLim.y1 for panel in row)
    for panel in row:
        if log:
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            panel.yaxis.set_minor_locator(NullLocator())
            panel.set_ylim(low / 1.4, high * 1.4)
        else:
            margin = 0.08 * (high - low) or 0.1
            panel.set_ylim(low - margin, high + margin)
