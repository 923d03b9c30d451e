"""Images that somebody marked, as pixels: edited faces, and photographs. They have no latent that makes them."""

import dataclasses
import hashlib

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class MarkedImages:
    """Images, and what somebody saw in them.

    Attributes:
        images: square RGB.
        values: raw values, NaN where a value is missing.
        attribute_names: names of the columns.
        attribute_units: units of the columns, as of a table of annotations.
        names: of the images, for people.
        kinds: what each image is, such as "edited"; the quality of each kind is told apart.
        groups: number of the face or thing that each image shows: a fit is not tested on a face that it has seen.

    Raises:
        InputError: if shapes disagree, the images are not square, or a value is infinite.
    """

    images: UInt8[np.ndarray, "num_images side side 3"]
    values: Float[np.ndarray, "num_images num_attributes"]
    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    groups: Int[np.ndarray, " num_images"]

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.ndim != 4 or shape[3] != 3 or shape[1] != shape[2] or self.images.dtype != np.uint8:
            raise InputError(
                "images: expected uint8 [num_images, side, side, 3] (square RGB), got "
                f"{self.images.dtype} {list(shape)}"
            )
        columns = len(self.attribute_names)
        if self.values.shape != (len(self), columns) or len(self.attribute_units) != columns:
            raise InputError(
                f"values: expected shape {[len(self), columns]}, as images and attributes, got "
                f"{list(self.values.shape)}"
            )
        if not len(self.names) == len(self.kinds) == len(self.groups) == len(self):
            raise InputError(
                f"names, kinds and groups: expected {len(self)} each, got {len(self.names)}, {len(self.kinds)} and "
                f"{len(self.groups)}"
            )
        if np.isinf(self.values).any():
            raise InputError("values: expected finite numbers, or NaN where a value is missing, got infinity")

    def __len__(self) -> int:
        return len(self.images)

    def columns(
        self, names: tuple[str, ...], units: tuple[str, ...]
    ) -> Float[np.ndarray, "num_images num_names"]:
        """The values of some attributes, NaN where they were not marked.

        Raises:
            InputError: if none of them was marked, or one has another unit.
        """
        if not set(names) & set(self.attribute_names):
            raise InputError(
                f"marked images: expected one of the attributes {', '.join(names)}, got "
                f"{', '.join(self.attribute_names)}"
            )
        found = np.full((len(self), len(names)), np.nan)
        for i, (name, unit) in enumerate(zip(names, units, strict=True)):
            if name in self.attribute_names:
                column = self.attribute_names.index(name)
                if self.attribute_units[column] != unit:
                    raise InputError(
                        f"marked images: attribute {name!r}: expected the unit {unit!r}, got "
                        f"{self.attribute_units[column]!r}: mark all images with one rubric"
                    )
                found[:, i] = self.values[:, column]
        return found

    def fingerprint(self) -> str:
        """A hash of the pixels."""
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()[:16]
