"""Face detection: the faces of a photograph and their landmarks.

The small detector of face-api proposes boxes, and its landmark network places 68 points in each. The landmarks are then
refined in the upright crop that they define, and the detector must confirm the face in that crop.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxedit.attributes.faces.crop import FACE_LEFT, FACE_SIDE, FACE_TOP, crop_faces
from jaxedit.attributes.faces.detector import (
    OVERLAP_THRESHOLD,
    SCORE_THRESHOLD,
    FaceDetector,
    choose_boxes,
    overlaps,
)
from jaxedit.attributes.faces.geometry import MIRRORED
from jaxedit.attributes.faces.networks import FaceNetworks, LandmarkNet
from jaxedit.errors import InputError
from jaxedit.images import from_pixels
from jaxedit.inversion.ffhq_crop import cut_quad, ffhq_quad
from jaxedit.inversion.image_arguments import ImageLike, as_pixels
from jaxedit.inversion.photo import MIN_SIDE

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

# The second size is face-api's. The others are for faces that fill the photograph or are small in it.
_DETECTOR_SIZES = (224, 416, 832)
_PROPOSAL_THRESHOLD = 0.3  # low: every proposal must be confirmed
_LANDMARK_CROP = 160
_REFINED_SIZE = 256  # pixels a side of the crops that landmarks are refined in
_REFINEMENTS = 2  # after which the square moves by less than a hundredth of its side

# In square sides: the network places landmarks higher than dlib, with which FFHQ was cropped. Mean over 30 generated
# faces, with a standard deviation of 0.0025.
_LANDMARK_BIAS = 0.0077

# The view in which a face is confirmed: pixels a side, and its extent in square sides.
_CONFIRMED_SIZE, _CONFIRMED_EXTENT = 320, 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face in a photograph. Coordinates are in pixels, y downward, 0 at the outer edge of the first pixel.

    Attributes:
        box: the detector's box: left, top, right, bottom.
        score: the detector's confidence in the upright face, 0…1.
        landmarks: (x, y) of the 68 landmarks of the iBUG scheme.
    """

    box: Box
    score: float
    landmarks: Float[np.ndarray, "68 2"]


def detect_faces(photo: ImageLike, *, name: str = "photo") -> list[Face]:
    """Detect the faces of a photograph, the largest first.

    Args:
        photo: as `align` takes its pixels.
        name: name of the photograph in errors.

    Raises:
        InputError: if the photograph is smaller than 64 pixels a side or shows no face.
        DownloadError, OutputError: if the face networks cannot be fetched or stored.
    """
    photo = as_pixels(photo, name)
    if min(photo.shape[:2]) < MIN_SIDE:
        raise InputError(f"{name}: expected {MIN_SIDE} pixels a side or more, got {photo.shape}")
    faces: list[Face] = []
    taken: list[Box] = []
    for box, _ in find_boxes(photo):
        try:
            landmarks = find_landmarks(photo, box)
            if _is_taken(ffhq_quad(landmarks), taken):
                continue
            landmarks = refine_landmarks(photo, landmarks)
            quad = ffhq_quad(landmarks)
            score = _confirm(photo, quad)
        except InputError:  # landmarks that define no square: not a face
            continue
        if score > SCORE_THRESHOLD and not _is_taken(quad, taken):
            taken.append(_square_about(quad))
            faces.append(Face(box, score, landmarks))
    if not faces:
        raise InputError(f"{name}: no face found")
    return sorted(faces, key=lambda face: _side(ffhq_quad(face.landmarks)), reverse=True)


def find_boxes(photo: UInt8[np.ndarray, "height width 3"]) -> list[tuple[Box, float]]:
    """Boxes where faces may be, with the detector's scores, the highest first; some are not faces."""
    height, width = photo.shape[:2]
    side = max(height, width)
    smallest, *larger = _DETECTOR_SIZES
    sizes = [
        smallest,
        *(size for size in larger if size < 2 * side),
    ]  # a larger one only enlarges the photograph
    found = []
    for size in sizes:
        # With antialiasing, as a browser draws it onto the canvas that the original reads; black at right and bottom.
        square = Image.new("RGB", (size, size))
        scaled = (max(1, round(width * size / side)), max(1, round(height * size / side)))
        square.paste(Image.fromarray(photo).resize(scaled, Image.Resampling.BILINEAR, reducing_gap=3.0))
        found.append(jax.tree.map(np.asarray, _detect(_detector(), np.asarray(square)[None])))
    boxes = np.concatenate([boxes[0] for boxes, _ in found]).astype(np.float64) * side
    scores = np.concatenate([scores[0] for _, scores in found])
    chosen = choose_boxes(boxes, scores, score_threshold=_PROPOSAL_THRESHOLD)
    return [(tuple(boxes[i].tolist()), float(scores[i])) for i in chosen]


