"""What exports of every format hold: which generators and axes, and the attributes in words."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError, OutputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mapping import MappedGenerator
from jaxedit.storage.atomic import HARMLESS, check_writable, recover
from jaxedit.storage.paths import as_path


def check_generator(generator: Any) -> MappedGenerator:
    """The generator, if it can be exported.

    Raises:
        InputError: if its class is chosen, or it is none of this library.
    """
    if isinstance(generator, ConditionedGenerator):
        raise InputError(
            "generator: expected one with all its classes to export, got one whose class is chosen; export it without "
            "the class (FOLDER instead of FOLDER#2): the exported mapping takes the class as an argument"
        )
    if not isinstance(generator, MappedGenerator):
        raise InputError(
            f"generator: expected one of `load_generator`, got {type(generator).__name__}, whose mapping and synthesis "
            "cannot be told apart"
        )
    return generator


def check_axes(axes: AttributeAxes | None, generator: MappedGenerator) -> None:
    """Raise `InputError` unless the axes, if there are some, are of latents of the generator's shape."""
    if axes is None:
        return
    if axes.pca.w_dim != generator.w_dim:
        raise InputError(
            f"axes: expected axes of latents of width {generator.w_dim}, as the generator's, got {axes.pca.w_dim}"
        )
    if axes.curves is not None and axes.curves.num_ws != generator.num_ws:
        raise InputError(
            f"axes: expected curves of {generator.num_ws} layers of W+, as the generator's, got {axes.curves.num_ws}"
        )


def check_free(folder: str | Path) -> None:
    """Raise `OutputError` unless the folder has a free name or is empty, and can be written."""
    folder = as_path(folder)
    recover(folder)
    check_replaceable(folder)
    check_writable(folder.absolute().parent)


def check_replaceable(folder: Path) -> None:
    """Raise `OutputError` if something is there that an export would replace."""
    if not folder.exists():
        return
    expected = f"{folder}: expected a free name or an empty folder for the export"
    if not folder.is_dir():
        raise OutputError(f"{expected}, found a file; give another name, or move it away")
    try:
        names = sorted({path.name for path in folder.iterdir()} - HARMLESS)
    except OSError as error:
        raise OutputError(f"{folder}: could not read it: {error}") from error
    if names:
        raise OutputError(f"{expected}, found {names[0]!r} in it; give another name, or move it away")


def describe_attributes(axes: AttributeAxes) -> list[dict[str, Any]]:
    """Each attribute in words and numbers, JSON-serializable.

    `name`; `unit` of its raw values; `range`, the usable amounts down and up in standard deviations, None if they were
    not measured; `positions` and `values`, the same places on the axis in standard deviations and in the unit, between
    which it is about linear.
    """
    transform = axes.quantile_transform
    positions, values = (
        np.asarray(array, np.float64).round(6).tolist() for array in (transform.positions, transform.values)
    )
    described = []
    for i, (name, unit) in enumerate(zip(axes.attribute_names, axes.attribute_units, strict=True)):
        usable = axes.range(name)
        described.append(
            {
                "name": name,
                "unit": unit,
                "range": None if usable is None else [round(amount, 6) for amount in usable],
                "positions": positions[i],
                "values": values[i],
            }
        )
    return described
