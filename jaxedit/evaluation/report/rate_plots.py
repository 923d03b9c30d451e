"""Curves of the attribute preservation rate and the identity preservation score over the target change rate."""

import numpy as np
from matplotlib.figure import Figure

from jaxedit.evaluation.change_rates import RateCurve
from jaxedit.evaluation.report.comparison_styles import (
    INK,
    SIZE,
    add_legend,
    line_style,
    style_panel,
    target_panels,
)
from jaxedit.evaluation.report.contact_sheet import attribute_text
from jaxedit.evaluation.results import Evaluation

_PRESERVATION = "attribute preservation rate"


def plot_rates(evaluation: Evaluation) -> Figure:
    """A row of panels for each target: APR over TCR, and IPS over TCR by each identity network; a line for each
    method."""
    methods, targets = evaluation.methods, evaluation.targets
    networks = [
        name
        for name in evaluation.request.identity_networks
        if any(name in cell.rates.curve.identity_preservation for cell in evaluation.cells.values())
    ]
    kinds = [_PRESERVATION, *networks]
    figure, panels = target_panels(methods, targets, kinds)
    for row, target in enumerate(targets):
        for kind, panel in zip(kinds, panels[row], strict=True):
            lowest = 1.0
            for number, method in enumerate(methods):
                cell = evaluation.cells.get((method, target))
                values = None if cell is None else _values(cell.rates.curve, kind)
                if cell is None or values is None:
                    continue
                # The first method is drawn above the others.
                order = 3 + (len(methods) - number) / 20
                panel.plot(100 * cell.rates.curve.target_change, values, zorder=order, **line_style(number))
                lowest = min(lowest, float(values.min()))
            style_panel(panel)
            panel.set_xlim(-2, 102)
            panel.set_ylim(lowest - 0.06 * (1 - lowest) - 0.005, 1 + 0.06 * (1 - lowest) + 0.005)
            panel.set_title(f"{attribute_text(target)}: {_kind_text(kind)}", fontsize=SIZE, color=INK)
            if row == len(targets) - 1:
                panel.set_xlabel("target change rate [%]")
    add_legend(figure, methods)
    return figure


def _values(curve: RateCurve, kind: str) -> np.ndarray | None:
    return curve.attribute_preservation if kind == _PRESERVATION else curve.identity_preservation.get(kind)


def _kind_text(kind: str) -> str:
    if kind == _PRESERVATION:
        return kind
    return "identity preservation" if kind == "identity" else f"identity preservation ({kind})"
