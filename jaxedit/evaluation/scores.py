"""Scores of one method on one target, computed from readings alone."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.evaluation.change_rates import ChangeRates, edited_sides, score_change_rates
from jaxedit.evaluation.config import EvaluationRequest
from jaxedit.evaluation.independent_scores import IndependentScores, score_independent
from jaxedit.evaluation.readings import UNEDITED, Readings, unit_name
from jaxedit.evaluation.scales import in_standard_deviations, load_scales
from jaxedit.evaluation.statistics import (
    Estimate,
    FaceChanges,
    both_sides,
    by_side,
    monotone_share,
    resampling_weights,
)
from jaxedit.evaluation.unit_arrays import stage_arrays, unedited_arrays
from jaxedit.storage.runs import RunFolder

SLIDER = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Positions of a slider of which ±1 are the amounts of equal change, where it is tested for being monotone."""

REACHED = 0.8
"""Share of the wanted change from which on a side has reached it."""

HIGHEST_PSNR = 99.0
"""Of a background that did not change at all, in dB."""

_SIGNS = np.asarray([-1.0, 1.0])[:, None, None]


@dataclasses.dataclass(frozen=True)
class BackgroundScores:
    """Change outside the person, at exactly `change` of the target.

    Attributes:
        share: of the image that is background in both images, mean over faces and both sides.
        psnr: of the background against that of the unedited image, in dB, over the background of all faces.
        perceptual: perceptual distance of images that differ in their background alone, divided by its share; None
            without such a distance.
    """

    share: float
    psnr: Estimate
    perceptual: Estimate | None

    @classmethod
    def of(cls, faces: Readings, changes: FaceChanges, change: float) -> "BackgroundScores":
        """The scores from the readings of all faces."""
        shares, perceptual = faces["background.share"], faces.get("background.perceptual")
        error = changes.density_at_change(faces["background.squared"], shares, change, squared=True)
        with np.errstate(divide="ignore"):
            psnr = np.minimum(-20 * np.log10(error), HIGHEST_PSNR)
        return cls(
            share=float(np.mean(shares)),
            psnr=Estimate.of(psnr),
            perceptual=None
            if perceptual is None
            else Estimate.of(changes.density_at_change(perceptual, shares, change)),
        )


@dataclasses.dataclass(frozen=True)
class ChangeCurve:
    """Changes along the amounts, means over the pilot's faces. Ascending amounts, 0 among them.

    Attributes:
        amounts: in the method's own unit.
        target_change: change of the target, in standard deviations.
        off_target: mean over the other attributes of |mean change|.
        absolute_off_target: mean over the other attributes of the mean |change|.
        identity: distance by each network.
    """

    amounts: Float[np.ndarray, " num_amounts"]
    target_change: Float[np.ndarray, " num_amounts"]
    off_target: Float[np.ndarray, " num_amounts"]
    absolute_off_target: Float[np.ndarray, " num_amounts"]
    identity: dict[str, Float[np.ndarray, " num_amounts"]]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Readings where a value was asked for in the attribute's own unit.

    Attributes:
        requests: the values that were asked for.
        mean: reading of the labeling networks, mean over the pilot's faces.
        low: its 10th percentile over faces.
        high: its 90th percentile over faces.
        mean_absolute_error: mean of |reading − request| over faces and requests.
    """

    requests: Float[np.ndarray, " num_requests"]
    mean: Float[np.ndarray, " num_requests"]
    low: Float[np.ndarray, " num_requests"]
    high: Float[np.ndarray, " num_requests"]
    mean_absolute_error: Estimate


@dataclasses.dataclass(frozen=True)
class CellScores:
    """One method on one target. Pairs are (down, up).

    Attributes:
        method: its name.
        attribute: the target.
        amounts: at which all faces were edited, in the method's own unit.
        target_change: change of the target there, towards the side: near `change`.
        reached: whether that is at least 80 % of `change`.
        effects: change of every measured attribute, at exactly `change` of the target.
        effects_by_side: the same for either side, towards the side.
        leakage: into the other attributes.
        leakage_by_side: the same for either side.
        absolute_leakage: absolute leakage, likewise.
        leakage_floor: leakage that chance would give on so few faces if nothing leaked.
        identity: distance from the unedited face by each network, at exactly `change` of the target.
        perceptual: perceptual distance, likewise, or None.
        monotone_share: share of the pilot's faces whose target nowhere falls along the slider.
        slider: the positions.
        slider_change: mean change of the target at each.
        curve: leakage and identity along the change.
        rates: target change rate, attribute preservation rate and identity preservation score.
        calibration: where the method takes values in the attribute's own unit.
        independent: scores by each group of independent networks.
        background: change outside the person, or None where it was not measured.
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
    curve: ChangeCurve
    rates: ChangeRates
    calibration: Calibration | None
    independent: dict[str, IndependentScores]
    background: BackgroundScores | None = None


