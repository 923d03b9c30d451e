"""The first tab: a face, sliders, images before and after, texts and downloads."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr

from jaxedit.attributes.slider_groups import GROUPS, OWN_GROUP, group_of, in_order
from jaxedit.errors import InputError
from jaxedit.studio.downloads import save_face, save_photograph, save_settings
from jaxedit.studio.edits import as_text, from_text
from jaxedit.studio.faces import face_of_number, find_faces, random_number
from jaxedit.studio.page.html import notes, slider_marks, view, visit_mark, widened
from jaxedit.studio.page.requests import Desk
from jaxedit.studio.sliders import Slider
from jaxedit.studio.studio import Session

OWN_SLOTS = 12
"""Sliders that visitors may add before the page must be loaded again."""

_OPEN = ("Face", "Expression", OWN_GROUP)
_DRAWING = "drawing"
_PROGRESS = gr.Progress(track_tqdm=True)
_WELL, _QUICK = "well", "quick"
_ONCE = "The generator learns a face once; the next time it is there at once."
_UNITS = (
    "<small>Age and pose move in years and degrees. All other numbers are standard deviations (SD) over many faces: "
    "1 is a clear change. Colored is what was measured as usable. A double click on a slider brings it back.</small>"
)


class EditTab(NamedTuple):
    """What other tabs need of the first one."""

    sliders: list[gr.Slider]
    names: list[str | None]
    """The attribute of each slider when the page was built; None for a free one."""
    outputs: list[Any]
    """What `refresh` fills."""
    refresh: Callable[[gr.Request], list[Any]]
    """All of the tab for a visitor's session."""
    refresh_if_new: Callable[[gr.Request], Any]
    """Likewise where another slider was made since; nothing else, so that no slider that moves is brought back."""


def slots_of(names: tuple[str, ...]) -> list[str | None]:
    """The attribute of each slider of a page: those of the axes by group, and free ones for one's own."""
    ordered = in_order(names)
    own = [name for name in ordered if group_of(name) == OWN_GROUP]
    return [*(name for name in ordered if name not in own), *own, *([None] * OWN_SLOTS)]


def amounts_of(
    session: Session, slots: list[str | None], values: tuple[float | int | None, ...]
) -> dict[str, float]:
    """The amounts of the sliders by attribute."""
    names = names_now(session, slots)
    return {name: float(value or 0) for name, value in zip(names, values, strict=True) if name is not None}


def names_now(session: Session, slots: list[str | None]) -> list[str | None]:
    """The attribute of each slider for a session: free ones are taken by attributes that were taught since."""
    fresh = [name for name in session.axes.attribute_names if name not in slots]
    return [name if name is not None else (fresh.pop(0) if fresh else None) for name in slots]


