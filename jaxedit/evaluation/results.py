"""The result of an evaluation: the scores of all methods, as an object, as JSON and as text."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.errors import InputError
from jaxedit.evaluation.code_scores import CodeScores, load_code_scores
from jaxedit.evaluation.config import EvaluationRequest
from jaxedit.evaluation.readings import load_folder
from jaxedit.evaluation.scores import REACHED, CellScores, Scorer
from jaxedit.evaluation.statistics import Estimate
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.runs import RunFolder

RESULT_FILE = "evaluation.json"

DEFINITIONS = {
    "unit": "All changes are in standard deviations of an attribute over unedited faces, after a monotone map to a "
    "normal distribution, fitted for each network by itself.",
    "equal change": "Each method moves each face by the amount at which the target's mean change, as the labeling "
    "networks read it, is ± `change`. Either side has an amount of its own. What is missing to `change` is made good "
    "by division.",
    "leakage": "Mean over the other attributes of |mean change over faces|, divided by the mean change of the target; "
    "taken for each side, then the mean of both sides.",
    "absolute_leakage": "The same with the mean over faces of |change|. It also counts changes in opposite ways on "
    "different faces, and noise of the networks.",
    "leakage_floor": "The leakage that chance would give on so few faces if nothing leaked.",
    "effects": "Change of each attribute, ½ (up − down), at exactly `change` of the target.",
    "identity": "Mean distance of identity descriptors between edited and unedited face, scaled in proportion to "
    "exactly `change` of the target; mean of both sides.",
    "perceptual": "Mean perceptual distance (LPIPS) between edited and unedited image at up to 256², scaled likewise.",
    "background": "Outside the person in both images, and some margin: `psnr` in dB (from the mean squared change over "
    "the background of all faces) and `perceptual` (LPIPS of images that differ in their background alone, divided by "
    "its share of the image), scaled likewise. `share` is that share.",
    "monotone_share": "Share of faces whose target nowhere falls by more than 0.02 standard deviations between "
    "neighboring positions −2, −1.5, …, 2 of a slider of which ±1 are the amounts of equal change.",
    "rates": "Numbers of Yao et al. (ICCV 2021). Each face is edited towards the other class of the target; classes "
    "are the halves of unedited faces above and below the median. `target_change` (TCR): share of faces whose target "
    "changed its class. `attribute_preservation` (APR): share of the other attributes, over all faces, that keep "
    "theirs. `identity_preservation` (IPS): mean cosine of identity descriptors, edited to unedited; it lacks where "
    "an earlier version read the images. At the amounts of equal change, on all faces; `curve`: along multiples of "
    "these amounts, on the faces of the pilot.",
    "codes": "DCI (disentanglement, completeness, informativeness), MIG and SAP of codes of the unedited faces: those "
    "of the encoder of axes, of other methods the positions along their mean moves, on the attributes that all methods "
    "move. `the labels`: the labels as their own codes; `chance`: those of other faces.",
    "calibration": "A value is asked for in the attribute's own unit, and compared with the reading of the labeling "
    "networks.",
    "independent": "The same images, read by networks that no method has learned from. `leakage` divides by their own "
    "reading of the target (equal change as they read it), `leakage_at_labels` by that of the labeling networks; "
    "`labels_leakage` is the leakage into the same attributes by the labeling networks. Their standard deviations come "
    "from the unedited faces evaluated here, with their reference values where there are any.",
    "interval": "95 % percentile intervals over resampled faces. The resamples are the same for all methods.",
    "reached": f"Whether the target changed by at least {REACHED:g} of `change` on that side, (down, up).",
}
"""What the numbers mean, in words."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of methods on targets at equal target change.

    Attributes:
        run: the folder of the readings.
        request: what was asked for.
        cells: scores by (method, target). An interrupted evaluation has those that are complete.
        codes: DCI, MIG and SAP; None on few faces, or of an earlier version.
    """

    run: RunFolder
    request: EvaluationRequest
    cells: Mapping[tuple[str, str], CellScores]
    codes: CodeScores | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "Evaluation":
        """Compute the scores from the readings in a folder, finished or not.

        Raises:
            InputError: if the folder holds no evaluation, or the unedited faces have not been read.
        """
        run = load_folder(folder)
        try:
            request = EvaluationRequest(**run.request)
        except TypeError as error:
            raise InputError(f"{run.path}: damaged: {error}; give another folder") from error
        scorer = Scorer(run, request)
        cells = {}
        for method, targets in request.methods.items():
            for target in targets:
                scores = scorer.score(method, target)
                if scores is not None:
                    cells[method, target] = scores
        return cls(run, request, cells, load_code_scores(run, request, scorer.unedited_positions))

    @property
    def folder(self) -> Path:
        """The folder of the readings and of all that is written beside them."""
        return self.run.path

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that have scores on one target or more."""
        return tuple(m for m in self.request.methods if any(m == method for method, _ in self.cells))

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets on which one method or more has scores."""
        return tuple(a for a in self.request.targets if any(a == attribute for _, attribute in self.cells))

    def shared_targets(self) -> tuple[str, ...]:
        """Targets on which every method has scores: only means over these are comparable."""
        return tuple(a for a in self.targets if all((m, a) in self.cells for m in self.methods))

    def mean(self, method: str, score: str, attributes: Sequence[str] | None = None) -> Estimate:
        """Mean of a score ("leakage", "absolute_leakage", "monotone_share") over targets.

        Args:
            method: its name.
            score: name of an `Estimate` of `CellScores`.
            attributes: the targets, by default those on which every method has scores.
        """
        chosen = self.shared_targets() if attributes is None else attributes
        return Estimate.mean([getattr(self.cells[method, attribute], score) for attribute in chosen])

    def to_json(self) -> dict[str, Any]:
        """All numbers, with their definitions in words; NaN is null."""
        content: dict[str, Any] = {
            "definitions": DEFINITIONS,
            "request": dataclasses.asdict(self.request),
            "results": [_plain(cell) for cell in self.cells.values()],
        }
        if self.codes is not None:
            content["codes"] = _plain(self.codes)
        shared = self.shared_targets()
        if shared:
            content["means"] = {
                "over": list(shared),
                **{
                    method: {
                        score: _plain(self.mean(method, score))
                        for score in ("leakage", "absolute_leakage", "monotone_share")
                    }
                    for method in self.methods
                },
            }
        return content

    def save(self) -> Path:
        """Write `evaluation.json` into the folder.

        Raises:
            OutputError: if it cannot be written.
        """
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        return write_atomically(self.folder / RESULT_FILE, (text + "\n").encode())

    def summary(self) -> str:
        """The main numbers as a table of text."""
        perceptual = ("perceptual",) if self.request.has_perceptual else ()
        background = ("background PSNR",) if self.request.background_keys else ()
        rows = [
            (
                "method",
                "attribute",
                "change −/+",
                "leakage",
                "absolute",
                "identity",
                *perceptual,
                *background,
                "monotone",
                "TCR",
                "APR",
                *(["IPS"] if any(cell.rates.identity_preservation for cell in self.cells.values()) else []),
            )
        ]
        for (method, attribute), cell in self.cells.items():
            identity = next(iter(cell.identity.values()), None)
            similarity = next(iter(cell.rates.identity_preservation.values()), None)
            down, up = (e.value for e in cell.target_change)
            rows.append(
                (
                    method,
                    attribute,
                    f"{down:.2f}/{up:.2f}" + ("" if all(cell.reached) else " not reached"),
                    f"{cell.leakage.value:.3f} [{cell.leakage.low:.3f}, {cell.leakage.high:.3f}]",
                    f"{cell.absolute_leakage.value:.3f}",
                    "–" if identity is None else f"{identity.value:.3f}",
                    *([] if cell.perceptual is None else [f"{cell.perceptual.value:.3f}"]),
                    *([] if cell.background is None else [f"{cell.background.psnr.value:.1f} dB"]),
                    f"{100 * cell.monotone_share.value:.0f} %",
                    f"{100 * cell.rates.target_change.value:.0f} %",
                    f"{100 * cell.rates.attribute_preservation.value:.0f} %",
                    *([] if similarity is None else [f"{similarity.value:.3f}"]),
                )
            )
        return _aligned(rows) + ("" if self.codes is None else f"\n\n{_aligned(_code_rows(self.codes))}")


def _code_rows(codes: CodeScores) -> list[tuple[str, ...]]:
    names = tuple(next(iter(codes.rows.values())))
    numbers = [(row, *(f"{scores[name]:.3f}" for name in names)) for row, scores in codes.rows.items()]
    return [(f"codes of {', '.join(codes.attributes)}", *names), *numbers]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table of text."""
    widths = [max(len(row[i]) if i < len(row) else 0 for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    )


def _plain(value: Any) -> Any:
    """Dataclasses, arrays and NaN as JSON has them."""
    if isinstance(value, Estimate):
        return {key: _plain(getattr(value, key)) for key in ("value", "low", "high")}
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
