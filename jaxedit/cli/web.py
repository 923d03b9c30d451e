"""The command that serves an exported page: web."""

import signal
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import HostOption, NoBrowserOption


def web(
    folder: Annotated[Path, typer.Argument(help="Folder of `jaxedit export --format web`.")],
    host: HostOption = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. Default: the first free one from 7870 on.")
    ] = None,
    no_browser: NoBrowserOption = False,
) -> None:
    """Serve an exported page.

    Faces are drawn and edited in the browser; this serves its files, with the headers that threads need. Any web server
    does: without these headers the page is slower at first, and adds them itself when it loads again.

    \b
    Examples:
      jaxedit export mobile-stylegan-ffhq --format web --out page
      jaxedit web page
      jaxedit web page --port 8000 --no-browser
    """
    from jaxedit.export.web.serve import serve_page

    served = serve_page(folder, host=host, port=port)
    print(served.url, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not no_browser:
        webbrowser.open(served.url)
    try:
        served.wait()
    finally:
        served.close()
