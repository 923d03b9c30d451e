"""Face detection: the faces of a photograph and their landmarks.

The small detector of face-api proposes boxes, and its landmark network places 68 points in each. The landmarks are then
refined in the upright crop that they define, and the detector must confirm the face in that crop.

Where this finds nothing, the photograph is turned by a quarter, a half and three quarters, and then searched in tiles,
for faces down to a hundredth of its width.
"""

import dataclasses
import functools
import math

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
_TILE, _TILE_OVERLAP = 832, 128
_TILED_SIDES = (1664, 3328, 4992)
"""Larger sides to which the photograph is brought and cut into tiles."""
_REDUCED_ROWS = 256  # of the reduced photograph at a time
_LARGEST_GAIN = 2.0  # enlarged by more, a photograph shows no more faces

# One after the other until a face is found: whether in tiles, and the quarter turns.
_SEARCHES: tuple[tuple[bool, tuple[int, ...]], ...] = (
    (False, (0,)),
    (False, (1, 3, 2)),
    (True, (0,)),
    (True, (1, 3)),
)
_PROPOSAL_THRESHOLD = 0.3  # low: every proposal must be confirmed
_LANDMARK_CROP = 160
_REFINED_SIZE = 256  # pixels a side of the crops that landmarks are refined in
_ENOUGH_PIXELS = 512  # pixels a side of a square in a reduced photograph that shows as much as the photograph
_REFINEMENTS = 2  # after which the square moves by less than a hundredth of its side

# In square sides: the network places landmarks higher than dlib, with which FFHQ was cropped. Mean over 30 generated
# faces, with a standard deviation of 0.0025.
_LANDMARK_BIAS = 0.0077

# Degrees and scales by which a crop is moved, to see whether the landmarks in it stay. Of upright faces of public
# photographs they move by 0.003 to 0.009 square sides, of faces seen upside down by 0.015 to 0.029.
_NUDGES = ((0, 1.0), (10, 1.0), (-10, 1.0), (0, 1.12), (0, 0.9))
_STEADY = 0.012

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


def detect_faces(photo: ImageLike, *, name: str = "photo", thorough: bool = False) -> list[Face]:
    """Detect the faces of a photograph, the largest first.

    Where no face is found, the photograph is searched again, turned and in tiles, which takes some seconds.

    Args:
        photo: as `align` takes its pixels.
        name: name of the photograph in errors.
        thorough: search turned and in tiles also where a face is found, for small faces beside large ones.

    Raises:
        InputError: if the photograph is smaller than 64 pixels a side or shows no face.
        DownloadError, OutputError: if the face networks cannot be fetched or stored.
    """
    photo = as_pixels(photo, name)
    if min(photo.shape[:2]) < MIN_SIDE:
        raise InputError(f"{name}: expected {MIN_SIDE} pixels a side or more, got {photo.shape}")
    faces: list[Face] = []
    searched = _searched(photo)
    for number, (in_tiles, turns) in enumerate(_SEARCHES):
        for turn in turns:
            _add_faces(faces, photo, searched, turn, in_tiles=in_tiles)
        # A single face of a photograph that lies on its side is sometimes found without turning it, the others are not.
        if not thorough and any(number > 0 or _is_level(face) for face in faces):
            break
    if not faces:
        raise InputError(f"{name}: no face found")
    return sorted(faces, key=lambda face: _side(ffhq_quad(face.landmarks)), reverse=True)


