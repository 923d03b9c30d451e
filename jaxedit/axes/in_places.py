"""Edits that change an image only where their attributes are seen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, FacePlaces, Place, PlaceMasks
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.generators.in_places import synthesis_in_places
from jaxedit.generators.protocol import Generator, broadcast_w, check_square_rgb

_WHOLE: tuple[Place | None, ...] = (None, "person")
"""Places whose edits change what all others are drawn on."""

PARTS: tuple[tuple[Place | None, ...], ...] = (
    _WHOLE,
    ("background",),
    ("hair", "crown", "ears"),
    ("face", "expression", "jaw", "mouth", "glasses", "brows", "eyes"),
)
"""Places that overlap, the larger before the smaller."""


class InPlaces(NamedTuple):
    """Images before and after an edit."""

    original: Float[Array, "batch side side 3"]
    """Images of the unedited latents, in [-1, 1]."""
    edited: Float[Array, "batch side side 3"]
    """The same, changed at the places of the edits alone."""


def edit_in_places(
    generator: Generator,
    axes: AttributeAxes,
    w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"],
    edits: Mapping[str, Any],
    places: FacePlaces,
    **options: Any,
) -> InPlaces:
    """Edit images along axes, each attribute at its own place: glasses about the eyes, hair where hair is.

    Beyond the places an image stays what it was, bit for bit, and the generator's later layers heal the seam. Several
    edits are drawn one over the other: those of the person, the background, the hair, the face.

    Args:
        generator: of faces aligned as FFHQ, square RGB of 128 pixels or more.
        axes: its axes.
        w: latents.
        edits: as for `AttributeAxes.edit`. An attribute that `ATTRIBUTE_PLACES` does not name changes the whole image.
        places: finds the places.
        options: for `AttributeAxes.edit`.

    Raises:
        InputError: as `AttributeAxes.edit` does, or if the images are not square RGB.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit import FacePlaces, edit_in_places, load_axes, load_generator
        >>> generator = load_generator("mobile-stylegan-ffhq")
        >>> axes = load_axes("mobile-stylegan-ffhq", generator)
        >>> w = generator.mapping(jnp.ones((1, 512)))
        >>> edit_in_places(generator, axes, w, {"eyeglasses": 1.5}, FacePlaces.from_pretrained()).edited.shape
        (1, 1024, 1024, 3)
    """
    stages, where = stages_of(axes, w, edits, **options)
    return draw_in_places(generator, stages, where, places)


def stages_of(
    axes: AttributeAxes, w: Array | np.ndarray, edits: Mapping[str, Any], **options: Any
) -> tuple[list[Array], tuple[Place | None, ...]]:
    """The latents to be drawn one over the other, the unedited ones first, and the place of each further stage.

    Args:
        axes, w, edits, options: as for `AttributeAxes.edit`.

    Raises:
        InputError: as `AttributeAxes.edit` does.
    """
    stages: list[Array] = [axes.edit(w, {})]
    where: list[Place | None] = []
    whole: dict[str, Any] = {}
    for part in PARTS:
        # A hat is drawn on an aged face, and over blond hair; but a hat in the latent would leave no glasses.
        so_far = dict(whole)
        for place in part:
            own = {name: amount for name, amount in edits.items() if ATTRIBUTE_PLACES.get(name) == place}
            if own:
                so_far |= own
                stages.append(axes.edit(w, so_far, **options))
                where.append(place)
        whole = so_far if part is _WHOLE else whole
    return stages, tuple(where)


def draw_in_places(
    generator: Generator,
    stages: Sequence[Float[Array, "batch ..."]],
    where: Sequence[Place | None],
    places: FacePlaces,
    *,
    noise: dict[str, Array] | None = None,
) -> InPlaces:
    """Images of the first stage, and of all stages at their places.

    Args:
        generator: makes the images.
        stages: latents, the unedited ones first.
        where: the place of each further stage; None for the whole image.
        places: finds the places.
        noise: noise images by layer; by default the generator's own.

    Raises:
        InputError: if there is not a place for each further stage, or the images are not square RGB.
    """
    if len(where) != len(stages) - 1:
        raise InputError(
            f"where: expected {len(stages) - 1} places for {len(stages)} stages, got {len(where)}"
        )
    check_square_rgb(generator, use="edits in places")
    options = {} if noise is None else {"noise": noise}
    images = [_drawn(generator, broadcast_w(w, generator.num_ws), options) for w in stages]
    if not where:
        return InPlaces(images[0], images[0])
    at, colors = [], []
    below = images[0]
    for image, place in zip(images[1:], where, strict=True):
        everywhere = jnp.ones((len(image), 1, 1))
        masks = PlaceMasks(everywhere, everywhere) if place is None else _masks(places, below, image, place)
        at.append(masks.place)
        colors.append(masks.colors)
        if place in _WHOLE:
            below = image
    return InPlaces(images[0], jnp.clip(synthesis_in_places(generator, stages, at, colors, **options), -1, 1))


@jax.jit
def _drawn(generator: Any, w: Array, options: dict[str, Any]) -> Array:
    return jnp.clip(generator.synthesis(w, **options), -1, 1)


_masks = jax.jit(lambda places, before, after, place: places(before, after, place), static_argnums=3)
