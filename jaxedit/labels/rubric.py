"""Rubrics: what somebody who reads images by eye says of each image, and in which numbers.

A rubric is a TOML file with a table for each column:

    [[columns]]
    name = "glasses"
    scale = "category"                               # or "ordinal", "yes-no"
    values = ["none", "clear lenses", "dark lenses"] # written as 0, 1, 2
    attributes = ["", "eyeglasses", "sunglasses"]    # of a category: yes or no for each value that has a name here
    hint = "Thin or faint frames count."
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.regular_files import read_text

SCALES = ("ordinal", "yes-no", "category")
CANNOT_TELL = ("9", "?")
"""How a reader writes that an image does not show it. An empty cell has not been read."""

_MAX_VALUES = 9
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("index", "seed", "notes")


@dataclasses.dataclass(frozen=True)
class Column:
    """One thing that is read off each image.

    Attributes:
        name: of the column in the table: lower-case letters, digits, underscores.
        scale: "ordinal" (more of something with each value), "yes-no", or "category" (values without order).
        values: what the values 0, 1, 2, … mean, in words; two to nine.
        attributes: names of the attributes that the column becomes. An ordinal or a yes-no is one attribute, by default
            of the column's name. A category has a name for each value, "" for a value that becomes none; by default
            NAME_VALUE.
        hint: what helps to decide.

    Raises:
        InputError: if a name, the scale or the number of values is none of these.

    Examples:
        >>> from jaxedit.labels.rubric import Column
        >>> Column("hat", "yes-no").values
        ('no', 'yes')
        >>> Column("coat", "category", ("black", "light brown")).attributes
        ('coat_black', 'coat_light_brown')
    """

    name: str
    scale: str
    values: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    hint: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise InputError(
                f"column {self.name!r}: expected a name of lower-case letters, digits and underscores, none of "
                f"{', '.join(_TAKEN)}"
            )
        if self.scale not in SCALES:
            raise InputError(
                f"column {self.name!r}: scale: expected one of {', '.join(SCALES)}, got {self.scale!r}"
            )
        if self.scale == "yes-no" and not self.values:
            object.__setattr__(self, "values", ("no", "yes"))
        count = len(self.values)
        if not 2 <= count <= _MAX_VALUES or (self.scale == "yes-no" and count != 2):
            expected = "two" if self.scale == "yes-no" else f"2 to {_MAX_VALUES}"
            raise InputError(f"column {self.name!r}: expected {expected} values, got {count}")
        if not self.attributes:
            words = [re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") for value in self.values]
            names = [f"{self.name}_{word}" for word in words] if self.scale == "category" else [self.name]
            object.__setattr__(self, "attributes", tuple(names))
        wanted = count if self.scale == "category" else 1
        named = [name for name in self.attributes if name]
        if (
            len(self.attributes) != wanted
            or not named
            or not all(map(_NAME.fullmatch, named))
            or len(set(named)) != len(named)
        ):
            raise InputError(
                f"column {self.name!r}: attributes: expected {wanted} names, each once, got {list(self.attributes)}"
            )

    @property
    def unit(self) -> str:
        """The unit of its attributes."""
        return f"0…{len(self.values) - 1}" if self.scale == "ordinal" else "0 or 1"


@dataclasses.dataclass(frozen=True)
class Rubric:
    """The columns of a table.

    Attributes:
        columns: in the order of the table.

    Raises:
        InputError: if there is no column, or a name of a column or an attribute comes twice.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise InputError("rubric: expected one column or more, got none")
        attributes = [name for column in self.columns for name in column.attributes if name]
        for names in ([column.name for column in self.columns], attributes):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise InputError(f"rubric: expected each name once, got {twice[0]!r} twice")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def select(self, names: Sequence[str]) -> "Rubric":
        """The rubric with some of its columns, in the order given.

        Raises:
            InputError: if a name is unknown, or comes twice.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise InputError(f"column {unknown[0]!r}: expected one of {', '.join(self.names)}")
        return Rubric(tuple(self.columns[self.names.index(name)] for name in names))

    def describe(self) -> dict[str, Any]:
        """JSON-serializable; `from_description` reads it."""
        return {"columns": [dataclasses.asdict(column) for column in self.columns]}

    @classmethod
    def from_description(cls, content: Mapping[str, Any], *, where: str) -> "Rubric":
        """The rubric of a table of names, as in a TOML file.

        Raises:
            InputError: if it is no rubric; the message begins with `where`.
        """
        known = [field.name for field in dataclasses.fields(Column)]
        columns = content.get("columns")
        if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
            raise InputError(f"{where}: expected a rubric, found no [[columns]] in it")
        made = []
        for i, column in enumerate(columns):
            unknown = sorted(set(column) - set(known))
            if unknown or not {"name", "scale"} <= column.keys():
                wrong = f"unknown {unknown[0]!r}" if unknown else "no name or no scale"
                raise InputError(f"{where}: column {i + 1}: expected {', '.join(known)}; found {wrong}")
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in column.items()
            }
            lists = all(isinstance(fields.get(key, ()), tuple) for key in ("values", "attributes"))
            texts = [fields["name"], fields["scale"], fields.get("hint", "")]
            if not lists or not all(
                isinstance(text, str)
                for text in (*texts, *fields.get("values", ()), *fields.get("attributes", ()))
            ):
                raise InputError(f"{where}: column {i + 1}: expected texts, and lists of texts as values")
            try:
                made.append(Column(**fields))
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        try:
            return cls(tuple(made))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write a TOML file, which `load_rubric` reads.

        Raises:
            OutputError: if it cannot be written.
        """
        lines = []
        for column in self.columns:
            lines += ["[[columns]]", f"name = {_quoted(column.name)}", f"scale = {_quoted(column.scale)}"]
            lines += [
                f"{key} = [{', '.join(map(_quoted, getattr(column, key)))}]"
                for key in ("values", "attributes")
            ]
            lines += [f"hint = {_quoted(column.hint)}"] * bool(column.hint) + [""]
        return write_atomically(path, "\n".join(lines).encode())

    def instructions(self) -> str:
        """What a reader is asked, in Markdown."""
        lines = [
            "# How to read the sheets",
            "",
            "Each image has its number above its top left corner. Look at one image after another, and fill in its "
            "line in the table: one number in each column.",
            "",
            "- Judge by looking alone. Run no program on the images, and read no table of somebody else.",
            "- Write what you see, also where it is unlikely.",
            "- Enlarge the sheet where an image is too small to see.",
            f"- Write {CANNOT_TELL[0]} or {CANNOT_TELL[1]} where the image does not show it. Do not guess.",
            "- An empty cell is one that has not been read yet.",
            "",
            "| column | values | |",
            "|---|---|---|",
        ]
        for column in self.columns:
            values = " · ".join(f"{i} {value}" for i, value in enumerate(column.values))
            lines.append(f"| `{column.name}` | {values} | {column.hint} |")
        return "\n".join([*lines, ""])


def load_rubric(path: str | Path) -> Rubric:
    """Read a rubric.

    Raises:
        InputError: if the file is missing or no rubric.
    """
    try:
        content = tomllib.loads(read_text(path, expected="a rubric (.toml)"))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # no TOML, or too deep
        raise InputError(f"{path}: expected a rubric (.toml), could not read it: {error}") from error
    return Rubric.from_description(content, where=str(path))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
