import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.generators.random_weights import normal, stylegan2_params

SMALL = StyleGAN2Config.of_size(32, channel_base=512, channel_max=32, z_dim=16, w_dim=24, mapping_layers=2)


def make(config: StyleGAN2Config = SMALL, **options: object) -> StyleGAN2:
    return StyleGAN2(config, stylegan2_params(config, noise_strength=0.3), **options)


@pytest.fixture(scope="module")
def small() -> StyleGAN2:
    return make()


@pytest.fixture(scope="module")
def w(small) -> jax.Array:
    return small.mapping(normal(3, 16, seed=1))


def relative(a: jax.Array, b: jax.Array) -> float:
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def test_it_is_a_generator(small):
    assert isinstance(small, Generator)
    assert (small.z_dim, small.c_dim, small.w_dim, small.num_ws, small.resolution) == (16, 0, 24, 8, 32)
    assert small.config.channels == (32, 32, 32, 16)


def test_the_official_sizes():
    config = StyleGAN2Config.of_size(1024)
    assert config == StyleGAN2Config()
    assert config.channels == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert config.num_ws == 18


def test_every_style_input_acts_and_w_is_the_same_latent_for_all(small, w):
    images = small.synthesis(w[:1])
    w_plus = jnp.repeat(w[:1, None], small.num_ws, axis=1)
    assert relative(small.synthesis(w_plus), images) < 1e-5
    for i in range(small.num_ws):
        mixed = small.synthesis(w_plus.at[:, i].set(w[1]))
        assert relative(mixed, images) > 1e-3, f"layer {i} of W+ has no effect"


def test_style_space_gives_the_same_images_and_is_edited_layer_by_layer(small, w):
    styles = small.styles(w)
    assert {name: style.shape[1] for name, style in styles.items()} == small.style_channels
    assert list(small.style_channels)[:4] == ["b4.conv1", "b4.to_rgb", "b8.conv0", "b8.conv1"]
    images = small.synthesis(w)
    assert relative(small.synthesis_from_styles(styles), images) < 1e-6
    for name in small.style_channels:
        edited = styles | {name: styles[name].at[:, 0].add(3.0)}
        assert relative(small.synthesis_from_styles(edited), images) > 1e-4, f"{name} has no effect"


