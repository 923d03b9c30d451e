"""Edits of one visitor: several attributes at once, undo and redo, as text, as a command line, and as a settings file.

Amounts are in the unit of each slider (`jaxedit.studio.sliders`): years and degrees where people know them, standard
deviations elsewhere. Settings files and command lines hold standard deviations, which mean the same for every face.
"""

import dataclasses
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.regular_files import read_json

_FORMAT = 1
_MOST_STEPS = 200
"""Steps back that a visitor can take."""

_PART = re.compile(r"(\w+)\s*=\s*([+\-−]?[\d.]+(?:e[+\-]?\d+)?)(?:\s*([^\W\d_]+)\b(?!\s*=))?", re.IGNORECASE)

Amounts = Mapping[str, float | int]


@dataclasses.dataclass(frozen=True)
class EditHistory:
    """Amounts of the attributes that are edited, with those before and after; immutable.

    Attributes:
        states: the amounts after each step, oldest first. Attributes that are not moved are left out.
        position: which of them is the present.

    Examples:
        >>> history = EditHistory().changed({"age": 12.0}).changed({"age": 12.0, "smile": 1.0})
        >>> history.undo().amounts, history.undo().redo().amounts
        ({'age': 12.0}, {'age': 12.0, 'smile': 1.0})
    """

    states: tuple[dict[str, float], ...] = ({},)
    position: int = 0

    @property
    def amounts(self) -> dict[str, float]:
        """The present amounts."""
        return dict(self.states[self.position])

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to go back."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return self.position < len(self.states) - 1

    def changed(self, amounts: Amounts) -> "EditHistory":
        """With new amounts. Steps that were taken back are dropped; the same amounts are no step.

        Raises:
            InputError: if an amount is not finite.
        """
        for name, amount in amounts.items():
            if not math.isfinite(amount):
                raise InputError(f"amount of '{name}': expected a finite number, got {amount}")
        moved = {name: float(amount) for name, amount in amounts.items() if amount}
        if moved == self.states[self.position]:
            return self
        states = (*self.states[: self.position + 1], moved)[-_MOST_STEPS:]
        return EditHistory(states, len(states) - 1)

    def undo(self) -> "EditHistory":
        """One step back; itself at the first one."""
        return dataclasses.replace(self, position=max(self.position - 1, 0))

    def redo(self) -> "EditHistory":
        """One step forward; itself at the last one."""
        return dataclasses.replace(self, position=min(self.position + 1, len(self.states) - 1))


def number(value: float | int) -> str:
    """An amount with its sign, as short as four digits allow: +1, -0.25, +12.5."""
    return f"{value:+.4g}"


def as_text(amounts: Amounts, units: Mapping[str, str]) -> str:
    """The edits as people read them.

    Args:
        amounts: of each attribute.
        units: of the attributes that have one which people know.

    Examples:
        >>> as_text({"age": 12.0, "smile": 1.0}, {"age": "years"})
        'age=+12 years smile=+1'
    """
    return " ".join(
        f"{name}={number(amount)}" + (f" {units[name]}" if name in units else "")
        for name, amount in amounts.items()
    )


def from_text(text: str, names: Sequence[str], units: Mapping[str, str]) -> dict[str, float]:
    """The edits of a text as `as_text` writes it.

    Args:
        text: edits.
        names: the attributes that there are.
        units: of the attributes that have one which people know. A text may leave them out, but not name another.

    Raises:
        InputError: if a part is no edit, an attribute is unknown or comes twice, or a unit is another.

    Examples:
        >>> from_text("age=+12 years smile=1", ["age", "smile"], {"age": "years"})
        {'age': 12.0, 'smile': 1.0}
    """
    amounts: dict[str, float] = {}
    end = 0
    for found in _PART.finditer(text):
        _check_between(text[end : found.start()])
        end, name, unit = found.end(), found[1], found[3]
        if name not in names:
            raise InputError(f"edits: unknown attribute '{name}'; known: {', '.join(names)}")
        if name in amounts:
            raise InputError(f"edits: expected each attribute once, got '{name}' twice")
        if unit and unit != units.get(name):
            raise InputError(f"edits: expected {name} in {units.get(name, 'numbers alone')}, got {unit!r}")
        try:
            amounts[name] = float(found[2].replace("−", "-"))
        except ValueError:
            raise InputError(f"edits: expected a number after {name}=, got {found[2]!r}") from None
    _check_between(text[end:])
    return {name: amount for name, amount in amounts.items() if amount}


