"""Tables of annotations as people fill them in.

A table is a text file, separated by tabs or commas, whose first column is `index` (number of the latent in the stream
of a seed, see `jaxedit.latents.seed_stream`; or of an edited image), `seed` (the first latent of that seed) or `file`
(name of an image file), and whose others are the columns of a rubric:

    index   glasses   headwear   hair_color
    0       1         0          2
    1       0         9          ?

9 and ? mean "cannot tell"; an empty cell has not been read. Lines that begin with # and a column `notes` are
passed over.
"""

import csv
from pathlib import Path

import numpy as np

from jaxedit.errors import InputError
from jaxedit.labels.annotations import FILE, KEYS, NOT_READ, UNKNOWN, AnnotatedImages, Annotations
from jaxedit.labels.rubric import CANNOT_TELL, Column, Rubric
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_text

_MOST_DIGITS = 10
"""Of a seed or an index."""


def read_table(path: str | Path, rubric: Rubric, *, images: AnnotatedImages | None = None) -> Annotations:
    """Read a table, and check all of it.

    Args:
        path: text separated by tabs or commas.
        rubric: its columns; some may be missing, and their order is free.
        images: which images it may be about.

    Raises:
        InputError: if the file is no table, a column is unknown or comes twice, a value is none of its column, a key
            comes twice, or is none of the images. The message names the line.
    """
    path = as_path(path)
    lines = _lines(path)
    number, header = lines[0]
    key, names = _header(path, number, header, rubric)
    chosen = rubric.select([name for name in names if name != "notes"])
    images = None if key == FILE else images
    shown = None if images is None else {int(k) for k in images.keys}
    keys: dict[int | str, int] = {}
    codes = []
    for number, cells in lines[1:]:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise InputError(f"{where}: expected {len(header)} cells, found {len(cells)}")
        own = _key(where, key, cells[0])
        if own in keys:
            raise InputError(f"{where}: {key} {own}: expected each once, found it in line {keys[own]} too")
        if shown is not None and own not in shown:
            raise InputError(
                f"{where}: {key} {own}: expected one of the {len(shown)} images that were shown "
                f"({min(shown)}…{max(shown)})"
            )
        keys[own] = number
        row = {name: cell for name, cell in zip(names, cells[1:], strict=True) if name != "notes"}
        codes.append([_code(where, column, row[column.name]) for column in chosen.columns])
    return Annotations(
        key,
        np.asarray([*keys], str if key == FILE else np.int64),
        np.asarray(codes, np.int8).reshape(len(keys), len(chosen.columns)),
        chosen,
        origin=f"read from {path.name}",
        images=images,
    )


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The cells of each line that says something, with its number."""
    text = read_text(path, expected="a table of annotations")
    kept = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not kept:
        raise InputError(f"{path}: expected a table of annotations, found no line in it")
    delimiter = "\t" if "\t" in kept[0][1] else ","
    cells = csv.reader((line for _, line in kept), delimiter=delimiter)
    try:
        return [
            (number, [cell.strip() for cell in row]) for (number, _), row in zip(kept, cells, strict=True)
        ]
    except (csv.Error, ValueError) as error:  # such as a quotation mark that nothing closes
        raise InputError(f"{path}: expected a table of annotations, could not read it: {error}") from error


def _header(path: Path, number: int, header: list[str], rubric: Rubric) -> tuple[str, list[str]]:
    where, (first, *names) = f"{path}, line {number}", header
    if first not in KEYS:
        raise InputError(f"{where}: expected the first column to be index, seed or file, found {first!r}")
    for name in names:
        if name not in (*rubric.names, "notes"):
            raise InputError(
                f"{where}: unknown column {name!r}: expected one of {', '.join(rubric.names)}, or notes"
            )
        if names.count(name) > 1:
            raise InputError(f"{where}: expected each column once, found {name!r} twice")
    if not set(names) - {"notes"}:
        raise InputError(f"{where}: expected one of {', '.join(rubric.names)}, found no column")
    return first, names


def _key(where: str, key: str, cell: str) -> int | str:
    if key == FILE:
        if not cell:
            raise InputError(f"{where}: {key}: expected the name of an image file, found nothing")
        return cell
    if not cell.isdecimal() or len(cell) > _MOST_DIGITS:
        raise InputError(f"{where}: {key}: expected a number of 0 or more, found {cell[:40]!r}")
    return int(cell)


def _code(where: str, column: Column, cell: str) -> int:
    if not cell:
        return NOT_READ
    if cell in CANNOT_TELL:
        return UNKNOWN
    if not cell.isdecimal() or int(cell) >= len(column.values):
        raise InputError(
            f"{where}: {column.name}: expected 0…{len(column.values) - 1}, or {' or '.join(CANNOT_TELL)} for cannot "
            f"tell, found {cell!r}"
        )
    return int(cell)