def find_landmarks(photo: UInt8[np.ndarray, "height width 3"], box: Box) -> Float[np.ndarray, "68 2"]:
    """Landmarks of the face in a box, as face-api computes them: from the whole pixels of the box, padded with black to
    a square.

    Raises:
        InputError: if the box does not overlap the photograph.
    """
    height, width = photo.shape[:2]
    x, y = max(box[0], 0.0), max(box[1], 0.0)
    left, top = int(x), int(y)
    right, bottom = left + int(min(box[2], width) - x), top + int(min(box[3], height) - y)
    if right <= left or bottom <= top:
        raise InputError(f"box: expected one that overlaps the photograph, got {box}")
    crop = Image.fromarray(photo[top:bottom, left:right])
    side = max(crop.size)
    start = ((side - crop.width) // 2, (side - crop.height) // 2)
    square = Image.new("RGB", (side, side))
    square.paste(crop, start)
    square = square.resize((_LANDMARK_CROP, _LANDMARK_CROP), Image.Resampling.BILINEAR)
    fractions = np.asarray(_landmarks(_landmark_net(), np.asarray(square)[None])[0], np.float64)
    return fractions * side + (left - start[0], top - start[1])


def refine_landmarks(
    photo: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "68 2"]
) -> Float[np.ndarray, "68 2"]:
    """Refine landmarks in the upright crop that they define.

    The network then sees every face level and at the scale of FFHQ, whatever the tilt of the head in the photograph. It
    also sees the mirrored crop, so that neither side is preferred.
    """
    for _ in range(_REFINEMENTS):
        quad = ffhq_quad(landmarks)
        crop = cut_quad(photo, quad, _REFINED_SIZE)
        fractions = np.asarray(_landmarks_of_crop(_landmark_net(), crop[None])[0], np.float64)
        fractions += (0, _LANDMARK_BIAS)
        landmarks = quad[0] + fractions @ np.stack([quad[3] - quad[0], quad[1] - quad[0]])
    return landmarks


def _confirm(photo: UInt8[np.ndarray, "height width 3"], quad: Float[np.ndarray, "4 2"]) -> float:
    """The detector's score of the face in an upright view, averaged with the mirrored view.

    It separates faces (0.6 and more) from anything else (0.1 and less) better than the score of the proposal.
    """
    center = quad.mean(0)
    view = cut_quad(photo, center + (quad - center) * _CONFIRMED_EXTENT, _CONFIRMED_SIZE)
    found = jax.tree.map(np.asarray, _detect(_detector(), np.stack([view, view[:, ::-1]])))
    expected = np.asarray([FACE_LEFT, FACE_TOP, FACE_LEFT + FACE_SIDE, FACE_TOP + FACE_SIDE])
    total = 0.0
    for boxes, scores in zip(*found, strict=True):
        places = (boxes.astype(np.float64) - 0.5) * _CONFIRMED_EXTENT + 0.5
        total += float(scores[overlaps(expected, places) > OVERLAP_THRESHOLD].max(initial=0))
    return total / 2


def _square_about(quad: Float[np.ndarray, "4 2"]) -> Box:
    """The upright square of the same center and size: two faces are the same or not whatever their tilt."""
    x, y = quad.mean(0).tolist()
    half = _side(quad) / 2
    return (x - half, y - half, x + half, y + half)


def _side(quad: Float[np.ndarray, "4 2"]) -> float:
    return float(np.hypot(*(quad[3] - quad[0])))


def _is_taken(quad: Float[np.ndarray, "4 2"], taken: list[Box]) -> bool:
    others = np.asarray(taken, np.float64).reshape(-1, 4)
    return bool((overlaps(np.asarray(_square_about(quad)), others) > OVERLAP_THRESHOLD).any())


@functools.cache
def _detector() -> FaceDetector:
    return FaceDetector.from_pretrained()


@functools.cache
def _landmark_net() -> LandmarkNet:
    return FaceNetworks.from_pretrained().landmarks


@jax.jit
def _detect(
    detector: FaceDetector, pixels: UInt8[Array, "batch size size 3"]
) -> tuple[Float[Array, "batch boxes 4"], Float[Array, "batch boxes"]]:
    with jax.default_matmul_precision("float32"):
        return detector(from_pixels(pixels))


@jax.jit
def _landmarks(net: LandmarkNet, pixels: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch 68 2"]:
    with jax.default_matmul_precision("float32"):
        return net(from_pixels(pixels))


@jax.jit
def _landmarks_of_crop(
    net: LandmarkNet, pixels: UInt8[Array, "batch size size 3"]
) -> Float[Array, "batch 68 2"]:
    with jax.default_matmul_precision("float32"):
        crops = crop_faces(from_pixels(pixels))
        back = net(crops[:, :, ::-1])[:, MIRRORED] * jnp.asarray([-1, 1]) + jnp.asarray([1, 0])
        return jnp.asarray([FACE_LEFT, FACE_TOP]) + FACE_SIDE * (net(crops) + back) / 2
