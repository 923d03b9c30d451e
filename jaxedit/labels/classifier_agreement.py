"""Agreement of a classifier with somebody who marked images."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.attributes.learned.heads import qualities_of
from jaxedit.errors import InputError
from jaxedit.images import from_pixels
from jaxedit.labels.marked_images import MarkedImages


def agreement_with(
    classifier: AttributeClassifier, marked: MarkedImages, *, batch_size: int = 8
) -> dict[str, dict[str, tuple[float, int]]]:
    """How far a classifier agrees with marks, on each kind of images.

    A classifier that agrees on edited faces as well as on unedited ones is not fooled by the edits. The marks must not
    be those that it learned from.

    Args:
        classifier: any.
        marked: the marks.
        batch_size: images at once.

    Returns:
        Of each attribute of both: by kind of images, the area under the ROC curve (or the correlation, where the marks
        are graded) and the number of marks; NaN where all marks of a kind are the same.

    Raises:
        InputError: if they have no attribute in common.
    """
    names = [name for name in marked.attribute_names if name in classifier.names]
    if not names:
        raise InputError(
            f"classifier: expected one of the attributes {', '.join(marked.attribute_names)}, got "
            f"{', '.join(classifier.names)}"
        )
    values = []
    for start in range(0, len(marked), batch_size):
        rows = np.minimum(
            np.arange(start, start + batch_size), len(marked) - 1
        )  # the last batch is filled up
        found = _read(as_argument(classifier), jnp.asarray(marked.images[rows]))
        values.append(np.asarray(found)[: len(marked) - start])
    scores = np.concatenate(values)
    agreement = {}
    for name in names:
        column = marked.attribute_names.index(name)
        marks = marked.values[:, column].astype(float)
        known = np.flatnonzero(np.isfinite(marks))
        agreement[name] = qualities_of(
            scores[known, classifier.names.index(name)].astype(float),
            marks[known],
            [marked.kinds[row] for row in known],
            marked.attribute_units[column] == "0 or 1",
        )
    return agreement


@jax.jit
def _read(classifier: Any, images: jax.Array) -> jax.Array:
    return classifier(from_pixels(images))
