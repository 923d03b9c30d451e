"""The third tab: the edits of the first one for many photographs."""

import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from jaxedit.studio.edits import as_text
from jaxedit.studio.many import Jobs
from jaxedit.studio.page.html import notes
from jaxedit.studio.page.requests import Desk
from jaxedit.studio.studio import Session

_SECONDS = 2.0


def build_many_tab(desk: Desk, jobs: Jobs, token: gr.BrowserState, tab: gr.Tab) -> tuple[list[Any], Any]:
    """Make the tab; gives what shows the job, and what fills that.

    Args:
        desk: finds the session of a request.
        jobs: of the studio.
        token: where the browser keeps the number of its job; not in a tab, which is not there before it is opened.
        tab: that is built.
    """
    gr.Markdown(
        "Each photograph gets the edits of the first tab, on its largest face. All come back as one ZIP."
    )
    edits = gr.HTML(elem_id="many-edits")
    files = gr.File(
        label="Photographs, up to 200",
        file_count="multiple",
        file_types=["image", ".heic", ".heif"],
        type="filepath",
        elem_id="many-files",
        height=160,
    )
    begin = gr.Button("Edit all", variant="primary", elem_id="begin-many")
    said = gr.HTML(elem_id="many-said")
    archive = gr.DownloadButton("Download all (ZIP)", visible=False, elem_id="many-zip")
    timer = gr.Timer(_SECONDS, active=False)

    @desk.answers
    def show(session: Session, number: str | None) -> list[Any]:
        state = jobs.state(number or "")
        if state is None:
            return ["", gr.update(visible=False), gr.Timer(active=False)]
        path = None
        if state.archive is not None:  # where this visitor's files are, so that the page may give it away
            path = str(session.folder / f"{str(number)[:8]}_{state.archive.name}")
            if not Path(path).exists():
                shutil.copyfile(state.archive, path)
        is_over = state.status in ("done", "failed")
        return [
            notes([state.in_words()]),
            gr.update(visible=path is not None, value=path),
            gr.Timer(active=not is_over),
        ]

    @desk.answers
    def show_edits(session: Session) -> str:
        text = as_text(session.history.amounts, session.scale.known_units())
        return notes([f"Edits: {text}" if text else "No edits yet: move a slider on the first tab."])

    @desk.answers
    def start(session: Session, chosen: list[str] | None) -> list[Any]:
        amounts = session.in_deviations(session.history.amounts)
        number = jobs.add([Path(path) for path in chosen or []], amounts)
        text = as_text(session.history.amounts, session.scale.known_units())
        return [number, notes([f"Queued: {text}"]), gr.Timer(active=True)]

    begin.click(start, [files], [token, said, timer], api_visibility="private", concurrency_limit=1)
    shown = [said, archive, timer]
    timer.tick(show, [token], shown, show_progress="hidden", api_visibility="private")
    tab.select(show, [token], shown, show_progress="hidden", api_visibility="private")
    tab.select(show_edits, [], [edits], show_progress="hidden", api_visibility="private")
    return shown, show
