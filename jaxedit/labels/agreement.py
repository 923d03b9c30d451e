"""Agreement of two readers of the same images."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jaxedit.errors import InputError
from jaxedit.labels.annotations import Annotations
from jaxedit.labels.rubric import Column


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far two readers agree on one column.

    Attributes:
        column: what they read.
        confusion: number of images by the value of the first reader (rows) and of the second.
        one_cannot_tell: number of images of which one reader says a value and the other cannot tell.
    """

    column: Column
    confusion: Int[np.ndarray, "num_values num_values"]
    one_cannot_tell: int

    @property
    def count(self) -> int:
        """Number of images with a value by both."""
        return int(self.confusion.sum())

    @property
    def share(self) -> float:
        """Share of these on which both say the same; NaN without any."""
        return float(np.trace(self.confusion)) / self.count if self.count else float("nan")

    @property
    def kappa(self) -> float:
        """Cohen's kappa, 1 − Σ w_ij n_ij / Σ w_ij e_ij, with e what chance would give.

        Disagreement counts w_ij = |i − j| on an ordinal, and 1 on others. 1 is agreement in all images, 0 as much as
        chance gives; NaN where both say one and the same value throughout, since chance would agree as well.
        """
        return cohen_kappa(self.confusion, is_ordinal=self.column.scale == "ordinal")


def cohen_kappa(confusion: Int[np.ndarray, "n n"], *, is_ordinal: bool) -> float:
    """Cohen's kappa of a table of counts, with weights |i − j| for an ordinal.

    Examples:
        >>> import numpy as np
        >>> round(cohen_kappa(np.array([[20, 5], [10, 15]]), is_ordinal=False), 3)
        0.4
    """
    values = np.arange(len(confusion))
    distance = np.abs(values[:, None] - values).astype(float)
    weights: Float[np.ndarray, "n n"] = distance if is_ordinal else np.minimum(distance, 1)
    total = confusion.sum()
    if not total:
        return float("nan")
    expected = np.outer(confusion.sum(1), confusion.sum(0)) / total
    by_chance = (weights * expected).sum()
    return float(1 - (weights * confusion).sum() / by_chance) if by_chance > 0 else float("nan")


def compare(first: Annotations, second: Annotations) -> list[Agreement]:
    """Agreement on each column that both have, over the images that both read.

    Raises:
        InputError: if they have no column or no image in common, or read a column in other values.
    """
    names = [name for name in first.rubric.names if name in second.rubric.names]
    if first.key != second.key or not names:
        raise InputError(
            f"two readers: expected tables of the same images and columns, got {first.key} with "
            f"{', '.join(first.rubric.names)} and {second.key} with {', '.join(second.rubric.names)}"
        )
    both, rows, other_rows = np.intersect1d(first.keys, second.keys, return_indices=True)
    if not len(both):
        raise InputError(f"two readers: expected tables with the same images, got no {first.key} in both")
    found = []
    for name in names:
        column, other = first.rubric.select([name]).columns[0], second.rubric.select([name]).columns[0]
        if (column.scale, len(column.values)) != (other.scale, len(other.values)):
            raise InputError(f"two readers: column {name!r}: expected one scale, got two")
        a = first.select([name]).codes[rows, 0].astype(int)
        b = second.select([name]).codes[other_rows, 0].astype(int)
        confusion = np.zeros((len(column.values),) * 2, np.int64)
        known = (a >= 0) & (b >= 0)
        np.add.at(confusion, (a[known], b[known]), 1)
        unsure = ((a == -1) & (b >= 0)) | ((b == -1) & (a >= 0))
        found.append(Agreement(column, confusion, int(unsure.sum())))
    return found
