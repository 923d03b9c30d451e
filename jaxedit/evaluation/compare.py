"""Methods compared at equal target change: what else does each of them change when all move the target as far?

For each method and attribute:

1. Search: a few faces at a wide grid of amounts to either side. The mean change of the target over the amount tells
   roughly at which two amounts it is ± `change`: a method may have any unit.
2. Refined: the faces of the pilot at these amounts, which are corrected; again where they were off by much.
3. Faces: all of them at the two amounts.
4. Slider: the pilot's faces at ±½, ±1½ and ±2 of the amounts.
5. Calibration: where the method takes values in the attribute's own unit, the pilot's faces at some of them.

Every picture is read by all networks in one pass. What they read is kept face by face (see `measuring`); the scores
(see `scores`) are computed from that alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.base import AttributeClassifier
from jaxedit.attributes.dataset import LabelledLatents
from jaxedit.attributes.gaussianise import Gaussianiser
from jaxedit.attributes.latents import fingerprint
from jaxedit.errors import InputError
from jaxedit.evaluation.effects import Network
from jaxedit.evaluation.measuring import (
    Camera,
    Edit,
    Judge,
    Panel,
    PerceptualDistance,
    Reading,
    near,
    read_unit,
    write_unit,
)
from jaxedit.evaluation.methods import CalibratedMethod, EditingMethod
from jaxedit.evaluation.results import (
    JOB_FILE,
    Evaluation,
    Job,
    fit_scales,
    folder_name,
    positions_of,
    save_scales,
    unedited_path,
    unedited_pictures_path,
    unit_path,
)
from jaxedit.evaluation.scores import SLIDER, amount_of_change
from jaxedit.generators.base import Generator

TARGETS = ("age", "gender", "smile", "yaw")
"""What methods are asked to move, by default."""

JUDGED = ("age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening", "face_width")
"""What else should then stay as it is, by default."""

AMOUNTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the search, to either side: a method's unit may be a small or a large one."""

SEARCH_FACES = 16
"""Of the pilot, with which the search does."""

SHEET_SIZE = 192
"""Height and width of the pictures that are kept."""

REFINEMENTS = 2
"""How often the amounts of equal change are tried and corrected, at most: the grid alone can be off by a third."""

_NEAR_ENOUGH = 0.05
_BETWEEN = tuple(position for position in SLIDER if abs(position) not in (0.0, 1.0))
_SHOWN = (-2.0, -1.0, 1.0, 2.0)


