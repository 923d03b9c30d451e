import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation.thumbnails import downscale, padded_batches, render_thumbnails


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_thumbnails_do_not_depend_on_the_batch_size(toy, toy_w, batch_size):
    thumbnails = render_thumbnails(toy, toy_w, 8, batch_size=batch_size)
    assert thumbnails.shape == (5, 8, 8, 3)
    assert thumbnails.dtype == np.uint8
    expected = np.clip(np.round(np.clip(0.1 * toy_w[:, :3], -1, 1) * 127.5 + 127.5), 0, 255)
    np.testing.assert_array_equal(thumbnails, np.broadcast_to(expected[:, None, None], thumbnails.shape))


def test_thumbnails_of_w_plus(toy, toy_w):
    w_plus = np.repeat(toy_w[:, None], toy.num_ws, axis=1)
    np.testing.assert_array_equal(render_thumbnails(toy, w_plus, 4), render_thumbnails(toy, toy_w, 4))


def test_batches_have_one_size_and_cover_all_latents(toy_w):
    batches = list(padded_batches(toy_w, 2))
    assert [batch.shape for _, batch in batches] == [(2, 6)] * 3
    np.testing.assert_array_equal(
        np.concatenate([batch[: rows.stop - rows.start] for rows, batch in batches]), toy_w
    )


def test_downscaling_takes_the_mean_and_does_not_alias():
    stripes = jnp.tile(jnp.asarray([-1.0, 1.0]), 32)[None, None, :, None] * jnp.ones((1, 64, 1, 3))
    np.testing.assert_allclose(downscale(stripes, 16), 0, atol=1e-6)
    # Away from the edges, whose filter sees an odd number of stripes.
    np.testing.assert_allclose(downscale(stripes, 24)[:, 3:-3, 3:-3], 0, atol=0.1)


def test_values_out_of_range_are_clipped_before_the_mean():
    pixels = jnp.asarray([[3.0, -1.0], [3.0, -1.0]])[None, :, :, None] * jnp.ones(3)
    np.testing.assert_allclose(downscale(pixels, 1), 0)


@pytest.mark.parametrize(("size", "batch_size"), [(0, 4), (8, 0), (-1, 1)])
def test_impossible_sizes(toy, toy_w, size, batch_size):
    with pytest.raises(InputError, match="positive"):
        render_thumbnails(toy, toy_w, size, batch_size=batch_size)
