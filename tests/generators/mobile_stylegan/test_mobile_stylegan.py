import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.mobile_stylegan import generator as mobile_stylegan
from jaxedit.generators.mobile_stylegan.haar import inverse_haar
from jaxedit.generators.protocol import Generator, broadcast_w
from jaxedit.pretrained.registry import load_generator
from tests.generators.random_weights import normal


def box_average(images: np.ndarray, size: int) -> np.ndarray:
    batch, height = images.shape[:2]
    factor = height // size
    return images.reshape(batch, size, factor, size, factor, 3).mean((2, 4))


def test_it_is_a_generator(generator):
    assert isinstance(generator, Generator)
    assert (generator.z_dim, generator.w_dim, generator.num_ws, generator.resolution) == (512, 512, 16, 1024)


def test_mapping_agrees_with_the_original(generator, reference):
    np.testing.assert_allclose(generator.mapping(jnp.asarray(reference["z"])), reference["w"], atol=1e-4)


def test_synthesis_agrees_with_the_original(images, reference):
    assert images.shape == (8, 1024, 1024, 3)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[:, 480:544, 480:544], reference["crop_480_544"], atol=2e-4)
    known = len(reference["image_256"])
    np.testing.assert_allclose(box_average(images[:known], 256), reference["image_256"], atol=2e-4)


def test_whole_images_and_stripes_agree(generator, images, reference):
    w_plus = broadcast_w(jnp.asarray(reference["w"][:1]), generator.num_ws)
    whole = jax.jit(mobile_stylegan._synthesis_in_parallel)(generator, w_plus)
    np.testing.assert_allclose(whole, images[:1], atol=2e-4)


def test_every_style_input_acts_and_w_is_the_same_latent_for_all(generator, images, reference):
    w = jnp.asarray(reference["w"])
    w_plus = broadcast_w(w[:1], generator.num_ws)
    np.testing.assert_allclose(generator.synthesis(w_plus), images[:1], atol=1e-4)
    for i in range(generator.num_ws):
        mixed = generator.synthesis(w_plus.at[:, i].set(w[1]))
        assert np.abs(mixed - images[:1]).max() > 0.02, f"layer {i} of W+ has no effect"


def test_truncation(generator, reference):
    z, w = jnp.asarray(reference["z"]), jnp.asarray(reference["w"])
    w_avg = generator.w_avg[...]
    # The mean of W, checked on latents that it was not computed from.
    other = generator.mapping(normal(20_000, 512, seed=1))
    standard_error = float(jnp.std(other, axis=0).max()) / np.sqrt(20_000)
    assert np.abs(w_avg - other.mean(0)).max() < 6 * standard_error
    np.testing.assert_allclose(generator.mapping(z, truncation_psi=0.0), jnp.tile(w_avg, (8, 1)), atol=1e-6)
    half = generator.mapping(z, truncation_psi=0.5)
    np.testing.assert_allclose(half, (w + w_avg) / 2, atol=1e-4)
    cut = generator.mapping(z, truncation_psi=0.5, truncation_cutoff=3)
    assert cut.shape == (8, 16, 512)
    np.testing.assert_allclose(cut[:, :3], jnp.stack([half] * 3, 1), atol=1e-6)
    np.testing.assert_allclose(cut[:, 3:], jnp.stack([w] * 13, 1), atol=1e-4)


@pytest.mark.slow
def test_vmap_and_jit(generator, images, reference):
    w = jnp.asarray(reference["w"][:2])
    one_by_one = jax.jit(jax.vmap(lambda g, w: g.synthesis(w[None])[0], in_axes=(None, 0)))(generator, w)
    np.testing.assert_allclose(one_by_one, images[:2], atol=1e-4)


def test_no_recompilation_for_a_new_batch_of_the_same_shape(generator, reference):
    one, other = (broadcast_w(jnp.asarray(reference["w"][i : i + 1]), generator.num_ws) for i in (0, 1))
    generator.synthesis(one)
    compiled = MobileStyleGAN._synthesis._cache_size()
    generator.synthesis(other)
    assert MobileStyleGAN._synthesis._cache_size() == compiled


@pytest.mark.slow
def test_gradient_is_the_slope_of_the_image(generator, reference):
    w = jnp.asarray(reference["w"][:1])
    direction = jnp.asarray(reference["w"][1:2]) - w
    direction /= jnp.linalg.norm(direction)

    def brightness(w):
        return jnp.mean(generator.synthesis(w)[:, 256:768, 256:768] ** 2)

    value, gradient = jax.value_and_grad(brightness)(w)
    step = 1e-2
    slope = (brightness(w + step * direction) - brightness(w - step * direction)) / (2 * step)
    assert value == pytest.approx(float(brightness(w)), rel=1e-4)
    assert float(jnp.vdot(gradient, direction)) == pytest.approx(float(slope), rel=0.03)


@pytest.mark.slow
def test_bfloat16_is_near_float32(images, reference):
    generator = load_generator("mobile-stylegan-ffhq", dtype=jnp.bfloat16)
    rounded = generator.synthesis(jnp.asarray(reference["w"][:1]))
    assert rounded.dtype == jnp.float32
    difference = np.abs(rounded - images[:1])
    assert 0 < difference.mean() < 0.015


def test_inverse_haar_is_orthogonal_and_puts_the_bands_in_their_place():
    x = normal(3, 4, 5, 8)
    y = jax.jit(inverse_haar)(x)
    assert y.shape == (3, 8, 10, 2)
    assert jnp.sum(y**2) == pytest.approx(float(jnp.sum(x**2)), rel=1e-5)
    bands = jnp.zeros((1, 1, 8)).at[0, 0, 3].set(2.0)  # the second detail (hl) of the first channel
    np.testing.assert_array_equal(inverse_haar(bands)[:, :, 0], [[1, -1], [1, -1]])


@pytest.mark.parametrize("shape", [(2, 256), (1, 15, 512), (1, 16, 511)])
def test_latents_of_the_wrong_shape(generator, shape):
    with pytest.raises(InputError, match=r"w: expected shape \[batch, 512\] or \[batch, 16, 512\], got"):
        generator.synthesis(jnp.zeros(shape))


def test_bad_arguments(generator):
    with pytest.raises(InputError, match=r"z: expected shape \[batch, 512\]"):
        generator.mapping(jnp.zeros((1, 100)))
    with pytest.raises(InputError, match="truncation_cutoff"):
        generator.mapping(jnp.zeros((1, 512)), truncation_psi=0.5, truncation_cutoff=17)
    with pytest.raises(InputError, match="resolution"):
        MobileStyleGANConfig(resolution=512)
    with pytest.raises(InputError, match="dtype"):
        load_generator("mobile-stylegan-ffhq", dtype=jnp.float16)
