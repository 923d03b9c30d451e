"""Plots of an evaluation: effects, leakage, curves, calibration, sliders, for up to a dozen methods."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxedit.evaluation.report.comparison_styles import (
    COLORS,
    GRAY,
    INK,
    PALE,
    SIZE,
    add_legend,
    line_style,
    style_panel,
    target_panels,
    wrapped,
)
from jaxedit.evaluation.report.contact_sheet import attribute_text
from jaxedit.evaluation.report.rate_plots import plot_rates
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.scores import SLIDER, CellScores
from jaxedit.evaluation.statistics import Estimate

_GUIDES = (0.1, 0.3, 1.0)
"""Leakages that the curves are drawn over."""


def plot_effect_matrices(evaluation: Evaluation) -> Figure:
    """A heat map for each method: change of the attributes (columns) by edits of each target (rows)."""
    methods, targets = evaluation.methods, evaluation.targets
    measured = [*targets, *(name for name in evaluation.request.leakage_attributes if name not in targets)]
    columns = min(3 if len(measured) <= 9 else 2, len(methods))
    rows = -(-len(methods) // columns)
    cell = 0.47
    width, height = cell * len(measured) + 0.25, cell * len(targets) + 0.5
    figure = Figure(figsize=(1.2 + columns * width, 1.0 + rows * height), layout="constrained", dpi=130)
    panels = figure.subplots(rows, columns, squeeze=False)
    limit = evaluation.request.change
    for index, panel in enumerate(panels.flat):
        if index >= len(methods):
            panel.remove()
            continue
        effects = _effects(evaluation, methods[index], targets, measured)
        panel.imshow(effects, cmap=_colors_of_effects(), vmin=-limit, vmax=limit, aspect="equal")
        _write_effects(panel, effects, limit)
        panel.set_title(
            wrapped(methods[index], min(34, 4 * len(measured) + 2)),
            fontsize=SIZE,
            color=INK,
            pad=6 if index >= columns else 8,
        )
        heads = [attribute_text(name) for name in measured]
        if index < columns:
            panel.set_xticks(range(len(measured)), heads, rotation=50, ha="left", rotation_mode="anchor")
        else:
            panel.set_xticks([])
        panel.set_yticks(
            range(len(targets)), [attribute_text(t) for t in targets] if index % columns == 0 else []
        )
        panel.tick_params(
            top=True, bottom=False, labeltop=True, labelbottom=False, labelsize=SIZE - 1, length=0
        )
        panel.spines[:].set_visible(False)
    figure.supylabel("target", fontsize=SIZE)
    return figure


def _effects(
    evaluation: Evaluation, method: str, targets: Sequence[str], measured: Sequence[str]
) -> Float[np.ndarray, "targets measured"]:
    """Effects of a method; NaN where it has no such target."""
    effects = np.full((len(targets), len(measured)), np.nan)
    for row, target in enumerate(targets):
        cell = evaluation.cells.get((method, target))
        if cell is not None:
            effects[row] = [cell.effects[name].value for name in measured]
    return effects


def _write_effects(panel: Axes, effects: Float[np.ndarray, "rows columns"], limit: float) -> None:
    for row, column in np.ndindex(*effects.shape):
        value = effects[row, column]
        text = "–" if not np.isfinite(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
        strong = np.isfinite(value) and abs(value) > 0.6 * limit
        color = "white" if strong else INK if abs(value) >= 0.05 * limit else "#a0a5ab"
        panel.text(column, row, text, ha="center", va="center", fontsize=8.5, color=color)


def _colors_of_effects() -> matplotlib.colors.Colormap:
    return matplotlib.colormaps["RdBu_r"].with_extremes(bad="#f0f1f3")


def plot_leakage(evaluation: Evaluation, score: str = "leakage") -> Figure:
    """Bars of leakage with their intervals, a plot for each target: by the labeling networks, and by independent
    networks at equal change as they read it. Where these measure only some of the attributes, a further bar shows the
    leakage into the same attributes by the labeling networks.

    Args:
        evaluation: the scores.
        score: "leakage" or "absolute_leakage".
    """
    methods, targets = evaluation.methods, evaluation.targets
    series = _leakage_series(evaluation, score)
    columns = min(4, len(targets))
    rows = -(-len(targets) // columns)
    group = 0.17 * len(series) + 0.16
    figure = Figure(
        figsize=(2.3 + 2.9 * columns, 1.0 + rows * (0.8 + group * len(methods))),
        layout="constrained",
        dpi=130,
    )
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for target, panel in zip(targets, panels.flat, strict=False):
        cells = {m: evaluation.cells[m, target] for m in methods if (m, target) in evaluation.cells}
        highest, values = [1e-3], [0.0]
        for place, method in enumerate(methods):
            if method not in cells:
                _mark_absent(panel, place)
                continue
            for number, (_, color, take) in enumerate(series):
                y = place + (number - (len(series) - 1) / 2) * 0.8 / len(series)
                value = take(cells[method])
                highest.append(_bar(panel, y, 0.7 / len(series), value, color))
                values.append(0.0 if value is None or not np.isfinite(value.value) else value.value)
        floors = np.asarray([cell.leakage_floor for cell in cells.values()])
        if score == "leakage" and np.isfinite(floors).any():
            panel.axvline(float(np.nanmedian(floors)), color=GRAY, linewidth=1, linestyle=":", zorder=3)
        # A very long interval must not make the bars too short to read.
        panel.set_xlim(0, 1.05 * min(max(highest), 1.6 * max(values) + 1e-3))
        panel.set_title(attribute_text(target), fontsize=SIZE + 1, color=INK)
        panel.set_yticks(range(len(methods)), [wrapped(m, 26) for m in methods])
        panel.set_ylim(len(methods) - 0.45, -0.55)
        panel.locator_params(axis="x", nbins=4)
        style_panel(panel)
        panel.grid(visible=False, axis="y")
    for panel in panels.flat[len(targets) :]:
        panel.remove()
    handles = [Line2D([], [], color=color, linewidth=7, label=name) for name, color, _ in series]
    if score == "leakage":
        handles.append(Line2D([], [], color=GRAY, linestyle=":", label="by chance alone"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=SIZE)
    name = "leakage" if score == "leakage" else "absolute leakage"
    figure.supxlabel(f"{name} into other attributes, per unit of the target", fontsize=SIZE)
    return figure


_Series = tuple[str, str, Callable[[CellScores], Estimate | None]]


def _leakage_series(evaluation: Evaluation, score: str) -> list[_Series]:
    """Name, color and value of each bar of a method."""
    series: list[_Series] = [("labeling networks", COLORS[0], lambda cell: getattr(cell, score))]
    for number, (group, attributes) in enumerate(evaluation.request.independent_attributes.items()):
        if score == "leakage" and not set(evaluation.request.leakage_attributes) <= set(attributes):

            def same(cell: CellScores, group: str = group) -> Estimate | None:
                return cell.independent[group].labels_leakage

            name = f"labeling networks, attributes that {group} measure"
            series.append((name, PALE[number % len(PALE)], same))

        def by_group(cell: CellScores, group: str = group) -> Estimate | None:
            value: Estimate | None = getattr(cell.independent[group], score)
            return value

        series.append((group, COLORS[1 + number % 5], by_group))
    return series


def _mark_absent(panel: Axes, place: int) -> None:
    panel.annotate(
        "no such direction",
        (0, place),
        (6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SIZE - 2,
        color=GRAY,
    )


def _bar(panel: Axes, y: float, height: float, value: Estimate | None, color: str) -> float:
    """Draw a bar with its interval; returns its right end."""
    if value is None or not np.isfinite(value.value):
        return 0.0
    panel.barh(y, value.value, height, color=color, alpha=0.85, linewidth=0)
    if not np.isfinite(value.high):
        return value.value
    panel.plot([value.low, value.high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
    return value.high


def plot_curves(evaluation: Evaluation) -> Figure:
    """Change of the other attributes, and identity distance, over the change of the target: a row for each target."""
    methods, targets = evaluation.methods, evaluation.targets
    networks = list(evaluation.request.identity_networks)
    kinds = ["off_target", *networks]
    figure, panels = target_panels(methods, targets, kinds)
    for row, target in enumerate(targets):
        for column, kind in enumerate(kinds):
            panel, highest = panels[row][column], 0.0
            for number, method in enumerate(methods):
                cell = evaluation.cells.get((method, target))
                if cell is None:
                    continue
                y = cell.curve.off_target if kind == "off_target" else cell.curve.identity[kind]
                # The first method is drawn above the others.
                panel.plot(
                    cell.curve.target_change, y, zorder=3 + (len(methods) - number) / 20, **line_style(number)
                )
                near = np.abs(cell.curve.target_change) <= 2.2 * evaluation.request.change
                highest = max(highest, float(y[near].max()))
            _finish_curves(panel, highest, evaluation.request.change, guides=kind == "off_target")
            panel.set_title(
                f"{attribute_text(target)}: "
                + ("other attributes" if kind == "off_target" else _identity_text(kind)),
                fontsize=SIZE,
                color=INK,
            )
            if row == len(targets) - 1:
                panel.set_xlabel("mean change of the target [σ]")
            if column == 0:
                panel.set_ylabel("mean change [σ]")
    add_legend(figure, methods)
    return figure


def _identity_text(network: str) -> str:
    return "identity distance" if network == "identity" else f"identity distance ({network})"


def _finish_curves(panel: Axes, highest: float, change: float, *, guides: bool) -> None:
    style_panel(panel)
    reach = 2.4 * change
    panel.set_xlim(-reach, reach)
    top = 1.08 * highest or 1.0
    panel.set_ylim(0, top)
    if not guides:
        return
    for guide in _GUIDES:
        panel.plot(
            [-reach, 0, reach],
            [guide * reach, 0, guide * reach],
            color="#c3c8ce",
            linewidth=0.9,
            linestyle=":",
        )
        x = min(0.97 * reach, 0.92 * top / guide)
        panel.text(x, guide * x, f"{guide:g}", fontsize=8, color=GRAY, ha="right", va="bottom")


def plot_calibration(evaluation: Evaluation) -> Figure | None:
    """Measured values over requested ones, in the attribute's own unit; None if no method takes such values."""
    targets = [t for t in evaluation.targets if any(c.calibration for c in _column(evaluation, t))]
    if not targets:
        return None
    methods = [m for m in evaluation.methods if any(c.calibration for c in _row(evaluation, m))]
    figure = Figure(
        figsize=(3.5 * len(targets) + 0.4, 3.9 + 0.28 * -(-len(methods) // 3)), layout="constrained", dpi=130
    )
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    units = dict(zip(evaluation.request.measured, evaluation.request.units, strict=True))
    for target, panel in zip(targets, panels, strict=True):
        asked: list[float] = []
        for method in methods:
            cell = evaluation.cells.get((method, target))
            calibration = cell.calibration if cell else None
            if calibration is None:
                continue
            line = line_style(evaluation.methods.index(method))
            panel.plot(calibration.requests, calibration.mean, **line)
            if len(methods) <= 3:
                band = (calibration.requests, calibration.low, calibration.high)
                panel.fill_between(*band, color=line["color"], alpha=0.13, linewidth=0)
            asked += calibration.requests.tolist()
        ends = [min(asked), max(asked)]
        panel.plot(ends, ends, color=GRAY, linewidth=1, linestyle=":", zorder=1)
        unit = f" [{units[target]}]" if units[target] else ""
        panel.set_title(attribute_text(target) + unit, fontsize=SIZE, color=INK)
        panel.set_xlabel("asked for")
        style_panel(panel)
    panels[0].set_ylabel("measured")
    add_legend(figure, evaluation.methods, [evaluation.methods.index(m) for m in methods])
    return figure


def plot_sliders(evaluation: Evaluation) -> Figure:
    """Mean change of the target along the slider, and the share of faces on which it never falls."""
    methods, targets = evaluation.methods, evaluation.targets
    figure = Figure(
        figsize=(3.1 * len(targets) + 0.6, 3.4 + 0.36 * len(methods) + 0.28 * -(-len(methods) // 3)),
        layout="constrained",
        dpi=130,
    )
    panels = figure.subplots(2, len(targets), squeeze=False, height_ratios=[3.0, 0.36 * len(methods) + 0.3])
    for column, target in enumerate(targets):
        above, below = panels[0][column], panels[1][column]
        for number, method in enumerate(methods):
            cell = evaluation.cells.get((method, target))
            if cell is None:
                _mark_absent(below, number)
                continue
            above.plot(cell.slider, cell.slider_change, **line_style(number))
            share = cell.monotone_share
            _bar(below, float(number), 0.62, share, line_style(number)["color"])
            text = f"{100 * share.value:.0f} %"
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
            below.text(0.03, number, text, va="center", fontsize=SIZE - 2, color=INK, bbox=ground)
        ends = np.asarray([SLIDER[0], SLIDER[-1]])
        above.plot(ends, evaluation.request.change * ends, color=GRAY, linewidth=1, linestyle=":", zorder=1)
        above.set_title(attribute_text(target), fontsize=SIZE, color=INK)
        above.set_xlabel("slider")
        below.set_xlim(0, 1.02)
        below.set_ylim(len(methods) - 0.45, -0.55)
        names = [wrapped(m, 26) for m in methods]
        below.set_yticks(range(len(methods)), names if column == 0 else [""] * len(methods))
        below.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        below.set_xlabel("faces without a fall")
        for panel in (above, below):
            style_panel(panel)
        below.grid(visible=False, axis="y")
    panels[0][0].set_ylabel("mean change of the target [σ]")
    add_legend(figure, methods)
    return figure


def _row(evaluation: Evaluation, method: str) -> list[CellScores]:
    return [evaluation.cells[method, t] for t in evaluation.targets if (method, t) in evaluation.cells]


def _column(evaluation: Evaluation, target: str) -> list[CellScores]:
    return [evaluation.cells[m, target] for m in evaluation.methods if (m, target) in evaluation.cells]


def figures(evaluation: Evaluation) -> Mapping[str, Figure]:
    """All plots by name."""
    made = {
        "effects": plot_effect_matrices(evaluation),
        "leakage": plot_leakage(evaluation),
        "absolute_leakage": plot_leakage(evaluation, "absolute_leakage"),
        "curves": plot_curves(evaluation),
        "rates": plot_rates(evaluation),
        "sliders": plot_sliders(evaluation),
    }
    calibration = plot_calibration(evaluation)
    return made if calibration is None else {**made, "calibration": calibration}
