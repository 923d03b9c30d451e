"""Colors of the parts of a face, in CIE Lab, in soft regions that the landmarks place.

A region is a set of Gaussian spots whose centers are fixed combinations of landmarks. Values are therefore
differentiable in the pixels and in the landmarks, and a landmark that is off by a pixel changes them little.
L* is lightness (0 black … 100 white), a* green (−) to red (+), b* blue (−) to yellow (+).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.faces.geometry import EYE_LEFT, EYE_RIGHT

# sRGB primaries to XYZ, rows divided by the D65 white (IEC 61966-2-1).
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])


def to_lab(images: Float[Array, "*rest 3"]) -> Float[Array, "*rest 3"]:
    """CIE Lab (D65) of sRGB in [-1, 1]."""
    rgb = jnp.clip((images + 1) / 2, 0, 1)
    linear = jnp.where(rgb <= 0.04045, rgb / 12.92, ((jnp.maximum(rgb, 0.04) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ jnp.asarray(_TO_XYZ.T, jnp.float32)
    epsilon = (6 / 29) ** 3
    f = jnp.where(xyz > epsilon, jnp.cbrt(jnp.maximum(xyz, epsilon)), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def spot_means(
    images: Float[Array, "batch height width channels"],
    centers: Float[Array, "batch spots 2"],
    sigma: Float[Array, "#batch #spots"],
) -> Float[Array, "batch spots channels"]:
    """Means under Gaussian spots.

    Args:
        images: images or feature maps.
        centers: (x, y) in fractions of width and height. Centers beyond the edge are moved to it.
        sigma: standard deviations in fractions of the width and height.
    """

    def weights(length: int, center: Array) -> Array:
        grid = (jnp.arange(length) + 0.5) / length
        center = jnp.clip(center, 0, 1)
        return jax.nn.softmax(-0.5 * ((grid - center[..., None]) / sigma[..., None]) ** 2, axis=-1)

    rows, columns = weights(images.shape[1], centers[..., 1]), weights(images.shape[2], centers[..., 0])
    exact = jax.lax.Precision.HIGHEST
    by_row = jnp.einsum("bsh,bhwc->bswc", rows, images, precision=exact)
    return jnp.einsum("bsw,bswc->bsc", columns, by_row, precision=exact)


def face_spots(
    landmarks: Float[Array, "batch 68 2"], yaw: Float[Array, " batch"]
) -> dict[str, Float[Array, "batch _ 2"]]:
    """Centers of the regions' spots, in the unit of the landmarks (fractions of the image); yaw in degrees.

    `cheek_left`, `cheek_right` (of the image), `hair` (an arc over the forehead), `lips`.
    """
    p = landmarks
    eyes = (p[:, EYE_LEFT].mean(1) + p[:, EYE_RIGHT].mean(1)) / 2
    mouth = (p[:, 48] + p[:, 54]) / 2
    down = mouth - eyes  # also the unit of length: eyes to mouth
    right = jnp.stack([down[:, 1], -down[:, 0]], -1)

    def around(angles: tuple[float, ...], radius: float, depth: float) -> Array:
        """Points about the eyes' middle, `radius` away, at degrees from straight up (clockwise).

        They lie `depth` behind the eyes, so that a turning head carries them the other way.
        """
        center = eyes - depth * jnp.sin(jnp.deg2rad(yaw))[:, None] * right
        turns = np.deg2rad(angles)
        return jnp.stack([center + radius * (np.sin(a) * right - np.cos(a) * down) for a in turns], 1)

    def between(*pairs: tuple[int, int, float]) -> Array:
        """Points on the way from one landmark to another."""
        return jnp.stack([(1 - t) * p[:, i] + t * p[:, j] for i, j, t in pairs], 1)

    return {
        "cheek_left": between((31, 2, 0.4), (31, 3, 0.5)),
        "cheek_right": between((35, 14, 0.4), (35, 13, 0.5)),
        "hair": around((-40.0, -20.0, 0.0, 20.0, 40.0), 1.45, 1.0),
        "lips": between((57, 66, 0.4), (58, 67, 0.4), (56, 65, 0.4)),
    }


BACKGROUND_SPOTS = np.array([[0.05, 0.06], [0.95, 0.06], [0.04, 0.25], [0.96, 0.25]], np.float32)
"""The upper corners, where FFHQ-style images seldom show the person."""


def measure_colors(
    images: Float[Array, "batch height width 3"],
    landmarks: Float[Array, "batch 68 2"],
    yaw: Float[Array, " batch"],
) -> dict[str, Float[Array, " batch"]]:
    """Colors and contrasts in Lab units.

    Args:
        images: whole images in [-1, 1]; 128 pixels a side are enough.
        landmarks: (x, y) in fractions of the image.
        yaw: in degrees, positive to the image's right.

    Returns:
        Name → values: `skin_lightness`, `skin_redness` (a*), `skin_yellowness` (b*) of the cheeks;
        `light_from_right` (L* of the image's right cheek minus the left one's); `hair_lightness`,
        `hair_warmth` (b*) over the forehead; `lip_redness` (a* of the lower lip minus the cheeks');
        `background_lightness`, `background_warmth` (b*) of the upper corners.
    """
    lab = to_lab(images)
    eyes = (landmarks[:, EYE_LEFT].mean(1) + landmarks[:, EYE_RIGHT].mean(1)) / 2
    length = jnp.linalg.norm((landmarks[:, 48] + landmarks[:, 54]) / 2 - eyes, axis=-1)[:, None]
    spots = {
        name: spot_means(lab, centers, (0.06 if name == "lips" else 0.15) * length).mean(1)
        for name, centers in face_spots(landmarks, yaw).items()
    }
    corners = jnp.broadcast_to(BACKGROUND_SPOTS, (len(images), *BACKGROUND_SPOTS.shape))
    background = spot_means(lab, corners, jnp.full((1, 1), 0.03)).mean(1)
    # The farther cheek of a turned head is a narrow strip beside the background, so it has less weight.
    right_counts = jax.nn.sigmoid(-yaw / 8)[:, None]
    skin = right_counts * spots["cheek_right"] + (1 - right_counts) * spots["cheek_left"]
    return {
        "skin_lightness": skin[:, 0],
        "skin_redness": skin[:, 1],
        "skin_yellowness": skin[:, 2],
        "light_from_right": spots["cheek_right"][:, 0] - spots["cheek_left"][:, 0],
        "hair_lightness": spots["hair"][:, 0],
        "hair_warmth": spots["hair"][:, 2],
        "lip_redness": spots["lips"][:, 1] - skin[:, 1],
        "background_lightness": background[:, 0],
        "background_warmth": background[:, 2],
    }
