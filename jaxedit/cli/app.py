"""The commands together, the entry point, and the exit codes.

Exit codes: 0 success, 1 failure (a download, a file that cannot be written), 2 wrong input, 130 interrupted.
"""

import functools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit._version import __version__
from jaxedit.cli import (
    annotate,
    blind,
    demos,
    edit,
    evaluate,
    export,
    generators,
    info,
    labels_and_axes,
    photos,
    ranges,
    read,
    refine,
    studio,
    teach,
    train_encoder,
    web,
)
from jaxedit.errors import CheckpointError, InputError, JaxeditError, LeftOutWarning
from jaxedit.storage.compilation_cache import keep_compiled_programs
from jaxedit.storage.paths import as_path

app = typer.Typer(
    name="jaxedit",
    help="""Edit faces of a pretrained StyleGAN along labeled axes: age, smile, glasses, …

    \b
    Start here:
      jaxedit edit --seed 7 age=+1.5 smile=+1           one edited face: edited.png
      jaxedit demo                                      a page of edited faces: demo/index.html
      jaxedit COMMAND --help                            options and examples of a command
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(value: bool) -> bool:
    if value:
        print(f"jaxedit {__version__}")
        raise typer.Exit
    return value


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


# In the order of the help: faces and photographs, labels and axes, weights, the rest.
_COMMANDS: dict[str, Callable[..., None]] = {
    "edit": edit.edit,
    "studio": studio.studio,
    "align": photos.align,
    "project": photos.project,
    "read": read.read,
    "label": labels_and_axes.label,
    "learn": labels_and_axes.learn,
    "teach": teach.teach,
    "refine": refine.refine,
    "ranges": ranges.ranges,
    "train-encoder": train_encoder.train_encoder,
    "evaluate": evaluate.evaluate,
    "fetch": generators.fetch,
    "convert": generators.convert,
    "export": export.export,
    "web": web.web,
    "info": info.info,
    "demo": demos.demo,
    "demo-photo": demos.demo_photo,
}
# Commands of commands, each group with its help.
_GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "annotate": (
        annotate.HELP,
        {"sheets": annotate.sheets, "edited": annotate.edited, "check": annotate.check},
    ),
    "blind": (blind.HELP, {"sheets": blind.sheets, "compare": blind.compare, "score": blind.score}),
}


def _with_home(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with `~` in its paths expanded: the shell leaves `--out=~/x` as it is."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        command(**{name: _expanded(value) for name, value in arguments.items()})

    return run


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(one) for one in value]
    return as_path(value) if isinstance(value, Path) else value


for _name, _command in _COMMANDS.items():
    app.command(name=_name)(_with_home(_command))
for _name, (_help, _commands) in _GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True, rich_markup_mode=None)
    for _part, _command in _commands.items():
        _group.command(name=_part)(_with_home(_command))
    app.add_typer(_group, name=_name)


def _device_problem() -> str | None:
    """Why JAX has no device, if that is what made a command fail; checked, not guessed."""
    if "jax" not in sys.modules:
        return None
    from jaxedit.environment import check_devices

    try:
        check_devices()
    except JaxeditError as error:
        return " ".join(str(error).split())
    return None


def _check_arguments(arguments: list[str]) -> None:
    """Raise `InputError` if an argument is empty: as a path it would be the current folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.strip() or (argument.startswith("--") and argument.endswith("=")):
            where = argument.rstrip("= ") or (before if before.startswith("-") else "an argument")
            raise InputError(f"{where}: expected a value, got an empty text")


def _show_warning(message: Warning | str, category: type[Warning], *others: Any, **more: Any) -> None:
    """A note of this library is one line; other libraries' warnings speak to developers."""
    if issubclass(category, LeftOutWarning):
        print(f"jaxedit: note: {message}", file=sys.stderr)
    else:
        _show_warning_of_python(message, category, *others, **more)


_show_warning_of_python = warnings.showwarning


def main() -> None:
    """Run the command. Errors that users can cause become one line and an exit code."""
    keep_compiled_programs()
    warnings.showwarning = _show_warning
    try:
        _check_arguments(sys.argv[1:])
        code = app(standalone_mode=False, prog_name="jaxedit")
    except JaxeditError as error:
        print(f"jaxedit: error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2 if isinstance(error, InputError | CheckpointError) else 1
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as error:
        # Typer's errors of usage; their module has moved between its versions.
        show = getattr(error, "show", None)
        if show is not None:
            show()
            code = getattr(error, "exit_code", 2)
        elif (problem := _device_problem()) is not None:
            print(f"jaxedit: error: {problem}", file=sys.stderr)
            code = 1
        else:
            raise
    if code == 130:  # some versions of Typer return it themselves
        print("jaxedit: interrupted", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)
