"""Scores of one method on one attribute from what was read of each face, with bootstrap intervals.

With T the quantile-transformed networks, G the generator, t the target, w(±) the latents edited to either side, and
s = ±1,

    d_j(face, s) = s (T_j(G(w(s))) − T_j(G(w)))            change towards the side, in standard deviations of j
    m_j(s)       = mean over faces of d_j(face, s)
    leakage      = mean over s of  mean over judged j ≠ t of |m_j(s)|                     / m_t(s)
    absolute     = mean over s of  mean over judged j ≠ t of mean over faces |d_j(face, s)| / m_t(s)
    effect_j     = change · mean over s of m_j(s) / m_t(s)          ½ (up − down), at exactly equal target change
    identity     = change · mean over s of mean over faces distance(face, s) / m_t(s)

Leakage asks what a method changes in the same way on all faces; absolute leakage also counts what it changes in
opposite ways on different faces, and the networks' own noise.

Intervals are percentiles over resampled faces. The same resamples serve all methods, so that differences of two
methods can be taken sample by sample. Resampling |m| near 0 is biased upwards: in the resamples the signs of m_j are
held at those of the faces themselves. `leakage_floor` is what leakage would be expected to come to on so few faces if
nothing leaked at all.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxedit.axes.leakage import leakage

SLIDER = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Positions of a slider of which 1 is the amount of equal change, where it is tested for being monotone."""

MONOTONE_TOLERANCE = 0.02
"""Standard deviations by which the target may fall from one position of the slider to the next."""

_LEAST = 0.1
"""Of the wanted change: below this a side has not moved, and nothing is divided by it."""

REACHED = 0.8
"""Of the wanted change: from here on a side has reached it."""


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
        """From the value on all faces, followed by those of the resamples."""
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
        """The mean of several on the same resampled faces."""
        return Estimate.of(np.mean([np.append(e.value, e.samples) for e in estimates], axis=0))


