"""The result of an evaluation: scores computed from the readings that a folder keeps, without rendering."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.evaluation.readings import (
    Job,
    Reading,
    load_scales,
    positions_of,
    read_unit,
    unedited_path,
    unit_path,
)
from jaxedit.evaluation.scores import (
    REACHED,
    SLIDER,
    Calibration,
    CellScores,
    Estimate,
    JudgeScores,
    Sides,
    both_sides,
    by_side,
    calibrate,
    curve_of,
    distance_at_change,
    monotone_share,
    resampling_weights,
    score_judge,
)
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.storage.atomic import write_atomically

RESULT_FILE = "evaluation.json"

DEFINITIONS = {
    "unit": "All changes are in standard deviations of an attribute over unedited faces, after a monotone map to a "
    "normal distribution, fitted for each network by itself.",
    "equal change": "Each method moves each face by the amount at which the target's mean change, as the labeling "
    "networks see it, is ± `change`, either side with an amount of its own; ratios make good what is missing.",
    "leakage": "Mean over the other judged attributes of |mean change over faces|, divided by the mean change of the "
    "target; each side by itself, then the mean of both.",
    "absolute_leakage": "The same with the mean over faces of |change|: also counts changes that go opposite ways on "
    "different faces, and noise of the networks.",
    "leakage_floor": "The leakage that chance would give on so few faces if nothing leaked.",
    "effects": "Change of each attribute, ½ (up − down), at exactly `change` of the target.",
    "identity": "Mean distance of identity descriptors between edited and unedited face, taken to exactly `change` of "
    "the target in proportion, mean of both sides.",
    "perceptual": "Mean perceptual distance (LPIPS) between edited and unedited image at up to 256², likewise.",
    "monotone_share": "Share of faces whose target nowhere falls by more than 0.02 standard deviations between "
    "neighboring positions −2, −1.5, …, 2 of a slider of which ±1 are the amounts of equal change.",
    "calibration": "A value is asked for in the attribute's own unit; what the labeling networks see.",
    "judges": "The same images by other networks. `leakage` divides by the judge's own reading of the target (equal "
    "change in its own eyes), `leakage_at_labels` by that of the labeling networks; `labels_leakage` is what the "
    "labeling networks say of the same attributes. A judge's standard deviations come from the unedited faces "
    "evaluated here, with its reference values where there are any.",
    "interval": "95 % percentile intervals over resampled faces; the resamples are the same for all methods.",
    "reached": f"Whether the target changed by at least {REACHED:g} of `change` on that side, (down, up).",
}
"""What the numbers mean, in words."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of methods on attributes at equal target change.

    Attributes:
        folder: where everything is kept.
        job: what was asked for.
        cells: scores by (method, attribute). A run that is not finished has those that are.
    """

    folder: Path
    job: Job
    cells: Mapping[tuple[str, str], CellScores]

    @classmethod
    def load(cls, folder: str | Path) -> "Evaluation":
        """Compute the scores from the readings in a folder, finished or not.

        Raises:
            InputError: if the folder holds no evaluation, or the unedited faces have not been read.
        """
        out = Path(folder)
        job = Job.load(out)
        unedited = read_unit(unedited_path(out), {})
        if unedited is None:
            raise InputError(f"{out}: expected the readings of the unedited faces, found none")
        scales = load_scales(out, ["values", *(f"judge.{name}" for name in job.judge_attributes)])
        reader = _Reader(out, job, unedited, scales)
        cells = {}
        for method, attributes in job.methods.items():
            for attribute in attributes:
                cell = reader.cell(method, attribute)
                if cell is not None:
                    cells[method, attribute] = cell
        return cls(out, job, cells)

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that have been measured on an attribute or more."""
        return tuple(m for m in self.job.methods if any(m == method for method, _ in self.cells))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Targets on which a method or more has been measured."""
        return tuple(
            a for a in self.job.attribute_names if any(a == attribute for _, attribute in self.cells)
        )

    def shared_attributes(self) -> tuple[str, ...]:
        """Targets on which every method has been measured: only over these are means of methods comparable."""
        return tuple(a for a in self.attributes if all((m, a) in self.cells for m in self.methods))

    def mean(self, method: str, score: str, attributes: Sequence[str] | None = None) -> Estimate:
        """Mean of a score ("leakage", "absolute_leakage", "monotone_share") over targets.

        Args:
            method: its name.
            score: name of an `Estimate` of `CellScores`.
            attributes: by default those on which every method has been measured.
        """
        chosen = self.shared_attributes() if attributes is None else attributes
        return Estimate.mean([getattr(self.cells[method, attribute], score) for attribute in chosen])

    def to_json(self) -> dict[str, Any]:
        """All numbers, with their definitions in words; NaN is null."""
        content = {
            "definitions": DEFINITIONS,
            "job": dataclasses.asdict(self.job),
            "results": [_plain(cell) for cell in self.cells.values()],
        }
        shared = self.shared_attributes()
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
        perceptual = ("perceptual",) if self.job.panel["perceptual"] else ()
        rows = [
            ("method", "attribute", "change −/+", "leakage", "absolute", "identity", *perceptual, "monotone")
        ]
        for (method, attribute), cell in self.cells.items():
            identity = next(iter(cell.identity.values()), None)
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
                    f"{100 * cell.monotone_share.value:.0f} %",
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
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


class _Reader:
    """From the readings of a folder to scores."""

    def __init__(
        self, out: Path, job: Job, unedited: Reading, scales: Mapping[str, QuantileTransform]
    ) -> None:
        self.out, self.job, self.scales = out, job, scales
        self.before = {key: self._positions(key, unedited[key]) for key in scales}
        self.weights = resampling_weights(job.num_faces, job.num_resamples, job.seed)
        self.pilot_weights = resampling_weights(job.pilot, job.num_resamples, job.seed)

    def _positions(self, key: str, values: np.ndarray) -> np.ndarray:
        return positions_of(self.scales[key], values)

    def _changes(self, key: str, unit: Reading) -> Float[np.ndarray, "num_amounts faces num_columns"]:
        after = self._positions(key, unit[key])
        return after - self.before[key][: after.shape[1]]

    def cell(self, method: str, attribute: str) -> CellScores | None:
        """The scores, or None if something has not been measured yet."""
        faces = self._unit(method, attribute, "faces", self.job.num_faces)
        slider = self._unit(method, attribute, "slider", self.job.pilot)
        if faces is None or slider is None:
            return None
        job, names = self.job, self.job.measured
        others = [name for name in job.judged if name != attribute]
        signs = np.asarray([-1.0, 1.0])[:, None, None]
        sides = Sides.make(self.weights, signs * self._changes("values", faces), names, attribute, job.change)
        means = sides.means()
        target, columns = names.index(attribute), [names.index(name) for name in others]
        achieved = by_side(means[:, :, target])
        scaled = job.change * means / sides.target[:, :, None]

        along = [
            slider,
            {key: values[:, : job.pilot] for key, values in faces.items() if values.ndim > 1}
            | {"amounts": faces["amounts"]},
        ]
        curve = curve_of(
            np.concatenate([unit["amounts"] for unit in along]),
            np.concatenate([self._changes("values", unit) for unit in along]),
            {
                name: np.concatenate([unit[f"identity.{name}"] for unit in along])
                for name in job.panel["identities"]
            },
            target,
            columns,
        )
        on_slider = self._slider(slider, faces, target)
        return CellScores(
            method=method,
            attribute=attribute,
            amounts=(float(faces["amounts"][0]), float(faces["amounts"][1])),
            target_change=achieved,
            reached=(achieved[0].value >= REACHED * job.change, achieved[1].value >= REACHED * job.change),
            effects={n: Estimate.of(both_sides(scaled[:, :, i])) for i, n in enumerate(names)},
            effects_by_side={n: by_side(scaled[:, :, i]) for i, n in enumerate(names)},
            leakage=Estimate.of(both_sides(sides.leakage(others))),
            leakage_by_side=by_side(sides.leakage(others)),
            absolute_leakage=Estimate.of(both_sides(sides.absolute_leakage(others))),
            leakage_floor=sides.floor(others),
            identity={
                name: distance_at_change(sides, faces[f"identity.{name}"], job.change)
                for name in job.panel["identities"]
            },
            perceptual=distance_at_change(sides, faces["perceptual"], job.change)
            if job.panel["perceptual"]
            else None,
            monotone_share=monotone_share(self.pilot_weights, on_slider),
            slider=SLIDER,
            slider_change=on_slider.mean(1),
            curve=curve,
            calibration=self._calibration(method, attribute, target),
            judges=self._judges(sides, faces, attribute, signs),
        )

    def _slider(
        self, slider: Reading, faces: Reading, target: int
    ) -> Float[np.ndarray, "num_positions num_faces"]:
        """Change of the target at each position: ±1 are among the readings of all faces."""
        changes = {0.0: np.zeros(self.job.pilot)}
        measured = self._changes("values", slider)[:, :, target]
        changes |= dict(zip(slider["positions"].tolist(), measured, strict=True))
        ends = self._changes("values", faces)[:, : self.job.pilot, target]
        changes |= dict(zip((-1.0, 1.0), ends, strict=True))
        return np.stack([changes[position] for position in SLIDER])

    def _unit(self, method: str, attribute: str, name: str, num_faces: int) -> Reading | None:
        """A unit; None if it is not there yet, or of another number of faces and so of an earlier run."""
        unit = read_unit(unit_path(self.out, method, attribute, name), {})
        return unit if unit is not None and unit["values"].shape[1] == num_faces else None

    def _calibration(self, method: str, attribute: str, target: int) -> Calibration | None:
        unit = self._unit(method, attribute, "calibration", self.job.pilot)
        if unit is None:
            return None
        return calibrate(self.pilot_weights, unit["amounts"], unit["values"][:, :, target])

    def _judges(
        self, sides: Sides, faces: Reading, attribute: str, signs: np.ndarray
    ) -> dict[str, JudgeScores]:
        return {
            name: score_judge(
                sides,
                signs * self._changes(f"judge.{name}", faces),
                self.job.panel["judges"][name],
                attributes,
                attribute,
                self.job.judged,
                self.job.change,
            )
            for name, attributes in self.job.judge_attributes.items()
        }
