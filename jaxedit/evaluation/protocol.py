"""How a method is measured on an attribute, stage by stage.

1. Search: a few faces at a wide grid of amounts to either side. The mean change of the target over the amount tells
   roughly at which two amounts it is ± `change`: a method may have any unit.
2. Refined: the faces of the pilot at these amounts, which are corrected in proportion, up to the amount of the largest
   change; again where they were off by much.
3. Faces: all of them at the two amounts.
4. Slider: the pilot's faces at ±½, ±1½ and ±2 of the amounts.
5. Calibration: where the method takes values in the attribute's own unit, the pilot's faces at some of them.

Each stage is kept (see `record`) and not gone through again.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.evaluation.equal_change import amount_of_change
from jaxedit.evaluation.measurement import Camera, Edit
from jaxedit.evaluation.methods import CalibratedMethod, EditingMethod
from jaxedit.evaluation.readings import (
    Job,
    Reading,
    near,
    positions_of,
    read_unit,
    unedited_images_path,
    unedited_path,
    unit_path,
    write_unit,
)
from jaxedit.evaluation.scores import SLIDER
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.seed_stream import fingerprint

SEARCH_FACES = 8
"""Of the pilot, with which the search does."""

SHEET_SIZE = 192
"""Height and width of the images that are kept."""

REFINEMENTS = 2
"""How often the amounts of equal change are tried and corrected, at most: the grid alone can be off by a third."""

_NEAR_ENOUGH = 0.05
_BETWEEN = tuple(position for position in SLIDER if abs(position) not in (0.0, 1.0))
_SHOWN = (-2.0, -1.0, 1.0, 2.0)


class Stages:
    """The measurements of one call."""

    def __init__(
        self,
        out: Path,
        job: Job,
        camera: Camera,
        amounts: Float[np.ndarray, " num_amounts"],
        sheet_faces: int,
    ) -> None:
        self.out, self.job, self.camera, self.sheet_faces = out, job, camera, sheet_faces
        self.grid = np.concatenate([-amounts[::-1], amounts])
        self.search = min(SEARCH_FACES, job.pilot)
        self._verified = False

    def cost(
        self, method: EditingMethod, attribute: str, requests: Mapping[str, Sequence[float]] | None
    ) -> int:
        """How many images a method and an attribute take."""
        pilot = self.search * len(self.grid) + self.job.pilot * (2 + len(_BETWEEN))
        column = self.job.measured.index(attribute)
        asked = len((requests or {}).get(attribute, ())) or (
            len(_YEARS) if self.job.units[column] == "years" else _NUM_REQUESTS
        )
        calibration = self.job.pilot * asked if isinstance(method, CalibratedMethod) else 0
        return pilot + 2 * self.job.num_faces + calibration + len(_SHOWN) * self.sheet_faces

    def unedited(self) -> Reading:
        """The readings of the unedited faces.

        Raises:
            InputError: if the folder holds those of others.
        """
        path, when = unedited_path(self.out), {"w": fingerprint(self.camera.w)}
        found = read_unit(path, {})
        if found is None:
            self._verified = True
            reading = self.camera.read_unedited()
            write_unit(path, reading, when)
            return reading
        if found["when.w"].shape != when["w"].shape or not near(found["when.w"], when["w"]):
            raise InputError(f"{self.out}: holds an evaluation on other faces; give another folder")
        self._skip(len(self.camera.w))
        return found

    def measure(
        self,
        method: EditingMethod,
        attribute: str,
        unedited: Reading,
        scale: QuantileTransform,
        requests: Mapping[str, Sequence[float]] | None,
    ) -> None:
        """All units of a method and an attribute, those that are there already excepted."""
        job = self.job

        def edit(w: Array, amounts: Array) -> Array:
            return method.edit(w, attribute, amounts)

        mark = self.camera.fingerprint(edit)

        def read(unit: str, how: Edit, amounts: np.ndarray, faces: int, **more: np.ndarray) -> Reading:
            when = {"method": mark, "amounts": amounts, "faces": np.asarray(faces)}
            path = unit_path(self.out, method.name, attribute, unit)
            found = read_unit(path, when)
            if found is not None:
                self._skip(len(amounts) * faces)
                return found
            self._verify(unedited)
            reading = self.camera.read_edited(how, amounts, faces, unedited)
            reading |= {"amounts": np.asarray(amounts, np.float32), **more}
            write_unit(path, reading, when)
            return reading

        search = read("search", edit, self.grid, self.search)
        column = job.measured.index(attribute)
        ends, furthest = self._ends(search, unedited, scale, column)
        for number in range(1, REFINEMENTS + 1):
            if number > 1:
                self._expect(len(ends) * job.pilot)
            refined = read(f"refined-{number}", edit, ends, job.pilot)
            seen = np.array([-1, 1]) * self._mean_changes(refined, unedited, scale, column)[1]
            if (np.abs(seen - job.change) <= _NEAR_ENOUGH * job.change).all():
                break
            # The few faces of the search only say where to begin: where curves are flat they are off by a factor. But
            # beyond the largest change that they saw a method has left the images that the generator knows.
            further = np.abs(ends) * np.clip(job.change / np.maximum(seen, 1e-9), 0.5, 1.5)
            ends = (np.sign(ends) * np.minimum(further, np.maximum(furthest, np.abs(ends)))).astype(
                np.float32
            )
        read("faces", edit, ends, job.num_faces)
        read("slider", edit, self._slider(_BETWEEN, ends), job.pilot, positions=np.asarray(_BETWEEN))
        if isinstance(method, CalibratedMethod):
            values = (requests or {}).get(attribute) or default_requests(scale, column, job.units[column])

            def edit_to(w: Array, amounts: Array) -> Array:
                return method.edit_to(w, attribute, amounts)

            read("calibration", edit_to, np.asarray(values, np.float32), job.pilot)
        self._keep_images(method, attribute, edit, self._slider(_SHOWN, ends), mark)

    def _ends(
        self, search: Reading, unedited: Reading, scale: QuantileTransform, column: int
    ) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
        """About the amounts of equal change (down, up), and the sizes of those of the largest change."""
        amounts, means = self._mean_changes(search, unedited, scale, column)
        ends, furthest = [], []
        for side in (-1.0, 1.0):
            mine = amounts * side > 0
            sizes, changes = side * amounts[mine], side * means[mine]
            ends.append(side * amount_of_change(sizes, changes, self.job.change))
            largest = sizes[np.argmax(changes)]
            furthest.append(1.5 * largest if largest == sizes.max() else largest)
        return np.asarray(ends, np.float32), np.asarray(furthest)

    def _mean_changes(
        self, unit: Reading, unedited: Reading, scale: QuantileTransform, column: int
    ) -> tuple[Float[np.ndarray, " num_amounts"], Float[np.ndarray, " num_amounts"]]:
        """Amounts of a unit, and the mean change of the target at each."""
        before = positions_of(scale, unedited["values"])[:, column]
        after = positions_of(scale, unit["values"])[:, :, column]
        return unit["amounts"].astype(np.float64), (after - before[: after.shape[1]]).mean(1)

    @staticmethod
    def _slider(positions: Sequence[float], ends: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " n"]:
        """Amounts at positions of the slider, of which ±1 are the ends."""
        return np.asarray([abs(p) * ends[0 if p < 0 else 1] for p in positions], np.float32)

    def _keep_images(
        self, method: EditingMethod, attribute: str, edit: Edit, amounts: np.ndarray, mark: np.ndarray
    ) -> None:
        """Images of some faces, for contact sheets."""
        if not self.sheet_faces:
            return
        faces, resolution = self.sheet_faces, self.camera.generator.resolution
        size = min(SHEET_SIZE, resolution)
        when = {"method": mark, "amounts": amounts, "faces": np.asarray(faces)}
        path = unit_path(self.out, method.name, attribute, "images")
        if read_unit(path, when) is None:
            images = self.camera.thumbnails(edit, amounts, faces, size)
            write_unit(path, {"images": images, "positions": np.asarray(_SHOWN)}, when)
        else:
            self._skip(len(amounts) * faces)
        path = unedited_images_path(self.out)
        if read_unit(path, {"faces": np.asarray(faces)}) is None:
            images = self.camera.thumbnails(lambda w, _: w, np.zeros(1, np.float32), faces, size)[0]
            self._expect(len(images))
            write_unit(path, {"images": images}, {"faces": np.asarray(faces)})

    def _verify(self, unedited: Reading) -> None:
        """Raise unless generator and networks read the first faces as they did when the folder was begun."""
        if self._verified:
            return
        self._verified = True
        some = Camera(
            self.camera.generator,
            self.camera.panel,
            self.camera.w[: self.camera.batch_size],
            self.camera.batch_size,
            tqdm(disable=True),
        ).read_unedited()
        for key, values in some.items():
            spread = unedited[key].std(0) + 1e-6
            if (np.abs(values - unedited[key][: len(values)]) / spread).max() > 0.05:
                raise InputError(
                    f"{self.out}: holds readings of another generator or of other networks ({key}); "
                    "give another folder"
                )

    def _expect(self, images: int) -> None:
        """Count on more images than `cost` said."""
        self.camera.bar.total = (self.camera.bar.total or 0) + images

    def _skip(self, images: int) -> None:
        bar = self.camera.bar
        if not bar.disable:
            bar.initial += images  # keeps the throughput that of the work done now
            bar.update(images)


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