def evaluate(
    generator: Generator,
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    classifier: AttributeClassifier,
    *,
    out: str | Path,
    attribute_names: Sequence[str] = TARGETS,
    judged: Sequence[str] | None = None,
    reference: LabelledLatents | Mapping[str, Float[Array | np.ndarray, " num_reference"]] | None = None,
    identity: Network | Mapping[str, Network] | None = None,
    judges: Mapping[str, Judge] | None = None,
    perceptual: PerceptualDistance | None = None,
    requests: Mapping[str, Sequence[float]] | None = None,
    change: float = 1.0,
    pilot: int = 48,
    amounts: Sequence[float] = AMOUNTS,
    sheet_faces: int = 3,
    batch_size: int = 4,
    seed: int = 0,
    num_resamples: int = 2000,
    generator_name: str = "",
    progress: bool = True,
) -> Evaluation:
    """Measure editing methods at equal target change.

    A run that was stopped goes on where it was when it is started again on the same folder; a method that has
    changed is measured again, and others stay.

    Args:
        generator: makes the pictures.
        methods: what is compared, under names that differ. Each is asked for those targets that it knows.
        w: latents of W that no method was fitted to.
        classifier: measures the attributes; by it methods are set to equal change.
        out: folder of the readings and of `evaluation.json`.
        attribute_names: the targets.
        judged: attributes whose leakage counts, by default those of `JUDGED` that the classifier has, or all.
        reference: raw values of a population of unedited faces, which fix what one standard deviation of each of the
            classifier's attributes is. By default, and for attributes that it lacks, the faces of `w` do.
        identity: network(s) of identity descriptors.
        judges: further opinions, such as networks that no method has learnt from.
        perceptual: a distance of pictures of 256².
        requests: values to ask for in the attribute's own unit, of methods that take such. By default decades of
            years, and otherwise five values between −1.5 and +1.5 standard deviations.
        change: mean change of the target to which methods are set, in standard deviations.
        pilot: how many of the faces are read along the slider and in calibration.
        amounts: of the search, positive and ascending, in each method's own unit.
        sheet_faces: of how many faces pictures are kept.
        batch_size: pictures at once: 4 suits a CPU, 32 and more an accelerator.
        seed: of the resamples.
        num_resamples: of the faces, for intervals.
        generator_name: is kept with the readings.
        progress: whether to show a bar with the throughput.

    Returns:
        The scores; `Evaluation.load(out)` gives them again.

    Raises:
        InputError: if names, numbers or shapes do not fit, or the folder holds readings of other faces or networks.
        OutputError: if the folder cannot be written.
    """
    judges = dict(judges or {})
    identities = (
        identity if isinstance(identity, Mapping) else {} if identity is None else {"identity": identity}
    )
    panel = Panel(classifier, judges, dict(identities), perceptual)
    w = np.asarray(w, np.float32)
    _check_numbers(w, change, amounts, batch_size, pilot, num_resamples, sheet_faces)
    pilot, sheet_faces = min(pilot, len(w)), min(sheet_faces, len(w))
    judged = _judged(judged, tuple(classifier.names), attribute_names)
    tasks = _tasks(methods, attribute_names)
    job = Job(
        generator=generator_name,
        panel=panel.describe(),
        units=tuple(getattr(classifier, "units", ("",) * len(classifier.names))),
        judge_attributes={name: list(judge.attribute_of_column) for name, judge in judges.items()},
        num_faces=len(w),
        pilot=pilot,
        methods=tasks,
        attribute_names=tuple(attribute_names),
        judged=judged,
        change=float(change),
        seed=seed,
        num_resamples=num_resamples,
    )
    out = Path(out)
    _check_folder(out, job)
    by_name = {method.name: method for method in methods}
    cells = [(by_name[name], attribute) for name, some in job.methods.items() for attribute in some]
    with tqdm(desc="evaluation", unit="image", disable=not progress, smoothing=0.02) as bar:
        camera = Camera(generator, panel, w, batch_size, bar)
        run = _Run(out, job, camera, np.asarray(amounts, np.float32), sheet_faces)
        bar.total = len(w) + sum(run.cost(method, attribute, requests) for method, attribute in cells)
        unedited = run.unedited()
        scales = _scales(job, panel, unedited, reference)
        save_scales(out, scales)
        job.save(out)
        for method, attribute in cells:
            bar.set_postfix_str(f"{method.name}, {attribute}")
            try:
                run.measure(method, attribute, unedited, scales["values"], requests)
            except InputError as error:
                raise InputError(f"method {method.name!r}, {attribute}: {error}") from error
    evaluation = Evaluation.load(out)
    evaluation.save()
    return evaluation


