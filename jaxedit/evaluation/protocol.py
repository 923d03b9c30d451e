"""The protocol: how a method is measured on a target, stage by stage.

1. Search: a few faces at a wide grid of amounts to either side. The mean change of the target over the amount tells
   roughly which two amounts change it by ± `change`: a method may have any unit.
2. Refined: the pilot's faces at these amounts, which are then corrected in proportion, up to the amount of the largest
   change. Repeated where they were far off.
3. Faces: all faces at the two amounts.
4. Slider: the pilot's faces at ±½, ±1½ and ±2 of the amounts.
5. Calibration: where the method takes values in the attribute's own unit, the pilot's faces at some of them.

Each stage is a unit of the evaluation's folder (`readings`). Stages that are there are not measured again.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.evaluation.config import EvaluationConfig, EvaluationRequest
from jaxedit.evaluation.equal_change import amount_of_change
from jaxedit.evaluation.measurement import Edit, Measurement
from jaxedit.evaluation.methods import CalibratedMethod, EditingMethod
from jaxedit.evaluation.readings import UNEDITED, UNEDITED_IMAGES, Readings, unit_name
from jaxedit.evaluation.scales import in_standard_deviations
from jaxedit.evaluation.scores import SLIDER
from jaxedit.evaluation.unit_arrays import image_arrays, stage_arrays, unedited_arrays
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.seed_stream import fingerprint
from jaxedit.storage.runs import RunFolder

SEARCH_FACES = 8
"""Faces of the search, the first of the pilot."""

SHEET_SIZE = 192
"""Height and width of the images that are kept."""

REFINEMENTS = 2
"""How often the amounts of equal change are tried and corrected, at most: the grid alone can be off by a third."""

_NEAR_ENOUGH = 0.05
"""Relative error of the change at which the amounts are not corrected again."""

_BETWEEN = tuple(position for position in SLIDER if abs(position) not in (0.0, 1.0))
_SHOWN = (-2.0, -1.0, 1.0, 2.0)


class EqualChangeProtocol:
    """The protocol on the faces of one evaluation.

    Attributes:
        run: keeps the readings.
        request: what was asked for.
        config: settings.
        measurement: renders and reads the faces.
    """

    def __init__(
        self, run: RunFolder, request: EvaluationRequest, config: EvaluationConfig, measurement: Measurement
    ) -> None:
        self.run, self.request, self.config, self.measurement = run, request, config, measurement
        amounts = np.asarray(config.amounts, np.float32)
        self._grid = np.concatenate([-amounts[::-1], amounts])
        self._search_faces = min(SEARCH_FACES, request.pilot)
        self._sheet_faces = min(config.sheet_faces, request.num_faces)
        self._is_verified = False

    def num_images(self, method: EditingMethod, attribute: str) -> int:
        """How many images a method and a target take, if their amounts need one refinement."""
        request, column = self.request, self.request.measured.index(attribute)
        asked = len(self.config.requests.get(attribute, ())) or (
            len(_YEARS) if request.units[column] == "years" else _NUM_REQUESTS
        )
        return (
            self._search_faces * len(self._grid)
            + request.pilot * (2 + len(_BETWEEN))
            + 2 * request.num_faces
            + (request.pilot * asked if isinstance(method, CalibratedMethod) else 0)
            + len(_SHOWN) * self._sheet_faces
        )

    def unedited(self) -> Readings:
        """The readings of the unedited faces."""
        found = self.run.read(UNEDITED, arrays=unedited_arrays(self.request))
        if found is not None:
            self._skip(len(self.measurement.w))
            return found
        self._is_verified = True
        readings = self.measurement.read_unedited()
        self.run.write(UNEDITED, readings, under={"w": fingerprint(self.measurement.w)}, compressed=True)
        return readings

    def measure(
        self, method: EditingMethod, attribute: str, unedited: Readings, scale: QuantileTransform
    ) -> None:
        """Go through all stages of a method and a target, except those that the folder holds already."""
        request, column = self.request, self.request.measured.index(attribute)

        def edit(w: Array, amounts: Array) -> Array:
            return method.edit(w, attribute, amounts)

        method_fingerprint = self.measurement.fingerprint(edit)

        def read(stage: str, how: Edit, amounts: np.ndarray, faces: int, **more: np.ndarray) -> Readings:
            unit = unit_name(method.name, attribute, stage)
            under = {"method": method_fingerprint, "amounts": amounts, "faces": np.asarray(faces)}
            arrays = stage_arrays(request, len(amounts), faces, has_positions="positions" in more)
            found = self.run.read(unit, under=under, arrays=arrays)
            if found is not None:
                self._skip(len(amounts) * faces)
                return found
            self._verify(unedited)
            readings = self.measurement.read_edited(how, amounts, faces, unedited)
            readings |= {"amounts": np.asarray(amounts, np.float32), **more}
            self.run.write(unit, readings, under=under, compressed=True)
            return readings

        search = read("search", edit, self._grid, self._search_faces)
        ends, furthest = self._ends(search, unedited, scale, column)
        for number in range(1, REFINEMENTS + 1):
            if number > 1:
                self._expect(len(ends) * request.pilot)
            refined = read(f"refined-{number}", edit, ends, request.pilot)
            reached = np.array([-1, 1]) * self._mean_changes(refined, unedited, scale, column)[1]
            if (np.abs(reached - request.change) <= _NEAR_ENOUGH * request.change).all():
                break
            # The few faces of the search are off by a factor where curves are flat. But beyond the largest change that
            # they reached, a method has left the images that the generator knows.
            further = np.abs(ends) * np.clip(request.change / np.maximum(reached, 1e-9), 0.5, 1.5)
            sizes = np.minimum(further, np.maximum(furthest, np.abs(ends)))
            ends = (np.sign(ends) * sizes).astype(np.float32)
        read("faces", edit, ends, request.num_faces)
        read("slider", edit, _slider_amounts(_BETWEEN, ends), request.pilot, positions=np.asarray(_BETWEEN))
        if isinstance(method, CalibratedMethod):
            values = self.config.requests.get(attribute)
            if values is None:
                values = default_requests(scale, column, request.units[column])

            def edit_to(w: Array, amounts: Array) -> Array:
                return method.edit_to(w, attribute, amounts)

            read("calibration", edit_to, np.asarray(values, np.float32), request.pilot)
        amounts = _slider_amounts(_SHOWN, ends)
        self._keep_images(unit_name(method.name, attribute, "images"), edit, amounts, method_fingerprint)

    def _ends(
        self, search: Readings, unedited: Readings, scale: QuantileTransform, column: int
    ) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
        """About the amounts of equal change (down, up), and the sizes of those of the largest change."""
        amounts, means = self._mean_changes(search, unedited, scale, column)
        ends, furthest = [], []
        for side in (-1.0, 1.0):
            mine = amounts * side > 0
            sizes, changes = side * amounts[mine], side * means[mine]
            ends.append(side * amount_of_change(sizes, changes, self.request.change))
            largest = sizes[np.argmax(changes)]
            furthest.append(1.5 * largest if largest == sizes.max() else largest)
        return np.asarray(ends, np.float32), np.asarray(furthest)

    def _mean_changes(
        self, readings: Readings, unedited: Readings, scale: QuantileTransform, column: int
    ) -> tuple[Float[np.ndarray, " num_amounts"], Float[np.ndarray, " num_amounts"]]:
        """Amounts of a stage, and the mean change of the target at each, in standard deviations."""
        before = in_standard_deviations(scale, unedited["values"])[:, column]
        after = in_standard_deviations(scale, readings["values"])[:, :, column]
        return readings["amounts"].astype(np.float64), (after - before[: after.shape[1]]).mean(1)

    def _keep_images(
        self, unit: str, edit: Edit, amounts: np.ndarray, method_fingerprint: np.ndarray
    ) -> None:
        """Keep images of some faces, for contact sheets."""
        faces, measurement = self._sheet_faces, self.measurement
        if not faces:
            return
        size = min(SHEET_SIZE, measurement.generator.resolution)
        under = {"method": method_fingerprint, "amounts": amounts, "faces": np.asarray(faces)}
        if self.run.read(unit, under=under, arrays=image_arrays(len(amounts), faces)) is None:
            images = measurement.thumbnails(edit, amounts, faces, size)
            content = {"images": images, "positions": np.asarray(_SHOWN)}
            self.run.write(unit, content, under=under, compressed=True)
        else:
            self._skip(len(amounts) * faces)
        under = {"faces": np.asarray(faces)}
        if self.run.read(UNEDITED_IMAGES, under=under, arrays=image_arrays(None, faces)) is None:
            images = measurement.thumbnails(lambda w, _: w, np.zeros(1, np.float32), faces, size)[0]
            self._expect(len(images))
            self.run.write(UNEDITED_IMAGES, {"images": images}, under=under, compressed=True)

    def _verify(self, unedited: Readings) -> None:
        """Raise unless generator and evaluators read the first faces as they did when the folder was begun."""
        if self._is_verified:
            return
        self._is_verified = True
        measurement = self.measurement
        first = Measurement(
            measurement.generator,
            measurement.evaluators,
            measurement.w[: measurement.batch_size],
            measurement.batch_size,
            tqdm(disable=True),
        )
        for key, values in first.read_unedited().items():
            spread = unedited[key].std(0) + 1e-6
            if (np.abs(values - unedited[key][: len(values)]) / spread).max() > 0.05:
                raise InputError(
                    f"{self.run.path}: holds readings of another generator or of other networks ({key}); "
                    "give another folder"
                )

    def _expect(self, images: int) -> None:
        """Count on more images than `num_images` said."""
        self.measurement.bar.total = (self.measurement.bar.total or 0) + images

    def _skip(self, images: int) -> None:
        """Count images that were read by an earlier run."""
        bar = self.measurement.bar
        if not bar.disable:
            bar.initial += images  # keeps the throughput that of the work done now
            bar.update(images)


def _slider_amounts(positions: Sequence[float], ends: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " n"]:
    """Amounts at positions of the slider, of which ±1 are the ends."""
    return np.asarray([abs(p) * ends[0 if p < 0 else 1] for p in positions], np.float32)


_YEARS = (20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
_NUM_REQUESTS = 5


def default_requests(scale: QuantileTransform, column: int, unit: str) -> tuple[float, ...]:
    """Values to ask for in an attribute's own unit: 20, 30, … 70 years, or five over ±1.5 standard deviations."""
    if unit == "years":
        return _YEARS
    positions = np.zeros((_NUM_REQUESTS, scale.values.shape[0]), np.float32)
    positions[:, column] = np.linspace(-1.5, 1.5, _NUM_REQUESTS)
    values = np.asarray(scale.inverse_transform(positions))[:, column].astype(float)
    digits = 1 - math.floor(math.log10(max(float(np.ptp(values)), 1e-6)))
    return tuple(round(value, digits) + 0.0 for value in values.tolist())
