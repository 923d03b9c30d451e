"""Curves mixed with each other, by what they do in full images.

The descent weighs the target against all else, in cheaper images. What is left is measured: the mean effect of each
curve on each held attribute, to either side. A mixture of the curves has no effect but one on its own attribute.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxedit.axes.curve_learning.descent import Curve
from jaxedit.axes.layer_curves import pseudo_huber

CALIBRATION_AMOUNT = 1.0
"""At which effects are measured, in standard deviations."""

DEFAULT_ENDS = (-2.0, 2.0)
DEFAULT_SLOPE = 0.5
_LEAST_SLOPE = 0.35
_LEAST_OWN = 0.5
"""Change of its own attribute from which on a curve of a shape takes it out of others."""
_MOST_TAKEN = 0.5
"""Share of the curve of another shape that is taken out at most."""
_PRIOR_EDITS = 8
"""Number of edits that the default slope counts as, beside the measured ones."""


def surely(
    mean: Float[np.ndarray, "*shape"], error: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Means shrunk by what chance may have made of them: m · max(0, 1 − ε² / m²), ε the standard error."""
    return mean * np.maximum(0, 1 - error**2 / np.maximum(mean**2, 1e-30))


def calibrated(
    curves: tuple[Float[np.ndarray, "n num_groups k"], Float[np.ndarray, "n num_groups k"]],
    effects: Float[np.ndarray, "2 n num_latents n"],
    amount: float = CALIBRATION_AMOUNT,
) -> tuple[Float[np.ndarray, "n num_groups k"], Float[np.ndarray, "n num_groups k"]]:
    """Curves mixed so that on average each changes its attribute by ± one and the others by none.

    Args:
        curves: tangents and curvatures of some attributes.
        effects: for either side (down, up), the change of each of these attributes by each curve on each latent,
            towards the side, for one standard deviation asked. Off the diagonal, means are shrunk (`surely`).
        amount: at which that was measured.
    """
    tangents, curvatures = (np.asarray(c, np.float64) for c in curves)
    phi = float(pseudo_huber(jnp.float32(amount)))
    ends = []
    for side, seen in zip((-1, 1), effects, strict=True):
        mean, error = seen.mean(1), seen.std(1) / np.sqrt(seen.shape[1])
        off = surely(mean, error) * (1 - np.eye(len(mean)))
        matrix = off + np.diag(np.clip(np.diag(mean), 0.5, 1.5))
        ends.append(np.tensordot(mixture(matrix), side * amount * tangents + phi * curvatures, 1))
    down, up = ends
    return (up - down) / (2 * amount), (up + down) / (2 * phi)


