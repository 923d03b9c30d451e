"""Images to numbers: the classifier protocol, face attributes, independent networks."""

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES, FaceAttributes, FaceIdentity

__all__ = ["FACE_ATTRIBUTES", "AttributeClassifier", "FaceAttributes", "FaceIdentity"]