class _Run:
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
        """How many pictures a method and an attribute take."""
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
        scale: Gaussianiser,
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

        known = [read("search", edit, self.grid, self.search)]
        column = job.measured.index(attribute)
        ends = self._ends(known, unedited, scale, column)
        for number in range(1, REFINEMENTS + 1):
            if number > 1:
                self._expect(len(ends) * job.pilot)
            known.append(read(f"refined-{number}", edit, ends, job.pilot))
            seen = np.abs(self._mean_changes(known[-1:], unedited, scale, column)[1])
            ends = self._ends(known, unedited, scale, column)
            if (np.abs(seen - job.change) <= _NEAR_ENOUGH * job.change).all():
                break
        read("faces", edit, ends, job.num_faces)
        read("slider", edit, self._slider(_BETWEEN, ends), job.pilot, positions=np.asarray(_BETWEEN))
        if isinstance(method, CalibratedMethod):
            values = (requests or {}).get(attribute) or default_requests(scale, column, job.units[column])

            def edit_to(w: Array, amounts: Array) -> Array:
                return method.edit_to(w, attribute, amounts)

            read("calibration", edit_to, np.asarray(values, np.float32), job.pilot)
        self._keep_pictures(method, attribute, edit, self._slider(_SHOWN, ends), mark)

    def _ends(
        self, units: Sequence[Reading], unedited: Reading, scale: Gaussianiser, column: int
    ) -> Float[np.ndarray, " 2"]:
        """The amounts of equal change, (down, up)."""
        amounts, means = self._mean_changes(units, unedited, scale, column)
        ends = []
        for side in (-1.0, 1.0):
            mine = amounts * side > 0
            ends.append(side * amount_of_change(side * amounts[mine], side * means[mine], self.job.change))
        return np.asarray(ends, np.float32)

    def _mean_changes(
        self, units: Sequence[Reading], unedited: Reading, scale: Gaussianiser, column: int
    ) -> tuple[Float[np.ndarray, " num_amounts"], Float[np.ndarray, " num_amounts"]]:
        """Amounts of some units, and the mean change of the target at each."""
        before = positions_of(scale, unedited["values"])[:, column]
        means = []
        for unit in units:
            after = positions_of(scale, unit["values"])[:, :, column]
            means.append((after - before[: after.shape[1]]).mean(1))
        return np.concatenate([unit["amounts"] for unit in units]).astype(np.float64), np.concatenate(means)

    @staticmethod
    def _slider(positions: Sequence[float], ends: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " n"]:
        """Amounts at positions of the slider, of which ±1 are the ends."""
        return np.asarray([abs(p) * ends[0 if p < 0 else 1] for p in positions], np.float32)

    def _keep_pictures(
        self, method: EditingMethod, attribute: str, edit: Edit, amounts: np.ndarray, mark: np.ndarray
    ) -> None:
        """Pictures of some faces, for contact sheets."""
        if not self.sheet_faces:
            return
        faces, resolution = self.sheet_faces, self.camera.generator.resolution
        size = min(SHEET_SIZE, resolution)
        when = {"method": mark, "amounts": amounts, "faces": np.asarray(faces)}
        path = unit_path(self.out, method.name, attribute, "pictures")
        if read_unit(path, when) is None:
            pictures = self.camera.thumbnails(edit, amounts, faces, size)
            write_unit(path, {"pictures": pictures, "positions": np.asarray(_SHOWN)}, when)
        else:
            self._skip(len(amounts) * faces)
        path = unedited_pictures_path(self.out)
        if read_unit(path, {"faces": np.asarray(faces)}) is None:
            pictures = self.camera.thumbnails(lambda w, _: w, np.zeros(1, np.float32), faces, size)[0]
            self._expect(len(pictures))
            write_unit(path, {"pictures": pictures}, {"faces": np.asarray(faces)})

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

    def _expect(self, pictures: int) -> None:
        """Count on more pictures than `cost` said."""
        self.camera.bar.total = (self.camera.bar.total or 0) + pictures

    def _skip(self, pictures: int) -> None:
        bar = self.camera.bar
        if not bar.disable:
            bar.initial += pictures  # keeps the throughput that of the work done now
            bar.update(pictures)


