"""Alignment: FFHQ crops of the faces in a photograph."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from jaxedit.errors import InputError
from jaxedit.inversion.face_detection import Box, Face, detect_faces
from jaxedit.inversion.ffhq_crop import check_size, cut_quad, ffhq_quad
from jaxedit.inversion.image_arguments import ImageLike, as_pixels
from jaxedit.inversion.photo import Photo

FaceChoice = int | tuple[float | int, float | int]
"""One face of a photograph: its number, 1 for the largest; or a place (x, y) in it, in pixels of the photograph."""


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
    face: FaceChoice | None = None,
    thorough: bool = False,
) -> list[AlignedFace]:
    """Find the faces in a photograph and crop them as FFHQ is cropped, the largest first.

    Karras, Laine, Aila, *A Style-Based Generator Architecture for Generative Adversarial Networks*, CVPR 2019,
    appendix A: eyes and mouth come to fixed places, and parts beyond the edge of the photograph are mirrored.

    Args:
        photo: a file in any format of `jaxedit.inversion.load_photo`; an image of Pillow; or pixels:
            [height, width, 3], or gray or RGBA (laid over white), uint8 or floats in [-1, 1].
        size: pixels a side of the crops, 64 … 4096.
        largest_only: return the largest face alone.
        face: return one face alone: its number, 1 for the largest; or a place (x, y) in it, in pixels of the
            photograph.
        thorough: search turned and in tiles also where a face is found, which takes some seconds; for small faces
            beside large ones.

    Raises:
        InputError: if the photograph cannot be read, is smaller than 64 pixels a side or shows no face, or not the
            chosen one; if the size is out of range.
        DownloadError, OutputError: if the face networks cannot be fetched or stored.

    Examples:
        >>> import jaxedit, skimage
        >>> photo = skimage.data.astronaut()[:256, 100:356]
        >>> (face,) = jaxedit.align(photo, size=256)
        >>> face.image.shape, face.landmarks.shape
        ((256, 256, 3), (68, 2))
    """
    check_size(size)
    if face is not None:
        check_choice(face)
    if isinstance(photo, str | Path):
        photo = Photo(photo)
    if isinstance(photo, Photo):
        pixels, name = photo.pixels, str(photo.path)
    else:
        pixels, name = as_pixels(photo, "photo"), "photo"
    faces = detect_faces(pixels, name=name, thorough=thorough)
    if face is not None:
        faces = [faces[number_of_face(faces, face, name=name) - 1]]
    aligned = []
    for found in faces[: 1 if largest_only else None]:
        quad = ffhq_quad(found.landmarks)
        image = cut_quad(pixels, quad, size)
        aligned.append(AlignedFace(image, quad, found.landmarks, found.box, found.score))
    return aligned


def check_choice(face: FaceChoice) -> None:
    """Raise `InputError` unless a choice of a face is a number from 1 on, or a finite place (x, y)."""
    is_number = isinstance(face, int) and not isinstance(face, bool) and face >= 1
    is_place = (
        isinstance(face, tuple | list)
        and len(face) == 2
        and all(isinstance(x, int | float) and math.isfinite(x) for x in face)
    )
    if not is_number and not is_place:
        raise InputError(f"face: expected a number, 1 for the largest, or a place (x, y), got {face!r}")


def number_of_face(faces: Sequence[Face | AlignedFace], face: FaceChoice, *, name: str) -> int:
    """The number of a chosen face, 1 for the largest.

    Args:
        faces: from `detect_faces`.
        face: its number, or a place (x, y) in it; of several faces there, the one whose middle is nearest.
        name: name of the photograph in errors.

    Raises:
        InputError: if there is no such face; the message lists those that there are.
    """
    check_choice(face)
    if isinstance(face, int) and face <= len(faces):
        return face
    centers = [ffhq_quad(found.landmarks).mean(0) for found in faces]
    if isinstance(face, int):
        wanted = f"face {face}"
    else:
        distances = [float(np.hypot(*(center - face))) for center in centers]
        nearest = int(np.argmin(distances))
        quad = ffhq_quad(faces[nearest].landmarks)
        if distances[nearest] <= np.hypot(*(quad[3] - quad[0])) / 2:
            return nearest + 1
        wanted = f"a face at ({face[0]:g}, {face[1]:g})"
    places = ", ".join(f"{i} at ({x:.0f}, {y:.0f})" for i, (x, y) in enumerate(centers[:10], 1))
    more = f" and {len(centers) - 10} more" if len(centers) > 10 else ""
    raise InputError(f"{name}: expected {wanted}, found {places}{more}")
