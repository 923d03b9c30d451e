"""The command that measures edits: evaluate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, ForceOption, GeneratorOption, StudyWhereOption, Where
from jaxedit.cli.parsing import axes_name, check_class, named_paths, parse_names, parse_renames
from jaxedit.errors import InputError


def evaluate(
    axes: Annotated[
        list[str] | None,
        typer.Option(
            help="Axes: a known generator (for its own axes) or a folder of `jaxedit learn`. NAME=FOLDER gives them a "
            "name. May be repeated."
        ),
    ] = None,
    directions: Annotated[
        list[str] | None,
        typer.Option(
            help="Directions in W [512] or W+ [16, 512]: a .npz of one for each attribute, a .npy boundary, a .pt "
            "direction, components of GANSpace, or a folder of these. NAME=FILE gives them a name. May be repeated."
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW for a direction of another name, OLD=-NEW to reverse it too. May be repeated."
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Target attributes, separated by commas. Default: age, gender, smile and yaw."),
    ] = None,
    faces: Annotated[int, typer.Option(help="Number of faces.")] = 400,
    pilot: Annotated[
        int | None,
        typer.Option(help="Number of faces that are also edited step by step. Default: 48, or all of fewer."),
    ] = None,
    change: Annotated[float, typer.Option(help="Mean change of the target, in standard deviations.")] = 1.0,
    independent: Annotated[
        bool,
        typer.Option(
            "--independent/--no-independent",
            help="Also measure with independent networks, which had no part in the axes.",
        ),
    ] = True,
    independent_labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels by the independent networks: a folder or an .npz. They fix what one standard deviation is."
        ),
    ] = None,
    lpips: Annotated[
        bool, typer.Option("--lpips/--no-lpips", help="Also measure the perceptual distance to the original.")
    ] = True,
    background: Annotated[
        bool,
        typer.Option(
            "--background/--no-background",
            help="Also measure the change outside the person, who is found first.",
        ),
    ] = True,
    seed: Annotated[
        int, typer.Option("--seed", "-s", help="Seed of the faces. The shipped labels have seed 0.")
    ] = 1,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all faces, less for more usual ones.")
    ] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Faces in a batch: 4 suits a CPU, 32 an accelerator.")] = 4,
    where: StudyWhereOption = Where.EVERYWHERE,
    force: ForceOption = False,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the result, new or unfinished.")] = Path(
        "evaluation"
    ),
) -> None:
    """Measure what edits change beside their target.

    Methods are compared at equal change: each moves the same faces along each target until the target has changed by
    the same amount. Networks then measure what else has changed. Without axes and directions the generator's own axes
    are measured.
    Interrupted runs resume: start the command again with the same options.

    \b
    Examples:
      jaxedit evaluate --faces 40 --pilot 12 --no-independent    a first look: some minutes on two CPU cores
      jaxedit evaluate --out evaluation                          evaluation/index.html, about half an hour
      jaxedit evaluate --where place --out in_places             as `jaxedit edit` draws edits; five times as long
      jaxedit evaluate --axes mobile-stylegan-ffhq --axes mine=axes --attributes age,smile
      jaxedit evaluate --axes ours=mobile-stylegan-ffhq --directions theirs=directions.npz --rename pose=-yaw
    """
    import jax.numpy as jnp

    from jaxedit import evaluation
    from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES, FaceIdentity
    from jaxedit.attributes.independent.classifiers import (
        INDEPENDENT_COLUMNS,
        IndependentAttributes,
        IndependentIdentity,
    )
    from jaxedit.attributes.learned.marked_faces import MARKED_ATTRIBUTES
    from jaxedit.attributes.person.mask import MIN_SIDE, PersonMask
    from jaxedit.attributes.person.places import FacePlaces
    from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
    from jaxedit.evaluation.config import TARGETS
    from jaxedit.evaluation.in_places import Placing
    from jaxedit.evaluation.methods import check_methods, load_direction_files
    from jaxedit.evaluation.readings import KIND
    from jaxedit.evaluation.report.comparison_page import write_page
    from jaxedit.labels.labels_file import load_labels
    from jaxedit.latents.seed_stream import check_truncation_psi, sample_z
    from jaxedit.nn.lpips import LPIPS, MIN_SIZE
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
    from jaxedit.storage.runs import RunFolder

    if faces < 2:
        raise InputError(f"faces: expected 2 or more, got {faces}")
    if pilot is not None and pilot > faces:
        raise InputError(f"pilot: expected at most the number of faces, {faces}, got {pilot}")
    check_truncation_psi(truncation_psi)
    config = evaluation.EvaluationConfig(
        targets=TARGETS if attributes is None else parse_names(attributes),
        change=change,
        pilot=min(48, faces) if pilot is None else pilot,
        batch_size=batch_size,
        generator_name=generator,
    )
    RunFolder.check_target(out, kind=KIND)
    chosen = named_paths(axes or ([] if directions else [f"jaxedit={generator}"]))
    files = named_paths(directions or [])
    methods: list[evaluation.EditingMethod] = [
        *load_direction_files(files, rename=parse_renames(rename or []))
    ]
    reference = (
        None
        if independent_labels is None
        else load_labels(
            independent_labels / "labels.npz" if independent_labels.is_dir() else independent_labels
        )
    )
    if reference is not None:
        reference = reference.select(tuple(INDEPENDENT_COLUMNS))
    measured = [attribute.name for attribute in FACE_ATTRIBUTES]
    # Names, and all that comes from files, are checked before a network is fetched.
    judges = face_classifiers(config.targets)
    config.leakage_among(measured if len(judges) == 1 else [*measured, *MARKED_ATTRIBUTES])
    model = load_generator(generator)
    check_class(model, generator)
    own = {
        name: load_axes(axes_name(path, generator), model, check=not force) for name, path in chosen.items()
    }
    methods = [*(evaluation.AxesMethod(name, found) for name, found in own.items()), *methods]
    check_methods(model, methods)
    config.targets_of(methods)
    identity: dict[str, Any] = {"face-api": FaceIdentity()}
    networks = {}
    if independent:
        classifier = IndependentAttributes(INDEPENDENT_COLUMNS)
        values = None if reference is None else reference.values
        networks["independent networks"] = evaluation.IndependentNetworks(classifier, reference=values)
        identity["mobileface"] = IndependentIdentity("mobileface")
    z = jnp.asarray(sample_z(seed, faces, model.z_dim))
    places = None if where is Where.EVERYWHERE else FacePlaces.from_pretrained()
    placing = Placing.of(model, methods, places, person_alone=where is Where.PERSON)
    result = evaluation.evaluate(
        placing.generator,
        placing.methods,
        model.mapping(z, truncation_psi=truncation_psi),
        evaluation.Evaluators(
            load_classifiers(judges),
            reference=load_labelled_latents(generator, model) if generator in KNOWN_GENERATORS else None,
            independent=networks,
            identity=identity,
            perceptual=LPIPS.from_pretrained("alex") if lpips and model.resolution >= MIN_SIZE else None,
            person=PersonMask.from_pretrained() if background and model.resolution >= MIN_SIDE else None,
        ),
        config,
        out=out,
    )
    print(result.summary())
    print(f"open {write_page(result)}")
