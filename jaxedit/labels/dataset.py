"""Labeled latents: the dataset that axes are learned from."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class LabelledLatents:
    """Latents of W and the raw attribute values of the images they make.

    Attributes:
        w: latents, float32.
        values: raw attribute values in each attribute's own unit, float32, one column for each name.
        attribute_names: names of the columns.
        attribute_units: units of the columns ("years", "degrees", "logit", …).
        generator_fingerprint: `weights_fingerprint` of the generator, which the axes take over; None if unknown.

    Raises:
        InputError: if shapes and names disagree, or a number is not finite.

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
        for name in ("w", "values"):
            bad = int((~np.isfinite(np.asarray(getattr(self, name)))).any(axis=1).sum())
            if bad:
                raise InputError(
                    f"{name}: expected finite numbers, got NaN or infinity in {bad} of {len(self.w)} rows"
                )

    def __len__(self) -> int:
        return len(self.w)

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