def test_noise_modes(small, w):
    const = small.synthesis(w)
    none = small.synthesis(w, noise_mode="none")
    one, again, other = (
        small.synthesis(w, noise_mode="random", key=jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    for a, b in ((const, none), (one, const), (one, other)):
        assert relative(a, b) > 1e-2
    assert relative(small.synthesis(w, noise=small.const_noise()), const) < 1e-6
    silent = {name: jnp.zeros_like(image) for name, image in small.const_noise().items()}
    assert relative(small.synthesis(w, noise=silent), none) < 1e-6
    # One layer replaced, for each image its own.
    image = normal(3, 32, 32, seed=3)
    replaced = small.synthesis(w, noise={"b32.conv1": image})
    alone = small.synthesis(w[1:2], noise={"b32.conv1": image[1]})
    assert relative(replaced[1:2], alone) < 1e-5
    assert relative(replaced, const) > 1e-3


def test_a_batch_is_its_images_one_by_one(small, w):
    images = small.synthesis(w)
    for i in range(3):
        assert relative(small.synthesis(w[i : i + 1]), images[i : i + 1]) < 1e-5
    mapped = jax.jit(jax.vmap(lambda g, one: g.synthesis(one[None])[0], in_axes=(None, 0)))(small, w)
    assert relative(mapped, images) < 1e-5


def test_no_recompilation_for_a_new_batch_of_the_same_shape(small, w):
    small.synthesis(w[:2])
    compiled = StyleGAN2._synthesis._cache_size()
    small.synthesis(w[1:] + 1)
    assert StyleGAN2._synthesis._cache_size() == compiled


@pytest.mark.parametrize(
    "architecture",
    ["skip", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet", "orig"))],
)
def test_gradients_with_respect_to_latents_styles_noise_and_weights(architecture):
    config = StyleGAN2Config.of_size(
        16,
        channel_base=256,
        channel_max=16,
        z_dim=16,
        w_dim=24,
        mapping_layers=2,
        architecture=architecture,
        conv_clamp=4.0,
    )
    generator = make(config)
    w = generator.mapping(normal(2, 16, seed=1))
    target = normal(2, 16, 16, 3, seed=2)
    graph, state = nnx.split(generator)

    def loss(latents, styles, noise, state):
        # Each input acts in one of two terms, so that all four are under test at once.
        model = nnx.merge(graph, state)
        first = model.synthesis(latents, noise=noise)
        return jnp.mean((first - target) ** 2) + jnp.mean((model.synthesis_from_styles(styles) - target) ** 2)

    inputs = (w, generator.styles(w), generator.const_noise(), state)
    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*inputs)
    compiled = jax.jit(loss)
    for position in range(4):
        leaves, tree = jax.tree.flatten(inputs[position])
        leaves = [np.asarray(leaf) for leaf in leaves]
        random = np.random.RandomState(position)
        direction = [
            (random.standard_normal(x.shape) * max(x.std(), 0.05)).astype(np.float32) for x in leaves
        ]
        own = [np.asarray(gradient) for gradient in jax.tree.leaves(gradients[position])]
        slope = sum(np.vdot(g, d) for g, d in zip(own, direction, strict=True))
        step = 5e-4
        ends = []
        for sign in (1, -1):
            moved = tree.unflatten([x + sign * step * d for x, d in zip(leaves, direction, strict=True)])
            ends.append(compiled(*inputs[:position], moved, *inputs[position + 1 :]))
        assert slope == pytest.approx(float((ends[0] - ends[1]) / (2 * step)), rel=0.05), position


def test_bfloat16_in_the_high_resolutions_is_near_float32(small, w):
    rounded = make(dtype=jnp.bfloat16).synthesis(w)
    assert rounded.dtype == jnp.float32
    assert 1e-4 < relative(rounded, small.synthesis(w)) < 0.02
    exact = make(dtype=jnp.bfloat16, num_bfloat16_res=0).synthesis(w)
    assert relative(exact, small.synthesis(w)) < 1e-6


def test_clamping_bounds_what_reaches_the_image(w):
    config = dataclasses.replace(SMALL, conv_clamp=0.1)
    images = make(config).synthesis(w)
    assert 0.1 < float(jnp.abs(images).max()) <= 0.1 * len(config.channels) + 1e-6


def test_classes():
    config = dataclasses.replace(SMALL, c_dim=3)
    generator = make(config)
    z = normal(3, 16, seed=1)
    w = generator.mapping(z, c=jnp.eye(3))
    assert w.shape == (3, 24)
    same = generator.mapping(jnp.repeat(z[:1], 3, axis=0), c=jnp.eye(3))
    assert relative(same[0:1], same[1:2]) > 1e-2
    with pytest.raises(InputError, match=r"c: expected classes \[batch, 3\] for a conditional generator"):
        generator.mapping(z)
    with pytest.raises(InputError, match=r"c: expected shape \[batch, 3\], got \[3, 2\]"):
        generator.mapping(z, c=jnp.ones((3, 2)))
    with pytest.raises(InputError, match="c: expected one for each of 3 latents, got 2"):
        generator.mapping(z, c=jnp.eye(3)[:2])


def test_bad_arguments(small, w):
    with pytest.raises(
        InputError, match=r"w: expected shape \[batch, 24\] or \[batch, 8, 24\], got \[1, 9, 24\]"
    ):
        small.synthesis(jnp.zeros((1, 9, 24)))
    with pytest.raises(InputError, match="c: expected none for an unconditional generator"):
        small.mapping(jnp.zeros((1, 16)), c=jnp.ones((1, 1)))
    with pytest.raises(InputError, match="key: expected one for noise_mode 'random'"):
        small.synthesis(w, noise_mode="random")
    with pytest.raises(InputError, match="key: expected none for noise_mode 'const'"):
        small.synthesis(w, key=jax.random.key(0))
    with pytest.raises(InputError, match="noise: expected none for noise_mode 'none'"):
        small.synthesis(w, noise_mode="none", noise=small.const_noise())
    with pytest.raises(InputError, match=r"noise: expected some of the layers b4.conv1, .*, got 'b9'"):
        small.synthesis(w, noise={"b9": jnp.zeros((9, 9))})
    with pytest.raises(InputError, match=r"noise: b8.conv0: expected shape \[8, 8\], .* got \[4, 4\]"):
        small.synthesis(w, noise={"b8.conv0": jnp.zeros((4, 4))})
    styles = small.styles(w)
    with pytest.raises(InputError, match=r"styles: expected the layers b4.conv1"):
        small.synthesis_from_styles({"b4.conv1": styles["b4.conv1"]})
    with pytest.raises(InputError, match=r"styles: b4.to_rgb: expected shape \[3, 32\], got \[3, 31\]"):
        small.synthesis_from_styles(styles | {"b4.to_rgb": styles["b4.to_rgb"][:, 1:]})
    with pytest.raises(InputError, match="resolution: expected 4"):
        StyleGAN2Config(resolution=512)
    with pytest.raises(InputError, match="resolution: expected a power of two from 4, got 96"):
        StyleGAN2Config.of_size(96)
