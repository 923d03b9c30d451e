"""Where in an image of a face an attribute is seen: glasses about the eyes, a beard about the jaw, hair where hair is.

An edit that is taken at the attribute's place alone leaves all the rest of the image as it was
([`edit_in_places`][jaxedit.axes.in_places.edit_in_places]).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.faces.face_attributes import face_landmarks
from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.attributes.person.mask import PersonMask
from jaxedit.attributes.person.mask_cells import sure, widest
from jaxedit.attributes.person.place_shapes import Face, Mask, polygon, strokes
from jaxedit.errors import InputError
from jaxedit.nn.resize import resample

Place = Literal[
    "eyes",
    "brows",
    "glasses",
    "mouth",
    "jaw",
    "expression",
    "ears",
    "face",
    "crown",
    "hair",
    "person",
    "background",
]
"""Parts of an image of a face: the eyes; these with the brows; what glasses cover; the mouth; the jaw, with the mouth
and the upper neck; what a smile moves; the ears and what hangs from them; the face up to the hair; hats, and hair above
the mouth; all hair; the person; what is behind the person."""

PLACES: tuple[Place, ...] = get_args(Place)

ATTRIBUTE_PLACES: dict[str, Place] = {
    "age": "person",
    "gender": "person",
    "yaw": "person",
    "pitch": "person",
    "roll": "person",
    "face_width": "person",
    "jaw_width": "person",
    "face_length": "person",
    "skin_lightness": "person",
    "skin_redness": "person",
    "skin_yellowness": "person",
    "light_from_right": "person",
    "smile": "expression",
    "mouth_opening": "jaw",
    "mouth_width": "jaw",
    "nose_width": "expression",
    "eye_opening": "brows",
    "brow_height": "brows",
    "lip_redness": "mouth",
    "teeth": "mouth",
    "eyes_closed": "eyes",
    "eyeglasses": "glasses",
    "sunglasses": "glasses",
    "facial_hair": "jaw",
    "earrings": "ears",
    "makeup": "face",
    "headwear": "crown",
    "fringe": "crown",
    "hair_length": "hair",
    "curl": "hair",
    "black_hair": "hair",
    "blond_hair": "hair",
    "red_hair": "hair",
    "gray_hair": "hair",
    "hair_lightness": "hair",
    "hair_warmth": "hair",
    "background_lightness": "background",
    "background_warmth": "background",
}
"""The place of each attribute of faces that this library names."""

GRID = 128
"""Cells a side of a mask. The places fade over more than two."""

_TOUCHED = (0.1, 0.5)
"""Probabilities of a person below the first count as 0, above the second as 1: where hairs reach."""

_SHOWN = (0.3, 0.7)
"""The same for where the person hides what is behind."""

_HAIR_REACH = 0.03
"""How far around the person hairs reach, in fractions of the side."""

_BODY_RIM = 0.02
"""Width of the rim of a person that goes with the background, in the same unit: light wraps around it."""

_SPREAD = 2
"""Cells by which hair may spread to either side from one row to the next one down."""

_CROWN = (0.3, 0.8)
"""Depths between which the crown ends: 0 at the eyes, 1 at the mouth."""


class PlaceMasks(NamedTuple):
    """A place as soft masks, 0…1."""

    place: Float[Array, "*batch 128 128"]
    """Where an edit shows."""
    colors: Float[Array, "*batch 128 128"]
    """The part of it that gets the edit's colors: not the background about a person."""


