"""How broken an image looks: a descriptor that edits through images leave alone."""

import dataclasses
import functools

import jax
from jaxtyping import Array, Float

from jaxedit.attributes.learned.classifier import LearnedClassifier
from jaxedit.attributes.learned.marked_faces import FLAW, load_marked_faces


@functools.partial(jax.tree_util.register_dataclass, data_fields=["classifier"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Flaws:
    """Images of faces to log(1 + e^x), with x the log-odds of a broken image; a pytree and a pure function.

    Near 0 for all images that look whole, so that they may differ; above, a unit is one of log-odds. As a descriptor of
    a refinement it makes an edit cost that breaks the image.

    Attributes:
        classifier: of the attribute "flaw".

    Raises:
        DownloadError: from `Flaws.of_marked_faces`, if the frozen network cannot be fetched.
    """

    __no_type_check__ = True

    classifier: LearnedClassifier

    @classmethod
    def of_marked_faces(cls) -> "Flaws":
        """By the classifier that learned from the annotations of the package."""
        return cls(load_marked_faces((FLAW,)))

    def __call__(self, images: Float[Array, "batch side side 3"]) -> Float[Array, "batch 1"]:
        """The descriptor of square images in [-1, 1]."""
        return jax.nn.softplus(self.classifier(images))
