"""Loss curves of a projection as a plot."""

import io
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

_BLUE, _GRAY = "#2f6db3", "#8a9099"
_FONT_SIZE = 12
_COLUMNS = 4


def draw_losses(curves: Mapping[str, Float[np.ndarray, " num_steps"]]) -> bytes:
    """Plot loss terms over the steps, a panel for each, as PNG. Terms that are zero throughout are left out.

    Args:
        curves: values by name of the term.
    """
    shown = {name: values for name, values in curves.items() if np.any(values != 0)}
    columns = min(_COLUMNS, max(len(shown), 1))
    rows = max(math.ceil(len(shown) / columns), 1)
    figure = Figure(figsize=(3.2 * columns, 2.7 * rows), layout="constrained", dpi=110)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel, (name, values) in zip(panels.flat, shown.items(), strict=False):
        panel.plot(np.arange(1, len(values) + 1), values, color=_BLUE, linewidth=1.8)
        panel.set_title(name, fontsize=_FONT_SIZE)
        panel.set_xlabel("step", fontsize=_FONT_SIZE)
        panel.set_ylim(bottom=0)
        panel.locator_params(axis="x", nbins=4, integer=True)
        panel.tick_params(labelsize=_FONT_SIZE - 2, color=_GRAY)
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(_GRAY)
        panel.grid(visible=True, color="#e4e7ea", linewidth=0.8)
    for panel in panels.flat[len(shown) :]:
        panel.remove()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
