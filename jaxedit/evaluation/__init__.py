"""What an edit does in the picture: contact sheets, effects, plots, and a page of them."""

from jaxedit.evaluation.compare import evaluate
from jaxedit.evaluation.contact_sheet import (
    EditSteps,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
)
from jaxedit.evaluation.effects import PictureEffects, effect_matrix
from jaxedit.evaluation.measuring import Judge
from jaxedit.evaluation.methods import AxesMethod, EditingMethod, LinearDirections, load_directions
from jaxedit.evaluation.rendering import render_thumbnails
from jaxedit.evaluation.results import Evaluation

__all__ = [
    "AxesMethod",
    "EditSteps",
    "EditingMethod",
    "Evaluation",
    "Judge",
    "LinearDirections",
    "PictureEffects",
    "draw_contact_sheet",
    "draw_grid",
    "effect_matrix",
    "evaluate",
    "load_directions",
    "render_edit_steps",
    "render_thumbnails",
]
