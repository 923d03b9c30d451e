"""Edited colors in the mode and the profile of the photograph that they belong to.

A pixel that was not edited keeps its stored values, whatever the conversion to 8-bit sRGB lost of them: the low bits of
16, colors beyond sRGB, the black ink of CMYK. An edited pixel takes its new color in the stored mode, plus what the
conversion lost there, less of it the larger the change is: so an edit has no seam where it fades out.
"""

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from jaxedit.inversion.photo_pixels import ColorProfile

_FADED_BY = 64.0  # levels of change at which nothing is kept of what the conversion had lost

_LUMA = np.asarray([0.299, 0.587, 0.114])

_WIDENED = {"1": "RGB", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
"""Palettes and two levels cannot hold an edit."""


def mode_to_write(mode: str, has_transparent_color: bool) -> str:
    """The mode in which an edited photograph is written.

    Args:
        mode: of the photograph, by Pillow's names.
        has_transparent_color: whether a color, or entries of a palette, stand for transparency.
    """
    if has_transparent_color:
        return "LA" if mode == "L" else "RGBA"
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK", "F", "I") or mode.startswith("I;"):
        return mode
    return _WIDENED.get(mode, "RGB")


def widened(image: Image.Image) -> Image.Image:
    """The image in a mode that can hold an edit: the same colors, and the same transparency as a channel of its own."""
    mode = mode_to_write(image.mode, "transparency" in image.info)
    return image if mode == image.mode else image.convert(mode)


def changed_values(
    stored: Shaped[np.ndarray, "rows width channels"],
    before: UInt8[np.ndarray, "rows width 3"],
    after: UInt8[np.ndarray, "rows width 3"],
    profile: ColorProfile | None,
    white: float,
) -> Shaped[np.ndarray, "rows width channels"]:
    """Stored values after an edit; those of pixels that were not edited are as they were.

    Args:
        stored: 1 channel (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA; CMYK if the profile is one, or `white` is 0).
        before: the same pixels in sRGB, over white.
        after: likewise, edited.
        profile: of the stored values; None for sRGB.
        white: the stored value of white: 255, 65535 or 1; 0 for CMYK without a profile.

    Returns:
        Values of the type of `stored`.
    """
    changed = (before != after).any(-1)
    result = stored.copy()
    if not changed.any():
        return result
    values, old, new = stored[changed].astype(np.float64), before[changed], after[changed]
    is_cmyk = white == 0 or (profile is not None and profile.mode == "CMYK")
    if white == 0:
        result[changed] = _inks(values, new)
        return result
    colors = values.shape[-1] if is_cmyk or values.shape[-1] % 2 else values.shape[-1] - 1
    alpha = np.ones((len(values), 1)) if colors == values.shape[-1] else values[:, -1:] / white
    seen = alpha * values[:, :colors] + (1 - alpha) * white if colors < values.shape[-1] else values
    change = np.abs(new.astype(np.float64) - old).max(-1, keepdims=True)
    lost = seen - _native(old, profile, colors) * (white / 255)
    moved = _native(new, profile, colors) * (white / 255) + lost * np.clip(1 - change / _FADED_BY, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        opaque = np.where(alpha > 0, (moved - (1 - alpha) * white) / alpha, values[:, :colors])
    values[:, :colors] = np.clip(opaque, 0, white)
    result[changed] = values if stored.dtype.kind == "f" else np.round(values)
    return result


def _native(
    colors: UInt8[np.ndarray, "pixels 3"], profile: ColorProfile | None, channels: int
) -> Float[np.ndarray, "pixels {channels}"]:
    """Colors of sRGB in those of the file, 0…255."""
    if profile is not None:
        converted = profile.from_srgb.apply(Image.fromarray(colors[None]))
        native = np.asarray(converted, np.float64).reshape(len(colors), -1)
        if native.shape[-1] == channels:
            return native
        colors = native  # a profile of RGB in an image of gray
    return colors @ _LUMA[:, None] if channels == 1 else colors.astype(np.float64)


def _inks(stored: Float[np.ndarray, "pixels 4"], colors: UInt8[np.ndarray, "pixels 3"]) -> np.ndarray:
    """Cyan, magenta, yellow and black of colors, without a profile: as much black as there was, where it fits."""
    black = np.minimum(stored[:, 3:], 255 - colors.max(-1, keepdims=True).astype(np.float64))
    light = 255 - black
    inks = np.where(light > 0, 255 - colors * (255 / np.maximum(light, 1)), 0)
    return np.round(np.clip(np.concatenate([inks, black], -1), 0, 255))
