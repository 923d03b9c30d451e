"""The way in for real images: alignment of photographs, projection into W and W+."""

from jaxedit.projection.align import AlignedFace, align
from jaxedit.projection.faces import Face, detect_faces
from jaxedit.projection.ffhq_crop import align_face, cut_quad, ffhq_quad
from jaxedit.projection.photo import load_photo
from jaxedit.projection.photo_folder import AlignmentSummary, align_photos, find_photos

__all__ = [
    "AlignedFace",
    "AlignmentSummary",
    "Face",
    "align",
    "align_face",
    "align_photos",
    "cut_quad",
    "detect_faces",
    "ffhq_quad",
    "find_photos",
    "load_photo",
]
