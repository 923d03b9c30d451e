"""Methods compared at equal target change: what else does each of them change when all move the target as far?

Each method is measured on each target in `stages`, which find the amounts of equal change. Every image is read by all
networks in one pass (`measuring`). What they read is kept face by face (`record`); the scores (`scores`) are computed
from that alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.errors import InputError
from jaxedit.evaluation.effects import Network
from jaxedit.evaluation.evaluation_result import Evaluation
from jaxedit.evaluation.measurement import Camera, Judge, Panel, PerceptualDistance
from jaxedit.evaluation.methods import EditingMethod
from jaxedit.evaluation.protocol import Stages
from jaxedit.evaluation.readings import JOB_FILE, Job, Reading, fit_scales, folder_name, save_scales
from jaxedit.generators.protocol import Generator
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.quantile_transform import QuantileTransform

TARGETS = ("age", "gender", "smile", "yaw")
"""What methods are asked to move, by default."""

JUDGED = ("age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening", "face_width")
"""What else should then stay as it is, by default."""

AMOUNTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the search, to either side: a method's unit may be a small or a large one."""


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
        generator: makes the images.
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
        perceptual: a distance of images of 256² (or of the generator's size, where that is smaller), such as
            `load_lpips()`.
        requests: values to ask for in the attribute's own unit, of methods that take such. By default decades of
            years, and otherwise five values between −1.5 and +1.5 standard deviations.
        change: mean change of the target to which methods are set, in standard deviations.
        pilot: how many of the faces are read along the slider and in calibration.
        amounts: of the search, positive and ascending, in each method's own unit.
        sheet_faces: of how many faces images are kept.
        batch_size: images at once: 4 suits a CPU, 32 and more an accelerator.
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
        stages = Stages(out, job, camera, np.asarray(amounts, np.float32), sheet_faces)
        bar.total = len(w) + sum(stages.cost(method, attribute, requests) for method, attribute in cells)
        unedited = stages.unedited()
        scales = _scales(job, panel, unedited, reference)
        save_scales(out, scales)
        job.save(out)
        for method, attribute in cells:
            bar.set_postfix_str(f"{method.name}, {attribute}")
            try:
                stages.measure(method, attribute, unedited, scales["values"], requests)
            except InputError as error:
                raise InputError(f"method {method.name!r}, {attribute}: {error}") from error
    evaluation = Evaluation.load(out)
    evaluation.save()
    return evaluation


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
) -> dict[str, QuantileTransform]:
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
