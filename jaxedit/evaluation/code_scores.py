"""DCI, MIG and SAP of editing methods: how far each attribute has one code of a method's own.

The scores of `disentanglement` need codes, one number for each attribute of each face. Axes have an encoder, which
gives them. Any other method has the moves that it makes: with m_i the mean over faces of ½ (edit(w, i, +1) −
edit(w, i, −1)), the code of attribute i is the position along it,

    c_i(w) = ⟨w, m_i⟩ / ⟨m_i, m_i⟩,

in W+ with w repeated for each layer. For a straight direction that is the projection by which InterFaceGAN reads an
attribute off its boundary. The factors are the positions of the unedited faces by the labeling networks.

All methods are scored on the same faces and on the attributes that all of them move, since DCI depends on the number of
codes. Two rows tell what a score is worth: the labels as their own codes, and the labels of other faces, which is
chance.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.evaluation.config import EvaluationRequest
from jaxedit.evaluation.disentanglement import (
    dci,
    mutual_information_gap,
    separated_attribute_predictability,
)
from jaxedit.evaluation.in_places import PlacedMethod
from jaxedit.evaluation.methods import AxesMethod, EditingMethod
from jaxedit.evaluation.readings import method_unit
from jaxedit.evaluation.thumbnails import padded_batches
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import RunFolder

SCORES = ("disentanglement", "completeness", "informativeness", "mig", "sap")
"""Names of the scores: the three of DCI, MIG and SAP."""

LABELS, CHANCE = "the labels", "chance"
"""Names of the rows that belong to no method."""

LEAST_FACES = 40
"""Faces below which nothing is scored: MIG cuts them into 20 bins, and DCI into two halves."""

_FACES_OF_MOVES = 64
"""Faces over which the moves of a method are averaged."""


@dataclasses.dataclass(frozen=True)
class CodeScores:
    """DCI, MIG and SAP of all methods.

    Attributes:
        attributes: those whose codes were scored.
        rows: the numbers by their names in `SCORES`, by the method, `LABELS` or `CHANCE`.
    """

    attributes: tuple[str, ...]
    rows: dict[str, dict[str, float]]


def score_codes(
    codes: Float[Array | np.ndarray, "num_samples num_codes"],
    labels: Float[Array | np.ndarray, "num_samples num_factors"],
) -> dict[str, float]:
    """DCI, MIG and SAP, by their names in `SCORES`.

    DCI fits its regressions on the first half of the samples and measures the informativeness on the second.

    Raises:
        InputError: as `dci`.
    """
    middle = len(codes) // 2
    found = dci(codes[:middle], labels[:middle], codes[middle:], labels[middle:])
    gaps = mutual_information_gap(codes, labels), separated_attribute_predictability(codes, labels)
    return dict(zip(SCORES, map(float, [*found[:3], *gaps]), strict=True))


def codes_of(
    method: EditingMethod,
    w: Float[np.ndarray, "num_faces w_dim"],
    attributes: Sequence[str],
    *,
    batch_size: int,
) -> Float[np.ndarray, "num_faces num_attributes"]:
    """The codes of latents by a method: those of its encoder, or positions along its mean moves.

    Args:
        method: axes, or any other method; of one that draws at places, that which moves the latents.
        w: latents of W.
        attributes: some that it moves.
        batch_size: latents at once.
    """
    method = method.method if isinstance(method, PlacedMethod) else method
    if isinstance(method, AxesMethod):
        columns = [method.axes.attribute_names.index(name) for name in attributes]
        return np.asarray(method.axes.encode(w), np.float32)[:, columns]
    codes = []
    for name in attributes:
        move = _mean_move(method, w[:_FACES_OF_MOVES], name, batch_size)
        along = move if move.ndim == 1 else move.sum(0)  # ⟨repeated w, move⟩ = ⟨w, sum over layers⟩
        codes.append(w.astype(np.float64) @ along / max(float((move**2).sum()), np.finfo(np.float32).tiny))
    return np.stack(codes, 1).astype(np.float32)


def _mean_move(
    method: EditingMethod, w: Float[np.ndarray, "num_faces w_dim"], attribute: str, batch_size: int
) -> Float[np.ndarray, "*layers w_dim"]:
    """Half of the mean difference between the edits by +1 and by −1."""
    moves = []
    for rows, some in padded_batches(w, min(batch_size, len(w))):
        ones = jnp.ones(len(some), jnp.float32)
        up, down = (np.asarray(method.edit(some, attribute, side * ones), np.float64) for side in (1, -1))
        moves.append((up - down)[: rows.stop - rows.start] / 2)
    mean: np.ndarray = np.concatenate(moves).mean(0)
    return mean


def keep_codes(
    run: RunFolder,
    request: EvaluationRequest,
    method: EditingMethod,
    w: Float[np.ndarray, "num_faces w_dim"],
    batch_size: int,
) -> None:
    """Keep the codes of the unedited faces by a method. Nothing is rendered for them, so they are made each time.

    Raises:
        OutputError: if the file cannot be written.
    """
    asked = {*request.leakage_attributes, *request.targets} & set(method.attribute_names)
    names = [name for name in request.measured if name in asked]
    codes = codes_of(method, w, names, batch_size=batch_size)
    columns = np.array([request.measured.index(name) for name in names], np.float32)
    run.write(method_unit(method.name, "codes"), {"codes": codes, "columns": columns}, compressed=True)


def load_code_scores(
    run: RunFolder, request: EvaluationRequest, positions: Float[np.ndarray, "num_faces num_attributes"]
) -> CodeScores | None:
    """The scores of all methods whose codes are there.

    Args:
        run: the folder.
        request: what was asked for.
        positions: of the unedited faces by the labeling networks, in standard deviations.

    Returns:
        The scores; None for fewer than `LEAST_FACES` faces, or if there are not two attributes of which all methods
        have codes. A method that moves one attribute alone is passed over, and so is one whose codes are not finite.
    """
    arrays = {
        "codes": ArrayOf("f", (request.num_faces, "columns")),
        "columns": ArrayOf("f", ("columns",), is_finite=True),
    }
    codes = {}
    for method in request.methods:
        unit = run.read(method_unit(method, "codes"), arrays=arrays)
        if unit is None or not np.isfinite(unit["codes"]).all():
            continue
        columns = unit["columns"].astype(int).tolist()
        if len(columns) >= 2:
            codes[method] = dict(zip(columns, unit["codes"].T, strict=True))
    return score_methods(codes, positions, request.measured)


def score_methods(
    codes: Mapping[str, Mapping[int, Float[np.ndarray, " num_faces"]]],
    positions: Float[np.ndarray, "num_faces num_attributes"],
    names: Sequence[str],
) -> CodeScores | None:
    """The scores of methods on the attributes that all of them have; None where there is nothing to score.

    Args:
        codes: by method and column of the attribute.
        positions: of the same faces, in standard deviations.
        names: of the columns.
    """
    shared = [i for i in range(len(names)) if codes and all(i in mine for mine in codes.values())]
    if len(shared) < 2 or len(positions) < LEAST_FACES:
        return None
    labels = positions[:, shared].astype(np.float32)
    of_others = np.roll(labels, len(labels) // 2 + 1, axis=0)
    rows = {LABELS: labels} | {m: np.stack([mine[i] for i in shared], 1) for m, mine in codes.items()}
    rows[CHANCE] = of_others
    return CodeScores(
        tuple(names[i] for i in shared), {name: score_codes(found, labels) for name, found in rows.items()}
    )
