"""Annotations: labels that somebody read off images by eye, as a table, and as attributes of latents.

See `jaxedit.labels.annotation_tables` for tables.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int8, Shaped

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.rubric import Rubric
from jaxedit.latents.seed_stream import fingerprint, sample_z
from jaxedit.storage.arrays import read_arrays, write_arrays
from jaxedit.storage.npy_headers import ArrayOf

FILE = "file"
KEYS = ("index", "seed", FILE)
"""What the keys of a table can be."""

UNKNOWN = -1
"""Code of "cannot tell"."""
NOT_READ = -2
"""Code of a cell that has not been read."""


_ARRAYS = {"keys": ArrayOf("iu", ("num_rows",)), "codes": ArrayOf("i", ("num_rows", "num_columns"))}
_BLOCK = 1024
_TOLERANCE = 1e-2
"""Of a fingerprint, as of labels: machines differ by 1e-5, latents of other generators by about 1."""


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
        key: what the keys are: "index", "seed", or "file" for names of image files.
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
    keys: Shaped[np.ndarray, " num_rows"]
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
        if self.key not in KEYS:
            raise InputError(f"key: expected one of {', '.join(KEYS)}, got {self.key!r}")
        if self.key != FILE and len(self.keys) and int(self.keys.min()) < 0:
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
                "`jaxedit annotate sheets`; marks of image files go to `jaxedit teach --also`"
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


def save_annotations(annotations: Annotations, path: str | Path) -> Path:
    """Write annotations to one small array file (`.npz`), which `load_annotations_file` reads.

    Raises:
        InputError: if the keys are names of files, which the annotations do not hold.
        OutputError: if it cannot be written.
    """
    if annotations.key == FILE:
        raise InputError("annotations: expected indices or seeds as keys, got names of files: keep the table")
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
