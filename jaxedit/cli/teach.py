"""The command from marks to a classifier: teach."""

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxedit.cli.annotate import quality_text
from jaxedit.cli.options import SeedOption
from jaxedit.cli.parsing import parse_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxedit.attributes.learned.heads import Head

_FINE_SIDE = 512
"""Pixels a side that image files are brought to where regions are read as they are."""


class Regions(enum.StrEnum):
    """Where features are read."""

    IMAGE = "image"
    FACE = "face"
    FINE_FACE = "fine-face"


class Network(enum.StrEnum):
    """The frozen network."""

    ALEX = "alex"
    FACERES = "faceres"


def teach(
    marks: Annotated[
        str,
        typer.Argument(
            help="Folder of `jaxedit annotate sheets` whose table was filled in, a table, or a known generator (for "
            "the labels read by eye that ship)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the classifier.")],
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator", "-g", help="Whose images were marked. Default: the one that the marks name."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the table to learn, separated by commas. Default: all.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Marked image files to learn from, too: a folder of `jaxedit annotate edited` whose table was filled "
            "in, or a table whose first column is `file`. May be repeated."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", help="Learn from the first N marked images alone.")
    ] = None,
    regions: Annotated[
        Regions,
        typer.Option(
            help="image: images of anything. face: parts of faces aligned as FFHQ is. fine-face: the same at twice the "
            "cost, for small things in large images."
        ),
    ] = Regions.IMAGE,
    network: Annotated[
        Network,
        typer.Option(
            help="Frozen network that gives the features. alex: of images of anything. faceres: of faces, for a second "
            "view of what another classifier sees."
        ),
    ] = Network.ALEX,
    batch_size: Annotated[int, typer.Option(help="Images in a batch: 8 suits a CPU, 64 an accelerator.")] = 8,
    doubtful: Annotated[
        int, typer.Option(help="Number of marks to list that the classifier doubts, for each attribute.")
    ] = 5,
    seed: SeedOption = 0,
) -> None:
    """Teach a classifier what you marked in a few hundred images.

    Each image is drawn again, a frozen network gives its features, and a small head learns your marks. Quality is
    measured on images that the fit has not seen: the area under the ROC curve (0.5 is chance, 1 is perfect), or the
    correlation for graded attributes; with --also of edited and unedited images apart. Look again at the marks that it
    doubts: they are the likely mistakes.

    Interrupted runs resume: start the command again with the same options. Until the classifier is done, the folder
    OUT.features keeps the features.

    \b
    Examples:
      jaxedit teach read --regions face --out hats                 from a table that you filled in
      jaxedit teach mobile-stylegan-ffhq --columns glasses,headwear -n 400 --regions face --out seen
      jaxedit teach mobile-stylegan-ffhq --also edits --regions face --out seen     edited faces, too
      jaxedit label --classifier hats --out hat-labels             then: label as many images as axes need
    """
    import numpy as np

    from jaxedit.attributes.learned.classifier import KIND
    from jaxedit.errors import InputError
    from jaxedit.labels.classifier_learning import REGIONS, RUN_KIND, ClassifierConfig, learn_classifier
    from jaxedit.pretrained.annotations import load_annotations
    from jaxedit.pretrained.marked_images import load_marked_images
    from jaxedit.pretrained.registry import load_generator
    from jaxedit.storage.checkpoints import check_checkpoint_target
    from jaxedit.storage.runs import RunFolder

    unfinished = out.with_name(f"{out.name}.features")
    check_checkpoint_target(out, kind=KIND)
    RunFolder.check_target(unfinished, kind=RUN_KIND)
    config = ClassifierConfig(regions.value, network.value, batch_size=batch_size, seed=seed)
    table = load_annotations(marks)
    table = table if columns is None else table.select(parse_names(columns))
    if count is not None and count < 1:
        raise InputError(f"--count: expected 1 or more, got {count}")
    if generator is None:
        if table.images is None:
            raise InputError("--generator: expected it, since the table does not name one")
        generator = table.images.generator
    table = table.first(count)
    model = load_generator(generator)
    more = [load_marked_images(path, side=REGIONS[config.regions][1] or _FINE_SIDE) for path in also or []]
    classifier, heads = learn_classifier(model, table.with_latents(model), config, also=more, out=unfinished)
    classifier.save(out)
    RunFolder.load(unfinished, kind=RUN_KIND).remove()
    keys = np.asarray(table.keys[(table.codes >= 0).any(1)]).tolist()
    keys += [f"{path}/{name}" for path, part in zip(also or [], more, strict=True) for name in part.names]
    print(describe(heads, keys, table.key, doubtful))
    if weak := [head.name for head in heads if head.quality < (0.8 if head.is_binary else 0.6)]:
        print(f"jaxedit: note: {', '.join(weak)}: mark more images, or finer regions", file=sys.stderr)
    print(f"classifier: {out}")


def describe(heads: "Sequence[Head]", keys: "Sequence[int | str]", key: str, doubtful: int) -> str:
    """Quality, reliability and doubtful marks of each attribute."""
    lines = [f"  {'attribute':18}{'marks':>7}{'quality':>9}   predicted → marked (images)"]
    for head in heads:
        reliability = "  ".join(f"{p:.2f} → {m:.2f} ({n})" for p, m, n in head.reliability())
        quality = f"{head.quality:.3f}" + ("" if head.is_binary else " r")
        lines.append(f"  {head.name:18}{head.num_marks:7d}{quality:>9}   {reliability}")
    if any(head.qualities for head in heads):
        kinds = list(dict.fromkeys(kind for head in heads for kind in head.qualities))
        lines.append("  quality (number of marks) by kind of images:")
        lines.append(f"    {'':18}" + "".join(f"{kind:>22}" for kind in kinds))
        for head in heads:
            cells = [
                quality_text(*head.qualities.get(kind, (float("nan"), 0)), is_graded=not head.is_binary)
                for kind in kinds
            ]
            lines.append(f"    {head.name:18}" + "".join(f"{cell:>22}" for cell in cells))
    if doubtful > 0:
        lines.append(f"  marks to look at again ({key}: marked, predicted):")
        for head in heads:
            known = {int(row): i for i, row in enumerate(head.marked)}
            some = [
                f"{keys[row]}: {head.marks[known[row]]:g}, {head.predicted[known[row]]:.2f}"
                for row in head.doubtful(doubtful)
            ]
            lines.append(f"    {head.name:18}" + "   ".join(some))
    return "\n".join(lines)
