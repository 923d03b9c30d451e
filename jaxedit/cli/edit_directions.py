"""Directions of others among the edits of `jaxedit edit`."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jaxedit.cli.parsing import parse_direction_files
from jaxedit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

DirectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|NAME=FILE",
        help="Directions of W or W+ to edit along, by the names in the file: boundaries of InterfaceGAN, directions of "
        "encoder4editing, components of GANSpace (component_0, …), arrays by name; or a folder of them. May be "
        "repeated.",
    ),
]
StyleDirectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|NAME=FILE",
        help="A direction of StyleSpace, of a StyleGAN2, as StyleCLIP has them; its name is that of the file. Single "
        "channels need no file: LAYER:CHANNEL=AMOUNT. May be repeated.",
    ),
]
LayersOption = Annotated[
    str | None,
    typer.Option(metavar="4-8,10", help="Layers of W+ to edit, from 0. Default: all."),
]


_SHOWN = 10


class SortedEdits(NamedTuple):
    """The edits by what they move."""

    along_axes: dict[str, float]
    along_directions: dict[str, float]
    directions: "dict[str, np.ndarray]"
    """Of W or W+, by name."""
    in_styles: dict[str, float]
    style_moves: "dict[str, np.ndarray]"
    """What to add to the styles, by layer."""

    known: tuple[str, ...]
    """Names of all directions in the files."""

    def check_names(self, attribute_names: tuple[str, ...], *, is_given: bool) -> None:
        """Refuse names that mean nothing, or two things.

        Args:
            attribute_names: of the axes.
            is_given: whether the axes were asked for, so that their names count as much as those of directions.

        Raises:
            InputError: if a name is neither a direction's nor an attribute's, or both.
        """
        both = [name for name in (*self.along_directions, *self.in_styles) if name in attribute_names]
        if both and is_given:
            raise InputError(
                f"edits: {both[0]!r} is an attribute of the axes and a direction: write --directions NAME=FILE"
            )
        unknown = [name for name in self.along_axes if name not in attribute_names]
        if unknown and self.known:
            attributes = f"; attributes: {', '.join(attribute_names)}" if attribute_names else ""
            shown = ", ".join(self.known[:_SHOWN]) + (", …" if len(self.known) > _SHOWN else "")
            raise InputError(f"edits: unknown name {unknown[0]!r}; directions: {shown}{attributes}")

    def describe(self) -> list[str]:
        """A line for each direction, with its amount."""
        amounts = {**self.along_directions, **self.in_styles}
        return [f"{name}: {amount:+g} × its direction".replace("-", "−") for name, amount in amounts.items()]


def sort_edits(
    model: Any,
    amounts: dict[str, float],
    directions: list[str] | None,
    style_directions: list[str] | None,
) -> SortedEdits:
    """Read the files of directions and sort the edits.

    Raises:
        InputError: if a file cannot be read or does not fit the generator, or a layer or channel is unknown.
    """
    from pathlib import Path

    from jaxedit.axes.published_directions import (
        check_amount,
        is_style_channel,
        read_directions_for,
        style_moves,
    )

    known = read_directions_for(model, parse_direction_files(directions or []))
    files: dict[str, str] = {}
    for name, path in parse_direction_files(style_directions or []):
        name = name or Path(path).stem
        if name in files or name in known:
            raise InputError(f"expected each direction once, got {name!r} twice: write NAME={path}")
        files[name] = path
    of_w = {name: amount for name, amount in amounts.items() if name in known}
    for name, amount in of_w.items():
        check_amount(name, amount)
    of_styles = {
        name: amount
        for name, amount in amounts.items()
        if name in files or (name not in known and is_style_channel(name))
    }
    rest = {name: amount for name, amount in amounts.items() if name not in of_w and name not in of_styles}
    moves = style_moves(model, of_styles, files) if of_styles or files else {}
    return SortedEdits(rest, of_w, known, of_styles, moves, (*known, *files))
