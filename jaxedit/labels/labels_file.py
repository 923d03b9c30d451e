"""The file of labels: attribute values, and the seed that gives their latents again."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.seed_stream import fingerprint, sample_w, sample_z
from jaxedit.storage.arrays import ArrayOf, read_arrays, write_arrays

_FORMAT = 2
"""2 where values are missing (NaN). Others are written in format 1, which earlier versions read."""
_TOLERANCE = 1e-2
"""Of a fingerprint. Machines differ by 1e-5; latents of other seeds or generators by about 1."""

_ARRAYS = {
    "format": ArrayOf("iu", ()),
    "generator": ArrayOf("U", ()),
    "seed": ArrayOf("iu", ()),
    "values": ArrayOf("f", ("num_samples", "num_attributes")),
    "attribute_names": ArrayOf("U", ("num_attributes",)),
    "attribute_units": ArrayOf("U", ("num_attributes",)),
    "z_fingerprint": ArrayOf("f", ("num_samples",), is_finite=True),
    "w_fingerprint": ArrayOf("f", ("num_samples",), is_finite=True),
}


@dataclasses.dataclass(frozen=True)
class Labels:
    """Attribute values of the first latents of a seed's stream.

    Attributes:
        generator: name of the generator.
        seed: of the stream (see `sample_z`).
        values: raw attribute values in each attribute's own unit, float32; NaN where a value is missing.
        attribute_names: names of the columns.
        attribute_units: units of the columns.
        z_fingerprint: of the input latents.
        w_fingerprint: of the latents of W.
    """

    generator: str
    seed: int
    values: Float[np.ndarray, "num_samples num_attributes"]
    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]
    z_fingerprint: Float[np.ndarray, " num_samples"]
    w_fingerprint: Float[np.ndarray, " num_samples"]

    def select(self, names: tuple[str, ...]) -> "Labels":
        """Labels of some of the attributes, in the order given.

        Raises:
            InputError: if a name is unknown.
        """
        unknown = [name for name in names if name not in self.attribute_names]
        if unknown:
            raise InputError(f"attribute {unknown[0]!r}: expected one of {', '.join(self.attribute_names)}")
        columns = [self.attribute_names.index(name) for name in names]
        return dataclasses.replace(
            self,
            values=self.values[:, columns],
            attribute_names=tuple(names),
            attribute_units=tuple(self.attribute_units[column] for column in columns),
        )

    def with_latents(self, generator: Generator, *, name: str = "labels") -> LabelledLatents:
        """The labels with their latents, which are drawn and mapped again.

        Raises:
            InputError: if these are not the latents that were labeled (another generator, or damaged labels).
        """
        expected = (self.z_fingerprint, self.w_fingerprint)
        z = sample_z(self.seed, len(self.values), generator.z_dim)
        w = sample_w(generator, self.seed, len(self.values))
        for kind, latents, stored in zip("zw", (z, w), expected, strict=True):
            wrong = int((np.abs(fingerprint(latents) - stored) > _TOLERANCE).sum())
            if wrong:
                raise InputError(
                    f"{name}: expected the latents {kind} of seed {self.seed} of generator {self.generator!r}; "
                    f"{wrong} of {len(stored)} have another fingerprint than those that were labeled"
                )
        return LabelledLatents(
            jax.numpy.asarray(w),
            jax.numpy.asarray(self.values),
            self.attribute_names,
            self.attribute_units,
            weights_fingerprint(generator),
        )


def save_labels(labels: Labels, path: str | Path) -> Path:
    """Write labels as `.npz`. The same labels give the same bytes, and the file appears only when it is whole.

    Raises:
        OutputError: if it cannot be written.
    """
    arrays = {
        "format": np.int32(_FORMAT if np.isnan(labels.values).any() else 1),
        "generator": labels.generator,
        "seed": np.uint32(labels.seed),
        "values": labels.values,
        "attribute_names": labels.attribute_names,
        "attribute_units": labels.attribute_units,
        "z_fingerprint": labels.z_fingerprint,
        "w_fingerprint": labels.w_fingerprint,
    }
    return write_arrays(path, arrays, kind="labels", compressed=True)


def load_labels(path: str | Path) -> Labels:
    """Read labels.

    Raises:
        InputError: if the file is missing, damaged or no file of labels, or holds values that are infinite (or NaN, in
            format 1), lengths that differ, or a name twice.
    """
    stored = read_arrays(path, kind="labels", expected="a file of labels", arrays=_ARRAYS).arrays
    if int(stored["format"]) > _FORMAT:
        raise InputError(
            f"{path}: written in format {int(stored['format'])}, this version reads up to {_FORMAT}"
        )
    values = stored["values"]
    if np.isinf(values).any() or (int(stored["format"]) < _FORMAT and np.isnan(values).any()):
        raise InputError(f"{path}: expected finite numbers, found NaN or infinity in values")
    names = tuple(map(str, stored["attribute_names"]))
    if len(set(names)) != len(names) or not all(names):
        raise InputError(f"{path}: expected a name of its own for each attribute, found {', '.join(names)}")
    if not 0 <= int(stored["seed"]) < 2**32:
        raise InputError(f"{path}: expected a seed of 0…{2**32 - 1}, found {int(stored['seed'])}")
    if not stored["values"].size:
        raise InputError(f"{path}: expected labels, found none")
    return Labels(
        generator=str(stored["generator"]),
        seed=int(stored["seed"]),
        values=values.astype(np.float32, copy=False),
        attribute_names=names,
        attribute_units=tuple(map(str, stored["attribute_units"])),
        z_fingerprint=stored["z_fingerprint"],
        w_fingerprint=stored["w_fingerprint"],
    )