@dataclasses.dataclass(frozen=True)
class JudgeScores:
    """What a further opinion makes of the same images.

    Attributes:
        target_change: of the judge's own reading of the target, mean over both sides, at the amounts at which the
            labeling networks see `change`; None if it does not measure the target.
        attribute_names: of the judged attributes that it measures, without the target: those that leak.
        leakage: at equal change in the judge's own eyes: divided by its own reading of the target.
        absolute_leakage: likewise.
        leakage_at_labels: at equal change in the labeling networks' eyes: divided by their reading of the target.
        labels_leakage: what the labeling networks say of the same attributes.
        effects: change of each of its attributes, ½ (up − down), at the amounts at which the labeling networks
            see `change`.
        column_effects: the same for each column by itself.
    """

    target_change: Estimate | None
    attribute_names: tuple[str, ...]
    leakage: Estimate | None
    absolute_leakage: Estimate | None
    leakage_at_labels: Estimate | None
    labels_leakage: Estimate | None
    effects: dict[str, Estimate]
    column_effects: dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Curve:
    """How things change along the amounts, means over the pilot's faces. Ascending amounts, 0 among them.

    Attributes:
        amounts: in the method's own unit.
        target_change: of the target.
        off_target: mean over the judged others of |mean change|.
        absolute_off_target: mean over the judged others of the mean |change|.
        identity: distance by each network.
    """

    amounts: Float[np.ndarray, " num_amounts"]
    target_change: Float[np.ndarray, " num_amounts"]
    off_target: Float[np.ndarray, " num_amounts"]
    absolute_off_target: Float[np.ndarray, " num_amounts"]
    identity: dict[str, Float[np.ndarray, " num_amounts"]]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What is seen when a value is asked for in the attribute's own unit.

    Attributes:
        requests: what was asked.
        mean: what the labeling networks see, mean over the pilot's faces.
        low: its 10th percentile over faces.
        high: its 90th percentile over faces.
        mean_absolute_error: mean of |seen − asked| over faces and requests.
    """

    requests: Float[np.ndarray, " num_requests"]
    mean: Float[np.ndarray, " num_requests"]
    low: Float[np.ndarray, " num_requests"]
    high: Float[np.ndarray, " num_requests"]
    mean_absolute_error: Estimate


@dataclasses.dataclass(frozen=True)
class CellScores:
    """One method on one attribute. Pairs are (down, up).

    Attributes:
        method: its name.
        attribute: the target.
        amounts: at which all faces were edited, in the method's own unit.
        target_change: that was achieved there, towards the side: near `change`.
        reached: whether that is at least 80 % of `change`.
        effects: of every measured attribute, at exactly `change` of the target.
        effects_by_side: the same for either side, towards the side.
        leakage: into the other judged attributes.
        leakage_by_side: the same for either side.
        absolute_leakage: likewise.
        leakage_floor: leakage that chance alone would give.
        identity: distance from the unedited face by each network, at exactly `change` of the target.
        perceptual: likewise, or None.
        monotone_share: of the pilot's faces whose target nowhere falls along the slider.
        slider: the positions.
        slider_change: mean change of the target at each.
        curve: leakage and identity against change.
        calibration: where the method takes values in the attribute's own unit.
        judges: further opinions.
    """

    method: str
    attribute: str
    amounts: tuple[float, float]
    target_change: tuple[Estimate, Estimate]
    reached: tuple[bool, bool]
    effects: dict[str, Estimate]
    effects_by_side: dict[str, tuple[Estimate, Estimate]]
    leakage: Estimate
    leakage_by_side: tuple[Estimate, Estimate]
    absolute_leakage: Estimate
    leakage_floor: float
    identity: dict[str, Estimate]
    perceptual: Estimate | None
    monotone_share: Estimate
    slider: tuple[float, ...]
    slider_change: Float[np.ndarray, " num_positions"]
    curve: Curve
    calibration: Calibration | None
    judges: dict[str, JudgeScores]


def resampling_weights(
    num_faces: int, num_resamples: int, seed: int
) -> Float[np.ndarray, "one_and_num_resamples num_faces"]:
    """Weights of the faces in their mean: equal ones in the first row, those of a resample in each other."""
    drawn = np.random.RandomState(seed).multinomial(
        num_faces, np.full(num_faces, 1 / num_faces), num_resamples
    )
    return np.concatenate([np.ones((1, num_faces)), drawn]) / num_faces


@dataclasses.dataclass(frozen=True)
class Sides:
    """Changes of all faces at the two amounts, and what is divided by.

    Attributes:
        weights: of the resamples.
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
    ) -> "Sides":
        """With the target among the names, or with its changes as seen by others."""
        names = tuple(names)
        if isinstance(target, str):
            target = _means(weights, changes[:, :, [names.index(target)]])[:, :, 0]
            target = np.where(target[0] >= _LEAST * change, target, np.nan)
            target = np.where(target > 0, target, np.nan)
        return cls(weights, changes, names, target)

    def means(self) -> Float[np.ndarray, "resamples 2 num_attributes"]:
        """m of every attribute."""
        return _means(self.weights, self.changes)

    def leakage(self, others: Sequence[str]) -> Float[np.ndarray, "resamples 2"]:
        """Of either side."""
        means = _means(self.weights, self._of(others))
        return np.asarray(leakage(self.target, means, np.sign(means[:1])))

    def absolute_leakage(self, others: Sequence[str]) -> Float[np.ndarray, "resamples 2"]:
        """Of either side."""
        return np.asarray(leakage(self.target, _means(self.weights, np.abs(self._of(others)))))

    def floor(self, others: Sequence[str]) -> float:
        """Leakage that chance alone would give: the mean of |N(0, standard error)| is √(2/π) of that error."""
        errors = self._of(others).std(1) / np.sqrt(self.changes.shape[1])
        return float(both_sides(np.sqrt(2 / np.pi) * errors.mean(1)[None] / self.target[:1])[0])

    def _of(self, names: Sequence[str]) -> Float[np.ndarray, "2 num_faces some"]:
        return self.changes[:, :, [self.names.index(name) for name in names]]


def _means(
    weights: Float[np.ndarray, "resamples num_faces"], values: Float[np.ndarray, "2 num_faces num_values"]
) -> Float[np.ndarray, "resamples 2 num_values"]:
    return np.stack([weights @ values[0], weights @ values[1]], axis=1)


def both_sides(values: Float[np.ndarray, "resamples 2"]) -> Float[np.ndarray, " resamples"]:
    """Mean over the sides that have moved; NaN where none has."""
    moved = np.isfinite(values)
    return np.where(moved.any(1), np.where(moved, values, 0).sum(1) / np.maximum(moved.sum(1), 1), np.nan)


