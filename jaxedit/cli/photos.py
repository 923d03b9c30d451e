"""Commands about photographs: align, project."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import (
    DEFAULT_GENERATOR,
    DevicesOption,
    EncoderOption,
    FaceOption,
    GeneratorOption,
    NumStepsOption,
    PhotosArgument,
    PresetOption,
    SeedOption,
    ThoroughOption,
)
from jaxedit.cli.parsing import parse_face
from jaxedit.errors import InputError


def align(
    photos: PhotosArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the crops.")],
    all_: Annotated[
        bool, typer.Option("--all/--largest", help="All faces of a photo, or only the largest.")
    ] = True,
    face: FaceOption = None,
    thorough: ThoroughOption = False,
    size: Annotated[int, typer.Option(help="Height and width of the crops in pixels.")] = 1024,
) -> None:
    """Crop the faces of photographs.

    The crops are upright and framed as the generator's training images are. NAME.png is the largest face of NAME.jpg,
    NAME_2.png the next. NAME.json holds their places in the photo.
    Interrupted runs resume: start the command again with the same options.

    \b
    Examples:
      jaxedit align party.jpg --out faces                 every face of one photo
      jaxedit align holidays --out faces --largest        one face of each photo in a folder
      jaxedit align party.jpg --out faces --face 640,300  the face at this place
    """
    from jaxedit.inversion.align_folder import align_photos, find_photos

    found = find_photos(photos)
    summary = align_photos(
        found, out, size=size, largest_only=not all_, face=parse_face(face), thorough=thorough
    )
    if len(found) == 1 and summary.failures:
        raise InputError(summary.failures[found[0]])
    print("\n".join(map(str, summary.crops)))
    if summary.failures:
        for message in summary.failures.values():
            print(" ".join(message.split()), file=sys.stderr)
        raise InputError(f"{len(summary.failures)} of {len(found)} photos gave no crop (see above)")


def project(
    photos: PhotosArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results, new or unfinished.")],
    preset: PresetOption = None,
    num_steps: NumStepsOption = None,
    batch_size: Annotated[int, typer.Option(help="Faces in a batch: 1 suits a CPU, 8 an accelerator.")] = 1,
    devices: DevicesOption = None,
    all_faces: Annotated[
        bool, typer.Option("--all-faces", help="Every face of each photograph, not only the largest.")
    ] = False,
    face: FaceOption = None,
    thorough: ThoroughOption = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The photographs are crops of `jaxedit align` already.")
    ] = False,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Then tune the generator's weights to each face: a better likeness, but slow."
        ),
    ] = False,
    encoder: EncoderOption = None,
    seed: SeedOption = 0,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Find the latents of photographs, for `edit --latent`.

    Each face gets a folder OUT/NAME with its crop, its latent (latent.npz), the reconstruction, both side by side, the
    loss curves, and the reconstruction quality (metrics.json). Interrupted runs resume: start the command again with
    the same options.

    \b
    Examples:
      jaxedit project portrait.jpg --out projected                    three minutes on two CPU cores
      jaxedit project portrait.jpg --out projected --preset instant   an encoder alone, a rough likeness
      jaxedit project portrait.jpg --out projected --preset quick     24 steps from the encoder's latent
      jaxedit project portrait.jpg --out projected --preset fine      and the generator tuned to the face
      jaxedit project holidays --out projected --batch-size 8         a folder of photos, on an accelerator
      jaxedit project holidays --out projected --batch-size 32 --devices 4      on four accelerators
      jaxedit project portrait.jpg --out projected --tune             a better likeness, some minutes more
      jaxedit edit --latent projected/portrait smile=+1 --compare     an edit of the result
    """
    from jaxedit.cli.projection_settings import projection_of
    from jaxedit.inversion.photo import list_photos
    from jaxedit.inversion.presets import tuning_of
    from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
    from jaxedit.inversion.reconstruction_quality import metrics_text
    from jaxedit.pretrained.registry import load_generator

    model = load_generator(generator)
    projection, chosen = projection_of(
        preset, num_steps, generator=model, generator_name=generator, encoder=encoder, seed=seed
    )
    config = PhotoProjectionConfig(
        projection=projection,
        encoder=chosen,
        tuning=tuning_of(preset, is_asked=tune, seed=seed),
        batch_size=batch_size,
        devices=devices,
        all_faces=all_faces,
        is_aligned=aligned,
        face=parse_face(face),
        thorough=thorough,
    )
    summary = project_photos(list_photos(photos), out, model, config, generator_name=generator)
    for folder, done in summary.metrics.items():
        tuned = f"; tuned: {metrics_text(done['tuned_metrics'])}" if "tuned_metrics" in done else ""
        print(f"{folder}: {metrics_text(done['metrics'])}{tuned}")
    for problem in summary.failures.values():
        print(f"jaxedit: error: {' '.join(problem.split())}", file=sys.stderr)
    if summary.failures:
        raise typer.Exit(2)
