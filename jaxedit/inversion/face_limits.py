"""Which faces of photographs are fit for an edit: large enough, turned to the camera, not hidden."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxedit.attributes.faces.geometry import measure_geometry
from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class FacePlace:
    """Where a face lies in its photograph.

    Attributes:
        quad: corners of its FFHQ crop, (x, y) in pixels.
        landmarks: 68 landmarks of the iBUG scheme, (x, y) in pixels; None for photographs that are crops already.
        score: the detector's confidence, 0…1.
    """

    quad: Float[np.ndarray, "4 2"]
    landmarks: Float[np.ndarray, "68 2"] | None
    score: float


@dataclasses.dataclass(frozen=True)
class FaceLimits:
    """Faces beyond these limits are reported, not edited: their edits look bad.

    Attributes:
        min_side: smallest side of the FFHQ crop in pixels of the photograph. The face is about half as wide.
        max_yaw: largest turn of the head to a side, in degrees.
        max_pitch: largest turn up or down, in degrees.
        min_score: least confidence of the detector, which falls where a face is hidden: of 21 faces of public
            photographs one lies below, whose head is bowed, with an eye behind hair; and 6 of 7 faces that a bar hides
            in part lie below or are not found.
    """

    min_side: float | int = 128.0
    max_yaw: float | int = 40.0
    max_pitch: float | int = 35.0
    min_score: float = 0.66

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{field.name}: expected 0 or more, got {value}")

    def problem(self, face: FacePlace) -> str | None:
        """Why a face is not fit for an edit; None if it is."""
        side = float(np.hypot(*(face.quad[3] - face.quad[0])))
        if side < self.min_side:
            return f"the face is too small: its crop has {side:.0f} pixels a side, expected {self.min_side:.0f} or more"
        if face.score < self.min_score:
            return (
                f"the face is hidden or unclear: the detector's confidence is {face.score:.2f}, expected "
                f"{self.min_score:.2f} or more"
            )
        if face.landmarks is None:
            return None
        pose = measure_geometry(jnp.asarray(face.landmarks, jnp.float32)[None])
        for name, way, most in (("yaw", "to a side", self.max_yaw), ("pitch", "up or down", self.max_pitch)):
            degrees = float(pose[name][0])
            if not abs(degrees) <= most:
                return f"the face is turned {way} by {abs(degrees):.0f}°, expected {most:.0f}° or less"
        return None
