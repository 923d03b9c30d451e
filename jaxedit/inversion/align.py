"""Alignment: FFHQ crops of the faces in a photograph."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from jaxedit.inversion.face_detection import Box, detect_faces
from jaxedit.inversion.ffhq_crop import check_size, cut_quad, ffhq_quad
from jaxedit.inversion.image_arguments import ImageLike, as_pixels
from jaxedit.inversion.photo import Photo


@dataclasses.dataclass(frozen=True, eq=False)
class AlignedFace:
    """The FFHQ crop of a face, and its place in the photograph.

    Coordinates are (x, y) in pixels of the photograph, y downward, 0 at the outer edge of the first pixel.

    Attributes:
        image: the crop, RGB.
        quad: corners of the crop: top left, bottom left, bottom right, top right.
        landmarks: the 68 landmarks of the iBUG scheme.
        box: the detector's box: left, top, right, bottom.
        score: the detector's confidence in the upright face, 0…1.
    """

    image: UInt8[np.ndarray, "size size 3"]
    quad: Float[np.ndarray, "4 2"]
    landmarks: Float[np.ndarray, "68 2"]
    box: Box
    score: float


def align(
    photo: str | Path | Photo | ImageLike,
    size: int = 1024,
    *,
    largest_only: bool = False,
) -> list[AlignedFace]:
    """Find the faces in a photograph and crop them as FFHQ is cropped, the largest first.

    Karras, Laine, Aila, *A Style-Based Generator Architecture for Generative Adversarial Networks*, CVPR 2019,
    appendix A: eyes and mouth come to fixed places, and parts beyond the edge of the photograph are mirrored.

    Args:
        photo: a file in any format of `jaxedit.inversion.load_photo`; an image of Pillow; or pixels:
            [height, width, 3], or gray or RGBA (laid over white), uint8 or floats in [-1, 1].
        size: pixels a side of the crops, 64 … 4096.
        largest_only: return the largest face alone.

    Raises:
        InputError: if the photograph cannot be read, is smaller than 64 pixels a side or shows no face, or if the size
            is out of range.
        DownloadError, OutputError: if the face networks cannot be fetched or stored.

    Examples:
        >>> import jaxedit, skimage
        >>> photo = skimage.data.astronaut()[:256, 100:356]
        >>> (face,) = jaxedit.align(photo, size=256)
        >>> face.image.shape, face.landmarks.shape
        ((256, 256, 3), (68, 2))
    """
    check_size(size)
    if isinstance(photo, str | Path):
        photo = Photo(photo)
    if isinstance(photo, Photo):
        pixels, name = photo.pixels, str(photo.path)
    else:
        pixels, name = as_pixels(photo, "photo"), "photo"
    aligned = []
    for face in detect_faces(pixels, name=name)[: 1 if largest_only else None]:
        quad = ffhq_quad(face.landmarks)
        image = cut_quad(pixels, quad, size)
        aligned.append(AlignedFace(image, quad, face.landmarks, face.box, face.score))
    return aligned
