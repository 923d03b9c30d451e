"""Pose and shape of a face from its 68 landmarks (iBUG scheme), as differentiable formulas.

Landmarks are first turned upright about the middle of the eyes (roll removed). The unit of length is the distance of
the eyes, which a smile does not change, as seen from the front: divided by cos(yaw).
"Left" and "right" are those of the image.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Depths of the parts of a head: in the image of a turned head, depth is a shift.
_NOSE_DEPTH = 0.85
"""Nose tip before the outer eye corners, by half the distance of those (about 38 mm by 45 mm)."""

# Where nose tip and ears are, and how fast they rise or sink with the sine of pitch. Zero is the average of
# generated faces; the two slopes make the two estimates of one head vary equally.
_NOSE_LEVEL, _NOSE_LEVER = 0.58, 0.60
_EAR_LEVEL, _EAR_LEVER = 0.025, 0.74

# Depths before the eye corners by eye distance: the shift with pitch, fitted on generated faces.
_BROW_DEPTH = 0.18
_CHIN_DEPTH = 0.13

EYE_LEFT, EYE_RIGHT = slice(36, 42), slice(42, 48)

MIRRORED = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge of the nose
        *range(35, 30, -1),  # base of the nose
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *range(54, 47, -1),  # outer lips, upper
        *range(59, 54, -1),  # outer lips, lower
        *range(64, 59, -1),  # inner lips, upper
        *range(67, 64, -1),  # inner lips, lower
    ]
)
"""The index of each landmark in the mirrored image."""


def upright(
    landmarks: Float[Array, "batch 68 2"],
) -> tuple[Float[Array, "batch 68 2"], Float[Array, " batch"]]:
    """Landmarks relative to the middle of the eyes with the eye line level, and the roll in degrees.

    Roll is positive if the image's right eye is the lower one (the head leans clockwise in the image).
    """
    left, right = landmarks[:, EYE_LEFT].mean(1), landmarks[:, EYE_RIGHT].mean(1)
    angle = jnp.arctan2(right[:, 1] - left[:, 1], right[:, 0] - left[:, 0])
    relative = landmarks - ((left + right) / 2)[:, None]
    cosine, sine = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    x = cosine * relative[..., 0] + sine * relative[..., 1]
    y = -sine * relative[..., 0] + cosine * relative[..., 1]
    return jnp.stack([x, y], -1), jnp.rad2deg(angle)


def measure_geometry(landmarks: Float[Array, "batch 68 2"]) -> dict[str, Float[Array, " batch"]]:
    """Pose in degrees, and lengths in hundredths of the distance of the eyes.

    Args:
        landmarks: (x, y) in any unit that is the same along both axes, y downward.

    Returns:
        Name → values. With the upright landmarks:

        - `yaw`: arctan(offset of the nose tip from the middle of the outer eye corners / half their
          distance / 0.85); positive where the face looks to the image's right.
        - `pitch`: arctan of the mean of two estimates, (0.58 − height of the nose tip between eyes (0) and
          mouth (1)) / 0.60 and (depth of the ears' landmarks below the eyes / eye distance − 0.025) / 0.74;
          positive where the face looks up, zero for the average generated face.
        - `roll`: see `upright`.
        - `mouth_opening` (gap of the inner lips), `eye_opening` (gap of the lids), `brow_height` (brows
          above the eyes), `face_length` (eyes to chin). The last two are corrected for pitch.
        - `mouth_width` and `nose_width`, corrected for yaw by cos(yaw); `face_width` at the cheekbones and
          `jaw_width` at the mouth, which a turn narrows less, by √cos(yaw).
    """
    p, roll = upright(landmarks)
    x, y = p[..., 0], p[..., 1]

    offset = x[:, 30] - (x[:, 45] + x[:, 36]) / 2
    yaw = jnp.arctan(offset / ((x[:, 45] - x[:, 36]) / 2) / _NOSE_DEPTH)
    turned = jnp.maximum(jnp.cos(yaw), 0.5)  # beyond 60° the formulas mean nothing
    eye_distance = (x[:, EYE_RIGHT].mean(1) - x[:, EYE_LEFT].mean(1)) / turned

    nose = y[:, 30] / ((y[:, 48] + y[:, 54]) / 2)
    ears = (y[:, 0] + y[:, 16]) / 2 / eye_distance
    rise = ((_NOSE_LEVEL - nose) / _NOSE_LEVER + (ears - _EAR_LEVEL) / _EAR_LEVER) / 2
    pitch = jnp.arctan(rise)

    unit = eye_distance / 100

    def across(left: int, right: int) -> Array:
        return (x[:, right] - x[:, left]) / unit

    def down(upper: tuple[int, ...], lower: tuple[int, ...]) -> Array:
        return (y[:, jnp.array(lower)].mean(1) - y[:, jnp.array(upper)].mean(1)) / unit

    corners = (36, 39, 42, 45)
    return {
        "yaw": jnp.rad2deg(yaw),
        "pitch": jnp.rad2deg(pitch),
        "roll": roll,
        "mouth_opening": down((61, 62, 63), (67, 66, 65)),
        "mouth_width": across(48, 54) / turned,
        "eye_opening": down((37, 38, 43, 44), (41, 40, 47, 46)),
        "brow_height": down((18, 19, 20, 23, 24, 25), corners) - 100 * _BROW_DEPTH * jnp.sin(pitch),
        "face_width": across(1, 15) / jnp.sqrt(turned),
        "jaw_width": across(4, 12) / jnp.sqrt(turned),
        "face_length": down(corners, (8,)) - 100 * _CHIN_DEPTH * jnp.sin(pitch),
        "nose_width": across(31, 35) / turned,
    }
