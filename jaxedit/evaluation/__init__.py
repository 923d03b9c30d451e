"""What an edit does in the picture: contact sheets, effects, plots, and a page of them."""

from jaxedit.evaluation.contact_sheet import (
    EditSteps,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
)
from jaxedit.evaluation.effects import PictureEffects, effect_matrix
from jaxedit.evaluation.rendering import render_thumbnails

__all__ = [
    "EditSteps",
    "PictureEffects",
    "draw_contact_sheet",
    "draw_grid",
    "effect_matrix",
    "render_edit_steps",
    "render_thumbnails",
]
