"""The faces of a photograph, and their landmarks.

The small detector of face-api proposes boxes, its landmark network places 68 points in each. These are found anew in
the upright crop that they make, and there the detector is asked a second time whether it is a face.
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
from jaxedit.attributes.faces.networks import LandmarkNet
from jaxedit.attributes.faces.pretrained import load_face_detector, load_face_networks
from jaxedit.errors import InputError
from jaxedit.inversion.ffhq_crop import cut_quad, ffhq_quad
from jaxedit.inversion.photo import MIN_SIDE

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

# The original's size is the second; the others are for faces that fill the photograph, or are small in it.
_DETECTOR_SIZES = (224, 416, 832)
_PROPOSAL_THRESHOLD = 0.3  # low, as every proposal is looked at again
_LANDMARK_CROP = 160
_REFINED_SIZE = 256  # pixels a side of the crops that landmarks are refined in
_REFINEMENTS = 2  # after which the square moves by less than a hundredth of its side

# So much higher, in square sides, the network places landmarks than dlib, with which FFHQ was cut: the mean over 30
# generated faces, whose spread is 0.0025.
_LANDMARK_BIAS = 0.0077

# Of the view in which a face is confirmed: pixels a side, and square sides that it shows.
_CONFIRMED_SIZE, _CONFIRMED_EXTENT = 320, 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face in a photograph. Coordinates are pixels, y downward, 0 at the outer edge of the first pixel.

    Attributes:
        box: left, top, right, bottom.
        score: how sure the detector is when it sees the face upright, 0…1.
        landmarks: (x, y) of the iBUG scheme.
    """

    box: Box
    score: float
    landmarks: Float[np.ndarray, "68 2"]


def detect_faces(photo: UInt8[np.ndarray, "height width 3"], *, name: str = "photo") -> list[Face]:
    """The faces of a photograph, the largest first.

    Args:
        photo: RGB.
        name: what to call the photograph in an error.

    Raises:
        InputError: if it is smaller than 64 pixels a side or shows no face.
        DownloadError, OutputError: if the networks cannot be fetched.
    """
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
        except InputError:  # landmarks that make no face: there is none
            continue
        if score > SCORE_THRESHOLD and not _is_taken(quad, taken):
            taken.append(_square_about(quad))
            faces.append(Face(box, score, landmarks))
    if not faces:
        raise InputError(f"{name}: no face found")
    return sorted(faces, key=lambda face: _side(ffhq_quad(face.landmarks)), reverse=True)


def find_boxes(photo: UInt8[np.ndarray, "height width 3"]) -> list[tuple[Box, float]]:
    """Where faces may be, with the detector's scores, the surest first; some are none."""
    height, width = photo.shape[:2]
    side = max(height, width)
    smallest, *larger = _DETECTOR_SIZES
    sizes = [smallest, *(size for size in larger if size < 2 * side)]  # more would only blow it up
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
    """Landmarks of the face in a box of the detector, as the original finds them: from the box's whole pixels, padded
    to a square with black.
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
    """Landmarks found anew in the upright crop that the given ones make.

    The network then sees every face as it sees images of FFHQ, level and at one scale, however the head is tilted in
    the photograph; and it sees the mirrored crop too, so that no side is preferred.
    """
    for _ in range(_REFINEMENTS):
        quad = ffhq_quad(landmarks)
        crop = cut_quad(photo, quad, _REFINED_SIZE)
        fractions = np.asarray(_landmarks_of_crop(_landmark_net(), crop[None])[0], np.float64)
        fractions += (0, _LANDMARK_BIAS)
        landmarks = quad[0] + fractions @ np.stack([quad[3] - quad[0], quad[1] - quad[0]])
    return landmarks


def _confirm(photo: UInt8[np.ndarray, "height width 3"], quad: Float[np.ndarray, "4 2"]) -> float:
    """The detector's score of an upright view, at the place that the face then has; mean with the mirrored view.

    It tells faces (0.6 and more) from what is none (0.1 and less) better than the score of the first look.
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
    """The upright square of the same center and size: tilts do not matter to whether two faces are one."""
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
    return load_face_detector()


@functools.cache
def _landmark_net() -> LandmarkNet:
    return load_face_networks().landmarks


def _to_float(pixels: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    return pixels.astype(jnp.float32) / 127.5 - 1


@jax.jit
def _detect(
    detector: FaceDetector, pixels: UInt8[Array, "batch size size 3"]
) -> tuple[Float[Array, "batch boxes 4"], Float[Array, "batch boxes"]]:
    with jax.default_matmul_precision("float32"):
        return detector(_to_float(pixels))


@jax.jit
def _landmarks(net: LandmarkNet, pixels: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch 68 2"]:
    with jax.default_matmul_precision("float32"):
        return net(_to_float(pixels))


@jax.jit
def _landmarks_of_crop(
    net: LandmarkNet, pixels: UInt8[Array, "batch size size 3"]
) -> Float[Array, "batch 68 2"]:
    with jax.default_matmul_precision("float32"):
        crops = crop_faces(_to_float(pixels))
        back = net(crops[:, :, ::-1])[:, MIRRORED] * jnp.asarray([-1, 1]) + jnp.asarray([1, 0])
        return jnp.asarray([FACE_LEFT, FACE_TOP]) + FACE_SIDE * (net(crops) + back) / 2
