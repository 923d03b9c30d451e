"""Plots of learned axes: variance, training, correlations, effects. Figures need no display."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxedit.evaluation.report.comparison_styles import style_panel
from jaxedit.storage.atomic import write_atomically

_BLUE, _ORANGE, _GRAY = "#2f6db3", "#d1742c", "#8a9099"
_FONT_SIZE = 12


def plot_explained_variance(explained_variance: Float[Array | np.ndarray, " w_dim"], k: int) -> Figure:
    """Cumulative share of the variance of W over the number of components, with k marked.

    Args:
        explained_variance: λ, descending.
        k: how many components the axes use.
    """
    cumulative = np.cumsum(np.asarray(explained_variance, np.float64))
    cumulative = 100 * cumulative / cumulative[-1]
    figure, plot = _figure(7.5, 4.5)
    components = np.arange(1, len(cumulative) + 1)
    plot.plot(components, cumulative, color=_BLUE, linewidth=2.5)
    plot.fill_between(components[:k], cumulative[:k], color=_BLUE, alpha=0.15, linewidth=0)
    plot.vlines(k, 0, cumulative[k - 1], color=_ORANGE, linewidth=1.5, linestyle="--")
    plot.plot(k, cumulative[k - 1], "o", color=_ORANGE, markersize=8)
    # The note stands below the curve, on the side with more room.
    on_left = k > 0.6 * len(cumulative)
    plot.annotate(
        f"k = {k}: {cumulative[k - 1]:.1f} % of the variance",
        (k, cumulative[k - 1]),
        (-14 if on_left else 14, -30),
        textcoords="offset points",
        ha="right" if on_left else "left",
        fontsize=_FONT_SIZE,
    )
    plot.set(xlabel="principal components of W", ylabel="variance explained [%]", ylim=(0, 103))
    plot.set_xlim(0, len(cumulative))
    return figure


def plot_training(
    losses: Mapping[str, Float[Array | np.ndarray, " num_steps"]],
    held_out: Mapping[str, Float[Array | np.ndarray, " num_evaluations"]],
    held_out_steps: Int[Array | np.ndarray, " num_evaluations"],
) -> Figure:
    """Loss terms over the steps, and held-out metrics below, a panel each.

    Args:
        losses: of each step; drawn faint, with a moving mean over a fiftieth of the run.
        held_out: metrics, each at `held_out_steps`.
        held_out_steps: number of steps taken at each evaluation.
    """
    columns = max(len(losses), len(held_out))
    figure = Figure(figsize=(3.3 * columns, 5.6), layout="constrained", dpi=110)
    panels = figure.subplots(2, columns, squeeze=False)
    for panel, (name, values) in zip(panels[0], losses.items(), strict=False):
        values = np.asarray(values, np.float64)
        steps = np.arange(1, len(values) + 1)
        panel.plot(steps, values, color=_BLUE, alpha=0.25, linewidth=0.8)
        window = max(len(values) // 50, 1)
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        panel.plot(steps[window - 1 :], smooth, color=_BLUE, linewidth=2.0)
        # The limits leave out the first steps from random weights, whose losses are far larger.
        low, high = np.percentile(values, [0.5, 99.0])
        panel.set_ylim(low - 0.08 * (high - low) - 1e-12, high + 0.08 * (high - low) + 1e-12)
        panel.set_title(f"{name} loss".replace("_", " "), fontsize=_FONT_SIZE)
    for panel, (name, values) in zip(panels[1], held_out.items(), strict=False):
        panel.plot(held_out_steps, values, "o-", color=_ORANGE, linewidth=2.0, markersize=4)
        # From zero: otherwise the noise of a converged metric would fill the plot.
        panel.set_ylim(0, 1.12 * max(float(np.nanmax(np.asarray(values))), 1e-12))
        panel.set_title(f"held-out {name}".replace("_", " "), fontsize=_FONT_SIZE)
    for panel in panels.flat:
        if panel.has_data():
            style_panel(panel, _FONT_SIZE)
            panel.set_xlabel("step", fontsize=_FONT_SIZE)
            panel.locator_params(axis="x", nbins=4)
        else:
            panel.remove()
    return figure


def plot_effects(
    effects: Float[Array | np.ndarray, "num_targets num_measured"],
    target_names: Sequence[str],
    measured_names: Sequence[str] | None = None,
) -> Figure:
    """Heat map: change of each measured attribute (columns) by an edit of each axis (rows).

    Args:
        effects: in standard deviations. The colors are centered at 0; the numbers stand in the cells.
        target_names: names of the axes.
        measured_names: names of the measured attributes; by default those of the axes.
    """
    effects = np.asarray(effects, np.float64)
    measured_names = target_names if measured_names is None else measured_names
    rows, columns = effects.shape
    cell = 0.38
    figure = Figure(figsize=(2.8 + cell * columns, 2.2 + cell * rows), layout="constrained", dpi=120)
    plot = figure.subplots()
    limit = max(float(np.abs(effects).max()), 1e-6)
    plot.imshow(effects, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="equal")
    for i, j in np.ndindex(rows, columns):
        value = effects[i, j]
        text = f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")
        plot.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=10,
            color="white" if abs(value) > 0.6 * limit else "#222222" if text != "0.0" else "#a0a5ab",
        )
    labels = [name.replace("_", " ") for name in measured_names]
    plot.set_xticks(range(columns), labels, rotation=55, ha="left", rotation_mode="anchor")
    plot.set_yticks(range(rows), [name.replace("_", " ") for name in target_names])
    plot.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, labelsize=_FONT_SIZE, length=0)
    plot.spines[:].set_visible(False)
    plot.set_ylabel("axis that is moved by +1 σ", fontsize=_FONT_SIZE)
    plot.set_xlabel("change of the attribute [σ]", fontsize=_FONT_SIZE)
    return figure


def plot_correlations(
    correlations: Float[Array | np.ndarray, " num_attributes"], names: Sequence[str]
) -> Figure:
    """Bars of the held-out correlation of each axis with its label, the highest first."""
    correlations = np.asarray(correlations, np.float64)
    order = np.argsort(-correlations)
    figure, plot = _figure(7.5, 1.3 + 0.3 * len(names))
    places = np.arange(len(names))
    plot.barh(places, correlations[order], color=_BLUE, height=0.72)
    for place, value in enumerate(correlations[order].tolist()):
        text = f"{value:.2f}".replace("-", "−")
        # A white ground keeps the dashed line out of the digits.
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        plot.text(max(value, 0) + 0.012, place, text, va="center", fontsize=11, bbox=ground)
    mean = float(correlations.mean())
    plot.axvline(mean, color=_ORANGE, linestyle="--", linewidth=1.5)
    plot.set_yticks(places, [names[i].replace("_", " ") for i in order])
    plot.set(xlim=(min(0.0, float(correlations.min()) - 0.02), 1.08), ylim=(len(names) - 0.4, -0.6))
    plot.set_xlabel(f"correlation of axis and label on held-out faces (mean {mean:.2f}, dashed)")
    plot.grid(visible=False, axis="y")
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG. It appears under its name only when whole.

    Raises:
        OutputError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.12)
    return write_atomically(path, buffer.getvalue())


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    plot = figure.subplots()
    style_panel(plot, _FONT_SIZE)
    return figure, plot
