"""What the command line says of the values of an edit, and the amounts that show the values asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxedit.cli.options import Where

if TYPE_CHECKING:
    from jaxtyping import Array

    from jaxedit.axes.attribute_axes import AttributeAxes
    from jaxedit.axes.edit_readings import EditReadings
    from jaxedit.generators.protocol import Generator


def readings(axes: "AttributeAxes", amounts: dict[str, float], result: "EditReadings") -> list[str]:
    """A line for each edited attribute, with its value before and after."""
    before, after = result.before.tolist()[0], result.after.tolist()[0]
    rows = [(name, axes.attribute_names.index(name)) for name in amounts]
    return [
        f"{name}: {before[i]:.3g} → {after[i]:.3g} {axes.attribute_units[i]}".replace("-", "−")
        for name, i in rows
    ]


def beyond_range(axes: "AttributeAxes", name: str, amount: float) -> str | None:
    """What to say of an amount beyond the usable range of an axis; None within it, or where none was measured."""
    usable = axes.range(name)
    if usable is None or usable[0] <= amount <= usable[1]:
        return None
    text = (
        f"{name}={amount:+g} lies beyond the usable range {usable[0]:+g} … {usable[1]:+g} of this axis: expect "
        "little more of the attribute, or another face, background or flaws"
    )
    return text.replace("-", "−")


def amounts_seen(
    model: "Generator",
    axes: "AttributeAxes",
    w: "Array",
    values: tuple[Mapping[str, float], str],
    where: Where,
    options: Mapping[str, Any],
) -> tuple[dict[str, float], str]:
    """The amounts after which the image shows some values, and a line that says what it shows.

    Args:
        model: makes the images.
        axes: its axes.
        w: one latent.
        values: by attribute, and their units: "std" or "raw".
        where: the edit changes the image.
        options: `layers`, `pivot` and `noise` of `amounts_to_show`.
    """
    import numpy as np

    from jaxedit.attributes.person.places import FacePlaces
    from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
    from jaxedit.axes.seen_values import amounts_to_show

    wanted, units = values
    if units == "std":
        positions = np.zeros((1, len(axes.attribute_names)), np.float32)
        at = {name: axes.attribute_names.index(name) for name in wanted}
        for name, position in wanted.items():
            positions[0, at[name]] = position
        raw = np.asarray(axes.quantile_transform.inverse_transform(positions))[0]
        wanted = {name: float(raw[index]) for name, index in at.items()}
    places = FacePlaces.from_pretrained() if where is Where.PLACE else None
    classifier = load_classifiers(face_classifiers(list(wanted)))
    found, seen = amounts_to_show(model, axes, classifier, w, wanted, places=places, **options)
    amounts = {name: float(of[0]) for name, of in found.items()}
    units_of = dict(zip(axes.attribute_names, axes.attribute_units, strict=True))
    shown = ", ".join(
        f"{name} {float(of[0]):.3g} {units_of[name]} ({amounts[name]:+.2f} standard deviations)"
        for name, of in seen.items()
    )
    return amounts, f"the image shows {shown}".replace("-", "−")
