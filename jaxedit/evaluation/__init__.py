"""What an edit does in the image: contact sheets, effects, plots, and a page of them."""

from jaxedit.evaluation.comparison import evaluate
from jaxedit.evaluation.effects import ImageEffects, effect_matrix
from jaxedit.evaluation.evaluation_result import Evaluation
from jaxedit.evaluation.measurement import Judge
from jaxedit.evaluation.methods import AxesMethod, EditingMethod, LinearDirections, load_directions
from jaxedit.evaluation.report.contact_sheet import (
    EditSteps,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
)
from jaxedit.evaluation.thumbnails import render_thumbnails

__all__ = [
    "AxesMethod",
    "EditSteps",
    "EditingMethod",
    "Evaluation",
    "ImageEffects",
    "Judge",
    "LinearDirections",
    "draw_contact_sheet",
    "draw_grid",
    "effect_matrix",
    "evaluate",
    "load_directions",
    "render_edit_steps",
    "render_thumbnails",
]
