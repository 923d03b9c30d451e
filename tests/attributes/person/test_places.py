"""Places of a drawn face: 68 landmarks of a front view, and a person with short or long hair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxedit import FacePlaces
from jaxedit.attributes.faces.crop import FACE_LEFT, FACE_SIDE, FACE_TOP
from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES
from jaxedit.attributes.learned.marked_faces import MARKED_ATTRIBUTES
from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, PLACES
from jaxedit.errors import InputError
from tests.attributes.person.fakes import person_at

SIDE = 128
EYES, MOUTH = 0.45, 0.68


def _front() -> np.ndarray:
    """Landmarks of a face whose eyes are a quarter of the image apart, in fractions of the image."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.25 * np.cos(angle), EYES + 0.38 * np.sin(angle)], 1)
    brows = [(x, EYES - 0.07) for x in (*np.linspace(0.3, 0.46, 5), *np.linspace(0.54, 0.7, 5))]
    nose = [(0.5, y) for y in np.linspace(EYES, 0.57, 4)] + [(x, 0.59) for x in np.linspace(0.45, 0.55, 5)]

    def eye(x):
        offsets = [(-0.05, 0), (-0.02, -0.015), (0.02, -0.015), (0.05, 0), (0.02, 0.015), (-0.02, 0.015)]
        return [(x + dx, EYES + dy) for dx, dy in offsets]

    def lips(width, height, count):
        turn = np.linspace(np.pi, -np.pi, count, endpoint=False)
        return [(0.5 + width * np.cos(a), MOUTH - height * np.sin(a)) for a in turn]

    return np.array(
        [*jaw, *brows, *nose, *eye(0.375), *eye(0.625), *lips(0.1, 0.03, 12), *lips(0.08, 0.01, 8)]
    )


class Landmarks(nnx.Module):
    """In place of the network: the same landmarks for every crop, which is mirrored as it is."""

    def __call__(self, crops):
        points = (_front() - [FACE_LEFT, FACE_TOP]) / FACE_SIDE
        return jnp.broadcast_to(jnp.asarray(points, jnp.float32), (len(crops), 68, 2))


