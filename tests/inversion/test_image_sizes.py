"""Projection and tuning compare target and rendering at one size, whatever sizes they have."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError, LeftOutWarning
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.loss_images import LossSizes, face_part, rendered_side
from jaxedit.inversion.project import project
from jaxedit.inversion.projection_problem import LatentPrior
from jaxedit.inversion.tuning import tune
from jaxedit.nn.resize import average_pool, resample, shrink

ONE_STEP = ProjectionConfig.fast(num_steps=1, num_w_steps=1, num_w_samples=50, latent_noise=0.0)


def generator_of(resolution: int) -> StyleGAN2:
    shape = StyleGAN2Config.of_size(
        resolution, channel_base=256, channel_max=8, z_dim=12, w_dim=16, mapping_layers=2
    )
    return StyleGAN2(shape, initial_params(shape, jax.random.key(3), noise_strength=0.0))


def image_and_latents(generator: StyleGAN2) -> tuple[jax.Array, jax.Array]:
    w = generator.mapping(jax.random.normal(jax.random.key(1), (1, 12)))
    w_plus = jnp.repeat(w[:, None], generator.num_ws, axis=1)
    return generator.synthesis(w_plus).clip(-1, 1), w_plus


@pytest.fixture(scope="module")
def of_64():
    generator = generator_of(64)
    return generator, *image_and_latents(generator)


@pytest.fixture(scope="module")
def of_256():
    generator = generator_of(256)
    return generator, *image_and_latents(generator)


@pytest.mark.parametrize("side", [64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("target", [64, 100, 256, 1024, 4096])
def test_both_images_have_the_pixels_that_losses_compare(side, target):
    sizes = LossSizes.of(side, target, 256)
    for length in (side, target):
        image = jax.ShapeDtypeStruct((1, length, length, 3), jnp.float32)
        whole, face = (
            jax.eval_shape(lambda x, f=f, s=s: f(x, s), image)
            for f, s in ((shrink, sizes.whole), (face_part, sizes.face))
        )
        assert whole.shape[1:3] == (sizes.whole, sizes.whole)
        assert face.shape[1:3] == (sizes.face, sizes.face)
        assert sizes.identity in (0, min(512, side, target))


def test_the_default_sizes_stay():
    assert LossSizes.of(512, 1024, 256) == LossSizes(256, 256, 512)
    assert LossSizes.of(1024, 1024, 256) == LossSizes(256, 256, 512)


def test_the_face_of_any_size_is_the_same_part():
    # A slope: each pixel says where it lies.
    slope = jnp.broadcast_to((jnp.arange(1000) + 0.5)[:, None, None] / 1000, (1000, 1000, 3))[None]
    for side in (1000, 500, 250, 160):
        part = face_part(resample(slope, side) if side < 1000 else slope, 100)
        for row in (9, 90):
            np.testing.assert_allclose(part[0, row, 0, 0], 0.1875 + 0.75 * (row + 0.5) / 100, atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_targets_larger_than_the_rendering(of_64, times):
    generator, image, w_plus = of_64
    target = jnp.repeat(jnp.repeat(image, times, 1), times, 2)
    with pytest.warns(LeftOutWarning, match=f"identity .* 64 and targets with {64 * times} pixels"):
        found = project(generator, target, ONE_STEP, prior=LatentPrior(initial=w_plus), progress=False)
    for name in ("lpips", "face", "pixel", "identity"):  # the latent's own image, at another size
        assert abs(found.loss_history[name][0, 0]) < 1e-6
    assert np.isfinite(w_plus).all()  # the caller's own array is not used up
    with pytest.warns(LeftOutWarning):
        far = project(generator, -target, ONE_STEP, prior=LatentPrior(initial=w_plus), progress=False)
    assert min(far.loss_history[name][0, 0] for name in ("lpips", "face", "pixel")) > 0.01


@pytest.mark.slow
def test_targets_smaller_than_the_rendering(of_256):
    generator, image, w_plus = of_256
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = project(
            generator, average_pool(image, 2), ONE_STEP, prior=LatentPrior(initial=w_plus), progress=False
        )
    for name in ("lpips", "face", "pixel", "identity"):
        assert abs(found.loss_history[name][0, 0]) < 1e-6


@pytest.mark.slow
def test_tuning_compares_at_one_size_too(of_64):
    generator, image, w_plus = of_64
    config = TuningConfig(num_steps=1, locality_weight=0.0, steps_per_chunk=1)
    large = jnp.repeat(jnp.repeat(image, 4, 1), 4, 2)
    with pytest.warns(LeftOutWarning, match="identity"):
        delta = tune(generator, large, w_plus[0], config, progress=False)
    assert delta.apply(generator).synthesis(w_plus).shape == (1, 64, 64, 3)


def test_images_without_enough_pixels_are_refused():
    with pytest.raises(InputError, match="renderings of 16 and targets of 64"):
        LossSizes.of(16, 64, 256)
    assert LossSizes.of(32, 64, 256) == LossSizes(32, 0, 0)
    with pytest.warns(LeftOutWarning, match="loss of the face"):
        LossSizes(32, 0, 0).warn_of_left_out(32, 64, face=True, identity=False)


@pytest.mark.parametrize("shape", [(1, 64, 32, 3), (1, 64, 64, 1), (1, 64, 64, 4)])
def test_generators_of_other_images_are_refused(shape):
    class Other:
        w_dim, resolution = 16, 64

        def synthesis(self, w):
            return jnp.zeros(shape)

    with pytest.raises(
        InputError, match=f"square RGB images, got one of {shape[2]} × {shape[1]} with {shape[3]}"
    ):
        rendered_side.__wrapped__(Other(), is_cheap=True)
