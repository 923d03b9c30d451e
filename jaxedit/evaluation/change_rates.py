"""Change rates: the curves by which the literature compares edits, over the strength of the edit.

Yao, Newson, Gousseau and Hellier (*A Latent Transformer for Disentangled Face Editing in Images and Videos*, ICCV 2021)
edit each image towards the other class of a target, at strengths that grow from 0, and report at each strength

- the target change rate (TCR): the share of images whose target has changed its class;
- the attribute preservation rate (APR): the share of the other attributes, over all images, that keep theirs;
- the identity preservation score (IPS): the mean cosine similarity of identity descriptors before and after.

A method is good whose APR and IPS stay high while its TCR grows.

Classes there are those of binary classifiers. The attributes here are continuous, so a class is one of the halves of
unedited faces, above and below the median, which is 0 in standard deviations. No further threshold enters. A strength
there is a factor in the method's own unit. Here it is a multiple of the amount of equal change of that side, as on the
slider, so that strengths of different methods mean the same.

With T_j the quantile-transformed networks, G the generator, w the latent of a face, u = +1 where T_t(G(w)) ≤ 0 and −1
elsewhere, w(u, s) the latent edited to the side u by the strength s, and D the descriptors,

    TCR(s) = mean over faces of                [T_t(G(w(u, s))) > 0] ≠ [T_t(G(w)) > 0]
    APR(s) = mean over faces and other j ≠ t of [T_j(G(w(u, s))) > 0] = [T_j(G(w)) > 0]
    IPS(s) = mean over faces of                cos(D(G(w(u, s))), D(G(w)))

The median of an attribute that few faces have, such as glasses, lies among faces without it: its TCR says little.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxedit.evaluation.readings import Readings, similarity_key
from jaxedit.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True)
class RateCurve:
    """Rates along the strength, over the pilot's faces. At strength 0 nothing has changed.

    Attributes:
        strengths: multiples of the amount of equal change.
        target_change: TCR.
        attribute_preservation: APR.
        identity_preservation: IPS by each network whose similarities were read.
    """

    strengths: tuple[float, ...]
    target_change: Float[np.ndarray, " num_strengths"]
    attribute_preservation: Float[np.ndarray, " num_strengths"]
    identity_preservation: dict[str, Float[np.ndarray, " num_strengths"]]


@dataclasses.dataclass(frozen=True)
class ChangeRates:
    """Rates of one method on one target.

    Attributes:
        target_change: TCR of all faces at strength 1, the amount of equal change.
        attribute_preservation: APR, likewise.
        identity_preservation: IPS, likewise, by each network whose similarities were read.
        curve: all three along the strength.
    """

    target_change: Estimate
    attribute_preservation: Estimate
    identity_preservation: dict[str, Estimate]
    curve: RateCurve


@dataclasses.dataclass(frozen=True)
class EditedSides:
    """Readings of the same faces at one strength, edited down and up.

    Attributes:
        positions: (down, up), in standard deviations.
        similarity: cosine to the unedited face by each network, likewise.
    """

    positions: Float[np.ndarray, "2 num_faces num_attributes"]
    similarity: Mapping[str, Float[np.ndarray, "2 num_faces"]]


def change_rates_of_faces(
    before: Float[np.ndarray, "num_faces num_attributes"],
    sides: EditedSides,
    target: int,
    others: Sequence[int],
) -> tuple[
    Float[np.ndarray, " num_faces"],
    Float[np.ndarray, " num_faces"],
    dict[str, Float[np.ndarray, " num_faces"]],
]:
    """TCR, APR and IPS of each face, edited towards the other class of the target.

    Args:
        before: positions of the unedited faces, in standard deviations.
        sides: the same faces, edited.
        target: column of the target.
        others: columns of the other attributes, one or more.

    Examples:
        >>> import numpy as np
        >>> before = np.array([[-0.5, 1.0, 0.2]])  # goes up, since its target lies below the median
        >>> down, up = np.array([[-1.5, 1.0, 0.2]]), np.array([[0.4, 0.9, -0.1]])
        >>> sides = EditedSides(np.stack([down, up]), {"identity": np.array([[0.9], [0.8]])})
        >>> changed, preserved, similarity = change_rates_of_faces(before, sides, 0, [1, 2])
        >>> changed.tolist(), preserved.tolist(), similarity["identity"].tolist()
        ([1.0], [0.5], [0.8])
    """
    goes_up = (before[:, target] <= 0).astype(int)
    faces = np.arange(len(before))
    was, now = before > 0, sides.positions[goes_up, faces] > 0
    kept: Bool[np.ndarray, "num_faces num_others"] = (was == now)[:, list(others)]
    return (
        (was[:, target] != now[:, target]).astype(np.float64),
        kept.mean(1),
        {name: values[goes_up, faces] for name, values in sides.similarity.items()},
    )


def score_change_rates(
    before: Float[np.ndarray, "num_faces num_attributes"],
    at_change: EditedSides,
    along: Mapping[float, EditedSides],
    target: int,
    others: Sequence[int],
    weights: Float[np.ndarray, "resamples num_faces"],
) -> ChangeRates:
    """The rates of one method on one target.

    Args:
        before: positions of all unedited faces, in standard deviations.
        at_change: all faces at the amounts of equal change.
        along: the first faces, the pilot's, at each strength of the curve.
        target: column of the target.
        others: columns of the other attributes.
        weights: of the faces in each resample.
    """
    changed, preserved, similarity = change_rates_of_faces(before, at_change, target, others)
    rows = []
    for strength in sorted(along):
        pilot = before[: along[strength].positions.shape[1]]
        rows.append((strength, *change_rates_of_faces(pilot, along[strength], target, others)))
    names = [name for name in similarity if all(name in row[3] for row in rows)]
    return ChangeRates(
        target_change=Estimate.of(weights @ changed),
        attribute_preservation=Estimate.of(weights @ preserved),
        identity_preservation={name: Estimate.of(weights @ values) for name, values in similarity.items()},
        curve=RateCurve(
            strengths=(0.0, *(row[0] for row in rows)),
            target_change=np.array([0.0, *(row[1].mean() for row in rows)]),
            attribute_preservation=np.array([1.0, *(row[2].mean() for row in rows)]),
            identity_preservation={
                name: np.array([1.0, *(row[3][name].mean() for row in rows)]) for name in names
            },
        ),
    )


def edited_sides(
    readings: Readings,
    positions: Float[np.ndarray, "num_amounts num_faces num_attributes"],
    rows: tuple[int, int],
    networks: Sequence[str],
    num_faces: int | None = None,
) -> EditedSides:
    """Two amounts of a stage as the sides of one strength.

    Args:
        readings: of the stage. Those of earlier versions hold no similarities, and damaged ones are left out.
        positions: its values, in standard deviations.
        rows: of the amounts (down, up).
        networks: the identity networks.
        num_faces: how many of its faces; by default all.
    """
    index = list(rows)
    similarity = {}
    for name in networks:
        cosines = np.asarray(readings.get(similarity_key(name), np.nan))
        if cosines.shape == positions.shape[:2] and np.isfinite(cosines).all():
            similarity[name] = cosines[index, :num_faces].astype(np.float64)
    return EditedSides(positions[index, :num_faces], similarity)