def _person(*, long_hair: bool) -> np.ndarray:
    """A head, a neck and shoulders; long hair fills what is beside the neck."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    head = ((x - 0.5) / 0.31) ** 2 + ((y - 0.45) / 0.4) ** 2 < 1
    neck = (np.abs(x - 0.5) < 0.12) & (y > 0.7)
    shoulders = (y > 0.92) & (np.abs(x - 0.5) < 0.48)
    hair = (np.abs(x - 0.5) < 0.3) & (y > 0.45) if long_hair else np.zeros_like(head)
    return (head | neck | shoulders | hair).astype(np.float32)


@pytest.fixture(scope="module")
def places():
    return FacePlaces(Landmarks(), person_at(_person(long_hair=False)))


@pytest.fixture(scope="module")
def masks(places):
    gray = jnp.zeros((1, SIDE, SIDE, 3))
    found = jax.jit(lambda places, image: places.each(image, image))(places, gray)
    return {place: np.asarray(found.place)[i, 0] for i, place in enumerate(PLACES)} | {
        f"{place} colors": np.asarray(found.colors)[i, 0] for i, place in enumerate(PLACES)
    }


def at(mask, x, y):
    return float(mask[int(y * SIDE), int(x * SIDE)])


INSIDE = {
    "eyes": [(0.375, EYES), (0.625, EYES)],
    "brows": [(0.375, EYES), (0.38, EYES - 0.07), (0.62, EYES - 0.07)],
    "glasses": [(0.375, EYES), (0.5, EYES), (0.27, EYES), (0.625, EYES + 0.08)],
    "mouth": [(0.5, MOUTH), (0.41, MOUTH)],
    "jaw": [(0.5, MOUTH), (0.5, 0.8), (0.3, 0.65)],
    "expression": [(0.5, MOUTH), (0.375, EYES), (0.32, 0.58)],
    "ears": [(0.23, 0.5), (0.77, 0.5), (0.24, 0.62)],
    "face": [(0.5, MOUTH), (0.5, EYES), (0.5, 0.35)],
    "crown": [(0.5, 0.12), (0.25, 0.3)],
    "hair": [(0.5, 0.12), (0.25, 0.3)],
    "person": [(0.5, 0.5), (0.5, 0.12), (0.5, 0.9), (0.1, 0.97)],
    "background": [(0.05, 0.1), (0.95, 0.5)],
}
OUTSIDE = {
    "eyes": [(0.5, MOUTH), (0.5, 0.3)],
    "brows": [(0.5, MOUTH), (0.5, 0.25)],
    "glasses": [(0.5, MOUTH), (0.5, 0.2)],
    "mouth": [(0.5, EYES), (0.5, 0.8)],
    "jaw": [(0.5, EYES), (0.5, 0.2)],
    "expression": [(0.5, 0.3), (0.5, 0.1)],
    "ears": [(0.5, EYES), (0.5, 0.9)],
    "face": [(0.5, 0.1), (0.05, 0.5)],
    "crown": [(0.5, MOUTH), (0.5, 0.95), (0.1, 0.97)],
    "hair": [(0.5, MOUTH), (0.5, 0.95), (0.1, 0.97), (0.9, 0.97)],
    "person": [(0.05, 0.1), (0.95, 0.5)],
    "background": [(0.5, 0.5), (0.5, 0.2), (0.5, 0.9)],
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_holds_what_it_says(masks, place):
    assert all(at(masks[place], *point) > 0.9 for point in INSIDE[place]), place
    assert all(at(masks[place], *point) == 0 for point in OUTSIDE[place]), place
    assert masks[place].min() == 0 and masks[place].max() <= 1 + 1e-6


def test_long_hair_hangs_beside_the_neck():
    gray = jnp.zeros((1, SIDE, SIDE, 3))
    beside = (0.25, 0.85)
    for long_hair in (False, True):
        hair = FacePlaces(Landmarks(), person_at(_person(long_hair=long_hair)))(gray, gray, "hair").place[0]
        assert (at(hair, *beside) > 0.9) == long_hair
        assert at(hair, 0.5, 0.95) == 0  # the neck and what is worn below


def test_the_background_about_a_person_keeps_its_colors(masks):
    rim = (0.5, 0.03)  # just above the head
    assert at(masks["person"], *rim) > 0.5 and at(masks["person colors"], *rim) == 0
    assert at(masks["person colors"], 0.5, 0.5) == 1
    assert at(masks["background colors"], 0.05, 0.1) == 1


def test_a_call_gives_one_of_them(places, masks):
    gray = jnp.zeros((2, SIDE, SIDE, 3))
    one = places(gray, gray, "glasses")
    assert one.place.shape == one.colors.shape == (2, 128, 128)
    np.testing.assert_allclose(one.place[1], masks["glasses"], atol=1e-6)


def test_every_attribute_that_ships_has_a_place():
    known = {attribute.name for attribute in FACE_ATTRIBUTES} | set(MARKED_ATTRIBUTES)
    assert set(ATTRIBUTE_PLACES) == known


def test_bad_arguments(places):
    gray = jnp.zeros((1, SIDE, SIDE, 3))
    with pytest.raises(InputError, match=r"place: expected one of eyes, brows, .*, got 'nose'"):
        places(gray, gray, "nose")
    with pytest.raises(InputError, match=r"edited: expected \[1, 128, 128, 3\], got \[2, 128, 128, 3\]"):
        places(gray, jnp.zeros((2, SIDE, SIDE, 3)), "eyes")
    with pytest.raises(InputError, match="128 pixels a side or more"):
        places(gray[:, :64, :64], gray[:, :64, :64], "eyes")
