"""Settings files of `jaxedit studio`, for `jaxedit edit`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR
from jaxedit.errors import InputError

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="Edits that `jaxedit studio` saved as JSON, with the face, generator and axes that it names unless others "
        "are given.",
    ),
]


def with_settings(
    file: Path | None,
    amounts: Mapping[str, float],
    given: Mapping[str, Any],
    sources: tuple[Any, Any, Any],
    *,
    in_std: bool,
) -> tuple[dict[str, float], dict[str, Any]]:
    """The edits of a settings file with those of the command line, and what else it says.

    Args:
        file: the settings; None for none.
        amounts: of the command line; they take the place of those of the file.
        given: "seed", "truncation_psi", "axes", "generator" and "preset" of the command line.
        sources: NVIDIA's seed, file of a latent, and photographs of the command line.
        in_std: whether amounts are moves in standard deviations, as the file's are.

    Raises:
        InputError: if nothing is edited, the file is no settings file, or it is of a photograph that was not given.
    """
    if file is None:
        if not amounts:
            raise InputError("edits: expected one or more such as age=+1.5, or --settings FILE, got none")
        return dict(amounts), dict(given)
    from jaxedit.studio.edits import Settings

    if not in_std:
        raise InputError(
            "--settings: expected without --absolute and --raw: its amounts are standard deviations"
        )
    found, has_source = Settings.load(file), any(x is not None for x in (given["seed"], *sources))
    if not has_source and found.seed is None:
        raise InputError(f"{file}: its face is of the photograph {found.photo!r}: give it with --photo")
    taken = dict(given)
    if not has_source:
        psi = taken["truncation_psi"]
        taken |= {"seed": found.seed, "truncation_psi": found.truncation_psi if psi is None else psi}
    if taken["generator"] == DEFAULT_GENERATOR:
        taken["generator"] = found.generator
    taken["axes"] = taken["axes"] or found.axes
    if sources[-1] is not None:
        taken["preset"] = taken["preset"] or found.preset
    merged = {**found.amounts, **amounts}
    if not merged:
        raise InputError(f"{file}: expected edits, found none")
    return merged, taken
