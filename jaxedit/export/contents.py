"""What exports of every format hold: which generators and axes, and the attributes in words."""

from typing import Any

import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mapping import MappedGenerator


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
