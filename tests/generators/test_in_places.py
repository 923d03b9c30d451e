"""One image of several latents, each at its own place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.in_places import synthesis_in_places
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.generators.random_weights import normal, stylegan2_params

SHAPE = {"channel_base": 256, "channel_max": 8, "z_dim": 6, "w_dim": 8, "mapping_layers": 2}


@pytest.fixture(scope="module", params=["skip", "resnet"])
def small(request) -> StyleGAN2:
    config = StyleGAN2Config.of_size(64, architecture=request.param, **SHAPE)
    return StyleGAN2(config, stylegan2_params(config, noise_strength=0.3))


@pytest.fixture(scope="module")
def stages(small):
    return [small.mapping(normal(2, 6, seed=seed)) for seed in range(3)]


def left(columns, batch=2):
    return jnp.zeros((batch, 32, 32)).at[:, :, :columns].set(1)


def test_nothing_changes_beyond_the_places(small, stages):
    before = np.asarray(small.synthesis(stages[0]))
    nowhere, half = left(0), left(16)
    np.testing.assert_allclose(synthesis_in_places(small, stages[:2], [nowhere]), before, atol=1e-5)
    drawn = np.asarray(synthesis_in_places(small, stages[:2], [half]))
    np.testing.assert_allclose(drawn[:, :, 34:], before[:, :, 34:], atol=1e-5)
    assert np.abs(drawn - before)[:, :, :32].mean() > 0.1


def test_a_place_that_is_everywhere_shows_the_stage(small, stages):
    whole = left(32)
    after = np.asarray(small.synthesis(stages[1]))
    drawn = np.asarray(synthesis_in_places(small, stages[:2], [whole]))
    # The constant's 4 x 4 cells and all that follows are the stage's own.
    np.testing.assert_allclose(drawn, after, atol=1e-4)
    last = np.asarray(synthesis_in_places(small, stages, [left(16), whole]))
    np.testing.assert_allclose(last, small.synthesis(stages[2]), atol=1e-4)


def test_colors_of_no_place_leave_the_late_styles(small, stages):
    whole, nowhere = left(32), left(0)
    drawn = synthesis_in_places(small, stages[:2], [whole], [nowhere])
    resolutions = small.config.block_resolutions
    styles = small.styles(stages[1]) | {
        name: style for name, style in small.styles(stages[0]).items() if int(name[1:].partition(".")[0]) > 16
    }
    assert 32 in resolutions
    np.testing.assert_allclose(drawn, small.synthesis_from_styles(styles), atol=1e-4)


def test_it_is_pure(small, stages):
    traces = []

    @jax.jit
    def draw(generator, first, second, place):
        traces.append(1)
        return synthesis_in_places(generator, [first, second], [place])

    for columns in (8, 20):
        np.testing.assert_allclose(
            draw(small, *stages[:2], left(columns)),
            synthesis_in_places(small, stages[:2], [left(columns)]),
            atol=1e-5,
        )
    assert len(traces) == 1
    moved = jax.grad(lambda w: synthesis_in_places(small, [stages[0], w], [left(8)]).sum())(stages[1])
    assert np.isfinite(moved).all() and np.abs(moved).max() > 0


def test_noise_of_each_image(small, stages):
    noise = {name: jnp.stack([image, -image]) for name, image in small.const_noise().items()}
    drawn = synthesis_in_places(small, stages[:2], [left(0)], noise=noise)
    np.testing.assert_allclose(drawn, small.synthesis(stages[0], noise=noise), atol=1e-5)


def test_a_class_draws_as_its_generator(stages):
    config = StyleGAN2Config.of_size(64, c_dim=2, **SHAPE)
    conditional = StyleGAN2(config, stylegan2_params(config))
    chosen = ConditionedGenerator(conditional, 1)
    drawn = synthesis_in_places(chosen, stages[:2], [left(9)])
    np.testing.assert_array_equal(drawn, synthesis_in_places(conditional, stages[:2], [left(9)]))


def test_the_default_generator(generator, reference):
    w = jnp.asarray(reference["w"][:2])
    drawn = np.asarray(synthesis_in_places(generator, [w[:1], w[1:]], [left(16, 1)]))
    before = np.asarray(generator.synthesis(w[:1]))
    np.testing.assert_array_equal(drawn[:, :, 544:], before[:, :, 544:])
    assert np.abs(drawn - before)[:, :, :480].mean() > 0.1


def test_bad_arguments(small, stages):
    with pytest.raises(InputError, match="places: expected one for each stage but the first, got 0 for 2"):
        synthesis_in_places(small, stages[:2], [])
    with pytest.raises(InputError, match="colors: expected one for each stage but the first, got 0 for 2"):
        synthesis_in_places(small, stages[:2], [left(1)], [])
    with pytest.raises(
        InputError, match=r"places\[0\]: expected shape \[2, rows, columns\], got \[1, 32, 32\]"
    ):
        synthesis_in_places(small, stages[:2], [left(1, 1)])
    with pytest.raises(InputError, match=r"stages\[1\]: expected shape"):
        synthesis_in_places(small, [stages[0], stages[1][:, :3]], [left(1)])
    with pytest.raises(InputError, match=r"stages\[1\]: expected 2 latents, got 1"):
        synthesis_in_places(small, [stages[0], stages[1][:1]], [left(1)])
