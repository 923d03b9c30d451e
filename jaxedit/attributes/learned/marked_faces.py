"""The classifier of faces that was learned from the annotations of the package."""

import dataclasses
import importlib.resources
from pathlib import Path

from jaxedit.attributes.learned.classifier import LearnedClassifier

MARKED_ATTRIBUTES = (
    "eyeglasses",
    "sunglasses",
    "facial_hair",
    "headwear",
    "hair_length",
    "fringe",
    "curl",
    "teeth",
    "eyes_closed",
    "earrings",
    "makeup",
    "black_hair",
    "blond_hair",
    "red_hair",
    "gray_hair",
)
"""What they read off faces. `flaw`, a broken image, is no attribute of a person: ask for it by name."""

FLAW = "flaw"

SECOND_VIEW = "faceres"
"""The frozen network of the second view."""


def load_marked_faces(names: tuple[str, ...] = MARKED_ATTRIBUTES) -> LearnedClassifier:
    """The classifier that learned from faces which were read by eye (see `jaxedit.load_annotations`).

    It was learned from the first 4,000 faces of the annotations. On the 2,000 others, AUC: sunglasses .999, eyeglasses
    .994, headwear .989, gray hair .970, make-up .961, blond hair .954, red hair .938, black hair .931, earrings .898,
    broken images .889; r of graded ones: teeth .92, facial hair .90, hair length .89, fringe .84, curl .74, closed
    eyes .67. Values of what is there or not are log-odds: above 0 where it is likelier there.

    Args:
        names: some of `MARKED_ATTRIBUTES`, or "flaw".

    Returns:
        A pure function of images aligned as FFHQ is, in [-1, 1], of any square size from about 256 pixels.

    Raises:
        InputError: if a name is unknown.
        DownloadError: if the frozen network cannot be fetched (64 MB, once).

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit.attributes.learned.marked_faces import load_marked_faces
        >>> classifier = load_marked_faces(("eyeglasses", "headwear"))
        >>> classifier.names, classifier(jnp.zeros((1, 256, 256, 3))).shape
        (('eyeglasses', 'headwear'), (1, 2))
    """
    return LearnedClassifier.load_file(_shipped("marked_faces.npz")).select(names)


def load_marked_second_view(names: tuple[str, ...] = MARKED_ATTRIBUTES) -> LearnedClassifier:
    """A second view of what `load_marked_faces` reads: learned from the same marks, on the features of a face network.

    It tells whether an edit shows the thing, or has pleased the network that it was learned through. It was learned
    from the first 4,000 faces of the annotations. On the 2,000 others, AUC: sunglasses .999, eyeglasses .996, headwear
    .989, gray hair .969, make-up .964, blond hair .948, black hair .937, red hair .926, earrings .909, broken images
    .884; r of graded ones: teeth .93, facial hair .91, hair length .90, fringe .84, curl .75, closed eyes .68.

    Args:
        names: some of `MARKED_ATTRIBUTES`, or "flaw".

    Returns:
        A classifier whose names are `attribute@faceres`.

    Raises:
        InputError: if a name is unknown.
        DownloadError: if the frozen network cannot be fetched (145 MB, once).
    """
    found = LearnedClassifier.load_file(_shipped("marked_faces_second_view.npz")).select(names)
    return dataclasses.replace(found, names=tuple(f"{name}@{SECOND_VIEW}" for name in names))


def _shipped(file: str) -> Path:
    return Path(str(importlib.resources.files("jaxedit.attributes.learned"))) / file
