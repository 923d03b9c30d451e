"""From images to attribute values: classifiers, labelled latents, Gaussianisation."""

from jaxedit.attributes.base import AttributeClassifier
from jaxedit.attributes.dataset import LabelledLatents
from jaxedit.attributes.face_attributes import FACE_ATTRIBUTES, FaceAttributes, FaceIdentity
from jaxedit.attributes.gaussianise import Gaussianiser, fit_gaussianiser
from jaxedit.attributes.labelling import label
from jaxedit.attributes.labels_file import Labels, load_labels, save_labels
from jaxedit.attributes.selection import predictable_attributes, ridge_correlations

__all__ = [
    "FACE_ATTRIBUTES",
    "AttributeClassifier",
    "FaceAttributes",
    "FaceIdentity",
    "Gaussianiser",
    "LabelledLatents",
    "Labels",
    "fit_gaussianiser",
    "label",
    "load_labels",
    "predictable_attributes",
    "ridge_correlations",
    "save_labels",
]
