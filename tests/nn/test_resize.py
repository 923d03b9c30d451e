import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.nn.resize import average_pool, pad_to_square, resample, resize_bilinear_tfjs, shrink


def images(*shape):
    return jnp.asarray(np.random.RandomState(0).randn(*shape), jnp.float32)


@pytest.mark.parametrize(("height", "width", "factor"), [(8, 8, 2), (12, 9, 3), (7, 9, 2), (5, 4, 1)])
def test_average_pool_is_the_mean_of_whole_squares_with_its_gradient(height, width, factor):
    def plain(x):
        rows, columns = height // factor, width // factor
        x = x[:, : rows * factor, : columns * factor]
        return x.reshape(2, rows, factor, columns, factor, 3).mean((2, 4))

    x = images(2, height, width, 3)
    np.testing.assert_allclose(average_pool(x, factor), plain(x), atol=1e-6)
    ours, theirs = (
        jax.grad(lambda x, f=f: jnp.sin(f(x)).sum())(x) for f in (lambda x: average_pool(x, factor), plain)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("kind", "method"), [("triangle", "linear"), ("cubic", "cubic")])
@pytest.mark.parametrize("size", [3, 7, 16, 23])
def test_whole_images_are_resampled_as_by_jax(kind, method, size):
    x = images(2, 16, 16, 3)
    expected = jax.image.resize(x, (2, size, size, 3), method, antialias=True)
    np.testing.assert_allclose(resample(x, size, kind=kind), expected, atol=1e-5)


def test_a_part_is_what_the_whole_shows_there():
    ramp = jnp.broadcast_to(jnp.arange(64.0)[None, None, :, None], (1, 64, 64, 1))
    part = resample(ramp, 8, start=(0.25, 0.5), extent=0.5)
    np.testing.assert_allclose(part[0, 0, :, 0], 16 + 4 * np.arange(8) + 1.5, atol=1e-4)
    np.testing.assert_allclose(part - part[:, :1], 0, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "size", "expected"), [(32, 8, 8), (30, 8, 8), (12, 7, 7), (8, 8, 8), (6, 8, 6)]
)
def test_shrink_gives_at_most_the_size_and_keeps_the_mean(side, size, expected):
    x = images(2, side, side, 3)
    small = shrink(x, size)
    assert small.shape == (2, expected, expected, 3)
    if side % size == 0:
        np.testing.assert_allclose(small, average_pool(x, side // size), atol=1e-6)
    np.testing.assert_allclose(shrink(jnp.ones_like(x), size), 1, atol=1e-6)


def test_resize_follows_tensorflow_js():
    x = jnp.arange(4.0).reshape(1, 1, 4, 1) * jnp.ones((1, 4, 1, 1))
    np.testing.assert_allclose(resize_bilinear_tfjs(x, 3)[0, 0, :, 0], [0, 4 / 3, 8 / 3], rtol=1e-6)
    np.testing.assert_allclose(
        resize_bilinear_tfjs(x, 8)[0, 0, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], rtol=1e-6
    )
    assert resize_bilinear_tfjs(x, 4) is x


def test_padding_puts_the_odd_row_last():
    padded = pad_to_square(jnp.ones((1, 2, 5, 1)), -1.0)
    np.testing.assert_array_equal(padded[0, :, 0, 0], [-1, 1, 1, -1, -1])