class FacePlaces(nnx.Module):
    """Images of a face before and after an edit → where a part of it is in either, as a soft mask.

    A pytree, whose calls are pure.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit import FacePlaces
        >>> places = FacePlaces.from_pretrained()
        >>> gray = jnp.zeros((1, 256, 256, 3))
        >>> places(gray, gray, "glasses").place.shape
        (1, 128, 128)
    """

    def __init__(self, landmarks: nnx.Module, person: PersonMask) -> None:
        """Use the given networks.

        Args:
            landmarks: crops of faces → 68 landmarks, as `FaceNetworks.landmarks`.
            person: finds the person.
        """
        self.landmarks = landmarks
        self.person = person

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> "FacePlaces":
        """With the published networks, from the cache (fetched first: 145 MB for the person once, 7 MB for faces).

        Args:
            folder: of the person mask, as `PersonMask.from_pretrained` takes it.

        Raises:
            DownloadError, CheckpointError, OutputError: as those of both networks.
        """
        return cls(FaceNetworks.from_pretrained().landmarks, PersonMask.from_pretrained(folder))

    def __call__(
        self,
        original: Float[Array, "batch side side 3"],
        edited: Float[Array, "_ _ _ 3"],
        place: Place | str,
    ) -> PlaceMasks:
        """Where the place is in the original or the edited image.

        Args:
            original: RGB in [-1, 1], aligned as FFHQ is, 128 pixels a side or more.
            edited: its edits.
            place: one of `PLACES`.

        Raises:
            InputError: if the place is unknown, or the images are not square RGB of one shape.
        """
        if place not in PLACES:
            raise InputError(f"place: expected one of {', '.join(PLACES)}, got {place!r}")
        return PlaceMasks(*(mask[0] for mask in self._masks(original, edited, (place,))))

    def each(
        self, original: Float[Array, "batch side side 3"], edited: Float[Array, "batch side side 3"]
    ) -> PlaceMasks:
        """All places [num_places, batch, 128, 128], in the order of `PLACES`; arguments as of a call."""
        return self._masks(original, edited, PLACES)

    def _masks(self, original: Array, edited: Array, wanted: Sequence[str]) -> PlaceMasks:
        if original.shape != edited.shape:
            raise InputError(f"edited: expected {list(original.shape)}, got {list(edited.shape)}")
        images = jnp.concatenate([original, edited])  # one call of each network, which is compiled once
        faces = Face.of(face_landmarks(self.landmarks, images))
        seen = resample(self.person(images)[..., None], GRID)[..., 0]
        body = _smoothed(sure(jnp.split(seen, 2)[1], *_SHOWN), 1)
        near = _grown(sure(seen, *_TOUCHED))
        of_person = {"person": near, "background": _behind(seen)}
        if {"hair", "crown"} & set(wanted):
            hair, (low, high) = _hair(faces, sure(seen, *_SHOWN)), _CROWN
            crown = hair * jnp.clip((high - faces.depth(GRID)) / (high - low), 0, 1)
            of_person |= {"hair": hair, "crown": crown}
        places, colors = [], []
        for place in wanted:
            # Beyond the person nothing is worn but what hangs there.
            masks = of_person[place] if place in of_person else near * _shape(place, faces)
            # What lies in the place of the original or of the edited image.
            either = jnp.maximum(*jnp.split(masks, 2))
            places.append(either)
            colors.append(either * (1 - body if place == "background" else body))
        return PlaceMasks(jnp.stack(places), jnp.stack(colors))


def _shape(place: str, face: Face) -> Mask:
    """The places that landmarks alone mark."""
    p = face.point
    eye_lines = [(p(36), p(39)), (p(42), p(45))]
    match place:
        case "eyes":
            return strokes(face, eye_lines, GRID, reach=0.2, fade=0.2)
        case "brows":
            corners = [*(p(i) for i in range(17, 27)), p(45), p(46), p(41), p(36)]
            return polygon(face, corners, GRID, reach=0.2, fade=0.25)
        case "glasses":
            lower = (p(36, down=0.12), p(45, down=0.12))
            arms = [(p(36), p(0)), (p(45), p(16))]
            return strokes(face, [*eye_lines, (p(39), p(42)), lower, *arms], GRID, reach=0.36, fade=0.3)
        case "mouth":
            return polygon(face, [p(i) for i in range(48, 60)], GRID, reach=0.15, fade=0.2)
        case "jaw":
            corners = [*(p(i) for i in range(3, 14)), p(35), p(33), p(31)]
            return polygon(face, corners, GRID, reach=0.15, fade=0.25)
        case "expression":
            corners = [*(p(i) for i in range(1, 16)), p(45), p(44), p(43), p(38), p(37), p(36)]
            return polygon(face, corners, GRID, reach=0.15, fade=0.25)
        case "ears":
            sides = [
                (p(0, -0.12), p(2, -0.12, 0.35)),
                (p(16, 0.12), p(14, 0.12, 0.35)),
            ]
            return strokes(face, sides, GRID, reach=0.28, fade=0.25)
        case _:
            corners = [*(p(i) for i in range(17)), *(p(i, down=-0.75) for i in range(26, 16, -1))]
            return polygon(face, corners, GRID, reach=0.05, fade=0.25)


