"""Preconditioned stochastic descent on the loss of an edit (`jaxedit.axes.curve_learning.loss`).

A curve has thousands of coordinates and an image is expensive, so the Gauss–Newton matrix H of the loss preconditions
the gradients (`jaxedit.axes.curve_learning.preconditioner`): a batch moves the curve by −η H⁻¹ times its gradient. η
falls with the number of batches, and the curve is the mean over them (Polyak and Juditsky, 1992).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.curve_learning.loss import ColumnWeights, along_curve
from jaxedit.axes.layer_curves import pseudo_huber

Curve = tuple[Float[np.ndarray, "num_groups k"], Float[np.ndarray, "num_groups k"]]
"""Tangent and curvature of one axis, float64."""

_KEPT_CURVATURE = 0.4
"""Of the learned curvature, which rests on smaller numbers than the tangent: as much of it as paid in images."""

_FORGOTTEN = 10
"""First batches whose curves are not in the mean."""

_REMEMBERED = 200
"""Last gradients whose lengths are kept: one that is 2.5 times as long as their median is cut to that."""


class DescentState(NamedTuple):
    """A curve that is being learned, float64: all that a run needs in order to resume."""

    tangent: Float[np.ndarray, "num_groups k"]
    curvature: Float[np.ndarray, "num_groups k"]
    mean_tangent: Float[np.ndarray, "num_groups k"]
    """Over the batches."""
    mean_curvature: Float[np.ndarray, "num_groups k"]
    sums: Float[np.ndarray, "2 num_columns"]
    """Of the changes that each column saw to either side (down, up), with exponential forgetting."""
    counts: Float[np.ndarray, " 2"]
    """Sums of |amount|, likewise."""
    lengths: Float[np.ndarray, " num_lengths"]
    """Of the last gradients."""
    batches: np.ndarray
    """Number of batches taken."""

    @classmethod
    def begin(cls, tangent: Float[np.ndarray, "num_groups k"], num_columns: int) -> "DescentState":
        """A first tangent, without curvature."""
        tangent = np.array(tangent, np.float64)
        return cls._at((tangent, np.zeros_like(tangent)), num_columns, batches=0)

    @classmethod
    def go_on(cls, curve: Curve, num_columns: int) -> "DescentState":
        """A curve that was learned before: its mean begins at once."""
        return cls._at(curve, num_columns, batches=_FORGOTTEN)

    @classmethod
    def _at(cls, curve: Curve, num_columns: int, batches: int) -> "DescentState":
        tangent, curvature = (np.array(part, np.float64) for part in curve)
        sums, counts, lengths = np.zeros((2, num_columns)), np.zeros(2), np.zeros(0)
        return cls(
            tangent, curvature, tangent, curvature, sums, counts, lengths, np.asarray(batches, np.int64)
        )

    @property
    def curve(self) -> tuple[Array, Array]:
        """(s, b) as they are now, float32."""
        return jnp.asarray(self.tangent, jnp.float32), jnp.asarray(self.curvature, jnp.float32)

    def means(self, amounts: Float[np.ndarray, " batch"]) -> Float[np.ndarray, "batch num_columns"]:
        """m for the side of each amount."""
        sides = self.sums / np.maximum(self.counts, 1e-9)[:, None]
        return sides[(amounts > 0).astype(int)].astype(np.float32)

    def gains(self, weights: ColumnWeights) -> Float[np.ndarray, " 2"]:
        """Change of the target for each standard deviation asked, of late, to either side (down, up)."""
        moved = self.sums @ np.asarray(weights.target, np.float64)
        return np.array([-1, 1]) * moved / np.maximum(self.counts, 1e-9)

    def rescaled(self, gains: Float[np.ndarray, " 2"], *, keeps_curvature: bool = False) -> Curve:
        """The mean (s, b), stretched so that an amount of ± one changes the target by about that: to x(± 1 / gain).

        A descent that weighs the target against all else comes to shorter moves than were asked.
        """
        down, up = 1 / np.clip(gains, 0.4, 1.5)
        kept = 1.0 if keeps_curvature else _KEPT_CURVATURE
        return stretched((self.mean_tangent, kept * self.mean_curvature), down, up)

    def updated(
        self,
        inverse: Float[np.ndarray, "coordinates coordinates"],
        amounts: Float[np.ndarray, " batch"],
        gradients: Sequence[tuple[np.ndarray, np.ndarray]],
        changes: Float[np.ndarray, "batch num_columns"],
        *,
        rate: float = 0.06,
    ) -> "DescentState":
        """The state after one more batch.

        Args:
            inverse: H⁻¹.
            amounts: of the images.
            gradients: of each image by itself, (of the tangent, of the curvature).
            changes: that each column saw.
            rate: η of the first batches; it falls as 1 / (1 + batches / 30).
        """
        of_tangent, of_curvature, lengths = self._total(amounts, gradients)
        squares = np.asarray(amounts, np.float64) ** 2
        curving = np.asarray(pseudo_huber(jnp.asarray(amounts)), np.float64) ** 2
        rate = rate / (1 + int(self.batches) / 30)
        shape = self.tangent.shape
        tangent = self.tangent - rate * (inverse @ of_tangent.ravel() / squares.sum()).reshape(shape)
        # Curvatures answer to small numbers: below this they would follow the noise.
        least = max(float(curving.sum()), 0.8 * len(amounts))
        curvature = self.curvature - rate * (inverse @ of_curvature.ravel() / least).reshape(shape)
        sums, counts = self.sums.copy(), self.counts.copy()
        for amount, change in zip(amounts, changes, strict=True):
            side = int(amount > 0)
            sums[side] = 0.97 * sums[side] + change
            counts[side] = 0.97 * counts[side] + abs(amount)
        batches = self.batches + 1
        share = 1 / max(int(batches) - _FORGOTTEN, 1)
        return DescentState(
            tangent,
            curvature,
            self.mean_tangent + share * (tangent - self.mean_tangent),
            self.mean_curvature + share * (curvature - self.mean_curvature),
            sums,
            counts,
            lengths,
            np.asarray(batches),
        )

    def _total(
        self, amounts: Float[np.ndarray, " batch"], gradients: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of the gradients, long ones cut, and the lengths of the last ones."""
        of_tangent, of_curvature = np.zeros_like(self.tangent), np.zeros_like(self.curvature)
        lengths = list(self.lengths)
        for amount, (tangent, curvature) in zip(amounts, gradients, strict=True):
            # A landmark that jumps has any derivative, or none.
            length = float(np.linalg.norm(tangent)) / abs(float(amount)) ** 2
            if not (np.isfinite(length) and np.isfinite(curvature).all()):
                continue
            lengths.append(length)
            cut = min(1.0, 2.5 * float(np.median(lengths[-_REMEMBERED:])) / max(length, 1e-30))
            of_tangent += cut * np.asarray(tangent, np.float64)
            of_curvature += cut * np.asarray(curvature, np.float64)
        return of_tangent, of_curvature, np.array(lengths[-_REMEMBERED:])


def stretched(curve: Curve, down: float, up: float) -> Curve:
    """The curve that leads at ∓1 to where this one leads at −down and up."""
    tangent, curvature = (jnp.asarray(part) for part in curve)
    below, above = np.asarray(along_curve((tangent, curvature), jnp.asarray([-down, up])), np.float64)
    return (above - below) / 2, (above + below) / (2 * float(pseudo_huber(jnp.float32(1.0))))


def of_sides(down: Curve, up: Curve, amount: float = 1.5) -> Curve:
    """The curve that leads at −amount to where the first leads, and at +amount to where the second does."""
    below, above = (
        np.asarray(
            along_curve((jnp.asarray(curve[0]), jnp.asarray(curve[1])), jnp.asarray([signed]))[0], np.float64
        )
        for curve, signed in ((down, -amount), (up, amount))
    )
    phi = float(pseudo_huber(jnp.float32(amount)))
    return (above - below) / (2 * amount), (above + below) / (2 * phi)
