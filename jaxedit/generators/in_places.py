"""One image of several latents, each at its own place.

Stage 0 is the unedited latent. Every further stage has a place, where its features are taken, and a part of that, its
colors, where its styles are taken in the late layers, which color what is there. All stages run through the network
at once. Up to 16 × 16, after each block, with x the features,

    x_k  ←  x_{k−1} + place_k · (x_k − x_{k−1}).

Later blocks are run on x_k with the styles of all stages up to k, laid one over the other at their colors, and the
images at the end are mixed as the features were. So beyond the places everything stays stage 0's, to the bit; later
layers heal the seam, where a mask over finished images would cut through whatever moved; and background that a turned
head uncovers is drawn anew in the colors that the background has. The maps up to 4 × 4, where a cell is a quarter of a
face, stay each stage's own.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, broadcast_w, check_latents
from jaxedit.nn.resize import resample_box

T = TypeVar("T")

_SMALLEST = 8
"""Side of the smallest feature maps that are mixed."""

LAST_MIXED = 16
"""Side of the largest feature maps that are mixed. The blocks behind draw textures and colors."""


def synthesis_in_places(
    generator: Generator,
    stages: Sequence[Float[Array | np.ndarray, "_ w_dim"] | Float[Array | np.ndarray, "_ num_ws w_dim"]],
    places: Sequence[Float[Array | np.ndarray, "_ _ _"]],
    colors: Sequence[Float[Array | np.ndarray, "_ _ _"]] | None = None,
    **options: Any,
) -> Float[Array, "batch image_height image_width colors"]:
    """Draw several latents in one image, each at its place. A pure function, differentiable in latents and places.

    MobileStyleGAN and StyleGAN2 mix features in every block. Other generators (StyleGAN3, whose features reach beyond
    the image and move freely) have their images mixed.

    Args:
        generator: of this library.
        stages: latents of W or W+, the unedited ones first.
        places: for each further stage, where it shows instead of the stage before, 0…1, of any size.
        colors: for each further stage, the part of its place that it colors. None: all of it.
        options: for its synthesis, such as `noise`.

    Returns:
        Images, nominally in [-1, 1]. Where all places are 0, those of the first stage, to rounding.

    Raises:
        InputError: if there are not places and colors for each further stage, or a shape is wrong.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit import load_generator, synthesis_in_places
        >>> generator = load_generator("mobile-stylegan-ffhq")
        >>> w = generator.mapping(jnp.ones((1, 512)))
        >>> upper = jnp.ones((1, 16, 16)).at[:, 8:].set(0)  # the upper half from another latent
        >>> synthesis_in_places(generator, [w, 0 * w], [upper]).shape
        (1, 1024, 1024, 3)
    """
    own = getattr(generator, "synthesis_in_places", None)
    if own is not None:
        return own(stages, places, colors, **options)
    latents, at, _ = checked_stages(generator, stages, places, colors)
    return mixed([generator.synthesis(w, **options) for w in latents], at)[-1]


Stages = tuple[
    tuple[Float[Array, "batch num_ws w_dim"], ...],
    tuple[Float[Array, "batch _ _"], ...],
    tuple[Float[Array, "batch _ _"], ...],
]
"""Latents, places and colors."""


def checked_stages(
    generator: Any, stages: Sequence[Any], places: Sequence[Any], colors: Sequence[Any] | None
) -> Stages:
    """The stages, with latents of W+.

    Raises:
        InputError: if there are not places and colors for each further stage, or a shape is wrong.
    """
    colors = places if colors is None else colors
    for name, masks in {"places": places, "colors": colors}.items():
        if len(stages) < 1 or len(masks) != len(stages) - 1:
            raise InputError(
                f"{name}: expected one for each stage but the first, got {len(masks)} for {len(stages)} stages"
            )
    batch = len(stages[0])
    for i, w in enumerate(stages):
        check_latents(f"stages[{i}]", w, width=generator.w_dim, num_ws=generator.num_ws)
        if len(w) != batch:
            raise InputError(f"stages[{i}]: expected {batch} latents, got {len(w)}")
    for name, masks in {"places": places, "colors": colors}.items():
        for i, mask in enumerate(masks):
            if np.ndim(mask) != 3 or len(mask) != batch:
                raise InputError(
                    f"{name}[{i}]: expected shape [{batch}, rows, columns], got {list(np.shape(mask))}"
                )
    latents = tuple(broadcast_w(jnp.asarray(w), generator.num_ws) for w in stages)
    at, tinted = (tuple(jnp.asarray(mask, jnp.float32) for mask in masks) for masks in (places, colors))
    return latents, at, tinted


def mixed(
    stages: Sequence[Float[Array, "*batch height width channels"]],
    places: Sequence[Float[Array, "*batch _ _"]],
) -> list[Float[Array, "*batch height width channels"]]:
    """Features or images of all stages, each but the first laid over the one before at its place."""
    result = [stages[0]]
    for x, place in zip(stages[1:], places, strict=True):
        result.append(_laid_over(result[-1], x, place))
    return result


def _laid_over(
    below: Float[Array, "*batch height width channels"],
    above: Float[Array, "*batch height width channels"],
    place: Float[Array, "*batch _ _"],
) -> Float[Array, "*batch height width channels"]:
    height, width = below.shape[-3:-1]
    cells = place.reshape(-1, *place.shape[-2:], 1)
    if cells.shape[1:3] != (height, width):
        cells = resample_box(cells, (0.0, 0.0, 1.0, 1.0), (height, width))
    weight = cells.reshape(*place.shape[:-2], height, width, 1).astype(below.dtype)
    return below + weight * (above - below)


def last_image(
    images: Sequence[Float[Array, "*batch height width channels"]],
    places: Sequence[Float[Array, "*batch _ _"]],
) -> Float[Array, "*batch height width channels"]:
    """What the stages' images behind the last block come to."""
    is_mixed = min(images[0].shape[-3:-1]) <= LAST_MIXED  # already, as features
    return images[-1] if is_mixed else mixed(images, places)[-1]


def run_in_places(
    block: Callable[[T, Any], T],
    before: Sequence[T],
    styles: Sequence[Any],
    masks: tuple[Sequence[Array], Sequence[Array]],
) -> list[T]:
    """All stages through one block.

    Args:
        block: features (or features and image) and styles → the same behind the block.
        before: of each stage.
        styles: of each stage.
        masks: places and colors of all stages but the first.
    """
    places, colors = masks
    first = block(before[0], styles[0])
    side = min(jax.tree.leaves(first)[0].shape[-3:-1])
    if side <= LAST_MIXED:
        after = [first, *(block(x, style) for x, style in zip(before[1:], styles[1:], strict=True))]
        return after if side < _SMALLEST else _mixed_trees(after, places)
    after = [first]
    for k in range(1, len(before)):
        drawn = [block(before[k], style) for style in styles[: k + 1]]
        after.append(_mixed_trees(drawn, colors[:k])[-1])
    return after


def _mixed_trees(stages: Sequence[T], masks: Sequence[Array]) -> list[T]:
    """`mixed` of each of the arrays that the stages are made of."""
    leaves = [jax.tree.leaves(stage) for stage in stages]
    structure = jax.tree.structure(stages[0])
    parts = [mixed(arrays, masks) for arrays in zip(*leaves, strict=True)]
    return [jax.tree.unflatten(structure, arrays) for arrays in zip(*parts, strict=True)]
