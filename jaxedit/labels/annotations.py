"""Annotations: labels that somebody read off images by eye, as a table, and as attributes of latents.

A table is a text file, separated by tabs or commas, whose first column is `index` (number of the latent in the stream
of a seed, see `jaxedit.latents.seed_stream`) or `seed` (the first latent of that seed), and whose others are the
columns of a rubric:

    index   glasses   headwear   hair_color
    0       1         0          2
    1       0         9          ?

9 and ? mean "cannot tell"; an empty cell has not been read. Lines that begin with # and a column `notes` are
passed over.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int8

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.rubric import CANNOT_TELL, Column, Rubric
from jaxedit.latents.seed_stream import fingerprint, sample_z
from jaxedit.storage.arrays import read_arrays, write_arrays
from jaxedit.storage.npy_headers import ArrayOf
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_text

UNKNOWN = -1
"""Code of "cannot tell"."""
NOT_READ = -2
"""Code of a cell that has not been read."""


_ARRAYS = {"keys": ArrayOf("iu", ("num_rows",)), "codes": ArrayOf("i", ("num_rows", "num_columns"))}
_BLOCK = 1024
_TOLERANCE = 1e-2
"""Of a fingerprint, as of labels: machines differ by 1e-5, latents of other generators by about 1."""


_MOST_DIGITS = 10
"""Of a seed or an index."""


@dataclasses.dataclass(frozen=True)
class AnnotatedImages:
    """Which images a table is about.

    Attributes:
        generator: name or folder of the generator.
        seed: of the stream of the indices; not used where the key is "seed".
        truncation_psi: of the images; 1 for none.
        keys: indices or seeds of all images that were shown.
        w_fingerprint: of their latents.
    """

    generator: str
    seed: int
    truncation_psi: float
    keys: Int[np.ndarray, " num_images"]
    w_fingerprint: Float[np.ndarray, " num_images"]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A table of labels read by eye.

    Attributes:
        key: what the keys are: "index" or "seed".
        keys: of the rows, each once.
        codes: numbers of the values, a column for each of the rubric; `UNKNOWN` and `NOT_READ` for missing ones.
        rubric: the columns.
        origin: who read what, and how; for people.
        images: what the rows are about, if it is known.

    Raises:
        InputError: if shapes disagree, a key comes twice or is negative, or a code is none of its column.

    Examples:
        >>> import numpy as np
        >>> from jaxedit.labels.annotations import Annotations
        >>> from jaxedit.labels.rubric import Column, Rubric
        >>> rubric = Rubric((Column("hat", "yes-no"), Column("coat", "category", ("black", "red"))))
        >>> table = Annotations("index", np.array([4, 7]), np.array([[1, 0], [-1, 1]], np.int8), rubric)
        >>> table.attribute_names
        ('hat', 'coat_black', 'coat_red')
        >>> table.values().tolist()
        [[1.0, 1.0, 0.0], [nan, 0.0, 1.0]]
    """

    key: str
    keys: Int[np.ndarray, " num_rows"]
    codes: Int8[np.ndarray, "num_rows num_columns"]
    rubric: Rubric
    origin: str = ""
    images: AnnotatedImages | None = None

    def __post_init__(self) -> None:
        columns = self.rubric.columns
        if self.codes.shape != (len(self.keys), len(columns)):
            raise InputError(
                f"codes: expected shape {(len(self.keys), len(columns))}, got {self.codes.shape}"
            )
        if self.key not in ("index", "seed"):
            raise InputError(f"key: expected 'index' or 'seed', got {self.key!r}")
        if len(self.keys) and int(self.keys.min()) < 0:
            raise InputError(f"{self.key}: expected numbers of 0 or more, got {self.keys.min()}")
        found, counts = np.unique(self.keys, return_counts=True)
        if (counts > 1).any():
            raise InputError(f"{self.key}: expected each once, got {found[counts > 1][0]} twice")
        for column, codes in zip(columns, self.codes.T, strict=True):
            wrong = codes[(codes < NOT_READ) | (codes >= len(column.values))]
            if len(wrong):
                raise InputError(
                    f"codes: column {column.name!r}: expected 0…{len(column.values) - 1}, {UNKNOWN} or {NOT_READ}, got "
                    f"{wrong[0]}"
                )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes that the columns become."""
        return tuple(name for column in self.rubric.columns for name in column.attributes if name)

    @property
    def attribute_units(self) -> tuple[str, ...]:
        """Units of the attributes: "0 or 1", or the levels of an ordinal."""
        return tuple(column.unit for column in self.rubric.columns for name in column.attributes if name)

    def values(self) -> Float[np.ndarray, "num_rows num_attributes"]:
        """The attributes as float32, NaN where a value is missing.

        An ordinal is its level, a yes-no 0 or 1, and a category one yes-no for each value that has a name.
        """
        parts = []
        for column, codes in zip(self.rubric.columns, self.codes.T, strict=True):
            for i, name in enumerate(column.attributes):
                if name:
                    values = codes == i if column.scale == "category" else codes
                    parts.append(np.where(codes < 0, np.nan, values).astype(np.float32))
        return np.stack(parts, axis=1)

    def select(self, names: Sequence[str]) -> "Annotations":
        """The table with some of its columns.

        Raises:
            InputError: if a name is unknown, or comes twice.
        """
        rubric = self.rubric.select(names)
        columns = [self.rubric.names.index(name) for name in rubric.names]
        return dataclasses.replace(self, codes=self.codes[:, columns], rubric=rubric)

    def first(self, count: int | None) -> "Annotations":
        """The table's first rows; all of them for None."""
        if count is None:
            return self
        return dataclasses.replace(self, keys=self.keys[:count], codes=self.codes[:count])

    def counts(self) -> dict[str, dict[str, int]]:
        """How often each column has each value, "cannot tell" and "not read"."""
        return {
            column.name: {value: int((codes == i).sum()) for i, value in enumerate(column.values)}
            | {"cannot tell": int((codes == UNKNOWN).sum()), "not read": int((codes == NOT_READ).sum())}
            for column, codes in zip(self.rubric.columns, self.codes.T, strict=True)
        }

    def with_latents(self, generator: Generator) -> LabelledLatents:
        """The rows that were read, with their latents, which are drawn and mapped again.

        Args:
            generator: the one whose images were read.

        Raises:
            InputError: if it is not known which images they are, nothing was read, or the generator makes other
                latents.

        Examples:
            >>> import jaxedit
            >>> table = jaxedit.load_annotations("mobile-stylegan-ffhq").select(["headwear"])
            >>> dataset = table.with_latents(jaxedit.load_generator("mobile-stylegan-ffhq"))
            >>> dataset.attribute_names, dataset.known_counts
            (('headwear',), (6000,))
        """
        if self.images is None:
            raise InputError(
                "annotations: expected to know which images they are about: read the table beside the images.npz of "
                "`jaxedit annotate sheets`"
            )
        is_read = (self.codes >= 0).any(1)
        if not is_read.any():
            raise InputError(
                "annotations: expected a row with a value, got none: the table has not been filled in"
            )
        keys = self.keys[is_read]
        shown = {int(key): i for i, key in enumerate(self.images.keys)}
        beyond = [int(key) for key in keys if int(key) not in shown]
        if beyond:
            raise InputError(
                f"annotations: {self.key} {beyond[0]}: expected one of the {len(shown)} images that were shown "
                f"({min(shown)}…{max(shown)})"
            )
        w = latents_of_keys(
            generator, self.key, keys, seed=self.images.seed, truncation_psi=self.images.truncation_psi
        )
        stored = self.images.w_fingerprint[[shown[int(key)] for key in keys]]
        wrong = int((np.abs(fingerprint(w) - stored) > _TOLERANCE).sum())
        if wrong:
            raise InputError(
                f"annotations: expected the generator {self.images.generator!r} whose images were read; {wrong} of "
                f"{len(keys)} latents are others"
            )
        return LabelledLatents(
            w,
            self.values()[is_read],
            self.attribute_names,
            self.attribute_units,
            weights_fingerprint(generator),
        )


