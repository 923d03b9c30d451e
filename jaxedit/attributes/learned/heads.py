"""Heads of a learned classifier: ridge regressions on the features of a few marked images.

With K = Σ_r X_r X_rᵀ / mean diagonal over the chosen regions r, marks y and weights ω that give both classes one half,

    α = √ω (√ω K √ω + λ I)⁻¹ √ω (y − ȳ),      score(x) = Σ_r x_r · X_rᵀ α

(dual ridge regression; there are fewer marks than features). Regions and λ are chosen by cross-validation, on so many
marks at most that this takes seconds. The scores of images that a fit has not seen calibrate the head: by a logistic
curve (Platt, *Probabilistic Outputs for Support Vector Machines*, 1999) for attributes that are there or not, by a
straight line for graded ones.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxedit.errors import InputError

_LAMBDAS = (0.1, 0.3, 1.0, 3.0, 10.0)
_FOLDS = 5
_CHOSEN_ON = 1200
"""Marks at most on which regions and λ are chosen."""
LEAST_OF_A_KIND = 5
"""Marks of each of two values, at least."""


@dataclasses.dataclass(frozen=True)
class Head:
    """How well an attribute was learned; all figures are of images that the fit has not seen.

    Attributes:
        name: of the attribute.
        is_binary: whether the attribute is there or not; else it is graded.
        num_marks: images with a known value.
        regions: that the attribute is read off.
        ridge: λ.
        quality: area under the ROC curve, or the correlation with the marks for a graded attribute.
        predicted: probabilities, or levels, of the marked images, in the order of `marked`.
        marked: rows of the marked images.
        marks: their marks.
        qualities: where images are of several kinds, the quality of each and its number of marks. NaN where all marks
            of a kind are the same.
    """

    name: str
    is_binary: bool
    num_marks: int
    regions: tuple[str, ...]
    ridge: float
    quality: float
    predicted: Float[np.ndarray, " num_marks"]
    marked: Int[np.ndarray, " num_marks"]
    marks: Float[np.ndarray, " num_marks"]
    qualities: Mapping[str, tuple[float, int]] = dataclasses.field(default_factory=dict)

    def doubtful(self, count: int = 20) -> list[int]:
        """Rows whose mark and prediction differ most, the most doubtful first."""
        spread = 1.0 if self.is_binary else max(float(np.std(self.marks)), 1e-9)
        order = np.argsort(-np.abs(self.predicted - self.marks) / spread, kind="stable")
        return [int(row) for row in self.marked[order[:count]]]

    def reliability(self, bins: int = 5) -> list[tuple[float, float, int]]:
        """Of equal bins of the predictions: mean prediction, mean mark, number of images; empty bins are left out."""
        low, high = float(self.predicted.min()), float(self.predicted.max())
        edges = np.linspace(0.0 if self.is_binary else low, 1.0 if self.is_binary else high, bins + 1)
        which = np.clip(np.searchsorted(edges, self.predicted, side="right") - 1, 0, bins - 1)
        return [
            (
                float(self.predicted[which == i].mean()),
                float(self.marks[which == i].mean()),
                int((which == i).sum()),
            )
            for i in range(bins)
            if (which == i).any()
        ]


@dataclasses.dataclass(frozen=True)
class FittedHead:
    """A head and its weights: `weights[region] @ features + bias` is the calibrated value."""

    head: Head
    weights: Mapping[str, Float[np.ndarray, " num_features"]]
    bias: float


class Kernels:
    """Products of the features of all marked images, by region.

    Args:
        features: of each region, [num_images, num_features].
    """

    def __init__(self, features: Mapping[str, np.ndarray]) -> None:
        self.features = features
        self.means: dict[str, np.ndarray] = {}
        self.scales: dict[str, float] = {}
        self.products: dict[str, np.ndarray] = {}
        for name, x in features.items():
            mean = x.mean(0, dtype=np.float64).astype(np.float32)
            centered = x.astype(np.float32) - mean
            product = centered @ centered.T
            scale = float(np.trace(product)) / len(product)
            self.means[name], self.scales[name] = mean, max(scale, 1e-12)
            self.products[name] = product / self.scales[name]

    def of(self, regions: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """The kernel of some rows, float64, with a mean diagonal of about 1."""
        grid = np.ix_(rows, rows)
        return np.asarray(np.mean([self.products[name][grid] for name in regions], axis=0, dtype=np.float64))

    def weights(
        self, regions: Sequence[str], rows: np.ndarray, dual: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float]:
        """Weights of the features, and the bias, of the score K α."""
        weights, bias = {}, 0.0
        for name in regions:
            # Rows that were not marked have a dual weight of 0.
            x = self.features[name][rows].astype(np.float32) - self.means[name]
            weights[name] = (dual.astype(np.float32) @ x / (self.scales[name] * len(regions))).astype(
                np.float32
            )
            bias -= float(weights[name] @ self.means[name])
        return weights, bias


def fit_head(
    kernels: Kernels,
    marks: Float[np.ndarray, " num_images"],
    name: str,
    *,
    is_binary: bool,
    seed: int = 0,
    groups: Int[np.ndarray, " num_images"] | None = None,
    kinds: Sequence[str] = (),
) -> FittedHead:
    """Learn one attribute.

    Args:
        kernels: of all images.
        marks: of each image; NaN where it is unknown.
        name: of the attribute.
        is_binary: whether marks are 0 and 1.
        seed: of the folds.
        groups: number of the group of each image: images of one face say little of each other, so that one fold has all
            of a group. None: each image is alone.
        kinds: of each image; the quality of each kind is told apart. Empty: all are of one.

    Raises:
        InputError: if fewer than five images have each of two values.
    """
    rows = np.flatnonzero(np.isfinite(marks))
    y = marks[rows].astype(np.float64)
    check_marks(y, name, is_binary)
    rng = np.random.default_rng(seed)
    folds = _folds(y, rng, np.arange(len(y)) if groups is None else np.asarray(groups)[rows])
    some = np.sort(rng.permutation(len(rows))[:_CHOSEN_ON])
    regions, ridge = _choose(kernels, rows[some], y[some], folds[some], is_binary)
    kernel = kernels.of(regions, rows)
    scores = _held_out_scores(kernel, y, folds, ridge, is_binary)
    slope, offset = _logistic(scores, y) if is_binary else _line(scores, y)
    dual = _solve(kernel, y, ridge, is_binary)
    weights, bias = kernels.weights(regions, rows, dual)
    values = slope * scores + offset
    head = Head(
        name=name,
        is_binary=is_binary,
        num_marks=len(rows),
        regions=tuple(regions),
        ridge=ridge,
        quality=quality_of(scores, y, is_binary),
        predicted=1 / (1 + np.exp(-values)) if is_binary else values,
        marked=rows,
        marks=y,
        qualities=qualities_of(scores, y, [kinds[int(row)] for row in rows] if kinds else [], is_binary),
    )
    return FittedHead(head, {n: slope * w for n, w in weights.items()}, slope * bias + offset)


def check_marks(y: Float[np.ndarray, " num_marks"], name: str, is_binary: bool) -> None:
    """Raise unless the known marks of an attribute are enough to learn from.

    Raises:
        InputError: if fewer than five images have each of two values.
    """
    values, counts = np.unique(y, return_counts=True)
    if is_binary and not set(values) <= {0.0, 1.0}:
        raise InputError(f"marks of {name!r}: expected 0 and 1, got {values.tolist()}")
    enough = int((counts >= LEAST_OF_A_KIND).sum())
    if enough < 2:
        found = (
            ", ".join(f"{value:g}: {count}" for value, count in zip(values, counts, strict=True)) or "none"
        )
        raise InputError(
            f"marks of {name!r}: expected {LEAST_OF_A_KIND} images or more of each of two values, got {found}; "
            "mark more images"
        )


def _folds(y: np.ndarray, rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """The fold of each mark; rare values are spread over all folds."""
    _, group = np.unique(groups, return_inverse=True)
    means = np.bincount(group, y) / np.bincount(group)
    order = np.lexsort((rng.random(len(means)), means))
    folds = np.empty(len(means), int)
    folds[order] = np.arange(len(means)) % _FOLDS
    return folds[group]


def _choose(
    kernels: Kernels, rows: np.ndarray, y: np.ndarray, folds: np.ndarray, is_binary: bool
) -> tuple[tuple[str, ...], float]:
    """Regions and λ of the best cross-validated quality; of equal ones the first."""
    best: tuple[float, tuple[str, ...], float] | None = None
    for regions in _candidates(tuple(kernels.products)):
        kernel = kernels.of(regions, rows)
        for ridge in _LAMBDAS:
            quality = quality_of(_held_out_scores(kernel, y, folds, ridge, is_binary), y, is_binary)
            if best is None or quality > best[0]:
                best = (quality, regions, ridge)
    assert best is not None
    return best[1], best[2]


def _candidates(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each region alone, each pair with the first one (the whole image), both ears together, and all."""
    pairs = [(names[0], name) for name in names[1:]]
    sides = [(a, b) for a, b in itertools.combinations(names, 2) if a.split()[-1] == b.split()[-1]]
    return list(
        dict.fromkeys([*((name,) for name in names), *pairs, *sides, *((names[0], *s) for s in sides), names])
    )