def _check_between(text: str) -> None:
    if text.strip(" \t\r\n,;"):
        raise InputError(f"edits: expected ATTRIBUTE=AMOUNT such as age=+12, got '{text.strip()[:60]}'")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What repeats an edit elsewhere.

    Attributes:
        amounts: of each attribute, in standard deviations.
        generator: name or folder.
        axes: folder of the axes; None for the generator's own.
        seed: number of the face; None for a photograph.
        photo: name of the photograph; None for a number.
        truncation_psi: of the face by number.
        preset: of the projection of the photograph; None for the device's.
    """

    amounts: Amounts
    generator: str
    axes: str | None = None
    seed: int | None = None
    photo: str | None = None
    truncation_psi: float = 0.7
    preset: str | None = None

    def command(self) -> str:
        """The command line that makes the same image.

        Examples:
            >>> Settings({"age": 1.25}, "mobile-stylegan-ffhq", seed=7).command()
            'jaxedit edit --seed 7 age=+1.25'
        """
        words = ["jaxedit", "edit"]
        if self.generator != "mobile-stylegan-ffhq":
            words += ["--generator", self.generator]
        if self.axes is not None:
            words += ["--axes", self.axes]
        words += ["--photo", self.photo] if self.photo is not None else ["--seed", str(self.seed)]
        if self.photo is None and self.truncation_psi != 0.7:
            words += ["--truncation-psi", f"{self.truncation_psi:g}"]
        if self.preset is not None:
            words += ["--preset", self.preset]
        return shlex.join([*words, *(f"{name}={number(amount)}" for name, amount in self.amounts.items())])

    def as_json(self) -> str:
        """As a settings file holds them."""
        return json.dumps(
            {"kind": "jaxedit edit settings", "format": _FORMAT, **dataclasses.asdict(self)}, indent=2
        )

    def save(self, path: str | Path) -> Path:
        """Write a settings file, which `jaxedit edit --settings` takes.

        Raises:
            OutputError: if it cannot be written.
        """
        return write_atomically(path, self.as_json().encode() + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a settings file.

        Raises:
            InputError: if it is missing, no settings file, newer, or a value in it is none.
        """
        return cls.of(read_json(path, expected="a settings file of jaxedit studio (.json)"), where=str(path))

    @classmethod
    def of(cls, found: Any, *, where: str) -> "Settings":
        """The settings of a parsed file.

        Args:
            found: the object that it holds.
            where: the file, for errors.

        Raises:
            InputError: as `load`.
        """
        if not isinstance(found, dict) or found.get("kind") != "jaxedit edit settings":
            raise InputError(f"{where}: expected a settings file of jaxedit studio, found something else")
        if not isinstance(found.get("format"), int) or found["format"] > _FORMAT:
            raise InputError(f"{where}: expected format {_FORMAT} or earlier, found {found.get('format')!r}")
        amounts = found.get("amounts")
        if not isinstance(amounts, dict) or not all(_is_number(value) for value in amounts.values()):
            raise InputError(
                f"{where}: expected amounts, a finite number of each attribute, found {amounts!r}"
            )
        texts = {name: found.get(name) for name in ("generator", "axes", "photo", "preset")}
        for name, value in texts.items():
            if not isinstance(value, str) and (value is not None or name == "generator"):
                raise InputError(f"{where}: {name}: expected a text, found {value!r}")
        seed, psi = found.get("seed"), found.get("truncation_psi", 0.7)
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise InputError(f"{where}: seed: expected a number, found {seed!r}")
        if not _is_number(psi):
            raise InputError(f"{where}: truncation_psi: expected a number, found {psi!r}")
        amounts = {str(name): float(value) for name, value in amounts.items()}
        return cls(
            amounts, str(texts["generator"]), texts["axes"], seed, texts["photo"], float(psi), texts["preset"]
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