def build_edit_tab(desk: Desk) -> EditTab:
    """Make the tab; `desk` finds the session of a request."""
    slots = slots_of(desk.studio.axes.attribute_names)
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300, elem_id="stage"):
            with gr.Group(elem_id="view"):
                after = gr.HTML(elem_id="view-after")
                before = gr.HTML(elem_id="view-before")
            with gr.Row():
                gr.Button("Hold: before", size="sm", elem_id="hold", min_width=100)
                undo = gr.Button("Undo", size="sm", elem_id="undo", min_width=60)
                redo = gr.Button("Redo", size="sm", elem_id="redo", min_width=60)
                reset = gr.Button("Reset all", size="sm", elem_id="reset-all", min_width=80)
            said = gr.HTML(elem_id="said")
            remarks = gr.HTML(elem_id="remarks")
        with gr.Column(scale=6, min_width=320):
            with gr.Group():
                with gr.Row(elem_id="which-number"):
                    number = gr.Number(
                        7, label="Face number", precision=0, minimum=0, elem_id="face-number", min_width=110
                    )
                    chance = gr.Button(
                        "Random face", size="sm", scale=0, elem_id="random-face", min_width=130
                    )
                with gr.Accordion("A photograph instead", open=False, elem_id="photo-part"):
                    photo = gr.File(
                        label="Drop, paste or choose one: JPEG, PNG, WebP, HEIC",
                        file_types=["image", ".heic", ".heif"],
                        type="filepath",
                        elem_id="photo",
                        height=110,
                    )
                    gr.Button("Take a photograph", size="sm", elem_id="camera")
                    which = gr.Radio([], label="Which face", visible=False, elem_id="which-face")
                    how = gr.Radio(
                        [("well: about three minutes on two cores", _WELL), ("a quick look", _QUICK)],
                        value=_WELL,
                        label="How the generator learns the face",
                        visible=False,
                        elem_id="how",
                    )
                    begin = gr.Button("Use this face", visible=False, elem_id="use-face")
                    progress = gr.HTML(elem_id="photo-said")
            gr.Markdown(_UNITS)
            sliders: list[gr.Slider] = []
            with gr.Column(elem_id="sliders"):
                for group in (*GROUPS, OWN_GROUP):
                    own = [name for name in slots if (group_of(name) if name else OWN_GROUP) == group]
                    if not own:
                        continue
                    with gr.Accordion(
                        group, open=group in _OPEN, elem_id=f"group-{group.lower().replace(' ', '-')}"
                    ):
                        for name in own:
                            title = name.replace("_", " ") if name else "free"
                            sliders.append(
                                gr.Slider(
                                    -3,
                                    3,
                                    0,
                                    step=0.1,
                                    label=title,
                                    visible=name is not None,
                                    interactive=True,
                                    elem_id=f"slider-{len(sliders)}",
                                )
                            )
            with gr.Accordion("The edits as text, to keep and to repeat", open=False, elem_id="texts"):
                text = gr.Textbox(
                    label="Edits (change them and press Enter)", buttons=["copy"], elem_id="edit-text"
                )
                command = gr.Textbox(
                    label="Command line", interactive=False, buttons=["copy"], elem_id="command"
                )
            with gr.Row():
                take_face = gr.Button("Download face", elem_id="take-face", min_width=110)
                take_photo = gr.Button(
                    "Download photograph", elem_id="take-photo", visible=False, min_width=140
                )
                take_settings = gr.Button("Download settings", elem_id="take-settings", min_width=110)
            file = gr.DownloadButton("file", visible="hidden", elem_id="file")
            marks = gr.HTML(elem_id="slider-marks", padding=False)
            at_rest = gr.Button("at rest", elem_id="at-rest", elem_classes="at-rest")

    images = [after, before, said]
    texts = [text, command]
    about_face = [number, take_photo]

    def values_of(session: Session) -> list[Any]:
        amounts = session.history.amounts
        known = {slider.name: slider for slider in session.scale.sliders()}
        shown = [known.get(name) if name else None for name in names_now(session, slots)]
        updates = [
            _slider_update(slider, amounts.get(slider.name, 0.0) if slider else 0.0) for slider in shown
        ]
        return [slider_marks(shown, amounts) + visit_mark(session.visit, len(slots)), *updates]

    def texts_of(session: Session) -> list[Any]:
        amounts = session.history.amounts
        return [as_text(amounts, session.scale.known_units()), session.settings().command()]

    def images_of(session: Session) -> list[Any]:
        drawn = session.draw()
        amounts = session.history.amounts
        words = session.scale.reached(amounts) | {
            name: f"{amount:+.2g}".replace("-", "−")
            for name, amount in amounts.items()
            if name not in session.scale.known_units()
        }
        reached = [f"{name.replace('_', ' ')}: {words[name]}" for name in amounts]
        return [
            view(drawn.edited, f"{session.face.name}, edited", quality=92),
            view(drawn.original, f"{session.face.name}, as it was", quality=92),
            notes([", ".join(reached)] if reached else []),
        ]

    def face_of(session: Session) -> list[Any]:
        is_photo = session.face.photograph is not None
        return [session.face.seed, gr.update(visible=is_photo)]

    def whole(session: Session) -> list[Any]:
        session.take_new_axes()
        return [*images_of(session), *texts_of(session), *face_of(session), *values_of(session)]

    everything = [*images, *texts, *about_face, marks, *sliders]

    @desk.answers
    def refresh(session: Session) -> list[Any]:
        return whole(session)

    @desk.answers
    def refresh_if_new(session: Session) -> Any:
        return whole(session) if session.axes is not session.studio.axes else [gr.skip()] * len(everything)

    @desk.answers
    def rest(session: Session, *values: float | int | None) -> list[Any]:
        session.take_amounts(amounts_of(session, slots, values))
        return [*images_of(session), *texts_of(session)]

    @desk.answers
    def choose_number(session: Session, wanted: float | int | None) -> list[Any]:
        session.set_face(face_of_number(session.studio.generator, wanted))
        return whole(session)

    @desk.answers
    def choose_random(session: Session) -> list[Any]:
        session.set_face(face_of_number(session.studio.generator, random_number()))
        return whole(session)

    @desk.answers
    def step(session: Session, way: str) -> list[Any]:
        history = session.history
        session.history = {"undo": history.undo, "redo": history.redo, "reset": lambda: history.changed({})}[
            way
        ]()
        return whole(session)

    @desk.answers
    def take_text(session: Session, written: str) -> list[Any]:
        session.take_amounts(from_text(written, session.axes.attribute_names, session.scale.known_units()))
        return whole(session)

    @desk.answers
    def look_at(session: Session, path: str | None) -> list[Any]:
        if path is None:
            session.found = None
            return [gr.update(visible=False), gr.update(visible=False), gr.update(visible=False), ""]
        session.found = find_faces(path)
        count = len(session.found.faces)
        choices = [(f"{i}" + (" (largest)" if i == 1 and count > 1 else ""), i) for i in range(1, count + 1)]
        shown = "".join(view(face.image, f"face {i}") for i, face in enumerate(session.found.faces, 1))
        return [
            gr.update(choices=choices, value=1, visible=count > 1),
            gr.update(visible=session.studio.has_encoder),
            gr.update(visible=True),
            f"<div class='tiles'>{shown}</div>{notes([_ONCE])}",
        ]

    @desk.answers
    def use_photo(
        session: Session, chosen: int | None, how: str | None, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        if session.found is None:
            raise InputError("photograph: expected one, got none: choose a file first")
        session.take_photograph(session.found.photograph, int(chosen or 1), is_quick=how == _QUICK)
        return ["", *whole(session)]

    @desk.answers
    def remark(session: Session) -> str:
        return notes(session.notes())

    @desk.answers
    def take(session: Session, what: str) -> str:
        if what == "settings":
            return str(save_settings(session))
        return str({"face": save_face, "photograph": save_photograph}[what](session, session.draw()))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    drawing: dict[str, Any] = {"concurrency_id": _DRAWING, "concurrency_limit": 1}
    slow: dict[str, Any] = {
        **drawing,
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": [said],
    }
    settled = [
        at_rest.click(rest, sliders, [*images, *texts], trigger_mode="always_last", **drawing, **quiet),
        number.submit(choose_number, [number], everything, **slow),
        chance.click(choose_random, [], everything, trigger_mode="always_last", **slow),
        text.submit(take_text, [text], everything, **slow),
        begin.click(
            use_photo,
            [which, how],
            [progress, *everything],
            api_visibility="private",
            concurrency_limit=1,
            concurrency_id="projection",
            show_progress_on=[progress],
        ),
        *(
            button.click(step, [gr.State(way)], everything, **slow)
            for button, way in ((undo, "undo"), (redo, "redo"), (reset, "reset"))
        ),
    ]
    for event in settled:
        event.success(remark, [], [remarks], **drawing, **quiet)
    photo.change(look_at, [photo], [which, how, begin, progress], api_visibility="private")
    opens = "() => setTimeout(() => document.querySelector('#file')?.click(), 150)"
    for button, what in ((take_face, "face"), (take_photo, "photograph"), (take_settings, "settings")):
        taken = button.click(take, [gr.State(what)], [file], **slow)
        taken.success(None, [], [], js=opens, api_visibility="private")
    return EditTab(sliders, slots, everything, refresh, refresh_if_new)


def _slider_update(slider: Slider | None, amount: float | int) -> Any:
    if slider is None:
        return gr.update(visible=False)
    low, high = widened(slider, amount)
    return gr.update(
        minimum=low,
        maximum=high,
        step=slider.step,
        value=amount,
        label=slider.label,
        info=slider.info,
        visible=True,
    )
