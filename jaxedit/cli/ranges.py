"""The command that measures where axes are usable: ranges."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, ForceOption, GeneratorOption, StudyWhereOption, Where
from jaxedit.cli.parsing import axes_name, check_class, parse_names


def ranges(
    axes: Annotated[
        str | None,
        typer.Argument(
            help="Folder of axes, which gets the ranges. Default: the generator's own axes, with --out."
        ),
    ] = None,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of `jaxedit teach`, FILE.py:NAME, marked-faces, or faces, which also brings identity, "
            "background and broken images. May be given more than once. Default: faces, and marked-faces where needed."
        ),
    ] = None,
    flaw: Annotated[
        str | None,
        typer.Option(
            help="A classifier with an attribute flaw: a folder of `jaxedit teach --columns flaw`. Default: that of "
            "the package, for faces."
        ),
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to measure, separated by commas. Default: all.")
    ] = None,
    moves_background: Annotated[
        str | None,
        typer.Option(
            help="Attributes that reach behind the head, such as long hair, separated by commas: for these the "
            "background ends nothing."
        ),
    ] = None,
    faces: Annotated[int, typer.Option(help="Number of faces.")] = 16,
    seed: Annotated[int, typer.Option("--seed", "-s", help="Seed of the faces.")] = 3000,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all faces, less for more usual ones.")
    ] = 0.7,
    batch_size: Annotated[int, typer.Option(help="Images in a batch: 4 suits a CPU, 32 an accelerator.")] = 4,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File (.json) for the ranges, beside or instead of the axes."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run, which resumes. Default: none is kept.")
    ] = None,
    where: StudyWhereOption = Where.EVERYWHERE,
    force: ForceOption = False,
) -> None:
    """Measure how far each axis is usable.

    Faces are moved step by step up to four standard deviations. A side ends before the amount at which the attribute
    hardly changes further, the person or the background becomes another, or images break. `jaxedit edit` allows larger
    amounts, and says so.

    \b
    Examples:
      jaxedit ranges axes --run measured                      the axes of `jaxedit learn`; about a minute an attribute
      jaxedit ranges fur-axes -g cats --classifier cats.py:Fur
      jaxedit ranges --out ranges.json --where place           the shipped axes, as `jaxedit edit` draws them
    """
    from jaxedit.attributes.faces.background import BackgroundColors
    from jaxedit.attributes.faces.face_attributes import FaceIdentity
    from jaxedit.attributes.joined import join_classifiers
    from jaxedit.attributes.learned.marked_faces import FLAW, MARKED_ATTRIBUTES, load_marked_faces
    from jaxedit.attributes.user_classifier import FACES, MARKED_FACES, face_classifiers, load_classifier
    from jaxedit.errors import InputError
    from jaxedit.evaluation.ranges import (
        RUN_KIND,
        RangeConfig,
        RangeNetworks,
        describe_ranges,
        measure_ranges,
        with_ranges,
    )
    from jaxedit.pretrained.registry import load_axes, load_generator
    from jaxedit.storage.atomic import write_atomically
    from jaxedit.storage.runs import RunFolder

    if axes is None and out is None:
        raise InputError("expected a folder of axes, or --out for the ranges of the generator's own axes")
    if where is Where.PERSON:
        raise InputError("--where: expected place or everywhere, got person")
    config = RangeConfig(
        faces=faces,
        seed=seed,
        truncation_psi=truncation_psi,
        moves_background=() if moves_background is None else parse_names(moves_background),
        batch_size=batch_size,
    )
    if run is not None:
        RunFolder.check_target(run, kind=RUN_KIND)
    model: Any = load_generator(generator)
    check_class(model, generator)
    own = load_axes(axes_name(axes, generator), model, check=not force)
    chosen = classifier or face_classifiers(own.attribute_names)
    is_face = FACES in chosen
    # Flaws are read off the same features as the marked attributes, in one pass.
    flaws = (FLAW,) if is_face and flaw is None else ()
    marked = load_marked_faces((*MARKED_ATTRIBUTES, *flaws)) if MARKED_FACES in chosen else None
    readers = [marked if marked and name == MARKED_FACES else load_classifier(name) for name in chosen]
    if flaws and marked is None:
        readers.append(load_marked_faces(flaws))
    networks = RangeNetworks(
        join_classifiers(readers),
        identity=FaceIdentity() if is_face else None,
        background=BackgroundColors() if is_face else None,
        flaw=None if flaw is None else load_classifier(flaw),
    )
    some = None if attributes is None else parse_names(attributes)
    if where is Where.PLACE:
        from jaxedit.attributes.person.places import FacePlaces
        from jaxedit.evaluation.in_places import PlacingGenerator

        model = PlacingGenerator(model, FacePlaces.from_pretrained())
    found = measure_ranges(model, own, networks, config, attributes=some, out=run)
    print(describe_ranges(found))
    if out is not None:
        pairs = {name: [one.down, one.up] for name, one in found.items()}
        write_atomically(out, (json.dumps(pairs, indent=1) + "\n").encode())
        print(f"ranges: {out}")
    if axes is not None and Path(axes).is_dir():
        with_ranges(own, found).save(axes)
        print(f"axes: {axes}")
