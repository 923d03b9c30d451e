"""Sliders: for each attribute of the axes a label, a unit, the value read from the face now, and a usable range.

Age and pose move in years and degrees. Everything else moves in standard deviations over all faces: nobody has a
feeling for the log-odds of glasses.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.slider_groups import KNOWN_UNITS, SIDES, group_of, in_order
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.labels.quantile_transform import QuantileTransform

UNMEASURED = (-3.0, 3.0)
"""Range of a slider whose usable range was not measured, in standard deviations."""

_BEYOND = 0.25
"""Length of a slider on each side of its usable range, relative to the range: one may go there, knowing it."""

_SATURATED = 0.6
"""Slope of an axis beyond an end, from which up the end is none."""


@dataclasses.dataclass(frozen=True)
class Slider:
    """One slider for one face.

    Attributes:
        name: of the attribute.
        group: on the page.
        unit: "years" or "degrees"; None for standard deviations.
        value: read from the face, in the unit of the attribute.
        position: of the face among all faces, in standard deviations.
        low: least usable amount in the slider's unit; 0 or less.
        high: largest usable amount.
        is_measured: whether the usable range was measured.
        end: "lower" or "upper" where the face is at that end of the axis, beyond which little changes; None elsewhere.
        step: between two amounts.
    """

    name: str
    group: str
    unit: str | None
    value: float
    position: float
    low: float | int
    high: float | int
    is_measured: bool
    step: float
    end: str | None = None

    @property
    def title(self) -> str:
        """The attribute in words."""
        return self.name.replace("_", " ")

    @property
    def label(self) -> str:
        """The attribute with its unit and the value now, such as "age, 34 years" or "smile, +1.2 SD"."""
        now = (
            f"{round(self.position, 1) + 0.0:+.1f} SD"
            if self.unit is None
            else f"{self.value:.0f} {self.unit}"
        )
        return f"{self.title}, {now}".replace("-", "−")

    @property
    def info(self) -> str:
        """The usable range in words, and whether the face is at an end of the axis."""
        unit = f" {self.unit}" if self.unit else ""
        low, high = (f"{x:+.3g}".replace("-", "−") for x in (self.low, self.high))
        text = f"usable {low} … {high}{unit}" if self.is_measured else "usable range not measured"
        if self.name in SIDES:
            text = f"{SIDES[self.name]}; {text}"
        if self.end is not None:
            text += f"; at the {self.end} end: {'less' if self.end == 'lower' else 'more'} shows little on this face"
        return text

    @property
    def extent(self) -> tuple[float | int, float | int]:
        """Least and largest amount that the slider takes: a little more than a usable range that was measured."""
        if not self.is_measured:
            return self.low, self.high
        more = _BEYOND * (self.high - self.low)
        return _rounded(self.low - more, self.unit), _rounded(self.high + more, self.unit)

    def marked(self) -> tuple[float | int, float | int]:
        """The amounts that the page marks as usable on this face: not those beyond the end at which it is."""
        return (0 if self.end == "lower" else self.low), (0 if self.end == "upper" else self.high)


@dataclasses.dataclass(frozen=True)
class FaceScale:
    """Where a face is on all axes: between amounts of sliders and standard deviations.

    Attributes:
        names: of the attributes.
        units: those of `KNOWN_UNITS`; None for the others.
        positions: of the face, in standard deviations.
        values: of the face, in the unit of each attribute.
        axes: the axes.
    """

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    positions: Float[np.ndarray, " num_attributes"]
    values: Float[np.ndarray, " num_attributes"]
    axes: AttributeAxes

    @classmethod
    def of(
        cls, axes: AttributeAxes, w: Array | np.ndarray, pivot: Array | np.ndarray | None = None
    ) -> "FaceScale":
        """The place of a latent.

        Args:
            axes: the axes.
            w: one latent of W or W+.
            pivot: as for `AttributeAxes.read`.
        """
        values = axes.read(w, pivot=pivot)
        positions = axes.quantile_transform.transform(values)
        units = tuple(unit if unit in KNOWN_UNITS else None for unit in axes.attribute_units)
        return cls(axes.attribute_names, units, np.asarray(positions)[0], np.asarray(values)[0], axes)

    def known_units(self) -> dict[str, str]:
        """The units of the attributes that have one which people know."""
        return {name: unit for name, unit in zip(self.names, self.units, strict=True) if unit is not None}

    def in_deviations(self, amounts: Mapping[str, float | int]) -> dict[str, float]:
        """Amounts of sliders as standard deviations.

        Args:
            amounts: of attributes, in the unit of their sliders.
        """
        values = self.values.copy()
        for name, amount in amounts.items():
            values[self.names.index(name)] += amount
        reached = np.asarray(_to_positions(self.axes.quantile_transform, values))
        return {
            name: float(reached[index] - self.positions[index]) if self.units[index] else float(amount)
            for name, amount in amounts.items()
            for index in [self.names.index(name)]
        }

    def in_sliders(self, deviations: Mapping[str, float | int]) -> dict[str, float]:
        """Standard deviations as amounts of sliders."""
        positions = self.positions.copy()
        for name, amount in deviations.items():
            positions[self.names.index(name)] += amount
        reached = np.asarray(_to_values(self.axes.quantile_transform, positions))
        return {
            name: float(reached[index] - self.values[index]) if self.units[index] else float(amount)
            for name, amount in deviations.items()
            for index in [self.names.index(name)]
        }

    def sliders(self) -> list[Slider]:
        """The sliders of the face, in the order of the page."""
        ends = self._ends()
        ranges = {name: self.axes.range(name) for name in self.names}
        limits = {name: usable or UNMEASURED for name, usable in ranges.items()}
        low = self.in_sliders({name: limit[0] for name, limit in limits.items()})
        high = self.in_sliders({name: limit[1] for name, limit in limits.items()})
        return [
            Slider(
                name=name,
                group=group_of(name),
                unit=self.units[index],
                value=float(self.values[index]),
                position=float(self.positions[index]),
                low=_rounded(low[name], self.units[index]),
                high=_rounded(high[name], self.units[index]),
                is_measured=ranges[name] is not None,
                step=1.0 if self.units[index] else 0.1,
                end=ends[index],
            )
            for name in in_order(self.names)
            for index in [self.names.index(name)]
        ]

    def _ends(self) -> list[str | None]:
        """The end of each axis at which the face is."""
        curves = self.axes.curves
        if curves is None:
            return [None] * len(self.names)
        (low, high), saturates = np.asarray(curves.ends).T, np.asarray(curves.slopes) < _SATURATED
        is_low, is_high = saturates & (self.positions <= low), saturates & (self.positions >= high)
        return [
            "lower" if at_low else "upper" if at_high else None
            for at_low, at_high in zip(is_low, is_high, strict=True)
        ]

    def reached(self, amounts: Mapping[str, float | int]) -> dict[str, str]:
        """What the attributes with a unit become, in words: "34 → 46 years"."""
        return {
            name: f"{self.values[i]:.0f} → {self.values[i] + amount:.0f} {self.units[i]}".replace("-", "−")
            for name, amount in amounts.items()
            for i in [self.names.index(name)]
            if self.units[i] is not None
        }


def _rounded(limit: float, unit: str | None) -> float | int:
    return round(limit) if unit else round(limit, 1)


@jax.jit
def _to_positions(transform: QuantileTransform, values: Any) -> Array:
    return transform.transform(jnp.asarray(values)[None])[0]


@jax.jit
def _to_values(transform: QuantileTransform, positions: Any) -> Array:
    return transform.inverse_transform(jnp.asarray(positions)[None])[0]
