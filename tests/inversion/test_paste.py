"""Faces pasted back, with a person in the middle of every crop and photographs whose result is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import InputError, paste_back
from jaxedit.inversion import cut_quad
from jaxedit.inversion.paste import motion
from tests.attributes.person.fakes import person_at

SIZE = 64
QUAD = np.array([[60.0, 20.0], [40.0, 100.0], [120.0, 120.0], [140.0, 40.0]])
"""A square that leans, wholly inside the photograph."""


@pytest.fixture(scope="module")
def person():
    mask = np.zeros((32, 32))
    mask[8:24, 8:24] = 1
    return person_at(mask)


@pytest.fixture(scope="module")
def photo():
    """Colors that vary slowly, so that a crop loses nothing, and noise outside the crop."""
    y, x = np.mgrid[:150, :170]
    smooth = 100 + 40 * np.sin(x / 25) + 30 * np.cos(y / 20)
    pixels = np.repeat(smooth[..., None], 3, -1)
    pixels[125:] = np.random.default_rng(0).integers(0, 256, (25, 170, 3))
    return pixels.round().astype(np.uint8)


@pytest.fixture(scope="module")
def crop(photo):
    return cut_quad(photo, QUAD, SIZE)


def middle(pixels):
    """Around the center of the square, (90, 70)."""
    return pixels[60:80, 80:100].astype(int)


def test_an_edit_of_nothing_changes_nothing(photo, crop, person):
    drawn = np.full_like(crop, 90)  # a poor reconstruction
    pasted = paste_back(photo, QUAD, drawn, reconstruction=drawn, person=person)
    np.testing.assert_array_equal(pasted.pixels, photo)
    assert not pasted.changed.any() and pasted.part_moved == 0
    assert pasted.describe(photo) == "no pixel changed"


def test_a_change_that_moves_nothing_is_added_to_the_photograph(photo, crop, person):
    drawn = np.full_like(crop, 90)
    edited = drawn + np.asarray([40, 0, 0], np.uint8)
    pasted = paste_back(photo, QUAD, edited, reconstruction=drawn, person=person)
    np.testing.assert_allclose(middle(pasted.pixels), middle(photo) + np.asarray([40, 0, 0]), atol=1)
    assert 0.05 < pasted.changed.mean() < 0.4
    assert pasted.describe(photo).startswith(
        f"changed {100 * pasted.changed.mean():.1f} % of the photograph, by "
    )


def test_outside_the_person_every_pixel_stays(photo, person):
    edited = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    before = photo.copy()
    pasted = paste_back(photo, QUAD, edited, person=person)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(pasted.pixels[~pasted.changed], photo[~pasted.changed])
    y, x = np.nonzero(pasted.changed)
    # Half the side of the crop is 41 pixels; the person reaches half as far, and margin and rim a little more.
    assert np.hypot(x - 90, y - 70).max() < 41


def test_what_moved_is_the_edited_image_in_its_place(photo, crop, person):
    y, x = np.mgrid[:SIZE, :SIZE]
    edited = np.repeat((128 + 60 * np.sin(x / 4) * np.sin(y / 5))[..., None], 3, -1).round().astype(np.uint8)
    pasted = paste_back(photo, QUAD, edited, reconstruction=crop, person=person)
    assert pasted.part_moved > 0.95
    again = cut_quad(pasted.pixels, QUAD, SIZE).astype(int)
    np.testing.assert_allclose(again[22:42, 22:42], edited[22:42, 22:42], atol=12)
    alone = paste_back(photo, QUAD, edited, reconstruction=crop, person=person, blend="edited")
    np.testing.assert_allclose(middle(alone.pixels), middle(pasted.pixels), atol=2)


def test_the_change_fades_at_the_edges_of_the_crop_but_not_at_those_of_the_photograph(photo):
    everywhere = person_at(np.ones((32, 32)))
    drawn = np.full((SIZE, SIZE, 3), 90, np.uint8)
    options = {"reconstruction": drawn, "person": everywhere}
    quad = np.array([[-20.0, 30.0], [-20.0, 100.0], [50.0, 100.0], [50.0, 30.0]])
    change = paste_back(photo, quad, drawn + np.uint8(40), **options).pixels.astype(int) - photo
    np.testing.assert_allclose(change[65, :40], 40, atol=1)
    assert (np.abs(change[65, 47:]) < 20).all() and (change[:30] == 0).all() and (change[:, 50:] == 0).all()


def test_faces_are_pasted_one_after_the_other(photo, crop, person):
    drawn = np.full_like(crop, 90)
    options = {"reconstruction": drawn, "person": person}
    first = paste_back(photo, QUAD, drawn + np.asarray([40, 0, 0], np.uint8), **options)
    second = paste_back(first.pixels, QUAD - [40, 20], drawn + np.asarray([0, 40, 0], np.uint8), **options)
    np.testing.assert_array_equal(second.pixels[~second.changed], first.pixels[~second.changed])
    assert tuple(second.pixels[75, 95].astype(int) - photo[75, 95]) == pytest.approx((40, 0, 0), abs=1)
    assert tuple(second.pixels[45, 45].astype(int) - photo[45, 45]) == pytest.approx((0, 40, 0), abs=1)


def test_motion_is_of_structures_and_not_of_light():
    random = np.random.default_rng(0)
    texture = np.kron(random.uniform(-0.4, 0.4, (1, 32, 32, 1)), np.ones((1, 4, 4, 3))).astype(np.float32)
    measure = jax.jit(motion)
    np.testing.assert_allclose(measure(texture, texture), 0, atol=1e-6)
    np.testing.assert_allclose(measure(texture, 1.5 * texture + 0.3), 0, atol=1e-6)
    np.testing.assert_allclose(measure(texture, jnp.roll(texture, 6, 2)), 1, atol=1e-6)
    flat = jnp.zeros_like(texture)
    np.testing.assert_allclose(measure(flat, flat + 0.5), 0, atol=1e-6)


def test_what_cannot_be_pasted_is_named(photo, crop, person):
    with pytest.raises(InputError, match="edited: expected a square image"):
        paste_back(photo, QUAD, crop[:40], person=person)
    with pytest.raises(InputError, match=r"reconstruction: expected \[64, 64, 3\], got \[32, 32, 3\]"):
        paste_back(photo, QUAD, crop, reconstruction=crop[::2, ::2], person=person)
    with pytest.raises(InputError, match="a square that lies about the photograph"):
        paste_back(photo, QUAD + 500, crop, person=person)
    with pytest.raises((InputError, TypeError), match=r"face|quad"):
        paste_back(photo, QUAD[:3], crop, person=person)
    with pytest.raises(InputError, match="a person in the crop, found none"):
        paste_back(photo, QUAD, crop, person=person_at(np.zeros((32, 32))))
