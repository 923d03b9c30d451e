"""Settings of a refinement: how much is rendered, what each curve holds, where edits saturate."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.axes.curve_learning.loss import ImageLossConfig
from jaxedit.errors import InputError
from jaxedit.storage.regular_files import read_json

_LEAST = {
    "num_latents": 2,
    "num_derivatives": 1,
    "num_images": 1,
    "num_calibration_latents": 2,
    "num_calibrations": 0,
    "images_per_update": 2,
    "batch_size": 1,
    "gradient_batch_size": 1,
    "seed": 0,
    "latent_seed": 0,
}

_MOST_GAIN = 4.0
_LAYERS = ("in_layers", "within_layers", "upward_in_layers")
_BY_NAME = ("weights", "ends", "slopes", *_LAYERS, "gains", "far")
"""Settings that have a value for some attributes each, by name."""


@dataclasses.dataclass(frozen=True)
class RefinementConfig:
    """How curves are learned.

    Attributes:
        attributes: whose curves are learned; None for all attributes of the axes.
        num_latents: latents to learn from. Every second one is truncated to ψ = 0.7.
        num_derivatives: of these, latents at which derivatives are taken, for the preconditioner and the first tangent.
        num_images: rendered in the descent, for each attribute.
        num_calibration_latents: of these, latents on which the curves are measured in full images.
        num_calibrations: rounds of measuring and mixing.
        groups: the group of each layer of W+; layers of a group share a curve. None for `default_groups`.
        held: attributes that every curve holds fully: they weigh 1 as others, and calibration takes them out of each
            other. None for all attributes.
        weights: of attributes that are held softly.
        default_weight: of attributes that are in neither.
        ends: of an axis, the positions beyond which edits saturate, (below, above); by default (−2, 2), which 5 % of
            latents lie beyond.
        slopes: of edits beyond the ends. By default the measured one: the change of the target by edits that lead
            beyond the ends, relative to that by edits that stay between them.
        in_layers: of an attribute of shape (a hat, glasses), the first layer and the one after the last: its curve is
            not learned by descent, which finds textures that please a classifier of such things, but is the axis's own
            path in W, in these layers alone. The held ones among them are taken out of the others among them.
        within_layers: of a curve that is learned by descent, the layers that it moves, likewise; by default all.
        upward_in_layers: of a curve that is learned by descent, layers likewise, in which edits upwards follow the
            axis's own path in W instead: a descent finds the least change that pleases a network, and of some
            attributes (a smile) people see less than it does.
        gains: of a curve, (down, up), by how much it is longer in the end than it was learned, so that the amounts of
            people show what the axis says: a network is often pleased before an eye is.
        continued: attributes whose descent goes on from the curve that the axes have, instead of a new tangent.
        far: amounts (down, up) at which a curve is measured and corrected once more, for an axis whose usual edits
            are long.
        loss: weights of the loss. Its identity weights belong to the descriptors in order; further ones are not used.
        method: "gradients", or "regression" for a classifier that is not differentiable (see
            `jaxedit.axes.curve_learning.regression`).
        images_per_update: images of one update of a curve, an even number.
        batch_size: full images at once: 4 suits a CPU, 32 and more an accelerator.
        gradient_batch_size: images whose gradients are taken at once: 1 suits a CPU, 8 an accelerator.
        seed: of the latents and amounts of the descent.
        latent_seed: of the stream that the latents are drawn from (see `sample_z`).

    Raises:
        InputError: if a number is out of range.
    """

    attributes: tuple[str, ...] | None = None
    num_latents: int = 1024
    num_derivatives: int = 160
    num_images: int = 640
    num_calibration_latents: int = 96
    num_calibrations: int = 2
    groups: tuple[int, ...] | None = None
    held: tuple[str, ...] | None = None
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    default_weight: float = 0.1
    ends: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    slopes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    in_layers: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    within_layers: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    upward_in_layers: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    gains: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    continued: tuple[str, ...] = ()
    far: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    loss: ImageLossConfig = dataclasses.field(default_factory=ImageLossConfig)
    method: str = "gradients"
    images_per_update: int = 8
    batch_size: int = 4
    gradient_batch_size: int = 1
    seed: int = 0
    latent_seed: int = 2000

    def __post_init__(self) -> None:
        least = dict(_LEAST)
        for name in ("num_derivatives", "num_calibration_latents"):
            least["num_latents"] = max(least["num_latents"], getattr(self, name))
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise InputError(f"{name}: expected {minimum} or more, got {getattr(self, name)}")
        if self.images_per_update % 2:
            raise InputError(f"images_per_update: expected an even number, got {self.images_per_update}")
        if self.method not in ("gradients", "regression"):
            raise InputError(f"method: expected 'gradients' or 'regression', got {self.method!r}")
        for name, (below, above) in self.ends.items():
            if not below < 0 < above:
                raise InputError(
                    f"ends of {name!r}: expected one below and one above zero, got {below}, {above}"
                )
        for name, slope in self.slopes.items():
            if not 0 < slope <= 1:
                raise InputError(f"slope of {name!r}: expected a number in (0, 1], got {slope}")
        for name, gains in self.gains.items():
            if not all(0 < gain <= _MOST_GAIN for gain in gains):
                raise InputError(
                    f"gains of {name!r}: expected two numbers in (0, {_MOST_GAIN:g}], got {gains}"
                )
        for name, (first, end) in self.layers():
            if not 0 <= first < end:
                raise InputError(
                    f"layers of {name!r}: expected the first layer and the one after the last, got {first}, {end}"
                )
        for name, (down, up) in self.far.items():
            if not (down > 0 and up > 0):
                raise InputError(f"far amounts of {name!r}: expected two positive numbers, got {down}, {up}")

    def layers(self) -> list[tuple[str, tuple[int, int]]]:
        """Attributes and layers, of all settings that confine a curve to some."""
        return [item for field in _LAYERS for item in getattr(self, field).items()]

    def names(self) -> set[str]:
        """All attributes that the settings name."""
        mappings = [getattr(self, field) for field in _BY_NAME]
        lists = (self.attributes or (), self.held or (), self.continued)
        return {name for names in (*lists, *mappings) for name in names}

    def restricted(self, attribute_names: Sequence[str]) -> "RefinementConfig":
        """The settings without what they say of attributes that are not among these."""
        known = set(attribute_names)

        def some(mapping: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in mapping.items() if name in known}

        changes: dict[str, Any] = {field: some(getattr(self, field)) for field in _BY_NAME}
        return dataclasses.replace(
            self,
            held=None if self.held is None else tuple(name for name in self.held if name in known),
            continued=tuple(name for name in self.continued if name in known),
            **changes,
        )

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RefinementConfig":
        """The settings of `as_dict`; those that it lacks are the defaults.

        Raises:
            InputError: if a name is unknown or a value does not fit.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InputError(
                f"refinement config: expected some of {', '.join(sorted(known))}, got {unknown[0]!r}"
            )
        settings = dict(values)
        try:
            for name in ("attributes", "groups", "held", "continued"):
                if settings.get(name) is not None:
                    settings[name] = tuple(settings[name])
            for name in ("ends", "far", "gains"):
                if name in settings:
                    settings[name] = {key: (float(a), float(b)) for key, (a, b) in settings[name].items()}
            for name in ("weights", "slopes"):  # JSON has whole numbers, too
                if name in settings:
                    settings[name] = {key: float(value) for key, value in settings[name].items()}
            for name in _LAYERS:
                if name in settings:
                    settings[name] = {key: (int(a), int(b)) for key, (a, b) in settings[name].items()}
            if "loss" in settings:
                loss = dict(settings["loss"])
                if "identity" in loss:
                    loss["identity"] = tuple(loss["identity"])
                settings["loss"] = ImageLossConfig(**loss)
            return cls(**settings)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"refinement config: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> "RefinementConfig":
        """The settings of a JSON file.

        Raises:
            InputError: if the file cannot be read, or as `from_dict`.
        """
        values = read_json(path, expected="a JSON file of a refinement config")
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def default_groups(num_ws: int) -> tuple[int, ...]:
    """The group of each layer: pairs of the coarse five eighths of the layers, then the finer ones together.

    Coarse layers draw pose and shape, which differ from pair to pair; the finest draw color and texture.
    """
    pairs = 5 * num_ws // 16
    return tuple(min(layer // 2, pairs) for layer in range(num_ws))
