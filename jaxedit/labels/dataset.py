"""Labeled latents: the dataset that axes are learned from."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxedit.errors import InputError
from jaxedit.latents.seed_stream import fingerprint


@dataclasses.dataclass(frozen=True)
class LabelledLatents:
    """Latents of W and the raw attribute values of the images they make.

    Attributes:
        w: latents, float32.
        values: raw attribute values in each attribute's own unit, float32, one column for each name. NaN where a value
            is missing.
        attribute_names: names of the columns.
        attribute_units: units of the columns ("years", "degrees", "logit", …).
        generator_fingerprint: `weights_fingerprint` of the generator, which the axes take over; None if unknown.

    Raises:
        InputError: if shapes and names disagree, a latent is not finite, or a value is infinite.

    Examples:
        >>> import numpy as np
        >>> w = np.zeros((100, 512), np.float32)
        >>> values = np.linspace(0, 1, 200, dtype=np.float32).reshape(100, 2)
        >>> dataset = LabelledLatents(w, values, ("age", "yaw"), ("years", "degrees"))
        >>> len(dataset)
        100
    """

    w: Float[jax.Array | np.ndarray, "num_samples w_dim"]
    values: Float[jax.Array | np.ndarray, "num_samples num_attributes"]
    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]
    generator_fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.w.ndim != 2 or self.values.ndim != 2 or len(self.w) != len(self.values):
            raise InputError(
                f"w and values: expected [num_samples, w_dim] and [num_samples, num_attributes], "
                f"got {self.w.shape} and {self.values.shape}"
            )
        if not len(self.attribute_names) == len(self.attribute_units) == self.values.shape[1]:
            raise InputError(
                f"attribute_names and attribute_units: expected {self.values.shape[1]} each (one for each column "
                f"of values), got {len(self.attribute_names)} and {len(self.attribute_units)}"
            )
        bad = int((~np.isfinite(np.asarray(self.w))).any(axis=1).sum())
        if bad:
            raise InputError(
                f"w: expected finite numbers, got NaN or infinity in {bad} of {len(self.w)} rows"
            )
        bad = int(np.isinf(np.asarray(self.values)).any(axis=1).sum())
        if bad:
            raise InputError(
                f"values: expected finite numbers, or NaN where a value is missing, got infinity in {bad} of "
                f"{len(self.w)} rows"
            )

    def __len__(self) -> int:
        return len(self.w)

    @property
    def is_complete(self) -> bool:
        """Whether no value is missing."""
        return not bool(np.isnan(np.asarray(self.values)).any())

    @property
    def known_counts(self) -> tuple[int, ...]:
        """Number of values of each attribute that are not missing."""
        return tuple(int(count) for count in (~np.isnan(np.asarray(self.values))).sum(0))

    def select(self, attribute_names: Sequence[str]) -> "LabelledLatents":
        """The same latents with some of the attributes, in the order given.

        Raises:
            InputError: if a name is unknown or comes twice.
        """
        names = tuple(attribute_names)
        if len(set(names)) != len(names) or not set(names) <= set(self.attribute_names):
            known = ", ".join(self.attribute_names)
            raise InputError(f"attributes: expected each once, some of {known}; got '{','.join(names)}'")
        columns = [self.attribute_names.index(name) for name in names]
        units = tuple(self.attribute_units[column] for column in columns)
        return dataclasses.replace(
            self, values=self.values[:, columns], attribute_names=names, attribute_units=units
        )


_SAME = 1e-3
"""Difference below which two latents are one: machines and batches differ by 1e-5, latents by about 1."""


def join_latents(first: LabelledLatents, second: LabelledLatents) -> LabelledLatents:
    """Two datasets as one: the latents of both, and the attributes of both.

    A latent that both have becomes one row; a value that is not known is NaN. Where both have an attribute of one name,
    it is that of `second`, in its unit.

    Raises:
        InputError: if their latents differ in width, or are of two generators.

    Examples:
        >>> import numpy as np
        >>> from jaxedit.labels.dataset import LabelledLatents, join_latents
        >>> w = np.eye(4, dtype=np.float32)
        >>> ages = LabelledLatents(w[:3], np.array([[20.0], [30], [40]], np.float32), ("age",), ("years",))
        >>> hats = LabelledLatents(w[2:], np.array([[1.0], [0]], np.float32), ("hat",), ("0 or 1",))
        >>> join_latents(ages, hats).values.tolist()
        [[20.0, nan], [30.0, nan], [40.0, 1.0], [nan, 0.0]]
    """
    a, b = np.asarray(first.w, np.float32), np.asarray(second.w, np.float32)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"latents: expected one width, got {a.shape[1]} and {b.shape[1]}")
    generators = {x.generator_fingerprint for x in (first, second) if x.generator_fingerprint is not None}
    if len(generators) > 1:
        raise InputError(f"latents: expected those of one generator, got {' and '.join(sorted(generators))}")
    rows = _rows_of(a, b)
    is_new = rows < 0
    rows[is_new] = len(a) + np.arange(is_new.sum())
    kept = [i for i, name in enumerate(first.attribute_names) if name not in second.attribute_names]
    values = np.full((len(a) + is_new.sum(), len(kept) + second.values.shape[1]), np.nan, np.float32)
    values[: len(a), : len(kept)] = np.asarray(first.values)[:, kept]
    values[rows, len(kept) :] = np.asarray(second.values)
    return LabelledLatents(
        np.concatenate([a, b[is_new]]),
        values,
        (*(first.attribute_names[i] for i in kept), *second.attribute_names),
        (*(first.attribute_units[i] for i in kept), *second.attribute_units),
        next(iter(generators), None),
    )


def _rows_of(
    latents: Float[np.ndarray, "n w_dim"], wanted: Float[np.ndarray, "m w_dim"]
) -> Int[np.ndarray, " m"]:
    """The row of each wanted latent; −1 where it is none of them.

    Latents are looked up by their fingerprints: the same one is among the nearest few.
    """
    found = np.full(len(wanted), -1)
    if not len(latents):
        return found
    prints = fingerprint(latents).astype(np.float64)
    order = np.argsort(prints, kind="stable")
    nearest = np.searchsorted(prints[order], fingerprint(wanted))
    for offset in range(-4, 5):
        rows = order[np.clip(nearest + offset, 0, len(order) - 1)]
        found = np.where(np.abs(latents[rows] - wanted).max(1) < _SAME, rows, found)
    return found
