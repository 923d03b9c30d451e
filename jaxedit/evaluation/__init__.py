"""Evaluation: what an edit changes in the image besides its target, and methods compared at equal change.

Start with `evaluate`, for methods side by side, or `effect_matrix`, for one set of axes.
"""

from jaxedit.evaluation.comparison import evaluate
from jaxedit.evaluation.config import EvaluationConfig
from jaxedit.evaluation.effects import EffectsConfig, ImageEffects, effect_matrix
from jaxedit.evaluation.evaluators import Evaluators, IndependentNetworks
from jaxedit.evaluation.methods import AxesMethod, EditingMethod, LinearDirections, load_directions
from jaxedit.evaluation.report.contact_sheet import (
    EditSteps,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
)
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.thumbnails import render_thumbnails

__all__ = [
    "AxesMethod",
    "EditSteps",
    "EditingMethod",
    "EffectsConfig",
    "Evaluation",
    "EvaluationConfig",
    "Evaluators",
    "ImageEffects",
    "IndependentNetworks",
    "LinearDirections",
    "draw_contact_sheet",
    "draw_grid",
    "effect_matrix",
    "evaluate",
    "load_directions",
    "render_edit_steps",
    "render_thumbnails",
]