def latents_of_keys(
    generator: Generator, key: str, keys: Int[np.ndarray, " num_keys"], *, seed: int, truncation_psi: float
) -> Float[np.ndarray, "num_keys w_dim"]:
    """Latents of W of the images of a table, float32.

    Raises:
        InputError: if the generator's mapping does not give latents of W.
    """
    if key == "seed":
        z = np.concatenate([sample_z(int(k), 1, generator.z_dim) for k in keys])
    else:
        blocks, places = np.divmod(keys, _BLOCK)
        z = np.empty((len(keys), generator.z_dim), np.float32)
        for block in np.unique(blocks):
            drawn = sample_z(seed, _BLOCK, generator.z_dim, start=int(block) * _BLOCK)
            z[blocks == block] = drawn[places[blocks == block]]
    parts = [
        np.asarray(generator.mapping(jnp.asarray(z[i : i + _BLOCK]), truncation_psi=truncation_psi))
        for i in range(0, len(z), _BLOCK)
    ]
    if parts[0].ndim != 2:
        raise InputError("generator: expected a mapping to W [batch, w_dim], got W+")
    return np.concatenate(parts).astype(np.float32)


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
    shown = None if images is None else {int(k) for k in images.keys}
    keys: dict[int, int] = {}
    codes = []
    for number, cells in lines[1:]:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise InputError(f"{where}: expected {len(header)} cells, found {len(cells)}")
        if not cells[0].isdecimal() or len(cells[0]) > _MOST_DIGITS:
            raise InputError(f"{where}: {key}: expected a number of 0 or more, found {cells[0][:40]!r}")
        own = int(cells[0])
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
        np.asarray([*keys], np.int64),
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
    if first not in ("index", "seed"):
        raise InputError(f"{where}: expected the first column to be index or seed, found {first!r}")
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


def save_annotations(annotations: Annotations, path: str | Path) -> Path:
    """Write annotations to one small array file (`.npz`), which `load_annotations_file` reads.

    Raises:
        OutputError: if it cannot be written.
    """
    about: dict[str, Any] = {
        "key": annotations.key,
        "origin": annotations.origin,
        "rubric": annotations.rubric.describe(),
    }
    arrays = {"keys": annotations.keys.astype(np.int32), "codes": annotations.codes}
    if (images := annotations.images) is not None:
        about["images"] = {
            "generator": images.generator,
            "seed": images.seed,
            "truncation_psi": images.truncation_psi,
        }
        arrays |= {"image_keys": images.keys.astype(np.int32), "w_fingerprint": images.w_fingerprint}
    return write_arrays(path, arrays, about, kind="annotations", compressed=True)


def load_annotations_file(path: str | Path) -> Annotations:
    """Read an array file of `save_annotations`.

    Raises:
        InputError: if it is missing, damaged, or no file of annotations.
    """
    expected = "a file of annotations"
    arrays, about = read_arrays(path, kind="annotations", expected=expected, arrays=_ARRAYS)
    try:
        images = None
        if "images" in about:
            images = AnnotatedImages(
                **about["images"], keys=arrays["image_keys"], w_fingerprint=arrays["w_fingerprint"]
            )
        rubric = Rubric.from_description(about["rubric"], where=str(path))
        return Annotations(
            about["key"], arrays["keys"], arrays["codes"], rubric, str(about["origin"]), images
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected {expected}, it is damaged: {error!r}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
