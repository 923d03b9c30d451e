"""Pose and shape of a face from the 468 landmarks of MediaPipe's face mesh, as differentiable formulas.

The mesh has a depth. Pose is therefore the direction of two lines of the head (from cheek to cheek, from forehead to
chin), and shape is measured on the mesh turned to face the camera. "Left" and "right" are those of the image.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_EYE_LEFT = np.array([33, 133, 160, 158, 144, 153])
_EYE_RIGHT = np.array([263, 362, 387, 385, 373, 380])
_CHEEK_LEFT, _CHEEK_RIGHT = 234, 454
_FOREHEAD, _CHIN = 10, 152
_MOUTH_LEFT, _MOUTH_RIGHT = 61, 291
_JAW_LEFT, _JAW_RIGHT = 172, 397
_OUTER_LIPS = np.array([0, 17])
_BROWS = np.array([105, 66, 334, 296])
_GAP_OF_LIPS = (np.array([82, 13, 312]), np.array([87, 14, 317]))
_GAP_OF_LIDS = (np.array([160, 158, 385, 387]), np.array([144, 153, 380, 373]))

_PITCH_LEVEL = -8.0
"""Pitch of the line from forehead to chin in the average generated face, in degrees; it counts as level."""


def measure_mesh(mesh: Float[Array, "batch 468 3"]) -> dict[str, Float[Array, " batch"]]:
    """Pose in degrees, and lengths in hundredths of the distance of the eyes.

    Args:
        mesh: (x, y, depth) in any unit that is the same along all axes, y downward, depth away from the camera.

    Returns:
        Name → values, with the signs of [`measure_geometry`][jaxedit.attributes.faces.geometry.measure_geometry]:

        - `roll` (of the line of the eyes), `yaw` (of the line from cheek to cheek, seen from above), `pitch` (of the
          line from forehead to chin, seen from the side; zero for the average generated face).
        - of the mesh turned back by the three: `mouth_opening`, `mouth_width`, `eye_opening`, `brow_height`,
          `face_width`, `jaw_width`, `face_length`, and `smile`, the mouth's width plus the height of its corners
          above the middle of the lips.
    """
    eyes = mesh[:, _EYE_LEFT].mean(1), mesh[:, _EYE_RIGHT].mean(1)
    across = eyes[1] - eyes[0]
    x, y, depth = jnp.moveaxis(mesh - ((eyes[0] + eyes[1]) / 2)[:, None], 2, 0)
    roll = jnp.arctan2(across[:, 1], across[:, 0])
    x, y = _turned(x, y, roll)
    yaw = jnp.arctan2(depth[:, _CHEEK_RIGHT] - depth[:, _CHEEK_LEFT], x[:, _CHEEK_RIGHT] - x[:, _CHEEK_LEFT])
    x, depth = _turned(x, depth, yaw)
    pitch = jnp.arctan2(depth[:, _FOREHEAD] - depth[:, _CHIN], y[:, _CHIN] - y[:, _FOREHEAD])
    depth, y = _turned(depth, y, pitch)

    unit = (x[:, _EYE_RIGHT].mean(1) - x[:, _EYE_LEFT].mean(1)) / 100
    mouth_width = (x[:, _MOUTH_RIGHT] - x[:, _MOUTH_LEFT]) / unit
    corners = (y[:, _MOUTH_LEFT] + y[:, _MOUTH_RIGHT]) / 2
    return {
        "roll": jnp.rad2deg(roll),
        "yaw": jnp.rad2deg(yaw),
        "pitch": jnp.rad2deg(pitch) - _PITCH_LEVEL,
        "smile": mouth_width + (y[:, _OUTER_LIPS].mean(1) - corners) / unit,
        "mouth_opening": (y[:, _GAP_OF_LIPS[1]] - y[:, _GAP_OF_LIPS[0]]).mean(1) / unit,
        "mouth_width": mouth_width,
        "eye_opening": (y[:, _GAP_OF_LIDS[1]] - y[:, _GAP_OF_LIDS[0]]).mean(1) / unit,
        "brow_height": -y[:, _BROWS].mean(1) / unit,
        "face_width": (x[:, _CHEEK_RIGHT] - x[:, _CHEEK_LEFT]) / unit,
        "jaw_width": (x[:, _JAW_RIGHT] - x[:, _JAW_LEFT]) / unit,
        "face_length": y[:, _CHIN] / unit,
    }


def _turned(
    first: Float[Array, "batch points"], second: Float[Array, "batch points"], angle: Float[Array, " batch"]
) -> tuple[Float[Array, "batch points"], Float[Array, "batch points"]]:
    """Coordinates after a rotation by −angle, which brings a point at that angle onto the first axis."""
    cosine, sine = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    return cosine * first + sine * second, cosine * second - sine * first
