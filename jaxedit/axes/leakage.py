"""Leakage: how much the other attributes change for each unit of change of the target.

With m_j the mean change of attribute j by edits of target t, in standard deviations of j,

    leakage = mean over j ≠ t of |m_j| / |m_t|.

Every number called leakage in this library is this one. What differs is how the changes are measured: by linear
probes of latents (`jaxedit.axes.report`), or by networks in images (`jaxedit.evaluation`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float


def leakage(
    target: Float[Any, "*batch"],
    others: Float[Any, "*batch num_others"],
    signs: Float[Any, "*#batch num_others"] | None = None,
) -> Float[Any, "*batch"]:
    """The mean magnitude of the other attributes' changes, divided by the magnitude of the target's.

    Takes and gives arrays of NumPy or JAX, in their own precision.

    Args:
        target: m_t.
        others: m_j of each other attribute. Without any, the leakage is 0.
        signs: with them |m_j| is signs · m_j. In resamples of faces the signs of all faces together are kept, since
            the magnitude of a mean near 0 is biased upwards.

    Returns:
        Leakage, without a unit; not finite where the target does not change.
    """
    magnitudes = abs(others) if signs is None else others * signs
    return magnitudes.sum(-1) / (max(others.shape[-1], 1) * abs(target))


def leakage_of_effects(
    effects: Float[Array | np.ndarray, "num_targets num_measured"], own: Sequence[int] | None = None
) -> Float[Any, " num_targets"]:
    """The leakage of each row of a matrix of effects.

    Args:
        effects: change of each measured attribute (columns) by edits of each target (rows), in standard deviations.
        own: the column of each row's target. By default column i is the target of row i.
    """
    rows = np.arange(effects.shape[0])
    columns = rows if own is None else np.asarray(own, int)
    others = [np.delete(np.arange(effects.shape[1]), column) for column in columns]
    return leakage(effects[rows, columns], effects[rows[:, None], np.stack(others)])