def _hair(face: Face, person: Mask) -> Mask:
    """The person without face, neck and, where the hair is short, clothes.

    Hair reaches down from the head: a cell is of it if it shows the person, and one above it is of hair. Beside a bare
    neck the background ends that.
    """
    p = face.point
    below_brows = [*(p(i) for i in range(17)), *(p(i) for i in range(26, 16, -1))]
    skin = polygon(face, below_brows, GRID, reach=-0.18, fade=0.2)
    neck = polygon(face, [p(4), p(12), p(12, down=4.0), p(4, down=4.0)], GRID, reach=0.0, fade=0.1)
    hair = _hanging(face, person * (1 - jnp.maximum(skin, neck)))
    return _grown(hair) * (1 - skin)


def _hanging(face: Face, person: Mask) -> Mask:
    """What stands on the head and what hangs from it: not other people, beside or behind."""
    shown = jnp.moveaxis(person, 1, 0)
    brow = strokes(face, [(face.point(0), face.point(16))], GRID, reach=0.25, fade=0.1)
    seeds = jnp.moveaxis(brow, 1, 0)

    def up(below: Float[Array, "batch columns"], row: tuple[Array, Array]) -> tuple[Array, Array]:
        seen, seed = row
        reached = jnp.minimum(seen, jnp.maximum(seed, _row_widest(below, 1)))
        return reached, reached

    def down(above: Float[Array, "batch columns"], row: tuple[Array, Array]) -> tuple[Array, Array]:
        seen, start = row
        reached = jnp.minimum(seen, jnp.maximum(start, _row_widest(above, _SPREAD)))
        return reached, reached

    nothing = jnp.zeros_like(shown[0])
    risen = jax.lax.scan(up, nothing, (shown, seeds), reverse=True)[1]
    return jnp.moveaxis(jax.lax.scan(down, nothing, (shown, risen))[1], 0, 1)


def _row_widest(row: Float[Array, "batch columns"], reach: int) -> Float[Array, "batch columns"]:
    return jax.lax.reduce_window(row, -jnp.inf, jax.lax.max, (1, 2 * reach + 1), (1, 1), "SAME")


def _grown(mask: Mask) -> Mask:
    """The mask as far as single hairs reach."""
    reach = _count(_HAIR_REACH)
    return _smoothed(widest(mask, reach), reach)


def _count(fraction: float) -> int:
    return round(fraction * GRID)


def _behind(seen: Mask) -> Mask:
    """What is surely not of the person, and the rim about it that takes the background's light."""
    rim = _count(_BODY_RIM)
    narrowest = -widest(-sure(seen, *_TOUCHED), rim)
    return 1 - _smoothed(narrowest, rim)


def _smoothed(mask: Mask, reach: int) -> Mask:
    """Means over a square of 2 · `reach` + 1 cells a side; beyond the edge lies what the edge shows."""
    padded = jnp.pad(mask, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    for window in ((1, 2 * reach + 1, 1), (1, 1, 2 * reach + 1)):
        padded = jax.lax.reduce_window(padded, 0.0, jax.lax.add, window, (1, 1, 1), "VALID")
    return padded / (2 * reach + 1) ** 2
