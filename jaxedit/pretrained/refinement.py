"""How the axes of a known generator are refined: its config, which ships with the package, and its networks."""

import dataclasses
import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.faces.background import BackgroundColors
from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.attributes.independent.classifiers import FaceResReading
from jaxedit.attributes.learned.flaws import Flaws
from jaxedit.attributes.learned.marked_faces import MARKED_ATTRIBUTES, load_marked_second_view
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.image_reader import RefinementNetworks
from jaxedit.errors import InputError

_CONFIGS = {"mobile-stylegan-ffhq": "mobile_stylegan_ffhq_refinement.json"}


@dataclasses.dataclass(frozen=True)
class KnownRefinement:
    """What the shipped curves were learned with.

    Attributes:
        config: attributes held, weights, ends, slopes, far amounts and sizes.
        classifier: of the attributes.
        networks: identity and independent networks.
    """

    config: RefinementConfig
    classifier: AttributeClassifier
    networks: RefinementNetworks


def load_refinement(name: str, attribute_names: Sequence[str] | None = None) -> KnownRefinement:
    """Settings and networks of a known generator's refinement.

    Args:
        name: of the generator.
        attribute_names: of the axes, where they have some of the attributes only.

    Raises:
        InputError: if no refinement ships for the generator.
        DownloadError, OutputError: if a network cannot be fetched.
    """
    if name not in _CONFIGS:
        raise InputError(f"refinement {name!r}: expected one of {', '.join(_CONFIGS)}")
    folder = Path(str(importlib.resources.files("jaxedit.pretrained"))) / "data"
    config = RefinementConfig.load(folder / _CONFIGS[name])
    if attribute_names is not None:
        config = config.restricted(attribute_names)
    asked = MARKED_ATTRIBUTES if attribute_names is None else tuple(attribute_names)
    marked = tuple(name for name in MARKED_ATTRIBUTES if name in asked)
    # What was learned from marks has a second view, too: an edit that fools one network must please the other.
    views = (FaceResReading(), *((load_marked_second_view(marked),) if marked else ()))
    networks = RefinementNetworks(
        identity=(FaceIdentity(), BackgroundColors(), Flaws.of_marked_faces()),
        independent=views,
    )
    return KnownRefinement(config, load_classifiers(face_classifiers(asked)), networks)


def has_refinement(name: str) -> bool:
    """Whether a refinement ships for a generator."""
    return name in _CONFIGS
