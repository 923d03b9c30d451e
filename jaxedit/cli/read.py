"""The command that reads photographs: read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import (
    DEFAULT_GENERATOR,
    ForceOption,
    GeneratorOption,
    NumStepsOption,
    PhotosArgument,
    PresetOption,
    ThoroughOption,
)
from jaxedit.cli.parsing import axes_name, check_class


def read(
    photos: PhotosArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the results, new or unfinished.")
    ] = Path("readings"),
    sort: Annotated[
        str,
        typer.Option(help="Column to sort by: photo, unusual, lpips, spot, an attribute, 'age network', …."),
    ] = "photo",
    preset: PresetOption = None,
    num_steps: NumStepsOption = None,
    batch_size: Annotated[int, typer.Option(help="Faces in a batch: 1 suits a CPU, 8 an accelerator.")] = 1,
    all_faces: Annotated[
        bool, typer.Option("--all-faces", help="Every face of each photograph, not only the largest.")
    ] = False,
    thorough: ThoroughOption = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The photographs are crops of `jaxedit align` already.")
    ] = False,
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Default: the generator's own axes.")
    ] = None,
    force: ForceOption = False,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Read the faces of photographs: values, and what is unusual.

    Each face gets its values with intervals, how unusual it is among the generator's own faces, how well the generator
    explains it, and a map of what it cannot draw. readings.csv and readings.json hold them, index.html shows them.
    Interrupted runs resume, and sorting by another column takes seconds.

    \b
    Examples:
      jaxedit read portrait.jpg --out readings
      jaxedit read catalogue --out readings --sort spot          what stands out most, first
      jaxedit read catalogue --out readings --sort "age network"
    """
    from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
    from jaxedit.cli.projection_settings import projection_of
    from jaxedit.errors import InputError
    from jaxedit.inversion.photo import list_photos
    from jaxedit.inversion.project_photos import PhotoProjectionConfig
    from jaxedit.photographs.read_photos import read_photos
    from jaxedit.pretrained.registry import load_axes, load_generator

    if preset == "fine":
        raise InputError(
            "--preset: fine tunes the generator, and a reading is of the latent alone; expected instant, quick, fast, "
            "quality or official"
        )
    model = load_generator(generator)
    check_class(model, generator)
    projection, encoder = projection_of(preset, num_steps, generator=model, generator_name=generator)
    config = PhotoProjectionConfig(
        projection=projection,
        encoder=encoder,
        batch_size=batch_size,
        all_faces=all_faces,
        thorough=thorough,
        is_aligned=aligned,
    )
    found = list_photos(photos)
    chosen = load_axes(axes_name(axes, generator), model, check=not force)
    result = read_photos(
        found,
        out,
        model,
        chosen,
        config,
        generator_name=generator,
        classifier=load_classifiers(face_classifiers(chosen.attribute_names)),
        sort=sort,
    )
    for row in result.rows:
        print(f"{row['photo']}, face {row['face']}: unusual {row['unusual']:.0f} %, LPIPS {row['lpips']:.2f}")
    print("\n".join(map(str, (result.table, result.json, result.page))))
    for problem in result.failures.values():
        print(f"jaxedit: left out: {' '.join(problem.split())}", file=sys.stderr)
    if result.failures:
        raise typer.Exit(2)
