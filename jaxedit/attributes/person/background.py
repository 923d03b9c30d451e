"""Edits that leave the background as it was.

The edited image is taken where either image shows the person, the original elsewhere. An edit moves the colors of the
background too, which would show as a halo around the person. So the background in the edited image first gets the
colors of the original one: those at the same place, or, where the original shows the person there, those around.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.person.mask_cells import sure, widest
from jaxedit.errors import InputError
from jaxedit.nn.resize import average_pool, resample_box

_WHOLE = (0.0, 0.0, 1.0, 1.0)

_GRID = 256
"""Cells along the longer side of the masks that are worked on: as fine as the network sees."""

_COLOR_GRID = (64, 64)
"""Cells of the colors of a background. What is finer is texture, which stays that of the edited image."""

_STEP = 4
"""From one level of the pyramid to the next."""

_TOUCHED = (0.1, 0.5)
"""Probabilities of a person below the first count as 0, above the second as 1: where the edited image is taken."""

_FILLED = (0.4, 0.95)
"""The same for where the edited image shows the person alone, and no background between hairs."""

_NEAR = 1e-4
"""Weight of the background within the margin of the person. Hairs reach into it, so it counts less than what is around
(`_LITTLE`): otherwise the color of hair would draw the outline of a head that has turned away."""

_LITTLE = 1e-3
_MOST = 0.1


def keep_background(
    original: Float[Array, "batch height width channels"],
    edited: Float[Array, "batch height width channels"],
    original_mask: Float[Array, "batch height width"],
    edited_mask: Float[Array, "batch height width"],
    *,
    margin: float = 0.01,
    feather: float = 0.04,
) -> Float[Array, "batch height width channels"]:
    """The edited person before the original background. A pure function, differentiable in images and masks.

    Where neither image shows the person, the result is the original, bit for bit. Where hair became shorter, or the
    head turned, nothing is known of the original background: there the edited one shows, in the colors of the original
    one around.

    Args:
        original: images in [-1, 1].
        edited: their edits, aligned with them.
        original_mask: probability of a person in the original, 0…1, as
            [`PersonMask`][jaxedit.attributes.person.mask.PersonMask] gives it.
        edited_mask: the same for the edited image.
        margin: how far around the person the edited image is still taken whole, in fractions of the longer side.
        feather: width of the rim over which it then fades to the original, in the same unit.

    Returns:
        Images in [-1, 1], as far as both are.

    Raises:
        InputError: if the shapes do not agree, or `margin` or `feather` is not in 0…0.1.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxedit import keep_background
        >>> left = jnp.zeros((1, 64, 64)).at[:, :, :20].set(1)
        >>> black, white = -jnp.ones((1, 64, 64, 3)), jnp.ones((1, 64, 64, 3))
        >>> kept = jax.jit(keep_background)(black, white, left, left)[0, 0, :, 0]
        >>> float(kept[0]), float(kept[63])
        (1.0, -1.0)
    """
    layer, weights = edited_layer(
        original, edited, original_mask, edited_mask, margin=margin, feather=feather
    )
    return original + weights * (layer - original)


def edited_layer(
    original: Float[Array, "batch height width channels"],
    edited: Float[Array, "batch height width channels"],
    original_mask: Float[Array, "batch height width"],
    edited_mask: Float[Array, "batch height width"],
    *,
    margin: float = 0.01,
    feather: float = 0.04,
) -> tuple[Float[Array, "batch height width channels"], Float[Array, "batch height width 1"]]:
    """What `keep_background` lays over the original, and how opaque it is there, 0…1. Arguments are the same."""
    _check_shapes(original, edited, original_mask, edited_mask)
    for name, value in {"margin": margin, "feather": feather}.items():
        if not 0 <= value <= _MOST:
            raise InputError(f"{name}: expected 0…{_MOST:g}, got {value}")
    size = (original.shape[1], original.shape[2])
    before, after = _cells(original_mask), _cells(edited_mask)
    persons = [sure(cells, *_TOUCHED) for cells in (before, after)]
    weights = _faded(jnp.maximum(*persons), margin, feather)
    colors = [
        _background_colors(images, person, widest(person, _count(margin, person)))
        for images, person in zip((original, edited), persons, strict=True)
    ]
    shift = _resized(colors[1] - colors[0], size)
    background = 1 - _resized(sure(after, *_FILLED)[..., None], size)
    matched = jnp.clip(edited - background * shift, jnp.minimum(edited, -1), jnp.maximum(edited, 1))
    return matched, _resized(weights[..., None], size)


def outside_persons(
    original_mask: Float[Array, "batch height width"],
    edited_mask: Float[Array, "batch height width"],
    *,
    margin: float = 0.01,
) -> Float[Array, "batch height width"]:
    """1 where neither image shows a person or what is near one, 0 elsewhere, between at the rim.

    Args:
        original_mask: probability of a person in the original, 0…1.
        edited_mask: the same for the edited image.
        margin: how near counts, in fractions of the longer side.
    """
    cells = sure(jnp.maximum(_cells(original_mask), _cells(edited_mask)), *_TOUCHED)
    near = widest(cells, _count(margin, cells))[..., None]
    return 1 - _resized(near, (original_mask.shape[1], original_mask.shape[2]))[..., 0]


def _check_shapes(original: Array, edited: Array, *masks: Array) -> None:
    if original.ndim != 4 or edited.shape != original.shape:
        raise InputError(
            "original and edited: expected two of one shape [batch, height, width, channels], got "
            f"{list(original.shape)} and {list(edited.shape)}"
        )
    for name, mask in zip(("original_mask", "edited_mask"), masks, strict=True):
        if mask.shape != original.shape[:3]:
            raise InputError(f"{name}: expected {list(original.shape[:3])}, got {list(mask.shape)}")


def _cells(mask: Float[Array, "batch height width"]) -> Float[Array, "batch rows columns"]:
    """The mask on the grid."""
    height, width = mask.shape[1:]
    smaller = min(1.0, _GRID / max(height, width))
    return _resized(mask[..., None], (max(1, round(height * smaller)), max(1, round(width * smaller))))[
        ..., 0
    ]


def _resized(x: Float[Array, "batch h w c"], size: tuple[int, int]) -> Float[Array, "batch h_out w_out c"]:
    return x if x.shape[1:3] == size else resample_box(x, _WHOLE, size)


def _count(fraction: float, cells: Float[Array, "batch h w"]) -> int:
    return round(fraction * max(cells.shape[1:]))


def _faded(person: Float[Array, "batch h w"], margin: float, feather: float) -> Float[Array, "batch h w"]:
    """1 at the person and up to the margin around, 0 beyond the rim, smooth between."""
    half = _count(feather / 2, person)
    grown = widest(person, _count(margin, person) + half)
    rows, columns = (_tent(length, half) for length in grown.shape[1:])
    return jnp.einsum("rh,bhw,cw->brc", rows, grown, columns, precision=jax.lax.Precision.HIGHEST)


def _tent(length: int, reach: int) -> Float[np.ndarray, "{length} {length}"]:
    """Weights of a mean over the `reach` cells before and after, which falls off with the distance."""
    distances = np.abs(np.arange(length)[:, None] - np.arange(length))
    weights = np.maximum(0, reach + 1 - distances)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _background_colors(
    images: Float[Array, "batch height width channels"],
    person: Float[Array, "batch h w"],
    margin: Float[Array, "batch h w"],
) -> Float[Array, "batch rows columns channels"]:
    """The colors of the background on a coarse grid; where the person is, those around.

    A pyramid: each level holds the means of the one below it, and fills the cells of that one that show no background.

    Args:
        images: in [-1, 1].
        person: where the person is.
        margin: where the person or its margin is.
    """
    background = (1 - margin) + _NEAR * (1 - person)
    weights = _resized(background[..., None], (images.shape[1], images.shape[2]))
    levels = [
        (resample_box(weights * images, _WHOLE, _COLOR_GRID), resample_box(weights, _WHOLE, _COLOR_GRID))
    ]
    while levels[-1][0].shape[1] > 1:
        levels.append((average_pool(levels[-1][0], _STEP), average_pool(levels[-1][1], _STEP)))
    total, weight = levels.pop()
    colors = total / jnp.maximum(weight, _LITTLE)
    for total, weight in reversed(levels):
        around = _resized(colors, (total.shape[1], total.shape[2]))
        colors = (total + _LITTLE * around) / (weight + _LITTLE)
    return colors
