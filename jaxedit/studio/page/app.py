"""The page as a whole, and its server."""

import os
import secrets
import shutil
import threading
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from jaxedit.errors import InputError
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
from jaxedit.storage.atomic import write_atomically
from jaxedit.studio.faces import MAX_UPLOAD_BYTES
from jaxedit.studio.many import Jobs
from jaxedit.studio.page.api import build_api
from jaxedit.studio.page.edit_tab import build_edit_tab
from jaxedit.studio.page.many_tab import build_many_tab
from jaxedit.studio.page.previews import add_previews
from jaxedit.studio.page.requests import Desk
from jaxedit.studio.page.teach_tab import build_teach_tab
from jaxedit.studio.private import private_folder, sweep_private_folders
from jaxedit.studio.studio import Studio
from jaxedit.studio.visits import Sweeper

USER = "studio"
"""Name that goes with a password."""

_KEPT_SECONDS = 3600
_MOST_WAITING = 2000
"""Requests that wait; a page has one of each kind at most."""
_FONTS = ["system-ui", "sans-serif"]  # of the visitor's own machine: nothing is fetched from elsewhere
_NOTE = "A likeness of a real person is theirs: ask before you edit it."


class Address(NamedTuple):
    """Where the page is served.

    Attributes:
        host: name or number of the interface; 127.0.0.1 for this machine alone.
        port: None for the first free one from 7860 on.
        password: None for none.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    password: str | None = None


class Served(NamedTuple):
    """A page that is served.

    Attributes:
        url: its address.
        blocks: of gradio.
        desk: that finds sessions.
        uploads: the private folder of uploads.
        sweeper: that ends quiet visits.
    """

    url: str
    blocks: gr.Blocks
    desk: Desk
    uploads: Path
    sweeper: Sweeper

    def close(self) -> None:
        """Stop serving, end all visits, and remove what visitors brought."""
        self.sweeper.stop()
        self.blocks.close(verbose=False)
        self.desk.visits.close_all()
        shutil.rmtree(self.uploads, ignore_errors=True)

    def wait(self) -> None:
        """Until the process is interrupted."""
        threading.Event().wait()


def build_page(studio: Studio) -> tuple[gr.Blocks, Desk, Jobs]:
    """The page of a studio, what finds sessions, and the jobs."""
    desk, folder = Desk(studio), studio.config.folder
    jobs = Jobs(studio, folder / "jobs")
    known = KNOWN_GENERATORS.get(studio.config.generator)
    with gr.Blocks(
        title="jaxedit studio", analytics_enabled=False, delete_cache=(600, _KEPT_SECONDS)
    ) as blocks:
        token = gr.BrowserState("", storage_key="jaxedit-studio-job", secret=_secret(folder))
        with gr.Tabs():
            with gr.Tab("Edit", id="edit") as first:
                edit_tab = build_edit_tab(desk)
            with gr.Tab("Teach a slider", id="teach") as second:
                made, state, show_state = build_teach_tab(desk)
            with gr.Tab("Many photographs", id="many") as last:
                shown, show = build_many_tab(desk, jobs, token, last)
        gr.Markdown(f"<small>{_NOTE}{' ' + known.license_note if known else ''}</small>", elem_id="note")
        build_api(desk)
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        drawing: dict[str, Any] = {**private, "concurrency_id": "drawing", "concurrency_limit": 1}
        blocks.load(edit_tab.refresh, [], edit_tab.outputs, **drawing)
        blocks.load(show, [token], shown, **private)
        for event in (blocks.load, second.select, made.success):
            event(show_state, [], [state], **private)
        made.success(edit_tab.refresh, [], edit_tab.outputs, **drawing)
        first.select(edit_tab.refresh_if_new, [], edit_tab.outputs, **drawing)
        blocks.unload(desk.leave)
    return blocks, desk, jobs


def serve(studio: Studio, address: Address, *, opens_browser: bool) -> Served:
    """Serve the page of a studio in the background.

    Args:
        studio: the studio.
        address: where.
        opens_browser: whether to open it.

    Raises:
        InputError: if the port is taken, or the address does not answer.
    """
    sweep_private_folders()
    uploads = private_folder()
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    blocks, desk, jobs = build_page(studio)
    files = resources.files("jaxedit.studio.page")
    script = files.joinpath("script.js").read_text()
    try:
        app, url, _ = blocks.queue(
            api_open=False, default_concurrency_limit=4, max_size=_MOST_WAITING
        ).launch(
            server_name=address.host,
            server_port=address.port,
            auth=None if address.password is None else (USER, address.password),
            prevent_thread_lock=True,
            inbrowser=opens_browser,
            quiet=True,
            share=False,
            show_error=True,
            max_file_size=MAX_UPLOAD_BYTES,
            footer_links=[],
            css=files.joinpath("style.css").read_text(),
            head=f"<script>{script}</script>",
            theme=gr.themes.Default(font=_FONTS, font_mono=["ui-monospace", "monospace"]),
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
        )
    except OSError as error:
        shutil.rmtree(uploads, ignore_errors=True)
        raise InputError(
            f"--port: expected a free port, {address.port or 'each from 7860 on'} is taken"
        ) from error
    except ValueError as error:  # it asks itself whether it is there
        blocks.close(verbose=False)
        shutil.rmtree(uploads, ignore_errors=True)
        raise InputError(
            f"--host: expected {address.host} to answer on this machine, it did not: where a proxy is set, name it in "
            "NO_PROXY; where the machine is busy, start again"
        ) from error
    add_previews(app, desk)
    studio.warm_up()  # now: compiling keeps the server from answering
    studio.refine()
    return Served(url, blocks, desk, uploads, Sweeper(desk.visits.sweep, jobs.sweep))


def _secret(folder: Path) -> str:
    """With which browsers keep the number of a job, the same after a restart."""
    path = folder / "secret"
    if not path.is_file():
        write_atomically(path, secrets.token_urlsafe(32).encode())
        path.chmod(0o600)
    return path.read_text().strip()
