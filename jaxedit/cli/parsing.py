"""Command-line arguments as names, numbers and paths."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from jaxedit.errors import InputError

if TYPE_CHECKING:
    from jaxedit.generators.protocol import Generator


_MOST_LAYERS = 1000


def parse_edits(arguments: list[str]) -> dict[str, float]:
    """`["age=+1.5", "smile=-1"]` as amounts by name.

    Raises:
        InputError: if an argument is not NAME=NUMBER, or a name comes twice.
    """
    edits: dict[str, float] = {}
    for argument in arguments:
        name, equals, amount = argument.partition("=")
        try:
            value = float(amount.replace("−", "-"))
        except ValueError:
            value = None
        if not name or not equals or value is None:
            raise InputError(f"expected ATTRIBUTE=AMOUNT such as age=+1.5, got '{argument}'")
        if name in edits:
            raise InputError(f"expected each attribute once, got '{name}' twice")
        edits[name] = value
    return edits


def parse_face(argument: str | None) -> int | tuple[float, float] | None:
    """`"2"` as the number of a face, `"640,300"` as a place in it.

    Raises:
        InputError: if it is neither.
    """
    if argument is None:
        return None
    try:
        numbers = [float(part) for part in argument.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and argument.strip().isdecimal() and numbers[0] >= 1:
        return int(argument)
    if len(numbers) == 2 and all(map(math.isfinite, numbers)):
        return (numbers[0], numbers[1])
    raise InputError(f"--face: expected a number such as 2, or a place X,Y such as 640,300, got '{argument}'")


def parse_layers(argument: str | None) -> list[int] | None:
    """`"4-8,10"` as numbers of layers; None for all.

    Raises:
        InputError: if it is something else.
    """
    if argument is None:
        return None
    layers: list[int] = []
    for part in argument.split(","):
        first, _, last = part.strip().partition("-")
        ends = [first, last or first]
        if not all(end.strip().isdecimal() for end in ends) or int(ends[0]) > int(ends[1]):
            raise InputError(f"--layers: expected numbers and ranges such as 4-8,10, got '{argument}'")
        if int(ends[1]) >= _MOST_LAYERS:
            raise InputError(f"--layers: expected layers below {_MOST_LAYERS}, got '{argument}'")
        layers += range(int(ends[0]), int(ends[1]) + 1)
    return layers


def parse_direction_files(arguments: list[str]) -> list[tuple[str | None, str]]:
    """`["ganspace.npz", "age=age_boundary.npy"]` as files with their names; None where none is given.

    Raises:
        InputError: if an argument is neither FILE nor NAME=FILE.
    """
    files: list[tuple[str | None, str]] = []
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not name or (equals and not path):
            raise InputError(f"expected a file of directions or NAME=FILE, got '{argument}'")
        files.append((name, path) if equals else (None, argument))
    return files


def parse_names(argument: str) -> tuple[str, ...]:
    """`"age, smile"` as names."""
    return tuple(name.strip() for name in argument.split(","))


def named_paths(arguments: list[str]) -> dict[str, str]:
    """`["mine=axes", "folder/other"]` as paths by name. A path without a name is named by its last part.

    Raises:
        InputError: if an argument is neither a path nor NAME=PATH, or a name comes twice.
    """
    paths: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals:
            name, path = Path(argument).resolve().name.removesuffix(".npz"), argument
        if not name or not path:
            raise InputError(f"expected a path or NAME=PATH, got '{argument}'")
        if name in paths:
            raise InputError(f"expected each name once, got '{name}' twice: write NAME={path}")
        paths[name] = path
    return paths


def parse_renames(arguments: list[str]) -> dict[str, str]:
    """`["pose=-yaw"]` as new names by old name.

    Raises:
        InputError: if an argument is not OLD=NEW.
    """
    pairs = [argument.split("=") for argument in arguments]
    for argument, pair in zip(arguments, pairs, strict=True):
        if len(pair) != 2 or not pair[0] or not pair[1].removeprefix("-"):
            raise InputError(f"--rename: expected OLD=NEW such as pose=yaw, got '{argument}'")
    return {pair[0]: pair[1] for pair in pairs}


def axes_name(axes: str | None, generator: str) -> str:
    """The axes to load: those given, or the shipped axes of a known generator.

    Raises:
        InputError: if there are none.
    """
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS

    if axes is None and generator not in KNOWN_GENERATORS:
        raise InputError(
            f"--axes: expected the folder of axes of {generator}, got none; `jaxedit label` and `jaxedit learn` make it"
        )
    return generator if axes is None else axes


def check_class(model: "Generator", generator: str) -> None:
    """Raise `InputError` if a generator has classes and none is chosen.

    Args:
        model: the generator.
        generator: its name, for the error.
    """
    if model.c_dim:
        raise InputError(
            f"--generator: {generator} has {model.c_dim} classes: expected one of {generator}#0 … "
            f"{generator}#{model.c_dim - 1}, got none"
        )
