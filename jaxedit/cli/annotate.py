"""Commands about labels read by eye: annotate sheets, annotate check."""

from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import SeedOption
from jaxedit.cli.parsing import parse_names

HELP = """Label images by eye: sheets to read, and a check.

\b
Examples:
  jaxedit annotate sheets mobile-stylegan-ffhq --out read     sheets and an empty table
  jaxedit annotate check read                                 counts, what is missing, what is wrong
"""

_RubricOption = Annotated[
    Path | None, typer.Option(help="Rubric (.toml): the columns. Default: what is read off faces.")
]


def sheets(
    generator: Annotated[str, typer.Argument(help="Known generator, or folder of a converted checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder, new or unfinished.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Number of images.")] = 120,
    seed: SeedOption = 0,
    start: Annotated[int, typer.Option(help="Index of the first image in the stream of the seed.")] = 0,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the rubric to read, separated by commas. Default: all.")
    ] = None,
    rubric: _RubricOption = None,
    size: Annotated[int, typer.Option(help="Width of an image on a sheet, in pixels.")] = 216,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all images, less for more usual ones.")
    ] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Images in a batch: 4 suits a CPU, 32 an accelerator.")] = 4,
) -> None:
    """Write contact sheets, an empty table, and the rubric.

    Each image has its index in the stream of the seed above it. Give a reader sheets/, instructions.md and table.tsv.
    Interrupted runs resume: start the command again with the same options. A table that is being filled in stays.

    \b
    Examples:
      jaxedit annotate sheets mobile-stylegan-ffhq --out read                     120 faces, four sheets
      jaxedit annotate sheets mobile-stylegan-ffhq -o hats --columns headwear,glasses -n 600
      jaxedit annotate sheets cats --rubric fur.toml --out cats-read              a generator and a rubric of your own
    """
    from jaxedit.evaluation.annotation_sheets import SheetsConfig, write_annotation_sheets
    from jaxedit.labels.rubric import load_rubric
    from jaxedit.pretrained.annotations import IMAGES_FILE, TABLE_FILE, load_face_rubric, save_images
    from jaxedit.pretrained.registry import load_generator

    config = SheetsConfig(count, seed, start, truncation_psi, size, batch_size=batch_size)
    asked = load_face_rubric() if rubric is None else load_rubric(rubric)
    asked = asked if columns is None else asked.select(parse_names(columns))
    images = write_annotation_sheets(load_generator(generator), out, asked, config, generator_name=generator)
    save_images(images, out / IMAGES_FILE)
    print(f"{count} images: {out / 'sheets'}")
    print(f"fill in {out / TABLE_FILE} as {out / 'instructions.md'} says, then: jaxedit annotate check {out}")


def check(
    table: Annotated[
        Path, typer.Argument(help="Table (.tsv, .csv), or folder of `jaxedit annotate sheets`.")
    ],
    other: Annotated[Path | None, typer.Argument(help="Table of a second reader of the same images.")] = None,
    rubric: _RubricOption = None,
) -> None:
    """Read a table back: what it counts, what is missing, what is wrong; and how far two readers agree.

    Agreement is the share of images of which both say the same; kappa is 1 for full agreement and 0 for what chance
    would give. On ordinals it counts how far apart two values are.

    \b
    Examples:
      jaxedit annotate check read                       counts of each value, and what has not been read
      jaxedit annotate check read/table.tsv second.tsv  two readers: agreement, kappa, confusion
    """
    from jaxedit.labels.agreement import compare
    from jaxedit.labels.rubric import load_rubric
    from jaxedit.pretrained.annotations import RUBRIC_FILE, load_annotations

    asked = None if rubric is None else load_rubric(rubric)
    first = load_annotations(table, rubric=asked)
    print(describe(first))
    if other is None:
        return
    beside = (other if other.is_dir() else other.parent) / RUBRIC_FILE
    second = load_annotations(other, rubric=asked if asked or beside.exists() else first.rubric)
    print(f"\n{describe(second)}")
    print(
        f"\nboth readers:\n  {'column':16}{'images':>8}{'agreement':>11}{'kappa':>8}{'one cannot tell':>17}"
    )
    found = compare(first, second)
    for agreement in found:
        print(
            f"  {agreement.column.name:16}{agreement.count:8d}{agreement.share:11.3f}{agreement.kappa:8.2f}"
            f"{agreement.one_cannot_tell:17d}"
        )
    print("\nconfusion (rows: the first reader, columns: the second):")
    for agreement in found:
        print(f"  {agreement.column.name}")
        for i, (value, counts) in enumerate(zip(agreement.column.values, agreement.confusion, strict=True)):
            print("    " + "".join(f"{count:6d}" for count in counts) + f"   {i} {value}")


def describe(table) -> str:  # type: ignore[no-untyped-def]
    """Counts of each value, and what is missing."""
    lines = [f"{len(table)} images × {len(table.rubric.columns)} columns, {table.origin}:"]
    for column, counts in table.counts().items():
        lines.append(f"  {column:16}" + ", ".join(f"{value}: {n}" for value, n in counts.items()))
    unread = int((table.codes == -2).sum())
    if unread:
        rows = table.keys[(table.codes == -2).any(1)]
        some = ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "")
        lines.append(f"  {unread} cells have not been read, in {len(rows)} rows: {table.key} {some}")
    if table.images is not None:
        absent = sorted(set(table.images.keys.tolist()) - set(table.keys.tolist()))
        if absent:
            some = ", ".join(map(str, absent[:8])) + (", …" if len(absent) > 8 else "")
            lines.append(f"  {len(absent)} images have no row: {table.key} {some}")
    return "\n".join(lines)
