"""Evaluators: all networks that read the images of an evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents

Network = Callable[[Float[Array, "batch height width 3"]], Float[Array, "batch num_values"]]
"""Images in [-1, 1] to numbers, such as `FaceIdentity`."""

PerceptualDistance = Callable[
    [Float[Array, "batch height width 3"], Float[Array, "batch height width 3"]], Float[Array, " batch"]
]
"""Two batches of images in [-1, 1] to the distance of each pair, such as LPIPS."""


PersonFinder = Callable[[Float[Array, "batch height width 3"]], Float[Array, "batch height width"]]
"""Images in [-1, 1] to the probability that a pixel shows a person, such as `PersonMask`."""


@dataclasses.dataclass(frozen=True)
class IndependentNetworks:
    """Networks that no method under evaluation has learned from.

    Attributes:
        classifier: measures raw values.
        attributes: the attribute that each column stands for. Several columns may stand for one attribute, whose
            change is then the mean of theirs. By default a column's name up to an "@": "age@one" and "age@two" stand
            for age.
        reference: raw values of further unedited images. With the evaluated faces they fix what one standard deviation
            is.

    Raises:
        InputError: if `attributes` lacks a column, or `reference` has other columns than the classifier.
    """

    classifier: AttributeClassifier
    attributes: Mapping[str, str] | None = None
    reference: Float[Array | np.ndarray, "num_reference num_columns"] | None = None

    def __post_init__(self) -> None:
        known = self.columns if self.attributes is None else self.attributes
        missing = [column for column in self.columns if column not in known]
        if missing:
            raise InputError(
                f"independent networks: expected an attribute for each column, {', '.join(missing)} has none"
            )
        if self.reference is not None and self.reference.shape[1:] != (len(self.columns),):
            raise InputError(
                f"independent networks: expected reference values [num_reference, {len(self.columns)}], "
                f"got shape {list(self.reference.shape)}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the classifier."""
        return tuple(self.classifier.names)

    @property
    def attribute_of_column(self) -> tuple[str, ...]:
        """The attribute that each column stands for."""
        if self.attributes is None:
            return tuple(column.split("@")[0] for column in self.columns)
        return tuple(self.attributes[column] for column in self.columns)


@dataclasses.dataclass(frozen=True)
class Evaluators:
    """All that reads an image.

    Attributes:
        classifier: measures the attributes. Methods are set to equal change of the target as it measures it.
        reference: raw values of a population of unedited faces, which fix what one standard deviation of each of the
            classifier's attributes is: a dataset, or values by attribute. By default, and for attributes that it
            lacks, the evaluated faces do.
        independent: groups of independent networks, by name.
        identity: networks of identity descriptors, by name. Descriptors are compared by Euclidean distance:
            √(2 − 2 cos) for descriptors of length one.
        perceptual: a distance of two images of 256² (or of the generator's size, where that is smaller), such as
            `LPIPS.from_pretrained()`.
        person: finds the person in images of that size, such as `PersonMask.from_pretrained()`: change outside the
            person is then measured too.
    """

    classifier: AttributeClassifier
    reference: LabelledLatents | Mapping[str, Float[Array | np.ndarray, " num_reference"]] | None = None
    independent: Mapping[str, IndependentNetworks] = dataclasses.field(default_factory=dict)
    identity: Mapping[str, Network] = dataclasses.field(default_factory=dict)
    perceptual: PerceptualDistance | None = None
    person: PersonFinder | None = None

    @functools.cached_property
    def networks(self) -> dict[str, Callable[[Array], Array]]:
        """The networks that read single images, as arguments of compiled functions, by the key of their readings."""
        return (
            {"values": as_argument(self.classifier)}
            | {f"independent.{name}": as_argument(n.classifier) for name, n in self.independent.items()}
            | {f"descriptor.{name}": as_argument(network) for name, network in self.identity.items()}
        )

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the classifier's attributes; empty where it names none."""
        return tuple(getattr(self.classifier, "units", ("",) * len(self.classifier.names)))

    def reference_values(self) -> dict[str, Float[Array | np.ndarray, " num_reference"]]:
        """The reference population, by attribute."""
        if isinstance(self.reference, LabelledLatents):
            values = np.asarray(self.reference.values)
            return {name: values[:, i] for i, name in enumerate(self.reference.attribute_names)}
        return dict(self.reference or {})

    def describe(self) -> dict[str, object]:
        """Names of all evaluators, JSON-serializable: readings by others are not comparable."""
        return {
            "classifier": list(self.classifier.names),
            "independent": {name: list(networks.columns) for name, networks in self.independent.items()},
            "identity": list(self.identity),
            "perceptual": self.perceptual is not None,
            **({} if self.person is None else {"background": True}),
        }