def _searched(photo: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The photograph, reduced if it is more than twice as large as the largest size that is searched."""
    factor = max(photo.shape[:2]) // _TILED_SIDES[-1]
    if factor < 2:
        return photo
    rows = _REDUCED_ROWS * factor
    parts = [photo[top : top + rows] for top in range(0, len(photo), rows)]
    return np.concatenate([np.asarray(Image.fromarray(part).reduce(factor)) for part in parts])


def _add_faces(
    faces: list[Face],
    photo: UInt8[np.ndarray, "height width 3"],
    searched: UInt8[np.ndarray, "_ _ 3"],
    turn: int,
    *,
    in_tiles: bool,
) -> None:
    """Add the faces that are found in the photograph turned by so many quarters, in its own coordinates."""
    scale = np.asarray(photo.shape[1::-1]) / searched.shape[1::-1]
    turned = np.ascontiguousarray(np.rot90(searched, turn)) if turn else searched
    taken = [_square_about(ffhq_quad(face.landmarks)) for face in faces]
    for box, _ in find_boxes_in_tiles(turned) if in_tiles else find_boxes(turned):
        try:
            landmarks = _turned_back(find_landmarks(turned, box), searched, turn)
            if _is_taken(ffhq_quad(landmarks * scale), taken):
                continue
            # Where the face is large enough, the reduced photograph serves: cutting needs much memory.
            if searched is not photo and _side(ffhq_quad(landmarks)) >= _ENOUGH_PIXELS:
                landmarks, score = _confirmed(searched, refine_landmarks(searched, landmarks))
                landmarks = landmarks * scale
            else:
                landmarks, score = _confirmed(photo, refine_landmarks(photo, landmarks * scale))
            quad = ffhq_quad(landmarks)
        except InputError:  # landmarks that define no square: not a face
            continue
        if score > SCORE_THRESHOLD and not _is_taken(quad, taken):
            taken.append(_square_about(quad))
            corners = _turned_back(np.asarray(box, np.float64).reshape(2, 2), searched, turn) * scale
            upright = (*corners.min(0).tolist(), *corners.max(0).tolist())
            faces.append(Face(box if turned is photo else upright, score, landmarks))


def _is_level(face: Face) -> bool:
    """Whether the head leans by less than 45°. In a photograph that lies on its side none does."""
    quad = ffhq_quad(face.landmarks)
    right = quad[3] - quad[0]
    return bool(right[0] > abs(right[1]))


def _turned_back(
    points: Float[np.ndarray, "n 2"], photo: UInt8[np.ndarray, "height width 3"], turn: int
) -> Float[np.ndarray, "n 2"]:
    """Points (x, y) of a photograph that `np.rot90` has turned, in the photograph as it was."""
    height, width = photo.shape[:2]
    x, y = points[:, 0], points[:, 1]
    return np.stack([(x, y), (width - y, x), (width - x, height - y), (y, height - x)][turn], -1)


def find_boxes_in_tiles(photo: UInt8[np.ndarray, "height width 3"]) -> list[tuple[Box, float]]:
    """Boxes where small faces may be, with the detector's scores, the highest first; some are not faces.

    The photograph is enlarged to each of several sizes and cut into tiles that overlap.
    """
    height, width = photo.shape[:2]
    side = max(height, width)
    found: list[tuple[Box, float]] = []
    for size in _TILED_SIDES:
        if size >= _LARGEST_GAIN * side:
            break
        scale = size / side
        scaled = Image.fromarray(photo).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR
        )
        for top in _tile_starts(scaled.height):
            for left in _tile_starts(scaled.width):
                tile = Image.new("RGB", (_TILE, _TILE))
                tile.paste(scaled.crop((left, top, left + _TILE, top + _TILE)))  # black beyond the photograph
                boxes, scores = jax.tree.map(np.asarray, _detect(_detector(), np.asarray(tile)[None]))
                likely = scores[0] > _PROPOSAL_THRESHOLD
                placed = (boxes[0, likely].astype(np.float64) * _TILE + [left, top, left, top]) / scale
                found += [
                    (tuple(box), float(s)) for box, s in zip(placed.tolist(), scores[0, likely], strict=True)
                ]
    if not found:
        return []
    all_boxes, all_scores = np.asarray([box for box, _ in found]), np.asarray([score for _, score in found])
    return [found[i] for i in choose_boxes(all_boxes, all_scores, score_threshold=_PROPOSAL_THRESHOLD)]


def _tile_starts(length: int) -> list[int]:
    """Where tiles begin, so that they cover the length and overlap by `_TILE_OVERLAP` or more."""
    count = max(1, math.ceil((length - _TILE_OVERLAP) / (_TILE - _TILE_OVERLAP)))
    if count == 1:
        return [0]
    return [round(i * (length - _TILE) / (count - 1)) for i in range(count)]


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
    photo: UInt8[np.ndarray, "height width 3"],
    landmarks: Float[np.ndarray, "68 2"],
    *,
    times: int = _REFINEMENTS,
) -> Float[np.ndarray, "68 2"]:
    """Refine landmarks in the upright crop that they define.

    The network then sees every face level and at the scale of FFHQ, whatever the tilt of the head in the photograph. It
    also sees the mirrored crop, so that neither side is preferred.
    """
    for _ in range(times):
        quad = ffhq_quad(landmarks)
        crop = cut_quad(photo, quad, _REFINED_SIZE)
        fractions = np.asarray(_landmarks_of_crop(_landmark_net(), crop[None])[0], np.float64)
        fractions += (0, _LANDMARK_BIAS)
        landmarks = quad[0] + fractions @ np.stack([quad[3] - quad[0], quad[1] - quad[0]])
    return landmarks


def _confirmed(
    photo: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "68 2"]
) -> tuple[Float[np.ndarray, "68 2"], float]:
    """The landmarks and the score of a face; those of the other way up, if they are steadier.

    The networks take some faces that stand on their head for upright ones, with the mouth in the place of the eyes, and
    the detector's score is as high then. But such landmarks move when the crop does.
    """
    quad = ffhq_quad(landmarks)
    score = _confirm(photo, quad)
    if score > SCORE_THRESHOLD and (own := _unsteadiness(photo, landmarks)) > _STEADY:
        turned = refine_landmarks(photo, 2 * quad.mean(0) - landmarks)
        turned_score = _confirm(photo, ffhq_quad(turned))
        if turned_score > SCORE_THRESHOLD and _unsteadiness(photo, turned) < own:
            return turned, turned_score
    return landmarks, score


def _unsteadiness(photo: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "68 2"]) -> float:
    """By how much landmarks move, in square sides, when they are refined from crops that lean or are of another size:
    the root mean square of their distance to their mean."""
    middle, found = landmarks.mean(0), []
    for degrees, scale in _NUDGES:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = scale * np.asarray([[cosine, -sine], [sine, cosine]])
        found.append(refine_landmarks(photo, middle + (landmarks - middle) @ turn.T, times=1))
    away = np.stack(found) - np.mean(found, axis=0)
    return float(np.sqrt(np.square(away).sum(2).mean())) / _side(ffhq_quad(landmarks))


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
