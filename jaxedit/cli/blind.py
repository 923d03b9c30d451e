"""Commands about blind studies: blind sheets, blind compare, blind score.

They are commands of their own, not options of `evaluate`: nearly all options of that one are about networks, which
have no part in a study, and a study has its own.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, ForceOption, GeneratorOption, StudyWhereOption, Where
from jaxedit.cli.parsing import axes_name, check_class, named_paths, parse_names, parse_renames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxedit.evaluation.blind_answers import Key
    from jaxedit.evaluation.blind_study import BlindConfig
    from jaxedit.evaluation.evaluators import IndependentNetworks
    from jaxedit.evaluation.in_places import Placing
    from jaxedit.evaluation.methods import EditingMethod
    from jaxedit.generators.protocol import Generator

HELP = """Ask somebody who does not know the answer.

\b
Examples:
  jaxedit blind sheets --out study --key study-key --attributes age,smile
  jaxedit blind score study/answers.tsv --key study-key
  jaxedit blind compare --out both --key both-key --axes ours=axes --directions theirs=d.npz --attributes smile
"""

_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the reader, new or unfinished.")]
_Key = Annotated[Path, typer.Option(help="Folder of the key, apart from the reader's.")]
_Attributes = Annotated[str, typer.Option(help="Attributes, separated by commas.")]
_Axes = Annotated[
    list[str] | None,
    typer.Option(
        help="Axes: a known generator or a folder of `jaxedit learn`. NAME=FOLDER gives them a name. May be repeated."
    ),
]
_Directions = Annotated[
    list[str] | None,
    typer.Option(help="Directions: a file for each method, as for `jaxedit evaluate`. May be repeated."),
]
_Rename = Annotated[
    list[str] | None,
    typer.Option(help="OLD=NEW for a direction of another name, OLD=-NEW to reverse it too."),
]
_Seed = Annotated[
    int, typer.Option("--seed", "-s", help="Seed of the faces. The shipped labels have seed 0.")
]
_SidesSeed = Annotated[
    int | None,
    typer.Option(
        help="Seed of the sides, for a study that can be made again. Default: a secret, which only the key holds."
    ),
]
_Psi = Annotated[float, typer.Option(help="Truncation: 1 for all faces, less for more usual ones.")]
_Size = Annotated[int, typer.Option(help="Width of an image on a sheet, in pixels.")]
_BatchSize = Annotated[int, typer.Option(help="Images in a batch: 4 suits a CPU, 32 an accelerator.")]


def sheets(
    out: _Out,
    key: _Key,
    attributes: _Attributes,
    axes: _Axes = None,
    directions: _Directions = None,
    rename: _Rename = None,
    faces: Annotated[int, typer.Option(help="Number of faces, each one pair an attribute and method.")] = 18,
    amount: Annotated[float, typer.Option(help="Amount of either side, in the unit of the methods.")] = 1.5,
    seed: _Seed = 1,
    sides_seed: _SidesSeed = None,
    truncation_psi: _Psi = 0.7,
    size: _Size = 256,
    batch_size: _BatchSize = 4,
    where: StudyWhereOption = Where.EVERYWHERE,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    force: ForceOption = False,
) -> None:
    """Write sheets of pairs whose sides are left to chance, and the key apart.

    Each pair shows a face with the attribute turned up and down. Give the reader the folder OUT, and keep the other
    one.
    Interrupted runs resume: start the command again with the same options.

    \b
    Examples:
      jaxedit blind sheets --out study --key study-key --attributes age,smile
      jaxedit blind sheets -o both --key both-key --axes ours=axes --directions theirs=d.npz --attributes smile --seed 5
    """
    import jax.numpy as jnp

    from jaxedit.evaluation.blind_study import BlindConfig, write_blind_study
    from jaxedit.evaluation.methods import load_direction_files
    from jaxedit.latents.seed_stream import check_truncation_psi, sample_z
    from jaxedit.pretrained.registry import load_generator

    config = BlindConfig(parse_names(attributes), faces, amount, sides_seed, size, batch_size=batch_size)
    check_truncation_psi(truncation_psi)
    theirs = load_direction_files(named_paths(directions or []), rename=parse_renames(rename or []))
    own = named_paths(axes or ([] if directions else [f"jaxedit={generator}"]))
    model = load_generator(generator)
    methods = [*_axes_methods(own, model, generator, force), *theirs]
    w = model.mapping(jnp.asarray(sample_z(seed, faces, model.z_dim)), truncation_psi=truncation_psi)
    placing = _placing(model, methods, where)
    study = write_blind_study(placing.generator, placing.methods, w, config, out=out, key_out=key)
    _say_where(study, out, key)


def _say_where(study: "Key", out: Path, key: Path) -> None:
    from jaxedit.evaluation.blind_study import ANSWERS_FILE

    print(f"study {study.study}: {len(study.pairs)} pairs in {out / 'sheets'}; the key: {key}")
    print(f"fill in {out / ANSWERS_FILE}, then: jaxedit blind score {out / ANSWERS_FILE} --key {key}")


def _placing(model: "Generator", methods: "Sequence[EditingMethod]", where: Where) -> "Placing":
    """The methods, checked against the generator, and how their edits are drawn."""
    from jaxedit.evaluation.in_places import Placing
    from jaxedit.evaluation.methods import check_methods

    check_methods(model, methods)
    if where is Where.EVERYWHERE:
        return Placing.of(model, methods, None)
    from jaxedit.attributes.person.places import FacePlaces

    return Placing.of(model, methods, FacePlaces.from_pretrained(), person_alone=where is Where.PERSON)


def _axes_methods(
    paths: dict[str, str], model: "Generator", generator: str, force: bool
) -> "list[EditingMethod]":
    """The axes by name, checked against the generator."""
    from jaxedit.evaluation.methods import AxesMethod
    from jaxedit.pretrained.registry import load_axes

    check_class(model, generator)
    return [
        AxesMethod(name, load_axes(axes_name(path, generator), model, check=not force))
        for name, path in paths.items()
    ]


def compare(
    out: _Out,
    key: _Key,
    attributes: _Attributes,
    axes: _Axes = None,
    directions: _Directions = None,
    rename: _Rename = None,
    change: Annotated[
        float, typer.Option(help="Change that both methods make, in standard deviations of the attribute.")
    ] = 1.2,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="Who measures the change: a folder of `jaxedit teach`, FILE.py:NAME, faces, or marked-faces. May be "
            "given more than once. Default: faces, and marked-faces where needed."
        ),
    ] = None,
    faces: Annotated[
        int, typer.Option(help="Number of faces, each one pair an attribute and direction.")
    ] = 12,
    seed: _Seed = 1,
    sides_seed: _SidesSeed = None,
    truncation_psi: _Psi = 0.7,
    size: _Size = 256,
    batch_size: _BatchSize = 4,
    where: StudyWhereOption = Where.EVERYWHERE,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    force: ForceOption = False,
) -> None:
    """Write sheets that set two methods side by side at equal change, and the key apart.

    Each pair shows a face in the middle, and on either side what a method makes of it; chance decides which. Both are
    moved until the classifier sees the same mean change, which is measured first (about a minute an attribute on two
    CPU cores). Interrupted runs resume: start the command again with the same options.

    \b
    Examples:
      jaxedit blind compare -o both --key both-key --axes ours=axes --directions theirs=d.npz --attributes smile
      jaxedit blind score both/answers.tsv --key both-key
    """
    import jax.numpy as jnp

    from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
    from jaxedit.errors import InputError
    from jaxedit.evaluation.blind_comparison import amounts_of_equal_change, write_blind_comparison
    from jaxedit.evaluation.blind_study import BlindConfig, StudyFolders
    from jaxedit.evaluation.evaluators import Evaluators
    from jaxedit.evaluation.methods import load_direction_files
    from jaxedit.latents.seed_stream import check_truncation_psi, sample_z
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_generator, load_labelled_latents

    config = BlindConfig(parse_names(attributes), faces, change, sides_seed, size, batch_size=batch_size)
    check_truncation_psi(truncation_psi)
    folders = StudyFolders(out, key)
    theirs, own = named_paths(directions or []), named_paths(axes or [])
    if len(theirs) + len(own) != 2:
        raise InputError(
            f"--axes and --directions: expected two methods in all, got {len(theirs) + len(own)}"
        )
    methods: list[EditingMethod] = [*load_direction_files(theirs, rename=parse_renames(rename or []))]
    model = load_generator(generator)
    methods = [*_axes_methods(own, model, generator, force), *methods]
    placing = _placing(model, methods, where)
    reference = load_labelled_latents(generator) if generator in KNOWN_GENERATORS and not classifier else None
    judges = load_classifiers(classifier or face_classifiers(config.attributes))
    evaluators = Evaluators(judges, reference, {} if reference is None else _second_view(generator, config))
    w = model.mapping(jnp.asarray(sample_z(seed, faces, model.z_dim)), truncation_psi=truncation_psi)
    amounts = amounts_of_equal_change(
        placing.generator,
        placing.methods,
        w,
        evaluators,
        config.attributes,
        change=change,
        batch_size=batch_size,
    )
    for name, found in amounts.items():
        print(f"{name}: " + ", ".join(f"{what} {amount:+.2f}" for what, amount in found.items()))
    study = write_blind_comparison(placing.generator, placing.methods, w, amounts, config, folders=folders)
    _say_where(study, out, key)


def score(
    answers: Annotated[Path, typer.Argument(help="Table of answers that the reader filled in.")],
    key: Annotated[Path, typer.Option(help="Folder of the key.")],
) -> None:
    """Print the rates of the answers with intervals, by method and attribute.

    \b
    Examples:
      jaxedit blind score study/answers.tsv --key study-key
    """
    from jaxedit.evaluation.blind_answers import describe_rates, load_key, rates, read_answers
    from jaxedit.evaluation.blind_comparison import COMPARED_RATES, comparison_rates, load_comparison_key

    compared = load_comparison_key(key)
    if compared is not None:
        found = comparison_rates(compared, read_answers(answers, compared))
        print(describe_rates(found, COMPARED_RATES))
        return
    study = load_key(key)
    print(describe_rates(rates(study, read_answers(answers, study))))


def _second_view(generator: str, config: "BlindConfig") -> "dict[str, IndependentNetworks]":
    """Other networks that see some of the attributes, for the strength of edits."""
    from jaxedit.pretrained.second_view import load_second_view, second_view_attributes

    seen = [name for name in config.attributes if name in second_view_attributes()]
    return {"second view": load_second_view(generator, seen)} if seen else {}