class Scorer:
    """Scores from the readings of one folder.

    Args:
        run: the folder.
        request: what was asked for.

    Raises:
        InputError: if the unedited faces have not been read, or what was read of them is damaged.
    """

    def __init__(self, run: RunFolder, request: EvaluationRequest) -> None:
        self.run, self.request = run, request
        unedited = run.read(UNEDITED, arrays=unedited_arrays(request))
        if unedited is None:
            raise InputError(
                f"{run.path}: expected the readings of the unedited faces, found none, or damaged ones; start the "
                "evaluation again with this folder"
            )
        keys = ["values", *(f"independent.{name}" for name in request.independent_attributes)]
        self._scales = load_scales(run, request, keys)
        self._before = {key: in_standard_deviations(self._scales[key], unedited[key]) for key in keys}
        self._weights = resampling_weights(request.num_faces, request.num_resamples, request.seed)
        self._pilot_weights = resampling_weights(request.pilot, request.num_resamples, request.seed)

    @property
    def unedited_positions(self) -> Float[np.ndarray, "num_faces num_attributes"]:
        """Positions of the unedited faces by the labeling networks, in standard deviations."""
        return self._before["values"]

    def score(self, method: str, attribute: str) -> CellScores | None:
        """The scores of a method on a target, or None if a stage has not been measured yet."""
        request = self.request
        faces = self._read(method, attribute, "faces", request.num_faces)
        slider = self._read(method, attribute, "slider", request.pilot)
        if faces is None or slider is None:
            return None
        names, change = request.measured, request.change
        others = request.other_attributes(attribute)
        target = names.index(attribute)
        changes = FaceChanges.make(
            self._weights, _SIGNS * self._changes("values", faces), names, attribute, change
        )
        means = changes.means()
        achieved = by_side(means[:, :, target])
        scaled = change * means / changes.target[:, :, None]
        on_slider = self._slider(slider, faces, target)
        requested = self._read(method, attribute, "calibration", request.pilot)
        return CellScores(
            method=method,
            attribute=attribute,
            amounts=(float(faces["amounts"][0]), float(faces["amounts"][1])),
            target_change=achieved,
            reached=(achieved[0].value >= REACHED * change, achieved[1].value >= REACHED * change),
            effects={n: Estimate.of(both_sides(scaled[:, :, i])) for i, n in enumerate(names)},
            effects_by_side={n: by_side(scaled[:, :, i]) for i, n in enumerate(names)},
            leakage=Estimate.of(both_sides(changes.leakage(others))),
            leakage_by_side=by_side(changes.leakage(others)),
            absolute_leakage=Estimate.of(both_sides(changes.absolute_leakage(others))),
            leakage_floor=changes.leakage_floor(others),
            identity={
                name: changes.distance_at_change(faces[f"identity.{name}"], change)
                for name in request.identity_networks
            },
            perceptual=changes.distance_at_change(faces["perceptual"], change)
            if request.has_perceptual
            else None,
            monotone_share=monotone_share(self._pilot_weights, on_slider),
            slider=SLIDER,
            slider_change=on_slider.mean(1),
            curve=self._curve(slider, faces, target, [names.index(name) for name in others]),
            rates=self._rates(slider, faces, target, [names.index(name) for name in others]),
            calibration=None
            if requested is None
            else score_calibration(
                self._pilot_weights, requested["amounts"], requested["values"][:, :, target]
            ),
            independent={
                name: score_independent(
                    changes,
                    _SIGNS * self._changes(f"independent.{name}", faces),
                    request.evaluators["independent"][name],
                    attributes,
                    attribute,
                    request.leakage_attributes,
                    change,
                )
                for name, attributes in request.independent_attributes.items()
            },
            background=BackgroundScores.of(faces, changes, change) if request.background_keys else None,
        )

    def _changes(self, key: str, readings: Readings) -> Float[np.ndarray, "num_amounts faces num_columns"]:
        """Changes against the unedited faces, in standard deviations."""
        after = in_standard_deviations(self._scales[key], readings[key])
        return after - self._before[key][: after.shape[1]]

    def _read(self, method: str, attribute: str, stage: str, num_faces: int) -> Readings | None:
        """A stage; None if it is not there yet, damaged, or of another number of faces and so of an earlier run."""
        num_amounts = {"faces": 2, "slider": len(SLIDER) - 3}.get(stage)
        arrays = stage_arrays(self.request, num_amounts, num_faces, has_positions=stage == "slider")
        return self.run.read(unit_name(method, attribute, stage), arrays=arrays)

    def _slider(
        self, slider: Readings, faces: Readings, target: int
    ) -> Float[np.ndarray, "num_positions num_faces"]:
        """Change of the target at each position: ±1 are among the readings of all faces."""
        changes = {0.0: np.zeros(self.request.pilot)}
        measured = self._changes("values", slider)[:, :, target]
        changes |= dict(zip(slider["positions"].tolist(), measured, strict=True))
        ends = self._changes("values", faces)[:, : self.request.pilot, target]
        changes |= dict(zip((-1.0, 1.0), ends, strict=True))
        return np.stack([changes[position] for position in SLIDER])

    def _curve(self, slider: Readings, faces: Readings, target: int, others: Sequence[int]) -> ChangeCurve:
        """The curve through the amounts of the slider and of all faces."""
        pilot = self.request.pilot
        amounts = np.concatenate([slider["amounts"], faces["amounts"]])
        changes = [self._changes("values", slider), self._changes("values", faces)[:, :pilot]]
        identity = {
            name: np.concatenate([slider[f"identity.{name}"], faces[f"identity.{name}"][:, :pilot]])
            for name in self.request.identity_networks
        }
        return score_curve(amounts, np.concatenate(changes), identity, target, others)

    def _rates(self, slider: Readings, faces: Readings, target: int, others: Sequence[int]) -> ChangeRates:
        """The rates at the positions of the slider."""
        networks, pilot, scale = self.request.identity_networks, self.request.pilot, self._scales["values"]
        at_change = in_standard_deviations(scale, faces["values"])
        on_slider = in_standard_deviations(scale, slider["values"])
        positions = slider["positions"].tolist()
        along = {
            strength: edited_sides(
                slider, on_slider, (positions.index(-strength), positions.index(strength)), networks
            )
            for strength in positions
            if strength > 0
        }
        along[1.0] = edited_sides(faces, at_change, (0, 1), networks, pilot)
        whole = edited_sides(faces, at_change, (0, 1), networks)
        return score_change_rates(self._before["values"], whole, along, target, others, self._weights)


