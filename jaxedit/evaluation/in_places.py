"""Edits at their places for everything that evaluates: latents that carry both sides of an edit and its place.

Evaluation renders latents and reads images. Here a latent of W+ has 2 · num_ws + 1 rows: the unedited one, the edited
one, and a row that holds the number of the place. `PlacingGenerator` draws them, `PlacedMethod` makes them of any
method's.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, PLACES, FacePlaces, Place
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import AxesMethod, CalibratedMethod, EditingMethod
from jaxedit.generators.in_places import synthesis_in_places
from jaxedit.generators.protocol import Generator, broadcast_w, check_square_rgb


class PlacingGenerator(nnx.Module):
    """A generator that also draws latents that carry an edit and its place. A pytree, as every generator.

    Args:
        generator: of faces aligned as FFHQ.
        places: finds the places.

    Raises:
        InputError: if its images are not square RGB.
    """

    def __init__(self, generator: Generator, places: FacePlaces) -> None:
        check_square_rgb(generator, use="edits in places")
        self.generator = generator
        self.places = places

    @property
    def z_dim(self) -> int:
        """Width of the input latent."""
        return self.generator.z_dim

    @property
    def c_dim(self) -> int:
        """Number of classes."""
        return self.generator.c_dim

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent."""
        return self.generator.w_dim

    @property
    def num_ws(self) -> int:
        """Rows of a latent that carries an edit."""
        return 2 * self.generator.num_ws + 1

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return self.generator.resolution

    def mapping(self, z: Float[Array | np.ndarray, "batch z_dim"], **options: Any) -> Array:
        """z ↦ w, as the generator's."""
        return self.generator.mapping(z, **options)

    def synthesis(
        self, w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch rows w_dim"]
    ) -> Float[Array, "batch side side 3"]:
        """Latents ↦ images: those of W and W+ as the generator draws them, those that carry an edit at its place."""
        if w.ndim == 2 or w.shape[1] == self.generator.num_ws:
            return self.generator.synthesis(w)
        before, after, place = carried(w)
        images = [jnp.clip(self.generator.synthesis(latents), -1, 1) for latents in (before, after)]
        masks = self.places.each(*images)
        chosen = jnp.arange(len(PLACES))[:, None, None, None] == place[:, None, None]
        at, colors = ([jnp.sum(chosen * mask, 0)] for mask in masks)
        return synthesis_in_places(self.generator, [before, after], at, colors)

    def describe(self) -> dict[str, Any]:
        """Not possible: save the generator itself.

        Raises:
            InputError: always.
        """
        raise InputError("generator: expected one to save, got one that draws edits at their places")


def carry(
    before: Float[Array, "batch *layers w_dim"],
    after: Float[Array, "batch *layers_after w_dim"],
    place: Place,
    num_ws: int,
) -> Float[Array, "batch rows w_dim"]:
    """Latents that carry an edit: 2 · `num_ws` + 1 rows."""
    rows = [broadcast_w(jnp.asarray(w), num_ws) for w in (before, after)]
    number = jnp.full_like(rows[0][:, :1], PLACES.index(place))
    return jnp.concatenate([*rows, number], 1)


def carried(
    w: Float[Array | np.ndarray, "batch rows w_dim"],
) -> tuple[Array, Array, Float[Array, " batch"]]:
    """What a latent carries: the unedited and the edited latent of W+, and the number of the place."""
    w, num_ws = jnp.asarray(w), w.shape[1] // 2
    return w[:, :num_ws], w[:, num_ws : 2 * num_ws], w[:, -1, 0]


@dataclasses.dataclass(frozen=True)
class PlacedMethod:
    """A method whose edits are drawn at their places.

    Attributes:
        method: moves the latents.
        num_ws: rows of W+ of the generator that is drawn with.
        places: of its attributes; the others change the person, and the background stays.
    """

    method: EditingMethod
    num_ws: int
    places: Mapping[str, Place]

    @property
    def name(self) -> str:
        """That of the method."""
        return self.method.name

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Those of the method."""
        return self.method.attribute_names

    def edit(
        self, w: Float[Array, "batch w_dim"], attribute: str, amounts: Float[Array, " batch"]
    ) -> Float[Array, "batch rows w_dim"]:
        """The method's edit, with the unedited latent and the place."""
        return self._carry(w, self.method.edit(w, attribute, amounts), attribute)

    def _carry(self, w: Array, edited: Array, attribute: str) -> Array:
        return carry(w, edited, self.place_of(attribute), self.num_ws)

    def place_of(self, attribute: str) -> Place:
        """Where an attribute is drawn."""
        return self.places.get(attribute, "person")


@dataclasses.dataclass(frozen=True)
class PlacedCalibratedMethod(PlacedMethod):
    """A method that takes values, too, whose edits are drawn at their places."""

    method: CalibratedMethod

    def edit_to(
        self, w: Float[Array, "batch w_dim"], attribute: str, values: Float[Array, " batch"]
    ) -> Float[Array, "batch rows w_dim"]:
        """The method's edit to a value, with the unedited latent and the place."""
        return self._carry(w, self.method.edit_to(w, attribute, values), attribute)


def placed(
    method: EditingMethod, num_ws: int, places: Mapping[str, Place] = ATTRIBUTE_PLACES
) -> PlacedMethod:
    """A method whose edits are drawn at their places; one that takes values if the method does.

    Args:
        method: moves the latents.
        num_ws: rows of W+ of the generator that is drawn with.
        places: of its attributes; the others change the person, and the background stays.
    """
    if isinstance(method, CalibratedMethod):
        return PlacedCalibratedMethod(method, num_ws, places)
    return PlacedMethod(method, num_ws, places)


def method_of(generator: Generator, axes: AttributeAxes) -> EditingMethod:
    """Axes as a method for a generator: at the attributes' places if it draws so."""
    method = AxesMethod("axes", axes)
    return (
        placed(method, without_places(generator).num_ws)
        if isinstance(generator, PlacingGenerator)
        else method
    )


def without_places(generator: Any) -> Any:
    """The generator; of one that draws edits at their places, that which draws whole images."""
    return generator.generator if isinstance(generator, PlacingGenerator) else generator


@dataclasses.dataclass(frozen=True)
class Placing:
    """How edits are drawn.

    Attributes:
        generator: that of the images.
        methods: those that move the faces.
    """

    generator: Generator
    methods: tuple[EditingMethod, ...]

    @classmethod
    def of(
        cls,
        generator: Generator,
        methods: Sequence[EditingMethod],
        places: FacePlaces | None,
        *,
        person_alone: bool = False,
    ) -> "Placing":
        """The generator and the methods of a study as they are, or drawing at places.

        Args:
            generator: of faces.
            methods: move them.
            places: finds the places; None for whole images.
            person_alone: all attributes change the person, and nothing behind. Without it, the attributes of axes
                change their places, and directions the person: a direction is as it is published.
        """
        if places is None:
            return cls(generator, tuple(methods))
        own = {} if person_alone else ATTRIBUTE_PLACES
        drawn = tuple(
            placed(method, generator.num_ws, own if isinstance(method, AxesMethod) else {})
            for method in methods
        )
        return cls(PlacingGenerator(generator, places), drawn)
