"""Commands about labels read by eye: annotate sheets, annotate edited, annotate check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxedit.cli.options import ForceOption, SeedOption, Where, WhereOption
from jaxedit.cli.parsing import axes_name, check_class, parse_names
from jaxedit.errors import InputError

if TYPE_CHECKING:
    from jaxedit.labels.rubric import Rubric

HELP = """Label images by eye: sheets to read, and a check.

\b
Examples:
  jaxedit annotate sheets mobile-stylegan-ffhq --out read     sheets and an empty table
  jaxedit annotate edited mobile-stylegan-ffhq --out edits    the same of edited faces
  jaxedit annotate check read                                 counts, what is missing, what is wrong
"""

_RubricOption = Annotated[
    Path | None, typer.Option(help="Rubric (.toml): the columns. Default: what is read off faces.")
]
_ColumnsOption = Annotated[
    str | None, typer.Option(help="Columns of the rubric to read, separated by commas. Default: all.")
]
_SizeOption = Annotated[int, typer.Option(help="Width of an image on a sheet, in pixels.")]
_BatchSizeOption = Annotated[int, typer.Option(help="Images in a batch: 4 suits a CPU, 32 an accelerator.")]


def sheets(
    generator: Annotated[str, typer.Argument(help="Known generator, or folder of a converted checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder, new or unfinished.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Number of images.")] = 120,
    seed: SeedOption = 0,
    start: Annotated[int, typer.Option(help="Index of the first image in the stream of the seed.")] = 0,
    columns: _ColumnsOption = None,
    rubric: _RubricOption = None,
    size: _SizeOption = 216,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all images, less for more usual ones.")
    ] = 1.0,
    batch_size: _BatchSizeOption = 4,
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


def edited(
    generator: Annotated[str, typer.Argument(help="Known generator, or folder of a converted checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the reader, new or unfinished.")],
    key: Annotated[
        Path | None, typer.Option(help="Folder of the key, apart from the reader's. Default: OUT-key.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Default: the generator's own axes.")
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to edit, separated by commas. Default: all of the axes.")
    ] = None,
    faces: Annotated[
        int, typer.Option(help="Faces of each attribute, each shown with +amount and with -amount.")
    ] = 10,
    amount: Annotated[float, typer.Option(help="Amount of the edits, in standard deviations.")] = 1.5,
    where: WhereOption = None,
    seed: Annotated[
        int, typer.Option("--seed", "-s", help="Seed of the faces. The shipped labels have seed 0.")
    ] = 1,
    truncation_psi: Annotated[
        float, typer.Option(help="Truncation: 1 for all faces, less for more usual ones.")
    ] = 0.7,
    columns: _ColumnsOption = None,
    rubric: _RubricOption = None,
    size: _SizeOption = 216,
    batch_size: _BatchSizeOption = 4,
    force: ForceOption = False,
) -> None:
    """Write contact sheets of edited faces, and apart from them the key, which says what each image shows.

    Faces with an attribute turned up, with it turned down, and (every third of them) unedited stand in one random
    order. The reader fills in the same table as of other sheets, and must not see the key. images/ has each image in a
    file. Interrupted runs resume: start the command again with the same options.

    \b
    Examples:
      jaxedit annotate edited mobile-stylegan-ffhq --out edits              660 edited faces and 110 unedited ones
      jaxedit annotate check edits --classifier marked-faces                does it agree with the eye on edits?
      jaxedit teach mobile-stylegan-ffhq --also edits --regions face -o seen
    """
    from jaxedit.cli.edited_images import where_of_axes
    from jaxedit.evaluation.blind_study import StudyFolders
    from jaxedit.evaluation.edited_sheets import EditedSheetsConfig, write_edited_sheets
    from jaxedit.evaluation.in_places import Placing
    from jaxedit.evaluation.methods import AxesMethod, check_methods
    from jaxedit.labels.rubric import load_rubric
    from jaxedit.pretrained.annotations import TABLE_FILE, load_face_rubric
    from jaxedit.pretrained.registry import load_axes, load_generator

    folders = StudyFolders(out, out.with_name(f"{out.name}-key") if key is None else key)
    asked = load_face_rubric() if rubric is None else load_rubric(rubric)
    asked = asked if columns is None else asked.select(parse_names(columns))
    model = load_generator(generator)
    check_class(model, generator)
    chosen = load_axes(axes_name(axes, generator), model, check=not force)
    names = tuple(chosen.attribute_names) if attributes is None else parse_names(attributes)
    config = EditedSheetsConfig(names, faces, amount, seed, truncation_psi, size, batch_size=batch_size)
    method = AxesMethod("axes", chosen)
    check_methods(model, [method])
    at = where_of_axes(where, names, model)
    places = None
    if at is not Where.EVERYWHERE:
        from jaxedit.attributes.person.places import FacePlaces

        places = FacePlaces.from_pretrained()
    placing = Placing.of(model, [method], places, person_alone=at is Where.PERSON)
    shown = write_edited_sheets(placing, asked, config, folders, generator_name=generator)
    print(f"{sum(image.is_edited for image in shown)} edited images, {len(shown)} in all: {out / 'sheets'}")
    print(f"the key, which the reader must not see: {folders.key_out}")
    print(f"fill in {out / TABLE_FILE} as {out / 'instructions.md'} says, then: jaxedit annotate check {out}")


def check(
    table: Annotated[
        Path, typer.Argument(help="Table (.tsv, .csv), or folder of `jaxedit annotate sheets`.")
    ],
    other: Annotated[Path | None, typer.Argument(help="Table of a second reader of the same images.")] = None,
    rubric: _RubricOption = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="Compare the marks of image files with a classifier: marked-faces, a folder of `jaxedit teach`, "
            "faces, or FILE.py:NAME."
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="With --classifier: key of edited faces. Default: TABLE-key.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="With --classifier: images in a batch.")] = 8,
) -> None:
    """Read a table back: what it counts, what is missing, what is wrong; and how far two readers agree.

    Agreement is the share of images of which both say the same; kappa is 1 for full agreement and 0 for what chance
    would give. On ordinals it counts how far apart two values are.

    \b
    Examples:
      jaxedit annotate check read                       counts of each value, and what has not been read
      jaxedit annotate check read/table.tsv second.tsv  two readers: agreement, kappa, confusion
      jaxedit annotate check edits --classifier marked-faces   a classifier on edited faces and on unedited ones
    """
    from jaxedit.labels.agreement import compare
    from jaxedit.labels.rubric import load_rubric
    from jaxedit.pretrained.annotations import RUBRIC_FILE, load_annotations

    asked = None if rubric is None else load_rubric(rubric)
    first = load_annotations(table, rubric=asked)
    print(describe(first))
    if classifier is not None:
        if batch_size < 1:
            raise InputError(f"--batch-size: expected 1 or more, got {batch_size}")
        _compare_with_classifier(table, asked, classifier, key, batch_size)
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


def _compare_with_classifier(
    table: Path, rubric: "Rubric | None", classifier: str, key: Path | None, batch_size: int
) -> None:
    from jaxedit.attributes.user_classifier import load_classifier
    from jaxedit.labels.classifier_agreement import agreement_with
    from jaxedit.pretrained.marked_images import load_marked_images

    marked = load_marked_images(table, rubric=rubric, key=key)
    found = agreement_with(load_classifier(classifier), marked, batch_size=batch_size)
    print(f"\n{classifier} and the marks (area under the ROC curve, or r of graded ones):")
    kinds = dict.fromkeys(marked.kinds)
    print(f"  {'attribute':18}" + "".join(f"{kind:>22}" for kind in kinds))
    for name, by_kind in found.items():
        is_graded = marked.attribute_units[marked.attribute_names.index(name)] != "0 or 1"
        cells = [quality_text(*by_kind.get(kind, (float("nan"), 0)), is_graded=is_graded) for kind in kinds]
        print(f"  {name:18}" + "".join(f"{cell:>22}" for cell in cells))


def quality_text(quality: float, count: int, *, is_graded: bool) -> str:
    """The quality on one kind of images, and the number of marks."""
    text = "-" if quality != quality else f"{quality:.3f}" + (" r" if is_graded else "")
    return f"{text} ({count})"


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
