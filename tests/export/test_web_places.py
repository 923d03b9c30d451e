"""Edits in places in the exported page, in Chromium: masks and images are those of the library, up to rounding."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.faces.face_attributes import face_landmarks
from jaxedit.attributes.person.places import PLACES, FacePlaces
from jaxedit.axes.in_places import edit_in_places
from jaxedit.images import to_uint8
from jaxedit.latents.seed_stream import w_of_seed
from jaxedit.nn.resize import resample

pytestmark = pytest.mark.slow

_MASKS = """async (images) => {
  const { Seen, masksOf } = await import("/places.js");
  const [before, after] = images.map(([landmarks, person]) => new Seen(landmarks, Float32Array.from(person)));
  const places = PLACES.map((place) => masksOf(place, before, after));
  return places.map(({ place, colors }) => [[...place], [...colors]]);
}"""


@pytest.fixture(scope="module")
def places():
    return FacePlaces.from_pretrained()


def test_masks_are_those_of_the_library(visit, generator, axes, places):
    w = w_of_seed(generator, 7, truncation_psi=0.7)
    both = [
        jnp.clip(generator.synthesis(axes.edit(w, edits)), -1, 1)
        for edits in ({}, {"hair_length": 2.0, "yaw": 1.0})
    ]
    expected = places.each(*both)
    given = []
    for image in both:
        person = resample(places.person(image)[..., None], 128)
        landmarks = face_landmarks(places.landmarks, image)
        given.append([np.asarray(landmarks)[0].tolist(), np.asarray(person).ravel().tolist()])
    found = np.reshape(
        visit.page.evaluate(_MASKS.replace("PLACES", str(list(PLACES))), given), (len(PLACES), 2, 128, 128)
    )
    for number, name in enumerate(PLACES):
        for mask, own in zip(expected, found[number], strict=True):
            assert np.ptp(np.asarray(mask[number])) > 0.5, name
            np.testing.assert_allclose(own, mask[number, 0], atol=2e-3, err_msg=name)


@pytest.mark.parametrize(
    "edits",
    [
        {"eyeglasses": 1.5},
        {"skin_lightness": 1},
        {"red_hair": 1.5, "smile": -1},
        {"background_lightness": 1.2, "gender": -1},
    ],
)
def test_images_are_those_of_the_library(visit, generator, axes, places, edits):
    before = visit.pixels()
    for name, amount in edits.items():
        visit.amount(name, amount)
    visit.wait_for(7, edits)
    found = visit.pixels()
    w = w_of_seed(generator, 7, truncation_psi=0.7)
    expected = np.asarray(to_uint8(edit_in_places(generator, axes, w, edits, places).edited))[0].astype(int)
    everywhere = np.asarray(to_uint8(generator.synthesis(axes.edit(w, edits))))[0].astype(int)
    far = np.abs(found - expected).mean()
    print(f"{edits}: {far:.2f} from the library's, {np.abs(everywhere - expected).mean():.2f} everywhere")
    assert far < 0.4 * np.abs(everywhere - expected).mean()
    assert np.abs(expected - before).mean() > 1
    assert visit.page.locator("#command").input_value().startswith("jaxedit edit --seed 7 ")
    assert "--where" not in visit.page.locator("#command").input_value()


def test_beyond_the_place_nothing_changes_and_one_may_have_it_everywhere(visit):
    before = visit.pixels()
    visit.amount("eyeglasses", 1.5)
    visit.wait_for(7, {"eyeglasses": 1.5})
    placed = visit.pixels()
    below = np.s_[800:]
    assert np.abs(placed - before)[below].max() <= 1  # as far as the later layers reach
    assert np.abs(placed - before)[450:550, 200:800].mean() > 5
    visit.page.locator("#in-places").uncheck()
    visit.page.wait_for_function("() => document.querySelector('#canvas').dataset.where === 'everywhere'")
    visit.wait_for(7, {"eyeglasses": 1.5})
    assert np.abs(visit.pixels() - before)[below].mean() > 1
    visit.page.locator("#in-places").check()
    visit.page.wait_for_function("() => document.querySelector('#canvas').dataset.where === 'places'")
    visit.wait_for(7, {"eyeglasses": 1.5})
    np.testing.assert_array_equal(visit.pixels(), placed)
