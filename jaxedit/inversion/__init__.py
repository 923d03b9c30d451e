"""Inversion: align a photograph, find its latent in W or W+, tune the generator to it."""

from jaxedit.inversion.align import AlignedFace, align
from jaxedit.inversion.align_folder import AlignmentSummary, align_photos, find_photos
from jaxedit.inversion.face_detection import Face, detect_faces
from jaxedit.inversion.ffhq_crop import align_face, cut_quad, ffhq_quad
from jaxedit.inversion.photo import load_photo
from jaxedit.inversion.photograph import Photograph, read_photograph

__all__ = [
    "AlignedFace",
    "AlignmentSummary",
    "Face",
    "Photograph",
    "align",
    "align_face",
    "align_photos",
    "cut_quad",
    "detect_faces",
    "ffhq_quad",
    "find_photos",
    "load_photo",
    "read_photograph",
]
