"""Statistics over faces: mean changes, leakage and distances of arrays, with bootstrap intervals.

With T the quantile-transformed networks, G the generator, t the target, w(±) the latents edited to either side, and
s = ±1,

    d_j(face, s) = s (T_j(G(w(s))) − T_j(G(w)))        change towards the side, in standard deviations of j
    m_j(s)       = mean over faces of d_j(face, s)
    leakage      = mean over s of  mean over other j ≠ t of |m_j(s)|                     / m_t(s)
    absolute     = mean over s of  mean over other j ≠ t of mean over faces |d_j(face, s)| / m_t(s)
    effect_j     = change · mean over s of m_j(s) / m_t(s)      ½ (up − down), at exactly equal target change
    identity     = change · mean over s of mean over faces distance(face, s) / m_t(s)
    background   = change · mean over s of (Σ over faces of change outside the person / Σ of its area) / m_t(s)

Leakage is what a method changes in the same way on all faces. Absolute leakage also counts what it changes in opposite
ways on different faces, and the networks' own noise.

Intervals are percentiles over resampled faces. The same resamples serve all methods, so that differences of two
methods can be taken sample by sample. Resampling |m| near 0 is biased upwards: the resamples keep the signs of m_j of
all faces together.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxedit.axes.leakage import leakage

MONOTONE_TOLERANCE = 0.02
"""Standard deviations by which the target may fall from one position of the slider to the next."""

_LEAST = 0.1
"""Share of the wanted change below which a side has not moved, so that nothing is divided by it."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over resampled faces.

    Attributes:
        value: from all faces; NaN where it is not defined.
        low: 2.5th percentile.
        high: 97.5th percentile.
        samples: the number from each resample. The same place means the same faces in every estimate.
    """

    value: float
    low: float
    high: float
    samples: Float[np.ndarray, " num_resamples"] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, values: Float[np.ndarray, " one_and_num_resamples"]) -> "Estimate":
        """An estimate from the value on all faces, followed by those of the resamples."""
        values = np.asarray(values, np.float64)
        value, samples = float(values[0]), values[1:]
        if not np.isfinite(value) or not len(samples) or not np.isfinite(samples).any():
            return cls(value, float("nan"), float("nan"), samples)
        low, high = np.nanpercentile(samples, [2.5, 97.5])
        return cls(value, float(low), float(high), samples)

    def minus(self, other: "Estimate") -> "Estimate":
        """The paired difference: both on the same resampled faces."""
        return Estimate.of(np.append(self.value - other.value, self.samples - other.samples))

    @staticmethod
    def mean(estimates: Sequence["Estimate"]) -> "Estimate":
        """The mean of several estimates on the same resampled faces."""
        return Estimate.of(np.mean([np.append(e.value, e.samples) for e in estimates], axis=0))


def resampling_weights(
    num_faces: int, num_resamples: int, seed: int
) -> Float[np.ndarray, "one_and_num_resamples num_faces"]:
    """Weights of the faces in their mean: equal weights in the first row, those of a resample in each other row."""
    drawn = np.random.RandomState(seed).multinomial(
        num_faces, np.full(num_faces, 1 / num_faces), num_resamples
    )
    return np.concatenate([np.ones((1, num_faces)), drawn]) / num_faces


@dataclasses.dataclass(frozen=True)
class FaceChanges:
    """Changes of all faces at the two amounts, and the mean change of the target by which they are divided.

    Attributes:
        weights: of the faces in each resample.
        changes: d, towards the side, (down, up).
        names: of the columns of `changes`.
        target: m_t(s) on each resample; NaN for a side that has not moved.
    """

    weights: Float[np.ndarray, "resamples num_faces"]
    changes: Float[np.ndarray, "2 num_faces num_attributes"]
    names: tuple[str, ...]
    target: Float[np.ndarray, "resamples 2"]

    @classmethod
    def make(
        cls,
        weights: Float[np.ndarray, "resamples num_faces"],
        changes: Float[np.ndarray, "2 num_faces num_attributes"],
        names: Sequence[str],
        target: str | Float[np.ndarray, "resamples 2"],
        change: float,
    ) -> "FaceChanges":
        """Changes with the target among the names, or with its mean change as other networks read it."""
        names = tuple(names)
        if isinstance(target, str):
            target = mean_changes(weights, changes[:, :, [names.index(target)]])[:, :, 0]
            target = np.where(target[0] >= _LEAST * change, target, np.nan)
            target = np.where(target > 0, target, np.nan)
        return cls(weights, changes, names, target)

    def means(self) -> Float[np.ndarray, "resamples 2 num_attributes"]:
        """m of every attribute."""
        return mean_changes(self.weights, self.changes)

    def leakage(self, others: Sequence[str]) -> Float[np.ndarray, "resamples 2"]:
        """Leakage of either side into the other attributes."""
        means = mean_changes(self.weights, self._of(others))
        return np.asarray(leakage(self.target, means, np.sign(means[:1])))

    def absolute_leakage(self, others: Sequence[str]) -> Float[np.ndarray, "resamples 2"]:
        """Absolute leakage of either side into the other attributes."""
        return np.asarray(leakage(self.target, mean_changes(self.weights, np.abs(self._of(others)))))

    def leakage_floor(self, others: Sequence[str]) -> float:
        """Leakage that chance alone would give: the mean of |N(0, standard error)| is √(2/π) of that error."""
        errors = self._of(others).std(1) / np.sqrt(self.changes.shape[1])
        return float(both_sides(np.sqrt(2 / np.pi) * errors.mean(1)[None] / self.target[:1])[0])

    def distance_at_change(self, distances: Float[np.ndarray, "2 num_faces"], change: float) -> Estimate:
        """Mean distance from the unedited face, at exactly `change` of the target: as if it grew in proportion."""
        means = mean_changes(self.weights, np.asarray(distances, np.float64)[:, :, None])[:, :, 0]
        return Estimate.of(both_sides(change * means / self.target))

    def density_at_change(
        self,
        amounts: Float[np.ndarray, "2 num_faces"],
        shares: Float[np.ndarray, "2 num_faces"],
        change: float,
        *,
        squared: bool = False,
    ) -> Float[np.ndarray, " resamples"]:
        """Σ of amounts over Σ of shares, at exactly `change` of the target: as if it grew in proportion.

        Args:
            amounts: of each face, over its whole image.
            shares: of each image that the amounts are about.
            change: of the target.
            squared: whether the root of the ratio is what grows in proportion.
        """
        total, area = (
            mean_changes(self.weights, np.asarray(values, np.float64)[:, :, None])[:, :, 0]
            for values in (amounts, shares)
        )
        ratio = np.divide(total, area, out=np.full_like(total, np.nan), where=area > 0)
        return both_sides(change * (np.sqrt(ratio) if squared else ratio) / self.target)

    def _of(self, names: Sequence[str]) -> Float[np.ndarray, "2 num_faces some"]:
        return self.changes[:, :, [self.names.index(name) for name in names]]


def mean_changes(
    weights: Float[np.ndarray, "resamples num_faces"], values: Float[np.ndarray, "2 num_faces num_values"]
) -> Float[np.ndarray, "resamples 2 num_values"]:
    """Weighted means over the faces, of either side."""
    return np.stack([weights @ values[0], weights @ values[1]], axis=1)


def both_sides(values: Float[np.ndarray, "resamples 2"]) -> Float[np.ndarray, " resamples"]:
    """Mean over the sides that have moved; NaN where none has."""
    moved = np.isfinite(values)
    return np.where(moved.any(1), np.where(moved, values, 0).sum(1) / np.maximum(moved.sum(1), 1), np.nan)


def by_side(values: Float[np.ndarray, "resamples 2"]) -> tuple[Estimate, Estimate]:
    """An estimate for either side."""
    return Estimate.of(values[:, 0]), Estimate.of(values[:, 1])


def monotone_share(
    weights: Float[np.ndarray, "resamples num_faces"], changes: Float[np.ndarray, "num_positions num_faces"]
) -> Estimate:
    """Share of faces whose target falls by no more than the tolerance from one position to the next."""
    monotone = (np.diff(changes, axis=0) >= -MONOTONE_TOLERANCE).all(0)
    return Estimate.of(weights @ monotone.astype(np.float64))