def mixture(effects: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Weights A of curves (columns) in each mixed curve (rows), so that A M is near the identity.

    A is the inverse of M where no curve takes more of another than of itself. Attributes that nearly go together make
    M nearly singular: the inverse would be a difference of long moves. There A minimizes ‖A M − 1‖² + λ ‖A − D⁻¹‖²,
    with D the diagonal of M and the smallest λ of a grid that bounds the weights.

    Args:
        effects: M, the mean effect of each curve (rows) on each attribute, with a positive diagonal.
    """
    own, size = np.diag(effects), len(effects)
    for penalty in (0.0, *np.geomspace(1e-3, 1.0, 13)):
        gram = effects @ effects.T + penalty * np.eye(size)
        try:
            weights = (
                np.linalg.inv(effects)
                if penalty == 0
                else np.linalg.solve(gram, effects + penalty * np.diag(1 / own)).T
            )
        except np.linalg.LinAlgError:
            continue
        others = weights * own * (1 - np.eye(size))
        if np.abs(others).max(initial=0.0) <= 1:
            return weights
    return np.diag(1 / own)


def mixed(
    names: Sequence[str],
    curves: Mapping[str, Curve],
    effects: Mapping[str, Float[np.ndarray, "2 num_latents num_attributes"]],
    held: Sequence[str],
) -> dict[str, Curve]:
    """The held attributes among the curves mixed with each other, and taken out of each of the rest.

    Args:
        names: of the columns of the effects.
        curves: of some attributes.
        effects: of each curve, as for `calibrated`.
        held: attributes that are taken out of each curve.
    """
    held = [name for name in held if name in curves]
    result = {}
    for name in curves:
        some = held if name in held else [*held, name]
        columns = [names.index(other) for other in some]
        seen = np.stack([effects[other][:, :, columns] for other in some], axis=1)
        if name not in held:
            # The held ones stay what they are: what they do to this one is not taken out of them.
            seen[:, :-1, :, -1] = 0
        stacked = tuple(np.stack([curves[other][part] for other in some]) for part in (0, 1))
        tangents, curvatures = calibrated((stacked[0], stacked[1]), seen)
        at = some.index(name)
        result[name] = (tangents[at], curvatures[at])
    return result


def unmixed(
    curves: Mapping[str, Curve], effects: Float[np.ndarray, "n num_latents n"], held: Sequence[str]
) -> dict[str, Curve]:
    """Curves without the things that appear along them: upwards, minus parts of the curves of those things.

    What an edit makes disappear is left to it: things exclude each other, as clear and dark glasses do.

    Args:
        curves: of n attributes. Each keeps its own whole.
        effects: of each curve (rows) on each attribute (columns), upwards, for an amount of one.
        held: attributes that are taken out of all others, if their own curves move them.
    """
    names = list(curves)
    mean, error = effects.mean(1), effects.std(1) / np.sqrt(effects.shape[1])
    seen = np.maximum(surely(mean, error), 0)
    phi = float(pseudo_huber(jnp.float32(1.0)))
    ups = {name: tangent + phi * curvature for name, (tangent, curvature) in curves.items()}
    result = {}
    for row, (name, (tangent, curvature)) in enumerate(curves.items()):
        columns = [i for i, n in enumerate(names) if n in held and n != name and seen[i, i] >= _LEAST_OWN]
        shares = np.linalg.solve(seen[np.ix_(columns, columns)].T, seen[row, columns])
        change = sum(
            (np.clip(s, 0, _MOST_TAKEN) * ups[names[c]] for s, c in zip(shares, columns, strict=True)),
            np.zeros_like(tangent),
        )
        down, up = phi * curvature - tangent, ups[name] - change
        result[name] = (up - down) / 2, (up + down) / (2 * phi)
    return result


def without_others(
    name: str,
    curves: Mapping[str, Curve],
    effects: Float[np.ndarray, "2 num_latents num_others"],
    others: Sequence[str],
    moved: Float[np.ndarray, " 2"],
) -> Curve:
    """A curve from which the mean effect on some others is taken out, measured at an amount of its own to either side.

    Args:
        name: of the curve.
        curves: its own and those of the others.
        effects: on the others, (down, up), towards the side.
        others: their names.
        moved: the mean distance along the curve, (down, up).
    """
    phi = float(pseudo_huber(jnp.float32(1.0)))
    ends = []
    for side, seen, distance in zip((-1, 1), effects, moved, strict=True):
        effect = surely(seen.mean(0), seen.std(0) / np.sqrt(len(seen))) / distance
        at_one = {n: side * tangent + phi * curvature for n, (tangent, curvature) in curves.items()}
        ends.append(at_one[name] - sum(e * at_one[o] for e, o in zip(effect, others, strict=True)))
    down, up = ends
    return (up - down) / 2, (up + down) / (2 * phi)


def measured_slope(
    positions: Float[np.ndarray, " num_latents"],
    changes: Float[np.ndarray, "2 num_latents"],
    ends: tuple[float, float],
) -> float:
    """The slope of edits beyond the ends: their gain relative to that of edits which stay between the ends.

    Few edits lead beyond the ends: the default slope, ½, counts as eight more of them.

    Args:
        positions: of the unedited latents on the axis.
        changes: of the target, (down, up), towards the side, by an amount of `CALIBRATION_AMOUNT`.
        ends: of the axis.
    """
    reached = positions + CALIBRATION_AMOUNT * np.array([[-1], [1]])
    beyond = (reached < ends[0]) | (reached > ends[1])
    inside = changes[~beyond].mean() if (~beyond).any() else 0.0
    if inside <= 0:
        return DEFAULT_SLOPE
    ratios = changes[beyond] / inside
    slope = (ratios.sum() + _PRIOR_EDITS * DEFAULT_SLOPE) / (len(ratios) + _PRIOR_EDITS)
    return float(np.clip(slope, _LEAST_SLOPE, 1.0))
