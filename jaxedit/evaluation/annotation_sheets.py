"""Contact sheets for somebody who reads images by eye, with the table to fill in.

A folder of them holds `sheets/`, `table.tsv`, `instructions.md` and `rubric.toml` for the reader, and `images.npz`, by
which the table finds its latents again.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxedit.errors import InputError
from jaxedit.evaluation.report.numbered_sheet import draw_numbered_sheet
from jaxedit.evaluation.thumbnails import render_thumbnails
from jaxedit.generators.protocol import Generator
from jaxedit.images import save_image
from jaxedit.labels.annotations import AnnotatedImages, latents_of_keys
from jaxedit.labels.rubric import Rubric
from jaxedit.latents.seed_stream import fingerprint
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.runs import RunFolder


@dataclasses.dataclass(frozen=True)
class SheetsConfig:
    """Which images the sheets show, and how large.

    Attributes:
        count: number of images.
        seed: of the stream of latents (see `sample_z`). The shipped labels have seed 0.
        start: index of the first image in that stream.
        truncation_psi: 1 for all images, less for more usual ones. Labels that are joined to others have 1.
        size: width of an image on a sheet, in pixels. Smaller ones hide earrings and half-closed eyes.
        columns: images in a row.
        rows: rows of a sheet.
        batch_size: images rendered at once.

    Raises:
        InputError: if a number is out of range.
    """

    count: int = 120
    seed: int = 0
    start: int = 0
    truncation_psi: float = 1.0
    size: int = 216
    columns: int = 6
    rows: int = 5
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name, least in {
            "count": 1,
            "start": 0,
            "size": 16,
            "columns": 1,
            "rows": 1,
            "batch_size": 1,
        }.items():
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0…{2**32 - 1}, got {self.seed}")
        if not 0 < self.truncation_psi <= 2:
            raise InputError(f"truncation_psi: expected a number in (0, 2], got {self.truncation_psi}")


def write_annotation_sheets(
    generator: Generator,
    out: str | Path,
    rubric: Rubric,
    config: SheetsConfig,
    *,
    generator_name: str,
    progress: bool = True,
) -> AnnotatedImages:
    """Write the sheets, and an empty table.

    Interrupted runs resume: sheets that are there are not made again, and a table that somebody has begun to fill in
    stays as it is.

    Args:
        generator: makes the images.
        out: folder, new or of an earlier run.
        rubric: the columns of the table.
        config: which images.
        generator_name: name or folder, kept with the images.
        progress: show a progress bar.

    Raises:
        InputError: if the folder holds something else, or the generator's mapping gives no latents of W.
        OutputError: if the folder cannot be written.
    """
    request = {"generator": generator_name, **dataclasses.asdict(config), "columns_read": rubric.describe()}
    run = RunFolder.open(out, kind="annotation sheets", request=request, may_differ=("batch_size",))
    keys = np.arange(config.start, config.start + config.count)
    w = latents_of_keys(generator, "index", keys, seed=config.seed, truncation_psi=config.truncation_psi)
    images = AnnotatedImages(generator_name, config.seed, config.truncation_psi, keys, fingerprint(w))

    def draw(numbers: Sequence[int], text: str) -> np.ndarray:
        rows = np.asarray(numbers) - config.start
        return render_thumbnails(
            generator,
            w[rows],
            config.size,
            batch_size=config.batch_size,
            progress=text if progress else None,
        )

    draw_sheets(run.path, keys.tolist(), config.columns, config.rows, draw)
    write_reader_files(run.path, rubric, keys.tolist())
    return images


def draw_sheets(
    folder: Path,
    numbers: Sequence[int],
    columns: int,
    rows: int,
    draw: Callable[[Sequence[int], str], UInt8[np.ndarray, "num_images size size 3"]],
) -> None:
    """Write the sheets of some images that are not there yet.

    Args:
        folder: of the reader.
        numbers: of the images, in order.
        columns: images in a row.
        rows: rows of a sheet.
        draw: the images of some numbers; it may show the text meanwhile.
    """
    on_sheet = columns * rows
    for first in range(0, len(numbers), on_sheet):
        some = numbers[first : first + on_sheet]
        path = folder / "sheets" / f"{some[0]:06d}-{some[-1]:06d}.png"
        if not path.exists():
            texts = [f"{number:04d}" for number in some]
            drawn = draw(some, f"sheet {first // on_sheet + 1} of {-(-len(numbers) // on_sheet)}")
            save_image(draw_numbered_sheet(drawn, texts, columns=columns), path)


def write_reader_files(folder: Path, rubric: Rubric, numbers: Sequence[int]) -> None:
    """Write what a reader needs beside the sheets. A table that is there stays as it is."""
    rubric.save(folder / "rubric.toml")
    write_atomically(folder / "instructions.md", rubric.instructions().encode())
    table = folder / "table.tsv"
    if not table.exists():
        lines = ["\t".join(("index", *rubric.names, "notes"))]
        lines += [f"{number}" + "\t" * (len(rubric.names) + 1) for number in numbers]
        write_atomically(table, ("\n".join(lines) + "\n").encode())
