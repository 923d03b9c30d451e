"""The command that serves the slider page: studio."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import (
    DEFAULT_GENERATOR,
    GeneratorOption,
    HostOption,
    NoBrowserOption,
    NumStepsOption,
)
from jaxedit.errors import InputError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def studio(
    axes: Annotated[
        str | None,
        typer.Option(
            help="Folder of axes. Default: those of --folder with what was taught, else the generator's own."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps taught sliders and jobs. Default: in the user's data."),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. Default: the first free one from 7860 on.")
    ] = None,
    no_browser: NoBrowserOption = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the password that the page asks for. The user is `studio`."
        ),
    ] = None,
    num_steps: NumStepsOption = None,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Serve a page with sliders.

    The page has a slider with a unit for each attribute, for faces by number and for photographs; a place where marking
    faces makes a new slider; and one for many photographs at once. It is served on this machine alone, and asks no
    other host for anything.

    \b
    Examples:
      jaxedit studio
      jaxedit studio --port 8000 --no-browser
      jaxedit studio --host 0.0.0.0 --password-file secret.txt     for other machines of your network
      jaxedit studio -g ffhq --axes axes
    """
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise InputError(
            "jaxedit studio: expected gradio, it is missing: pip install 'jaxedit[studio]'"
        ) from error
    import platformdirs

    from jaxedit.studio.page.app import Address, serve
    from jaxedit.studio.studio import Studio, StudioConfig

    password = _password(password_file)
    is_local = host in _LOOPBACK
    if not is_local and password is None:
        print(
            f"jaxedit: note: {host} is open to other machines without a password: --password-file asks for one",
            file=sys.stderr,
        )
    home = os.environ.get("JAXEDIT_HOME")
    own = (
        Path(home).expanduser() / "studio-data" if home else platformdirs.user_data_path("jaxedit") / "studio"
    )
    print("loading the generator …", file=sys.stderr)
    made = Studio(StudioConfig(generator, folder or own, axes, is_local=is_local, num_steps=num_steps))
    served = serve(made, Address(host, port, password), opens_browser=not no_browser)
    print(served.url, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that private files go, too
    try:
        served.wait()
    finally:
        served.close()


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: expected a file with a password, could not read it") from error
    if not lines or not lines[0].strip():
        raise InputError(f"{file}: expected a password in the first line, found none")
    return lines[0].strip()