def by_side(values: Float[np.ndarray, "resamples 2"]) -> tuple[Estimate, Estimate]:
    """An estimate for either side."""
    return Estimate.of(values[:, 0]), Estimate.of(values[:, 1])


def distance_at_change(sides: Sides, distances: Float[np.ndarray, "2 num_faces"], change: float) -> Estimate:
    """Mean distance from the unedited face, at exactly `change` of the target: as if it grew in proportion."""
    means = _means(sides.weights, np.asarray(distances, np.float64)[:, :, None])[:, :, 0]
    return Estimate.of(both_sides(change * means / sides.target))


def score_judge(
    labels: Sides,
    changes: Float[np.ndarray, "2 num_faces num_columns"],
    columns: Sequence[str],
    attribute_of_column: Sequence[str],
    target: str,
    judged: Sequence[str],
    change: float,
) -> JudgeScores:
    """A judge's scores.

    Args:
        labels: the sides as the labeling networks see them.
        changes: the judge's changes d of each of its columns.
        columns: their names.
        attribute_of_column: the attribute that each stands for.
        target: the target.
        judged: attributes that count.
        change: wanted of the target.
    """
    weights = labels.weights
    names = tuple(dict.fromkeys(attribute_of_column))
    grouped = np.stack(
        [changes[:, :, [a == name for a in attribute_of_column]].mean(2) for name in names], axis=2
    )
    others = tuple(name for name in names if name in judged and name != target)
    at_labels = Sides.make(weights, grouped, names, labels.target, change)
    means, column_means = at_labels.means(), _means(weights, changes)
    own = Sides.make(weights, grouped, names, target, change) if target in names else None
    shared = [name for name in others if name in labels.names]
    return JudgeScores(
        target_change=Estimate.of(means[:, :, names.index(target)].mean(1)) if target in names else None,
        attribute_names=others,
        leakage=Estimate.of(both_sides(own.leakage(others))) if own and others else None,
        absolute_leakage=Estimate.of(both_sides(own.absolute_leakage(others))) if own and others else None,
        leakage_at_labels=Estimate.of(both_sides(at_labels.leakage(others))) if others else None,
        labels_leakage=Estimate.of(both_sides(labels.leakage(shared))) if shared else None,
        effects={name: Estimate.of(means[:, :, i].mean(1)) for i, name in enumerate(names)},
        column_effects={name: Estimate.of(column_means[:, :, i].mean(1)) for i, name in enumerate(columns)},
    )


def monotone_share(
    weights: Float[np.ndarray, "resamples num_faces"], positions: Float[np.ndarray, "num_positions num_faces"]
) -> Estimate:
    """Share of faces whose target falls by no more than the tolerance from one position to the next."""
    monotone = (np.diff(positions, axis=0) >= -MONOTONE_TOLERANCE).all(0)
    return Estimate.of(weights @ monotone.astype(np.float64))


def calibrate(
    weights: Float[np.ndarray, "resamples num_faces"],
    requests: Float[np.ndarray, " num_requests"],
    seen: Float[np.ndarray, "num_requests num_faces"],
) -> Calibration:
    """What is seen of what was asked, in the attribute's own unit."""
    seen = np.asarray(seen, np.float64)
    errors = np.abs(seen - requests[:, None]).mean(0)
    low, high = np.percentile(seen, [10, 90], axis=1)
    return Calibration(
        np.asarray(requests, np.float64), seen.mean(1), low, high, Estimate.of(weights @ errors)
    )


def curve_of(
    amounts: Float[np.ndarray, " num_amounts"],
    changes: Float[np.ndarray, "num_amounts num_faces num_attributes"],
    identity: Mapping[str, Float[np.ndarray, "num_amounts num_faces"]],
    target: int,
    others: Sequence[int],
) -> Curve:
    """The curve of measured amounts, to which that of no edit is added."""
    amounts = np.append(amounts, 0.0)
    order = np.argsort(amounts, kind="stable")

    def with_zero(values: np.ndarray) -> np.ndarray:
        return np.append(values, 0.0)[order]

    means = changes.mean(1)
    return Curve(
        amounts[order],
        with_zero(means[:, target]),
        with_zero(np.abs(means[:, list(others)]).mean(1)),
        with_zero(np.abs(changes[:, :, list(others)]).mean((1, 2))),
        {name: with_zero(distances.mean(1)) for name, distances in identity.items()},
    )
