"""The published weights of the face networks."""

from jaxedit.storage.download import FACE_API
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.models.face_api import convert_face_api

FACE_WEIGHTS = PretrainedWeights("face-api", FACE_API, convert_face_api, layout=2)
"""Of face-api (13 MB): age and gender, expressions, landmarks, identity, and the detector."""
