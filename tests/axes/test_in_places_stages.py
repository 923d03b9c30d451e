"""Which latents are drawn one over the other, and where."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.person.places import PLACES, Place, PlaceMasks
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.in_places import PARTS, draw_in_places, stages_of
from jaxedit.generators.in_places import synthesis_in_places
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.attributes.person.fakes import LeftHalf
from tests.generators.random_weights import normal, stylegan2_params

NAMES = ("age", "height", "blond_hair", "headwear", "smile", "eyeglasses", "teeth", "lip_redness")


class Recorder(AttributeAxes):
    """In place of axes: a latent says which edits it was asked for."""

    def edit(self, w: Any, edits: Any, **options: Any) -> jax.Array:
        assert options == ({"absolute": True} if edits else {})
        return jnp.asarray([[float(name in edits) for name in NAMES]])


def asked(edits):
    axes = object.__new__(Recorder)
    stages, where = stages_of(axes, jnp.zeros((1, 8)), edits, absolute=True)
    return [{name for name, is_in in zip(NAMES, stage[0], strict=True) if is_in} for stage in stages], where


def test_every_place_belongs_to_one_part():
    known = [place for part in PARTS for place in part]
    assert sorted(filter(None, known)) == sorted(PLACES) == sorted(get_args(Place))
    assert len(set(known)) == len(known)


def test_one_edit():
    assert asked({"eyeglasses": 1.5}) == ([set(), {"eyeglasses"}], ("glasses",))
    assert asked({}) == ([set()], ())


def test_parts_do_not_disturb_each_other_and_share_what_the_whole_person_gets():
    stages, where = asked(
        {"eyeglasses": 1, "headwear": 1, "age": 1, "smile": -1, "blond_hair": 1, "height": 2}
    )
    assert where == (None, "person", "hair", "crown", "expression", "glasses")
    whole = {"age", "height"}
    assert stages == [
        set(),
        {"height"},
        whole,
        whole | {"blond_hair"},
        whole | {"blond_hair", "headwear"},
        whole | {"smile"},
        whole | {"smile", "eyeglasses"},
    ]


def test_edits_of_one_place_are_one_stage():
    stages, where = asked({"teeth": 1, "lip_redness": 1, "background_warmth": 1})
    assert where == ("background", "mouth") and stages[2] == {"teeth", "lip_redness"}


@pytest.fixture(scope="module")
def small() -> StyleGAN2:
    config = StyleGAN2Config.of_size(32, channel_base=128, channel_max=8, z_dim=6, w_dim=8, mapping_layers=2)
    return StyleGAN2(config, stylegan2_params(config))


def test_an_attribute_without_a_place_changes_the_whole_image(small):
    stages = [small.mapping(normal(1, 6, seed=seed)) for seed in range(3)]
    drawn = draw_in_places(small, stages[:2], (None,), LeftHalf())
    np.testing.assert_allclose(drawn.original, jnp.clip(small.synthesis(stages[0]), -1, 1), atol=1e-5)
    np.testing.assert_allclose(drawn.edited, jnp.clip(small.synthesis(stages[1]), -1, 1), atol=1e-5)
    both = draw_in_places(small, stages, (None, "glasses"), LeftHalf()).edited
    assert np.abs(both - drawn.edited)[:, :, :10].mean() > 0.01
    nothing = draw_in_places(small, stages[:1], (), LeftHalf())
    np.testing.assert_array_equal(nothing.edited, nothing.original)


class Brightness(LeftHalf):
    """A place is as sure as the image below it is bright."""

    def __call__(self, original: Any, edited: Any, place: Any) -> PlaceMasks:
        mask = jnp.ones((len(original), 128, 128)) * jax.nn.sigmoid(3 * original.mean())
        return PlaceMasks(mask, mask)


def test_a_place_is_found_on_the_face_that_it_is_drawn_on(small):
    first, aged, hat, glasses = (small.mapping(normal(1, 6, seed=seed)) for seed in range(4))
    drawn = draw_in_places(small, [first, aged, hat, glasses], ("person", "crown", "glasses"), Brightness())
    below = [
        jnp.clip(small.synthesis(w), -1, 1) for w in (first, aged, aged)
    ]  # the hat is not in the face's way
    masks = [Brightness()(image, image, "face").place for image in below]
    wanted = synthesis_in_places(small, [first, aged, hat, glasses], masks)
    np.testing.assert_allclose(drawn.edited, jnp.clip(wanted, -1, 1), atol=1e-5)
    assert len({float(mask.mean()) for mask in masks}) == 2
