"""Commands about blind studies: blind sheets, blind score.

They are commands of their own, not options of `evaluate`: nearly all options of that one are about networks, which
have no part in a study, and a study has its own.
"""

from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, GeneratorOption
from jaxedit.cli.parsing import named_paths, parse_names, parse_renames

HELP = """Ask somebody who does not know the answer.

\b
Examples:
  jaxedit blind sheets --out study --key study-key --attributes age,smile
  jaxedit blind score study/answers.tsv --key study-key
"""


def sheets(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the reader, new or unfinished.")],
    key: Annotated[Path, typer.Option(help="Folder of the key, apart from the reader's.")],
    attributes: Annotated[str, typer.Option(help="Attributes, separated by commas.")],
    axes: Annotated[
        list[str] | None,
        typer.Option(
            help="Axes: a known generator or a folder of `jaxedit learn`. NAME=FOLDER gives them a "
            "name. May be repeated."
        ),
    ] = None,
    directions: Annotated[
        list[str] | None,
        typer.Option(help="Directions: a file for each method, as for `jaxedit evaluate`. May be repeated."),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW for a direction of another name, OLD=-NEW to reverse it too."),
    ] = None,
    faces: Annotated[int, typer.Option(help="Number of faces, each one pair an attribute and method.")] = 18,
    amount: Annotated[float, typer.Option(help="Amount of either side, in the unit of the methods.")] = 1.5,
    seed: Annotated[
        int, typer.Option("--seed", "-s", help="Seed of faces and sides. The shipped labels have seed 0.")
    ] = 1,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all faces, less for more usual ones.")
    ] = 0.7,
    size: Annotated[int, typer.Option(help="Width of an image on a sheet, in pixels.")] = 256,
    batch_size: Annotated[int, typer.Option(help="Images in a batch: 4 suits a CPU, 32 an accelerator.")] = 4,
    generator: GeneratorOption = DEFAULT_GENERATOR,
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

    from jaxedit.evaluation.blind_study import ANSWERS_FILE, BlindConfig, write_blind_study
    from jaxedit.evaluation.methods import AxesMethod, EditingMethod, load_direction_files
    from jaxedit.latents.seed_stream import sample_z
    from jaxedit.pretrained.registry import load_axes, load_generator

    config = BlindConfig(parse_names(attributes), faces, amount, seed, size, batch_size=batch_size)
    chosen = named_paths(axes or ([] if directions else [f"jaxedit={generator}"]))
    methods: list[EditingMethod] = [AxesMethod(name, load_axes(path)) for name, path in chosen.items()]
    files = named_paths(directions or [])
    methods += load_direction_files(files, rename=parse_renames(rename or []))
    model = load_generator(generator)
    w = model.mapping(jnp.asarray(sample_z(seed, faces, model.z_dim)), truncation_psi=truncation_psi)
    study = write_blind_study(model, methods, w, config, out=out, key_out=key)
    print(f"study {study.study}: {len(study.pairs)} pairs in {out / 'sheets'}; the key: {key}")
    print(f"fill in {out / ANSWERS_FILE}, then: jaxedit blind score {out / ANSWERS_FILE} --key {key}")


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

    study = load_key(key)
    print(describe_rates(rates(study, read_answers(answers, study))))
