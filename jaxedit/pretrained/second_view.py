"""The second view of a known generator's attributes: networks that its axes were not learned from."""

from collections.abc import Sequence

import numpy as np

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.independent.classifiers import INDEPENDENT_COLUMNS, IndependentAttributes
from jaxedit.attributes.joined import join_classifiers
from jaxedit.attributes.learned.marked_faces import MARKED_ATTRIBUTES, SECOND_VIEW, load_marked_second_view
from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import IndependentNetworks
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.storage.arrays import read_arrays

FACE_COLUMNS = (
    *(column for column in INDEPENDENT_COLUMNS if not column.endswith("@dlib")),
    "brow_height@facemesh",
)
"""Of the attributes that the face networks measure: those whose readings ship, dlib's are not among them."""

SECOND_VIEW_COLUMNS = (*FACE_COLUMNS, *(f"{name}@{SECOND_VIEW}" for name in MARKED_ATTRIBUTES))
"""Every column: the face networks of other authors, and heads on other features for what was read by eye."""

REFERENCE_KIND = "second view"


def load_second_view(name: str, attribute_names: Sequence[str] | None = None) -> IndependentNetworks:
    """Other networks for the attributes of a known generator, and their readings of 512 of its images.

    Colors and light have none: they are measured, not recognized.

    Args:
        name: of the generator.
        attribute_names: the attributes wanted; by default all that have a second view. Those that have none are passed
            over.

    Raises:
        InputError: if the generator is unknown, or none of the attributes has a second view.
        DownloadError: if a network cannot be fetched (145 MB, once).
    """
    if name not in KNOWN_GENERATORS:
        raise InputError(f"second view {name!r}: expected one of {', '.join(KNOWN_GENERATORS)}")
    asked = [
        c
        for c in SECOND_VIEW_COLUMNS
        if attribute_names is None or c.partition("@")[0] in set(attribute_names)
    ]
    if not asked:
        raise InputError(
            f"attributes: expected some that have a second view, {', '.join(second_view_attributes())}; got "
            f"{', '.join(attribute_names or ())}"
        )
    faces = [column for column in asked if column in FACE_COLUMNS]
    marked = tuple(column.partition("@")[0] for column in asked if column not in FACE_COLUMNS)
    parts: list[AttributeClassifier] = [IndependentAttributes(faces)] if faces else []
    parts += [load_marked_second_view(marked)] if marked else []
    path = data_path(KNOWN_GENERATORS[name].second_view)
    values, about = read_arrays(path, kind=REFERENCE_KIND, expected="readings of the second view")
    columns = [about["columns"].index(column) for column in asked]
    reference = np.asarray(values["values"], np.float32)[:, columns]
    return IndependentNetworks(join_classifiers(parts), reference=reference)


def second_view_attributes() -> tuple[str, ...]:
    """The attributes that have a second view."""
    return tuple(dict.fromkeys(column.partition("@")[0] for column in SECOND_VIEW_COLUMNS))
