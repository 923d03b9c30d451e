"""A small server of exported pages, with the headers that threads in a browser need."""

import functools
import http.server
import json
import socket
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jaxedit.errors import InputError, OutputError
from jaxedit.export.web.page import FORMAT, FORMAT_VERSION, MANIFEST
from jaxedit.storage.atomic import reason

_FIRST_PORT, _LAST_PORT = 7870, 7899

HEADERS = {
    # Only pages that are isolated from others get threads that share memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}


class Served(NamedTuple):
    """A page that is served."""

    url: str
    server: http.server.ThreadingHTTPServer

    def wait(self) -> None:
        """Until the process is interrupted."""
        threading.Event().wait()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()


def check_page(folder: str | Path) -> dict[str, Any]:
    """The manifest of an exported page.

    Raises:
        InputError: if the folder holds none, or a file is missing or has another size.
    """
    folder = Path(folder)
    expected = f"{folder}: expected a page of `jaxedit export --format web`"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{expected}, found no {MANIFEST} in it ({reason(error)})") from error
    except ValueError as error:
        raise InputError(f"{expected}, found a {MANIFEST} that is damaged; export it again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{expected}, found a {MANIFEST} of something else")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{expected} in version {FORMAT_VERSION}, found version {manifest.get('format_version')}; export it again"
        )
    for name, about in manifest["files"].items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != about["bytes"]:
            found = "none" if size is None else f"{size} bytes"
            raise InputError(
                f"{folder}: expected the file {name} of {about['bytes']} bytes, found {found}; export it again"
            )
    return manifest


def serve_page(folder: str | Path, *, host: str = "127.0.0.1", port: int | None = None) -> Served:
    """Serve an exported page in the background.

    Args:
        folder: of `export_web`.
        host: interface; by default this machine alone.
        port: None for the first free one from 7870 on.

    Raises:
        InputError: if the folder is no such page.
        OutputError: if the port is taken or the host unknown.
    """
    manifest = check_page(folder)
    names = {*manifest["files"], MANIFEST, "service_worker.js"}
    handler = functools.partial(_Handler, names, directory=str(folder))
    server = _bound(handler, host, port)
    threading.Thread(target=server.serve_forever, name="page", daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    return Served(f"http://{shown}:{server.server_port}/", server)


def _bound(handler: Any, host: str, port: int | None) -> http.server.ThreadingHTTPServer:
    ports = range(_FIRST_PORT, _LAST_PORT + 1) if port is None else [port]
    for one in ports:
        try:
            return _Server((host, one), handler)
        except OSError as error:
            problem = error
    where = f"{host}:{port}" if port is not None else f"{host}, ports {_FIRST_PORT} to {_LAST_PORT}"
    raise OutputError(f"{where}: could not serve there: {reason(problem)}; --port takes another") from problem


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """The files of the page, and nothing else of the folder."""

    extensions_map = _TYPES | {"": "application/octet-stream"}

    def __init__(self, names: set[str], *arguments: Any, **options: Any) -> None:
        self.names = names
        super().__init__(*arguments, **options)

    def send_head(self) -> BinaryIO | None:
        name = self.path.split("?")[0].split("#")[0].lstrip("/")
        if name not in self.names | {""}:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.path = f"/{name or 'index.html'}"
        del self.headers["If-Modified-Since"]  # a folder may be replaced by an older one
        return super().send_head()

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet: a terminal shows the address alone."""
