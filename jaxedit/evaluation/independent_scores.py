"""Scores by networks that no method has learned from, on the images that the labeling networks read, too."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxedit.evaluation.statistics import Estimate, FaceChanges, both_sides, mean_changes


@dataclasses.dataclass(frozen=True)
class IndependentScores:
    """Scores by a group of independent networks, on the same images.

    Attributes:
        target_change: change of the target as these networks read it, mean over both sides, at the amounts at which
            the labeling networks read `change`; None if they do not measure the target.
        attribute_names: the other attributes that they measure.
        leakage: at equal change as these networks read it: divided by their own reading of the target.
        absolute_leakage: absolute leakage, likewise.
        leakage_at_labels: at equal change as the labeling networks read it: divided by their reading of the target.
        labels_leakage: leakage into the same attributes by the labeling networks.
        effects: change of each of their attributes, ½ (up − down), at the amounts at which the labeling networks read
            `change`.
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


def score_independent(
    labels: FaceChanges,
    changes: Float[np.ndarray, "2 num_faces num_columns"],
    columns: Sequence[str],
    attribute_of_column: Sequence[str],
    target: str,
    leakage_attributes: Sequence[str],
    change: float,
) -> IndependentScores:
    """The scores by a group of independent networks.

    Args:
        labels: changes as the labeling networks read them.
        changes: the group's changes d of each of its columns.
        columns: their names.
        attribute_of_column: the attribute that each stands for.
        target: the target.
        leakage_attributes: attributes whose change counts as leakage.
        change: wanted of the target.
    """
    weights = labels.weights
    names = tuple(dict.fromkeys(attribute_of_column))
    grouped = np.stack(
        [changes[:, :, [a == name for a in attribute_of_column]].mean(2) for name in names], axis=2
    )
    others = tuple(name for name in names if name in leakage_attributes and name != target)
    at_labels = FaceChanges.make(weights, grouped, names, labels.target, change)
    means, column_means = at_labels.means(), mean_changes(weights, changes)
    own = FaceChanges.make(weights, grouped, names, target, change) if target in names else None
    shared = [name for name in others if name in labels.names]
    return IndependentScores(
        target_change=Estimate.of(means[:, :, names.index(target)].mean(1)) if target in names else None,
        attribute_names=others,
        leakage=Estimate.of(both_sides(own.leakage(others))) if own and others else None,
        absolute_leakage=Estimate.of(both_sides(own.absolute_leakage(others))) if own and others else None,
        leakage_at_labels=Estimate.of(both_sides(at_labels.leakage(others))) if others else None,
        labels_leakage=Estimate.of(both_sides(labels.leakage(shared))) if shared else None,
        effects={name: Estimate.of(means[:, :, i].mean(1)) for i, name in enumerate(names)},
        column_effects={name: Estimate.of(column_means[:, :, i].mean(1)) for i, name in enumerate(columns)},
    )
