import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from jaxedit.generators.stylegan3.initial import StyleGAN3Design, initial_params
from tests.generators.random_weights import normal
from tests.generators.stylegan3.references import relative

DESIGN = StyleGAN3Design(32, channel_base=256, channel_max=8, num_layers=4)
SMALL = DESIGN.config(z_dim=12, w_dim=16)


def make(config: StyleGAN3Config = SMALL, **options: object) -> StyleGAN3:
    params = initial_params(DESIGN, config, jax.random.key(0))
    random = np.random.RandomState(1)  # at the start of a training the latent does not move the features
    params["fourier_features"]["affine"]["weight"] = jnp.asarray(
        random.standard_normal((16, 4)) * 0.2, jnp.float32
    )
    return StyleGAN3(config, params, **options)


@pytest.fixture(scope="module")
def small() -> StyleGAN3:
    return make()


@pytest.fixture(scope="module")
def w(small) -> jax.Array:
    return small.mapping(normal(3, 12, seed=1))


def test_it_is_a_generator(small):
    assert isinstance(small, Generator)
    assert (small.z_dim, small.c_dim, small.w_dim, small.num_ws, small.resolution) == (12, 0, 16, 6, 32)
    assert small.config.sizes == (36, 36, 52, 52, 32)


def test_the_official_sizes():
    config = StyleGAN3Design(256, channel_base=16384).config()
    assert config == StyleGAN3Config()
    assert config.num_ws == 16
    assert config.sizes == (36, 36, 36, 36, 52, 52, 84, 84, 148, 148, 148, 276, 276, 276, 256)
    assert [spec.padding for spec in config.resamplings[:4]] == [9, 9, 9, -6]
    rotation = StyleGAN3Design.rotation(1024).config()
    assert (rotation.conv_kernel, rotation.channels[0], rotation.channels[-1]) == (1, 1024, 64)
    assert rotation.sampling_rates[-1] == 1024


def test_every_layer_of_w_plus_acts_and_a_batch_is_its_images_one_by_one(small, w):
    plain = jnp.repeat(w[:1, None], small.num_ws, axis=1)
    mixed = jnp.concatenate([plain] + [plain.at[:, i].set(w[1]) for i in range(small.num_ws)])
    images = small.synthesis(mixed)
    assert images.shape == (7, 32, 32, 3)
    for i in range(small.num_ws):
        assert relative(images[i + 1], images[0]) > 1e-3, f"layer {i} of W+ has no effect"
    compiled = StyleGAN3._synthesis._cache_size()
    again = small.synthesis(mixed[::-1] + 0)
    assert StyleGAN3._synthesis._cache_size() == compiled
    np.testing.assert_array_equal(again[::-1], images)
    alone = small.synthesis(w[:1])  # a latent of W is the same latent for all layers
    assert relative(alone, images[:1]) < 1e-5
    mapped = jax.jit(jax.vmap(lambda g, one: g.synthesis(one[None])[0], in_axes=(None, 0)))(small, mixed[:2])
    assert relative(mapped, images[:2]) < 1e-5


def test_a_quarter_turn_turns_the_image_of_the_features(small, w):
    quarter = jnp.asarray([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], jnp.float32)
    own = small.fourier_features
    identity = jnp.broadcast_to(jnp.eye(3), (3, 3, 3))
    options = {"size": 36, "rate": 16, "bandwidth": 2.0}
    zero = jnp.zeros_like(w)  # the latent's own shift comes before the user's turn
    plain, turned = own(zero, identity, **options), own(zero, identity @ quarter, **options)
    np.testing.assert_allclose(jnp.rot90(plain, -1, axes=(1, 2)), turned, atol=1e-4)


def test_bfloat16_in_the_high_resolutions_is_near_float32(small, w):
    exact = small.synthesis(w[:1])
    rounded = make(dtype=jnp.bfloat16).synthesis(w[:1])
    assert rounded.dtype == jnp.float32
    assert 1e-4 < relative(rounded, exact) < 0.03


def test_classes():
    generator = make(DESIGN.config(z_dim=12, w_dim=16, c_dim=3))
    z = jnp.ones((3, 12))
    w = generator.mapping(z, c=jnp.eye(3))
    assert relative(w[0], w[1]) > 1e-2
    with pytest.raises(InputError, match=r"c: expected classes \[batch, 3\] for a conditional generator"):
        generator.mapping(z)


def test_bad_arguments(small, w):
    with pytest.raises(
        InputError, match=r"w: expected shape \[batch, 16\] or \[batch, 6, 16\], got \[1, 9, 16\]"
    ):
        small.synthesis(jnp.zeros((1, 9, 16)))
    with pytest.raises(
        InputError, match=r"transform: expected shape \[3, 3\] or \[3, 3, 3\], got \[2, 3, 3\]"
    ):
        small.synthesis(w, transform=jnp.zeros((2, 3, 3)))
    with pytest.raises(InputError, match="channels: expected one number for each of 2 sampling rates, got 1"):
        StyleGAN3Config(channels=(4,), sampling_rates=(16, 32), resolution=32)
    with pytest.raises(
        InputError, match=r"sampling_rates: expected multiples .* up to 64, got \[16, 24, 64\]"
    ):
        StyleGAN3Config(channels=(4, 4, 4), sampling_rates=(16, 24, 64), resolution=64)
    with pytest.raises(InputError, match="conv_kernel: expected 1 or 3, got 5"):
        StyleGAN3Config(conv_kernel=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "design",
    [StyleGAN3Design(256, channel_base=16384), StyleGAN3Design.rotation(256, channel_base=16384)],
    ids=["T", "R"],
)
def test_full_size_image_and_gradient(design):
    config = design.config()
    generator = StyleGAN3(config, initial_params(design, config, jax.random.key(0)))
    w = generator.mapping(normal(1, 512, seed=1))
    target = jnp.zeros((1, 256, 256, 3))

    def loss(w):
        return jnp.mean((generator.synthesis(w) - target) ** 2)

    value, gradient = jax.jit(jax.value_and_grad(loss))(w)
    assert value > 1e-3
    step = 0.05 * gradient / jnp.linalg.norm(gradient)
    slope = jnp.vdot(gradient, step)
    assert loss(w + step) - loss(w - step) == pytest.approx(float(2 * slope), rel=0.05)
