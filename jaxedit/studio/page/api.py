"""Named endpoints for `gradio_client` and curl: attributes with units and ranges, an edit by number, an edit of an
uploaded photograph."""

from typing import Any

import gradio as gr

from jaxedit.errors import InputError
from jaxedit.studio.downloads import save_face, save_photograph
from jaxedit.studio.edits import from_text
from jaxedit.studio.faces import face_of_number, find_faces
from jaxedit.studio.page.requests import Desk
from jaxedit.studio.studio import Session


def build_api(desk: Desk) -> None:
    """Add the endpoints `attributes`, `edit_number` and `edit_photograph`."""
    with gr.Row(visible=False):
        number = gr.Number(7, precision=0)
        photo = gr.File(type="filepath")
        edits = gr.Textbox()
        face = gr.Number(1, precision=0)
        whole = gr.Checkbox(True)
        quick = gr.Checkbox(False)
        image = gr.File()
        listed = gr.JSON()
        button = gr.Button()

    @desk.answers
    def attributes(session: Session) -> list[dict[str, Any]]:
        return [
            {
                "name": slider.name,
                "unit": slider.unit or "standard deviations",
                "low": slider.low,
                "high": slider.high,
                "is_measured": slider.is_measured,
                "value": slider.value,
            }
            for slider in session.scale.sliders()
        ]

    def edited(session: Session, written: str, is_whole: bool) -> str:
        session.take_new_axes()
        amounts = from_text(written or "", session.axes.attribute_names, session.scale.known_units())
        session.take_amounts(amounts)
        return str((save_photograph if is_whole else save_face)(session, session.draw()))

    @desk.answers
    def edit_number(session: Session, wanted: float | int | None, written: str) -> str:
        session.set_face(face_of_number(session.studio.generator, wanted))
        return edited(session, written, False)

    @desk.answers
    def edit_photograph(
        session: Session,
        path: str | None,
        written: str,
        which: float | int | None,
        is_whole: bool,
        is_quick: bool,
    ) -> str:
        if path is None:
            raise InputError("photograph: expected a file, got none")
        session.take_photograph(find_faces(path).photograph, int(which or 1), is_quick=bool(is_quick))
        return edited(session, written, is_whole)

    button.click(attributes, [], [listed], api_name="attributes")
    button.click(
        edit_number,
        [number, edits],
        [image],
        api_name="edit_number",
        concurrency_id="drawing",
        concurrency_limit=1,
    )
    button.click(
        edit_photograph,
        [photo, edits, face, whole, quick],
        [image],
        api_name="edit_photograph",
        concurrency_id="projection",
        concurrency_limit=1,
    )