def _held_out_scores(
    kernel: np.ndarray, y: np.ndarray, folds: np.ndarray, ridge: float, is_binary: bool
) -> np.ndarray:
    """The score of each image by the fit to the other folds."""
    scores = np.zeros(len(y))
    for fold in range(_FOLDS):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(held) and len(np.unique(y[rest])) > 1:
            dual = _solve(kernel[np.ix_(rest, rest)], y[rest], ridge, is_binary)
            scores[held] = kernel[np.ix_(held, rest)] @ dual
    return scores


def _solve(kernel: np.ndarray, y: np.ndarray, ridge: float, is_binary: bool) -> np.ndarray:
    """α, so that K α are the scores."""
    weight = np.ones(len(y))
    if is_binary:
        share = y.mean()
        weight = np.where(y > 0, 0.5 / share, 0.5 / (1 - share))
    root = np.sqrt(weight)
    center = (weight * y).sum() / weight.sum()
    system = kernel * root[:, None] * root
    system[np.diag_indices_from(system)] += ridge
    return root * np.linalg.solve(system, root * (y - center))


def quality_of(
    scores: Float[np.ndarray, " num_marks"], y: Float[np.ndarray, " num_marks"], is_binary: bool
) -> float:
    """Area under the ROC curve of marks of 0 and 1, or correlation with graded ones; NaN if all are the same."""
    if len(np.unique(y)) < 2:
        return float("nan")
    if not is_binary:
        return float(np.corrcoef(scores, y)[0, 1]) if np.std(scores) > 0 else 0.0
    # The share of pairs (one with, one without) whose scores are in the right order; ties count one half.
    ordered = np.sort(scores[y == 0])
    found = scores[y > 0]
    below = np.searchsorted(ordered, found, side="left") + np.searchsorted(ordered, found, side="right")
    return float(below.mean() / (2 * len(ordered)))


def qualities_of(
    scores: Float[np.ndarray, " num_marks"],
    y: Float[np.ndarray, " num_marks"],
    kinds: Sequence[str],
    is_binary: bool,
) -> dict[str, tuple[float, int]]:
    """The quality and the number of marks of each kind of images."""
    of = np.asarray(kinds)
    return {
        kind: (quality_of(scores[of == kind], y[of == kind], is_binary), int((of == kind).sum()))
        for kind in dict.fromkeys(kinds)
    }


def _logistic(scores: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset of P(y = 1) = σ(slope · score + offset), by Newton's method on Platt's smoothed targets."""
    positive = y.sum()
    targets = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (len(y) - positive + 2))
    spread = max(float(scores.std()), 1e-12)
    design = np.stack([scores / spread, np.ones(len(y))], axis=1)
    beta = np.array([1.0, np.log(targets.mean() / (1 - targets.mean()))])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (targets - p))
        beta = beta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return float(beta[0] / spread), float(beta[1])


def _line(scores: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the least-squares line."""
    slope = float(np.cov(scores, y, bias=True)[0, 1] / max(float(scores.var()), 1e-12))
    return slope, float(y.mean() - slope * scores.mean())
