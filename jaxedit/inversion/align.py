"""From a photograph to FFHQ crops of its faces."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from jaxedit.inversion.face_detection import Box, detect_faces
from jaxedit.inversion.ffhq_crop import check_size, cut_quad, ffhq_quad
from jaxedit.inversion.photo import load_photo


@dataclasses.dataclass(frozen=True, eq=False)
class AlignedFace:
    """The FFHQ crop of a face, and where it comes from. Coordinates are those of `Face`.

    Attributes:
        image: the crop.
        quad: the crop's corners in the photograph: top left, bottom left, bottom right, top right.
        landmarks: (x, y) of the iBUG scheme, in the photograph.
        box: left, top, right, bottom, in the photograph.
        score: how sure the detector is when it sees the face upright, 0…1.
    """

    image: UInt8[np.ndarray, "size size 3"]
    quad: Float[np.ndarray, "4 2"]
    landmarks: Float[np.ndarray, "68 2"]
    box: Box
    score: float


def align(
    photo: str | Path | UInt8[np.ndarray, "height width 3"], size: int = 1024, *, largest_only: bool = False
) -> list[AlignedFace]:
    """The FFHQ crops of all faces in a photograph, the largest first.

    Args:
        photo: a file, as `load_photo` reads it, or RGB.
        size: pixels a side of the crops, 64 … 4096.
        largest_only: only the largest one.

    Raises:
        InputError: if the photograph cannot be read, is smaller than 64 pixels a side or shows no face, or the size
            is impossible.
        DownloadError, OutputError: if the networks cannot be fetched.
    """
    check_size(size)
    name = "photo" if isinstance(photo, np.ndarray) else str(photo)
    pixels = photo if isinstance(photo, np.ndarray) else load_photo(photo)
    aligned = []
    for face in detect_faces(pixels, name=name)[: 1 if largest_only else None]:
        quad = ffhq_quad(face.landmarks)
        image = cut_quad(pixels, quad, size)
        aligned.append(AlignedFace(image, quad, face.landmarks, face.box, face.score))
    return aligned
