"""The FFHQ crop: eyes and mouth at fixed places, whatever the pose of the head in the photograph.

The recipe is the dataset's (Karras, Laine, Aila, *A Style-Based Generator Architecture for Generative Adversarial
Networks*, CVPR 2019, appendix A). Coordinates are (x, y) in pixels, y downward, 0 at the outer edge of the first pixel.
"""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from jaxedit.errors import InputError
from jaxedit.inversion.image_arguments import ImageLike, as_pixels

MIN_SIZE, MAX_SIZE = 64, 4096
"""Smallest and largest crop, in pixels a side."""

_SUPERSAMPLING = 4  # the square is cut at this multiple of its size and then shrunk, against jagged edges
_MARGIN = 0.1  # kept around the square, in square sides
_FADED_MARGIN = 0.3  # likewise, where the photograph ends within it
_BLUR = 0.02  # standard deviation of the blur at the outer end of the invented margin, in square sides


def ffhq_quad(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "4 2"]:
    """Corners of the oriented square around a face: top left, bottom left, bottom right, top right.

    With e from one eye to the other and m from the middle of the eyes to that of the mouth, half the upper side has the
    direction of e − rot₉₀(m) and the length max(2 |e|, 1.8 |m|); the center lies m / 10 below the middle of the eyes.

    Args:
        landmarks: (x, y) in pixels, of the iBUG scheme.

    Raises:
        InputError: if the landmarks are not finite or span no face.
    """
    if landmarks.shape != (68, 2):
        raise InputError(f"landmarks: expected [68, 2], got {list(landmarks.shape)}")
    if not np.isfinite(landmarks).all():
        raise InputError("landmarks: expected finite numbers, found NaN or infinity")
    landmarks = landmarks.astype(np.float64)
    left_eye, right_eye = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    eyes = (left_eye + right_eye) / 2
    across, down = right_eye - left_eye, (landmarks[48] + landmarks[54]) / 2 - eyes
    x = across - _quarter_turn(down)
    length = max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    if length < 1 or np.hypot(*x) < 1e-3 * length:
        raise InputError("landmarks: expected eyes and a mouth apart from each other")
    x *= length / np.hypot(*x)
    y = _quarter_turn(x)
    center = eyes + 0.1 * down
    return np.stack([center - x - y, center - x + y, center + x + y, center + x - y])


def cut_quad(
    photo: ImageLike, quad: Float[np.ndarray, "4 2"], size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Cut an oriented square out of a photograph.

    Parts beyond the edge are mirrored, blurred with the distance from the edge, and faded to the median color.

    Args:
        photo: RGB bytes, or another image that `align` takes.
        quad: corners from `ffhq_quad`; their center must lie in the photograph.
        size: pixels a side of the result, 64 … 4096.

    Raises:
        InputError: if the size is out of range, or the square does not lie about the photograph.
    """
    check_size(size)
    photo = as_pixels(photo, "photo")
    if quad.shape != (4, 2):
        raise InputError(f"quad: expected [4, 2], got {list(quad.shape)}")
    height, width = photo.shape[:2]
    side = np.hypot(*(quad[3] - quad[0]))
    center = quad.mean(0)
    if not ((center >= 0) & (center <= [width, height])).all() or not 1 <= side <= 8 * max(width, height):
        raise InputError("quad: expected a square that lies about the photograph")
    # Cut roughly first, so that less has to be shrunk.
    low = np.maximum(np.floor(quad.min(0) - side * _FADED_MARGIN), 0).astype(int)
    high = np.minimum(np.ceil(quad.max(0) + side * _FADED_MARGIN), (width, height)).astype(int)
    image = Image.fromarray(photo[low[1] : high[1], low[0] : high[0]])
    quad = quad - low
    shrink = int(side / size / 2)
    if shrink > 1:
        smaller = np.maximum(np.round((high - low) / shrink), 1).astype(int)
        quad, side = quad * (smaller / (high - low)), side / shrink
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.LANCZOS)
    image, quad = _surround(image, quad, side)
    large = image.transform(
        (size * _SUPERSAMPLING, size * _SUPERSAMPLING),
        Image.Transform.QUAD,
        quad.flatten().tolist(),
        Image.Resampling.BILINEAR,
    )
    return np.array(large.resize((size, size), Image.Resampling.LANCZOS))


def align_face(
    photo: ImageLike, landmarks: Float[np.ndarray, "68 2"], size: int = 1024
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The FFHQ crop of one face.

    Args:
        photo: as `align` takes its pixels.
        landmarks: (x, y) in pixels of the photograph, of the iBUG scheme.
        size: pixels a side of the result, 64 … 4096.

    Raises:
        InputError: if the landmarks are not finite, span no face or lie outside, or if photo or size are out of range.
    """
    return cut_quad(photo, ffhq_quad(landmarks), size)


def check_size(size: int) -> None:
    """Raise `InputError` if a crop cannot have so many pixels a side."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"size: expected {MIN_SIZE} … {MAX_SIZE}, got {size}")


def _quarter_turn(vector: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
    return np.asarray([-vector[1], vector[0]])


def _surround(
    image: Image.Image, quad: Float[np.ndarray, "4 2"], side: float
) -> tuple[Image.Image, Float[np.ndarray, "4 2"]]:
    """Cut the photograph to the square and a margin; invent the margin where the photograph ends within it."""
    margin = max(round(side * _MARGIN), 3)
    low = np.floor(quad.min(0)).astype(int) - margin
    high = np.ceil(quad.max(0)).astype(int) + margin
    inner_low, inner_high = np.maximum(low, 0), np.minimum(high, image.size)
    image = image.crop((*inner_low.tolist(), *inner_high.tolist()))
    quad = quad - inner_low
    before, after = inner_low - low, high - inner_high
    if max(*before, *after) <= margin - 4:  # the square itself lies inside
        return image, quad
    before, after = (np.maximum(ends, round(side * _FADED_MARGIN)) for ends in (before, after))
    return _fade(image, before, after, side), quad + before


def _fade(image: Image.Image, before: np.ndarray, after: np.ndarray, side: float) -> Image.Image:
    """Mirror at the edges, blur with the distance from them, and fade to the median color."""
    pairs = [(int(before[axis]), int(after[axis])) for axis in (1, 0)]
    padded = np.pad(np.asarray(image), [*pairs, (0, 0)], mode="reflect")
    distances = [_depths(length, *ends) for length, ends in zip(padded.shape[:2], pairs, strict=True)]
    depth = np.maximum(distances[0][:, None], distances[1][None, :])[..., None]
    blurred = np.asarray(
        Image.fromarray(padded).filter(ImageFilter.GaussianBlur(float(side) * _BLUR)), np.float32
    )
    result = padded + (blurred - padded) * np.clip(3 * depth + 1, 0, 1)
    result += (np.median(padded, axis=(0, 1)) - result) * np.clip(depth, 0, 1)
    return Image.fromarray(np.clip(np.round(result), 0, 255).astype(np.uint8))


def _depths(length: int, before: int, after: int) -> Float[np.ndarray, " length"]:
    """Depth in the margins: 1 at either end, 0 where the margin begins, negative inside."""
    positions = np.arange(length, dtype=np.float32)
    start = 1 - positions / before
    end = 1 - (length - 1 - positions) / after
    return np.maximum(start, end).astype(np.float32)
