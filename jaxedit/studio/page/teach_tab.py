"""The second tab: name a thing, mark faces page by page, and make a slider of it."""

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from jaxedit.errors import InputError
from jaxedit.studio.page.html import notes, tiles
from jaxedit.studio.page.requests import Desk
from jaxedit.studio.studio import Session
from jaxedit.studio.teaching import Teaching, checked_name

_PROGRESS = gr.Progress(track_tqdm=True)
_ASKED = (
    "A click on a face says yes, another says no, a third takes it back; by keyboard, Y and N. A face without a mark "
    "is left out. About 200 marks make a good slider; a rare thing needs some thirty faces that show it."
)
_REFINED = {
    "waits": "is refined through images soon",
    "runs": "is being refined through images; until then the slider moves all layers alike",
    "done": "has been refined through images",
}


def build_teach_tab(desk: Desk) -> tuple[Any, gr.HTML, Callable[..., str]]:
    """Make the tab.

    Returns:
        The event after which a new slider may be there, where the state of refinements is shown, and what shows it.
    """
    gr.Markdown("Name something that faces have or do not have, mark faces, and get a slider for it.")
    with gr.Row():
        name = gr.Textbox(
            label="What is it called?", placeholder="freckles", max_length=60, elem_id="thing", scale=3
        )
        begin = gr.Button("Begin", variant="primary", elem_id="begin-teaching", min_width=100)
    said = gr.HTML(elem_id="teach-said")
    page = gr.HTML(elem_id="teach-page")
    with gr.Row():
        further = gr.Button("Learn, and show the next page", elem_id="next-page", visible=False)
        make = gr.Button("Make a slider", variant="primary", elem_id="make-slider", visible=False)
    refines = gr.Checkbox(
        False,
        label="Refine the slider through images: afterwards, in about half an hour, it changes less of everything else",
        elem_id="refine",
        visible=False,
    )
    doubted = gr.HTML(elem_id="teach-doubted")
    marks = gr.Textbox(visible="hidden", elem_id="marks")
    state = gr.HTML(elem_id="refinements")

    def teaching_of(session: Session) -> Teaching:
        if session.teaching is None:
            raise InputError("marks: expected a thing to mark, got none: type its name first")
        return session.teaching

    def take(session: Session, written: str) -> Teaching:
        teaching = teaching_of(session)
        teaching.mark(_parsed(written))
        return teaching

    def shown(session: Session, rows: list[int], teaching: Teaching) -> str:
        images = session.studio.drawer.small_images(session.studio.pool().w[rows])
        return tiles(dict(zip(rows, images, strict=True)), teaching.marks)

    @desk.answers
    def start(session: Session, wanted: str) -> list[Any]:
        made = checked_name(wanted or "", session.studio.axes.attribute_names)
        if session.teaching is None or session.teaching.name != made:  # the same name goes on with its marks
            session.teaching = Teaching(made, session.studio.pool())
        rows = session.teaching.next_page()
        return [
            notes([f"Which of these faces show {made.replace('_', ' ')}?", _ASKED]),
            shown(session, rows, session.teaching),
            "",
            gr.update(visible=True),
            gr.update(visible=True),
            gr.update(visible=session.studio.can_refine),
        ]

    @desk.answers
    def learn(session: Session, written: str) -> list[Any]:
        teaching = take(session, written)
        sentence = teaching.missing() or teaching.learn().in_words()
        doubtful = teaching.doubtful()
        again = ""
        if doubtful:
            again = notes(["Look at these marks again: the classifier would say the opposite."])
            again += shown(session, doubtful, teaching)
        rows = teaching.next_page()
        pool = session.studio.pool()
        ready = f"{len(teaching.marks)} marks; {pool.count} of {len(pool.w)} faces are ready to be labeled."
        return [notes([sentence, ready]), shown(session, rows, teaching), again]

    @desk.answers
    def finish(
        session: Session, written: str, is_refined: bool, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        teaching = take(session, written)
        if (missing := teaching.missing()) is not None:
            raise InputError(f"{teaching.name}: {missing}")
        quality = teaching.learn()
        session.studio.add_slider(teaching, refines=bool(is_refined))
        session.teaching = None
        where = session.studio.axes_name
        return [
            notes(
                [
                    f"The slider “{teaching.name.replace('_', ' ')}” stands on the first tab, under “My own”.",
                    quality.in_words(),
                    f"Its axes are kept in {where}: `jaxedit edit --axes` takes that folder.",
                ]
            ),
            "",
            "",
            gr.update(visible=False),
            gr.update(visible=False),
            gr.update(visible=False),
        ]

    @desk.answers
    def refinements(session: Session) -> str:
        found = session.studio.refinements.items()
        return notes([f"“{name.replace('_', ' ')}”: {_REFINED.get(how, how)}" for name, how in found])

    options: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "teaching",
        "concurrency_limit": 2,
        "show_progress_on": [said],
    }
    everything = [said, page, doubted, further, make, refines]
    collected = "() => window.studioMarks()"
    made = "(marks, refines) => [window.studioMarks(), refines]"
    gr.on([begin.click, name.submit], start, [name], everything, **options)
    further.click(learn, [marks], [said, page, doubted], js=collected, **options)
    done = make.click(finish, [marks, refines], everything, js=made, **options)
    return done, state, refinements


def _parsed(written: str) -> dict[int, bool | None]:
    """The marks that the page sends.

    Raises:
        InputError: if it sends something else.
    """
    try:
        found = json.loads(written or "{}")
        return {int(row): {"yes": True, "no": False, "": None}[mark] for row, mark in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("marks: expected those of the page, got something else") from error
