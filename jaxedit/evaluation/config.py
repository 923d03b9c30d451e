"""What an evaluation is asked for: `EvaluationConfig` by the caller, `EvaluationRequest` as its folder keeps it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.methods import EditingMethod
from jaxedit.evaluation.readings import folder_name

TARGETS = ("age", "gender", "smile", "yaw")
"""The default targets: attributes that methods are asked to move."""

LEAKAGE_ATTRIBUTES = (
    "age",
    "gender",
    "smile",
    "yaw",
    "pitch",
    "mouth_opening",
    "eye_opening",
    "face_width",
)
"""The default attributes that should stay as they are while another one is moved."""

AMOUNTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""The default amounts of the search: a method's unit may be a small or a large one."""


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Settings of an evaluation.

    Attributes:
        targets: attributes that methods are asked to move. Each method is asked for those that it knows.
        leakage_attributes: attributes whose change counts as leakage while another one is moved. By default those of
            `LEAKAGE_ATTRIBUTES` that the classifier measures, or all that it measures if it has none of them.
        change: mean change of the target to which methods are set, in standard deviations.
        requests: values to ask for in the attribute's own unit, by attribute, of methods that take such values. By
            default 20, 30, … 70 for ages, and otherwise five values between −1.5 and +1.5 standard deviations.
        pilot: how many of the faces are read along the slider and for calibration.
        amounts: amounts of the search to either side, positive and ascending, in each method's own unit.
        sheet_faces: how many faces are shown on contact sheets.
        batch_size: images at once: 4 suits a CPU, 32 and more an accelerator.
        num_resamples: bootstrap resamples of the faces, for intervals.
        seed: of the resamples.
        generator_name: name of the generator, kept with the readings.

    Raises:
        InputError: if a number is out of its range, or a name comes twice.

    Examples:
        >>> from jaxedit.evaluation import EvaluationConfig
        >>> config = EvaluationConfig(targets=("age", "smile"), change=0.5)
        >>> config.pilot
        48
        >>> EvaluationConfig(change=-1.0)
        Traceback (most recent call last):
        ...
        jaxedit.errors.InputError: change: expected a positive number of standard deviations, got -1.0
    """

    targets: Sequence[str] = TARGETS
    leakage_attributes: Sequence[str] | None = None
    change: float = 1.0
    requests: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    pilot: int = 48
    amounts: Sequence[float] = AMOUNTS
    sheet_faces: int = 3
    batch_size: int = 4
    num_resamples: int = 2000
    seed: int = 0
    generator_name: str = ""

    def __post_init__(self) -> None:
        for field in ("targets", "leakage_attributes"):
            names = getattr(self, field)
            if names is not None and (isinstance(names, str) or not names or len(set(names)) != len(names)):
                raise InputError(f"{field}: expected one or more names, each once, got {names!r}")
        if not (np.isfinite(self.change) and self.change > 0):
            raise InputError(f"change: expected a positive number of standard deviations, got {self.change}")
        amounts = np.asarray(self.amounts, np.float64)
        if amounts.ndim != 1 or len(amounts) < 2 or not _is_ascending(amounts):
            raise InputError(
                f"amounts: expected two or more, positive and ascending, got {list(self.amounts)}"
            )
        for attribute, values in self.requests.items():
            if not len(values) or not np.isfinite(values).all():
                raise InputError(
                    f"requests: expected one or more finite values of {attribute!r}, got {list(values)}"
                )
        for name, least in (("batch_size", 1), ("pilot", 2), ("num_resamples", 1), ("sheet_faces", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")

    def leakage_among(self, measured: Sequence[str]) -> list[str]:
        """The attributes whose change counts as leakage. The names of targets and of these are checked.

        Args:
            measured: names of the classifier's columns.

        Raises:
            InputError: if the classifier does not measure one of them, or a target stands alone.
        """
        chosen = self.leakage_attributes
        if chosen is None:
            chosen = [name for name in LEAKAGE_ATTRIBUTES if name in measured] or measured
        for field, names in (("targets", self.targets), ("leakage_attributes", chosen)):
            unknown = [name for name in names if name not in measured]
            if unknown:
                raise InputError(
                    f"{field}: expected attributes that the classifier measures, some of {', '.join(measured)}; "
                    f"got {unknown[0]!r}"
                )
        for target in self.targets:
            if not set(chosen) - {target}:
                raise InputError(f"leakage_attributes: expected attributes besides the target {target!r}")
        return list(chosen)

    def targets_of(self, methods: Sequence[EditingMethod]) -> dict[str, list[str]]:
        """The targets that each method is asked for, by its name.

        Raises:
            InputError: if there is no method, names of methods do not differ, or a method has none of the targets.
        """
        if not methods:
            raise InputError("methods: expected one or more, got none")
        names = [method.name for method in methods]
        if len({folder_name(name) for name in names}) != len(names):
            raise InputError(f"methods: expected names that differ, got {', '.join(names)}")
        known = {m.name: [target for target in self.targets if target in m.attribute_names] for m in methods}
        for method in methods:
            if not known[method.name]:
                raise InputError(
                    f"method {method.name!r}: expected one that moves any of {', '.join(self.targets)}; "
                    f"it moves {', '.join(method.attribute_names)}"
                )
        return known


def _is_ascending(amounts: np.ndarray) -> bool:
    return bool(np.isfinite(amounts).all() and (np.diff(amounts, prepend=0) > 0).all())


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """What was asked for, with all names resolved. Scores are computed from it and from the readings.

    Attributes:
        generator: its name.
        evaluators: names of what reads the images: columns of the classifier ("classifier") and of each group of
            independent networks ("independent"), identity networks ("identity"), whether there is a perceptual
            distance ("perceptual"), and, where it was taken, that the change of the background was ("background").
        units: of the classifier's columns.
        independent_attributes: for each group of independent networks, the attribute that each column stands for.
        num_faces: how many faces.
        pilot: how many of them are read along all amounts.
        methods: the targets that each method was asked to move, by its name.
        targets: all targets.
        leakage_attributes: attributes whose change counts as leakage.
        change: equal change, in standard deviations.
        seed: of the resamples.
        num_resamples: how many resamples.
    """

    generator: str
    evaluators: Mapping[str, Any]
    units: Sequence[str]
    independent_attributes: Mapping[str, Sequence[str]]
    num_faces: int
    pilot: int
    methods: Mapping[str, Sequence[str]]
    targets: Sequence[str]
    leakage_attributes: Sequence[str]
    change: float
    seed: int
    num_resamples: int

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the classifier's columns."""
        return tuple(self.evaluators["classifier"])

    @property
    def identity_networks(self) -> tuple[str, ...]:
        """Names of the identity networks."""
        return tuple(self.evaluators["identity"])

    @property
    def has_perceptual(self) -> bool:
        """Whether a perceptual distance was taken."""
        return bool(self.evaluators["perceptual"])

    @property
    def background_keys(self) -> tuple[str, ...]:
        """Readings of the change outside the person, as `Measurement` names them; none where it was not taken."""
        if not self.evaluators.get("background"):
            return ()
        return ("background.share", "background.squared") + (
            ("background.perceptual",) if self.has_perceptual else ()
        )

    def other_attributes(self, target: str) -> list[str]:
        """The attributes whose change counts as leakage while `target` is moved."""
        return [name for name in self.leakage_attributes if name != target]

    @classmethod
    def resolve(
        cls,
        config: EvaluationConfig,
        methods: Sequence[EditingMethod],
        evaluators: Evaluators,
        num_faces: int,
    ) -> "EvaluationRequest":
        """The request that settings make with these methods, evaluators and faces.

        Raises:
            InputError: if a name is unknown to the classifier, names of methods do not differ, or a method has none of
                the targets.
        """
        leakage_attributes = config.leakage_among(tuple(evaluators.classifier.names))
        return cls(
            generator=config.generator_name,
            evaluators=evaluators.describe(),
            units=list(evaluators.units),
            independent_attributes={
                name: list(networks.attribute_of_column) for name, networks in evaluators.independent.items()
            },
            num_faces=num_faces,
            pilot=min(config.pilot, num_faces),
            methods=config.targets_of(methods),
            targets=list(config.targets),
            leakage_attributes=leakage_attributes,
            change=float(config.change),
            seed=config.seed,
            num_resamples=config.num_resamples,
        )
