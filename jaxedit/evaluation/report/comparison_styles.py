"""Colors, lines and letters of the plots of an evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLORS = ("#2f6db3", "#d1742c", "#3f9c5c", "#b6485f", "#7d5bb5", "#8a6a4f")
STYLES = ("-", (0, (4, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "o", "s", "^", "D", "v", "P")
PALE = ("#a9c6e8", "#c9d9ee")
INK, GRAY, LINE = "#22272e", "#8a9099", "#e4e7ea"
SIZE = 11


def line_style(number: int) -> dict[str, Any]:
    """The line style of a method, in all plots."""
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": STYLES[number // len(COLORS) % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4.5,
        "markerfacecolor": "white" if number >= len(COLORS) else COLORS[number % len(COLORS)],
        "linewidth": 2.4 if number == 0 else 1.5,
    }


def add_legend(figure: Figure, methods: Sequence[str], numbers: Sequence[int] | None = None) -> None:
    """A legend above the panels: all methods, or those of the numbers."""
    handles = [Line2D([], [], label=methods[i], **line_style(i)) for i in numbers or range(len(methods))]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=SIZE)


def target_panels(
    methods: Sequence[str], targets: Sequence[str], kinds: Sequence[str]
) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels for each target, a column for each kind, and room for a legend of the methods."""
    figure = Figure(
        figsize=(4.6 * len(kinds) + 0.6, 2.9 * len(targets) + 0.9 + 0.28 * -(-len(methods) // 3)),
        layout="constrained",
        dpi=130,
    )
    return figure, figure.subplots(len(targets), len(kinds), squeeze=False, sharex=True)


def style_panel(panel: Axes, size: int = SIZE) -> None:
    """Letters, lines and grid of a panel."""
    panel.tick_params(labelsize=size - 1, color=GRAY)
    panel.xaxis.label.set_fontsize(size)
    panel.yaxis.label.set_fontsize(size)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GRAY)
    panel.grid(visible=True, color=LINE, linewidth=0.8)
    panel.set_axisbelow(True)


def wrapped(text: str, width: int) -> str:
    """A long name in two lines."""
    if len(text) <= width or " " not in text:
        return text
    words, line = text.split(" "), ""
    while words and len(line) + len(words[0]) < max(width, len(text) // 2 + 1):
        line = f"{line} {words.pop(0)}".strip()
    return f"{line}\n{' '.join(words)}" if words else line