def score_calibration(
    weights: Float[np.ndarray, "resamples num_faces"],
    requests: Float[np.ndarray, " num_requests"],
    readings: Float[np.ndarray, "num_requests num_faces"],
) -> Calibration:
    """Readings against requests, both in the attribute's own unit."""
    readings = np.asarray(readings, np.float64)
    errors = np.abs(readings - requests[:, None]).mean(0)
    low, high = np.percentile(readings, [10, 90], axis=1)
    return Calibration(
        np.asarray(requests, np.float64), readings.mean(1), low, high, Estimate.of(weights @ errors)
    )


def score_curve(
    amounts: Float[np.ndarray, " num_amounts"],
    changes: Float[np.ndarray, "num_amounts num_faces num_attributes"],
    identity: Mapping[str, Float[np.ndarray, "num_amounts num_faces"]],
    target: int,
    others: Sequence[int],
) -> ChangeCurve:
    """The curve through the measured amounts, with the amount 0 added, at which nothing changes.

    Args:
        amounts: in any order.
        changes: in standard deviations.
        identity: distances by each network.
        target: column of the target.
        others: columns of the other attributes.
    """
    amounts = np.append(amounts, 0.0)
    order = np.argsort(amounts, kind="stable")

    def with_zero(values: np.ndarray) -> np.ndarray:
        return np.append(values, 0.0)[order]

    means = changes.mean(1)
    return ChangeCurve(
        amounts[order],
        with_zero(means[:, target]),
        with_zero(np.abs(means[:, list(others)]).mean(1)),
        with_zero(np.abs(changes[:, :, list(others)]).mean((1, 2))),
        {name: with_zero(distances.mean(1)) for name, distances in identity.items()},
    )