_YEARS = (20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
_NUM_REQUESTS = 5


def default_requests(scale: Gaussianiser, column: int, unit: str) -> tuple[float, ...]:
    """Values to ask for in an attribute's own unit: 20, 30, … 70 years, or five over ±1.5 standard deviations."""
    if unit == "years":
        return _YEARS
    positions = np.zeros((_NUM_REQUESTS, scale.values.shape[0]), np.float32)
    positions[:, column] = np.linspace(-1.5, 1.5, _NUM_REQUESTS)
    values = np.asarray(scale.inverse_transform(positions))[:, column].astype(float)
    digits = 1 - math.floor(math.log10(max(float(np.ptp(values)), 1e-6)))
    return tuple(round(value, digits) + 0.0 for value in values.tolist())


def _tasks(methods: Sequence[EditingMethod], attribute_names: Sequence[str]) -> dict[str, list[str]]:
    """The targets that each method is asked for."""
    if not methods:
        raise InputError("methods: expected one or more, got none")
    names = [method.name for method in methods]
    if len({folder_name(name) for name in names}) != len(names):
        raise InputError(f"methods: expected names that differ, got {', '.join(names)}")
    tasks = {m.name: [a for a in attribute_names if a in m.attribute_names] for m in methods}
    for method in methods:
        if not tasks[method.name]:
            raise InputError(
                f"method {method.name!r}: expected one that moves any of {', '.join(attribute_names)}; "
                f"it moves {', '.join(method.attribute_names)}"
            )
    return tasks


def _judged(
    judged: Sequence[str] | None, measured: tuple[str, ...], targets: Sequence[str]
) -> tuple[str, ...]:
    if judged is None:
        judged = [name for name in JUDGED if name in measured] or measured
    for kind, names in (("attribute_names", targets), ("judged", judged)):
        unknown = [name for name in names if name not in measured]
        if unknown or not names or len(set(names)) != len(names):
            wrong = unknown[0] if unknown else list(names)
            raise InputError(f"{kind}: expected each once, some of {', '.join(measured)}; got {wrong!r}")
    for target in targets:
        if not set(judged) - {target}:
            raise InputError(f"judged: expected attributes besides the target {target!r}")
    return tuple(judged)


def _check_numbers(
    w: np.ndarray,
    change: float,
    amounts: Sequence[float],
    batch_size: int,
    pilot: int,
    num_resamples: int,
    sheet_faces: int,
) -> None:
    if w.ndim != 2 or len(w) < 2:
        raise InputError(
            f"w: expected latents [num_faces, w_dim] of two faces or more, got shape {list(w.shape)}"
        )
    if not np.isfinite(w).all():
        raise InputError("w: expected finite numbers, got NaN or infinity")
    if not (np.isfinite(change) and change > 0):
        raise InputError(f"change: expected a positive number of standard deviations, got {change}")
    steps = np.asarray(amounts, np.float64)
    if (
        steps.ndim != 1
        or len(steps) < 2
        or not np.isfinite(steps).all()
        or (np.diff(steps, prepend=0) <= 0).any()
    ):
        raise InputError(f"amounts: expected two or more, positive and ascending, got {list(amounts)}")
    for name, number, least in (
        ("batch_size", batch_size, 1),
        ("pilot", pilot, 2),
        ("num_resamples", num_resamples, 1),
        ("sheet_faces", sheet_faces, 0),
    ):
        if number < least:
            raise InputError(f"{name}: expected {least} or more, got {number}")


def _check_folder(out: Path, job: Job) -> None:
    """Raise unless the folder is new, or one of these networks."""
    if (out / JOB_FILE).is_file():
        found = Job.load(out)
        for name in ("generator", "panel", "num_faces"):
            if getattr(found, name) != getattr(job, name):
                raise InputError(
                    f"{out}: holds an evaluation with another {name}: {getattr(found, name)}, "
                    f"expected {getattr(job, name)}; give another folder"
                )
    elif out.exists() and (not out.is_dir() or any(p.name != "measurements" for p in out.iterdir())):
        raise InputError(f"{out}: expected a new or empty folder, or one of an evaluation to go on with")


def _scales(
    job: Job,
    panel: Panel,
    unedited: Reading,
    reference: LabelledLatents | Mapping[str, Float[Array | np.ndarray, " num_reference"]] | None,
) -> dict[str, Gaussianiser]:
    """The maps from raw values to positions, of each network by itself."""
    known: Mapping[str, Array | np.ndarray] = {}
    if isinstance(reference, LabelledLatents):
        values = np.asarray(reference.values)
        known = {name: values[:, i] for i, name in enumerate(reference.attribute_names)}
    elif reference is not None:
        known = reference
    scales = {"values": fit_scales(job.measured, unedited["values"], known)}
    for name, judge in panel.judges.items():
        values = unedited[f"judge.{name}"]
        if judge.reference is not None:
            further = np.asarray(judge.reference, np.float32)
            if further.ndim != 2 or further.shape[1] != values.shape[1]:
                raise InputError(
                    f"judge {name!r}: expected reference values [num_reference, {values.shape[1]}], "
                    f"got shape {list(further.shape)}"
                )
            values = np.concatenate([values, further])
        scales[f"judge.{name}"] = fit_scales(judge.columns, values, {})
    return scales
