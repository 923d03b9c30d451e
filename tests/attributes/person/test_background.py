"""Edits before the original background, with masks and images whose results are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import InputError, keep_background

SIDE = 64
GRAY, WHITE = 0.0, 0.9


@pytest.fixture(scope="module")
def keep():
    return jax.jit(keep_background)


def person(first, last):
    """A mask that is 1 in these columns."""
    return jnp.zeros((1, SIDE, SIDE)).at[:, :, first:last].set(1)


def shown(mask, person_color, background):
    mask = mask[..., None]
    return jnp.broadcast_to(mask * person_color + (1 - mask) * background, (1, SIDE, SIDE, 3))


def row(images):
    return np.asarray(images[0, SIDE // 2, :, 0])


def test_the_person_is_edited_and_the_rest_stays_bit_for_bit(keep):
    mask = person(20, 40)
    original = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, SIDE, SIDE, 3)), jnp.float32)
    edited = jnp.where(mask[..., None] > 0, -original, 0.3)
    kept = keep(original, edited, mask, mask)
    np.testing.assert_allclose(kept[:, :, 20:40], edited[:, :, 20:40], atol=1e-5)
    for part in (np.s_[:, :, :14], np.s_[:, :, 46:]):
        np.testing.assert_array_equal(kept[part], original[part])


def test_a_background_of_another_color_leaves_no_halo(keep):
    mask = person(20, 40)
    kept = row(keep(shown(mask, -0.5, GRAY), shown(mask, 0.5, WHITE), mask, mask))
    np.testing.assert_allclose(kept[20:40], 0.5, atol=1e-5)
    np.testing.assert_allclose(np.delete(kept, np.s_[19:41]), GRAY, atol=0.02)


def test_what_the_person_uncovers_has_the_colors_of_the_original_background(keep):
    before, after = person(20, 50), person(20, 35)
    kept = row(keep(shown(before, -0.5, GRAY), shown(after, 0.5, WHITE), before, after))
    np.testing.assert_allclose(kept[20:35], 0.5, atol=1e-5)
    np.testing.assert_allclose(kept[38:], GRAY, atol=0.05)


def test_hairs_beyond_the_mask_do_not_draw_the_outline_of_a_head_that_has_turned():
    # 256 pixels, of which the margin is 2.6: the hair reaches 2 beyond the mask.
    columns = jnp.arange(256)
    hair = jnp.broadcast_to(((columns >= 98) & (columns < 202)).astype(jnp.float32), (1, 256, 256))
    before, after = ((columns >= 100) & (columns < end) & (hair > 0) for end in (200, 130))
    original = jnp.repeat(GRAY - 0.9 * hair[..., None], 3, -1)
    edited = jnp.repeat(jnp.where(after, -0.9, GRAY)[..., None], 3, -1)
    kept = np.asarray(
        keep_background(original, edited, before.astype(jnp.float32), after.astype(jnp.float32))
    )
    np.testing.assert_allclose(kept[0, 128, 134:210, 0], GRAY, atol=0.02)


def test_an_image_without_a_person_stays_and_one_without_background_is_the_edit(keep):
    original, edited = shown(person(0, 9), 0.1, 0.2), shown(person(5, 60), -0.4, 0.7)
    nobody, everywhere = person(0, 0), person(0, SIDE)
    np.testing.assert_array_equal(keep(original, edited, nobody, nobody), original)
    np.testing.assert_allclose(keep(original, edited, everywhere, everywhere), edited, atol=1e-6)


@pytest.mark.slow
def test_gradients_are_finite(keep):
    before, after = 0.5 * person(20, 50) + 0.2, 0.5 * person(20, 35) + 0.2
    images = shown(before, -0.5, GRAY), shown(after, 0.5, WHITE)
    gradients = jax.grad(lambda *arguments: keep(*arguments).sum(), (0, 1, 2, 3))(*images, before, after)
    for gradient in gradients:
        assert jnp.isfinite(gradient).all() and (gradient != 0).any()


def test_what_does_not_fit_is_named(keep):
    mask = person(0, 9)
    image = shown(mask, 0.1, 0.2)
    with pytest.raises((InputError, TypeError), match="edited"):
        keep_background(image, image[:, :9], mask, mask)
    with pytest.raises((InputError, TypeError), match="edited_mask"):
        keep_background(image, image, mask, mask[:, :9])
    for name in ("margin", "feather"):
        with pytest.raises(InputError, match=f"{name}: expected 0…0.1, got 0.5"):
            keep_background(image, image, mask, mask, **{name: 0.5})
