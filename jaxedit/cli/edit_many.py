"""The command edit, for many photographs."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jaxedit.errors import InputError

if TYPE_CHECKING:
    from jaxedit.axes.attribute_axes import AttributeAxes
    from jaxedit.generators.protocol import Generator
    from jaxedit.photographs.edit_photos import PhotoEdits


def check_many(options: Mapping[str, bool]) -> None:
    """Raise `InputError` if an option is given that goes with one photograph alone."""
    for name, is_given in options.items():
        if is_given:
            raise InputError(f"{name}: expected with one photograph, got it with many")


def edit_many(
    photos: Sequence[Path],
    out: Path,
    what: "tuple[Generator, str, AttributeAxes]",
    edits: "PhotoEdits",
    how: Mapping[str, Any],
    all_faces: bool,
    thorough: bool,
) -> None:
    """Edit the faces of photographs, and print where the results lie.

    Args:
        photos: photographs, and folders of them.
        out: the folder of the results.
        what: the generator, its name, and its axes.
        edits: of every face.
        how: "preset", "num_steps" and "batch_size" of the projection.
        all_faces: whether every face of each photograph is edited.
        thorough: whether every photograph is searched thoroughly.

    Raises:
        InputError, OutputError, DownloadError: as `edit_photos` does.
        typer.Exit: with 2, if a face or a photograph was left out.
    """
    from jaxedit.cli.projection_settings import projection_of
    from jaxedit.inversion.face_limits import FaceLimits
    from jaxedit.inversion.photo import list_photos
    from jaxedit.inversion.presets import tuning_of
    from jaxedit.inversion.project_photos import PhotoProjectionConfig
    from jaxedit.photographs.edit_photos import edit_photos

    model, generator, axes = what
    projection, encoder = projection_of(
        how["preset"], how["num_steps"], generator=model, generator_name=generator
    )
    config = PhotoProjectionConfig(
        projection=projection,
        encoder=encoder,
        tuning=tuning_of(how["preset"]),
        batch_size=how["batch_size"],
        all_faces=all_faces,
        thorough=thorough,
        limits=FaceLimits(),
    )
    result = edit_photos(list_photos(photos), out, model, axes, edits, config, generator_name=generator)
    print("\n".join(map(str, [*result.edited, result.table, result.page])))
    for problem in result.failures.values():
        print(f"jaxedit: left out: {' '.join(problem.split())}", file=sys.stderr)
    if result.failures:
        raise typer.Exit(2)
