"""The amount at which a method changes its target as much as wanted."""

import numpy as np
from jaxtyping import Float


def amount_of_change(
    amounts: Float[np.ndarray, " num_amounts"], changes: Float[np.ndarray, " num_amounts"], change: float
) -> float:
    """The amount at which the mean change of the target reaches `change`.

    The means up to the largest of them are made monotone (pool adjacent violators) and joined by lines from (0, 0).
    Those beyond it are left out: there a method has left the images that the generator knows. If the largest mean is
    at the largest amount, the last line is extended up to one and a half times that amount. If `change` is not reached
    even so, the result is the amount of the largest mean.

    Args:
        amounts: positive, in any order.
        changes: mean change of the target at each amount, towards the side.
        change: the wanted change, positive.
    """
    amounts, place = np.unique(amounts, return_inverse=True)
    # An amount that was measured twice counts with the mean of its changes.
    changes = np.bincount(place, changes) / np.bincount(place)
    peak = int(np.argmax(changes))
    knots = np.append(0.0, amounts[: peak + 1])
    levels = isotonic(np.append(0.0, changes[: peak + 1]), np.append(1e9, np.ones(peak + 1)))
    above = np.flatnonzero(levels >= change)
    if len(above):
        i = int(above[0])
        share = (change - levels[i - 1]) / (levels[i] - levels[i - 1])
        return float(knots[i - 1] + share * (knots[i] - knots[i - 1]))
    slope = (levels[-1] - levels[-2]) / (knots[-1] - knots[-2])
    if peak == len(amounts) - 1 and slope > 0:
        needed = float(knots[-1] + (change - levels[-1]) / slope)
        return needed if needed <= 1.5 * knots[-1] else float(knots[-1])
    return float(knots[-1])


def isotonic(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The non-decreasing sequence nearest to the values in weighted least squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / total
            block = (mean, total, before[2] + block[2])
        blocks.append(block)
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])
