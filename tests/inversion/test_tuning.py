import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.inversion.config import TuningConfig
from jaxedit.inversion.tuning import GeneratorDelta, tune

CONFIG = TuningConfig(
    num_steps=60,
    learning_rate=1e-3,
    lpips_size=64,
    identity_weight=0.0,
    locality_weight=5.0,
    steps_per_chunk=15,
)


@pytest.fixture(scope="module", params=[32, pytest.param(64, marks=pytest.mark.slow)])
def small(request) -> StyleGAN2:
    """Of 32 pixels a side, too few for the loss of the face, and of 64."""
    shape = StyleGAN2Config.of_size(
        request.param, channel_base=512, channel_max=16, z_dim=12, w_dim=16, mapping_layers=2
    )
    return StyleGAN2(shape, initial_params(shape, jax.random.key(3), noise_strength=0.1))


@pytest.fixture(scope="module")
def pivot(small) -> np.ndarray:
    w = small.mapping(jax.random.normal(jax.random.key(1), (1, 12)), truncation_psi=0.5)
    return np.asarray(jnp.repeat(w, small.num_ws, axis=0))


@pytest.fixture(scope="module")
def target(small, pivot) -> np.ndarray:
    """Another image than the pivot's, yet one that is near."""
    image = np.clip(np.asarray(small.synthesis(pivot[None]))[0], -1, 1)
    image = np.clip(0.7 * image + np.float32(0.2), -1, 1)
    times = 64 // len(image)  # the least that is taken
    return image.repeat(times, 0).repeat(times, 1)


@pytest.fixture(scope="module")
def delta(small, pivot, target) -> GeneratorDelta:
    return tune(small, target, pivot, CONFIG, progress=False)


def distance(generator, pivot, target) -> float:
    shown = np.clip(np.asarray(generator.synthesis(pivot[None]))[0], -1, 1)
    return float(np.square(shown - target[:: 64 // len(shown), :: 64 // len(shown)]).mean())


def test_the_tuned_generator_shows_the_image_and_the_other_stays_as_it_is(small, pivot, target, delta):
    before = distance(small, pivot, target)
    tuned = delta.apply(small)
    assert distance(tuned, pivot, target) < 0.5 * before
    assert distance(small, pivot, target) == before
    # The mapping network is not touched.
    z = jax.random.normal(jax.random.key(2), (3, 12))
    np.testing.assert_array_equal(tuned.mapping(z), small.mapping(z))
    assert not any(name.startswith("mapping") for name in delta.arrays)


@pytest.mark.slow
def test_locality_holds_other_images_where_they_were(small, pivot, target, delta):
    w = small.mapping(jax.random.normal(jax.random.key(3), (4, 12)))
    free = tune(small, target, pivot, dataclasses.replace(CONFIG, locality_weight=0.0), progress=False)
    images = small.synthesis(w)
    moved = [float(jnp.abs(d.apply(small).synthesis(w) - images).mean()) for d in (free, delta)]
    assert moved[1] < moved[0]


def test_a_delta_is_a_small_file(small, pivot, delta, tmp_path):
    path = delta.save(tmp_path / "delta.npz")
    again = GeneratorDelta.load(path)
    np.testing.assert_array_equal(
        again.apply(small).synthesis(pivot[None]), delta.apply(small).synthesis(pivot[None])
    )
    weights = sum(array.size for array in delta.arrays.values())
    assert path.stat().st_size < 2.3 * weights + 20_000


def test_the_classes_of_a_generator_share_a_delta(small, delta, pivot):
    shape = dataclasses.replace(small.config, c_dim=3)
    whole = StyleGAN2(shape, initial_params(shape, jax.random.key(3), noise_strength=0.1))
    one, own = ConditionedGenerator(whole, 1), dataclasses.replace(delta, generator=whole.describe())
    tuned = own.apply(one)
    np.testing.assert_array_equal(tuned.synthesis(pivot[None]), own.apply(whole).synthesis(pivot[None]))
    z = jax.random.normal(jax.random.key(2), (3, 12))
    np.testing.assert_array_equal(tuned.mapping(z), one.mapping(z))
    with pytest.raises(InputError, match="delta: expected that of a generator"):
        delta.apply(one)


@pytest.mark.slow
def test_a_class_is_tuned(small, pivot, target):
    shape = dataclasses.replace(small.config, c_dim=3)
    whole = StyleGAN2(shape, initial_params(shape, jax.random.key(3), noise_strength=0.1))
    one = ConditionedGenerator(whole, 1)
    delta = tune(one, target, pivot, dataclasses.replace(CONFIG, num_steps=15), progress=False)
    assert delta.generator["c_dim"] == 3
    assert distance(delta.apply(one), pivot, target) < distance(one, pivot, target)
    assert not any("mapping" in name for name in delta.arrays)


def test_a_delta_of_an_earlier_version(small, delta, tmp_path):
    about = json.dumps({"format": "jaxedit-generator-delta", "generator": delta.generator})
    np.savez_compressed(tmp_path / "delta.npz", __about__=np.asarray(about), **delta.arrays)
    again = GeneratorDelta.load(tmp_path / "delta.npz")
    assert again.generator == delta.generator
    assert again.arrays.keys() == delta.arrays.keys()
    again.apply(small)


def test_bad_input(small, generator, pivot, target, delta, tmp_path):
    with pytest.raises(InputError, match="image: expected one, got 2"):
        tune(small, np.stack([target, target]), pivot, CONFIG)
    with pytest.raises(
        InputError, match=rf"w_plus: expected floats of shape .* got \[{small.num_ws - 1}, 16\] of"
    ):
        tune(small, target, pivot[1:], CONFIG)
    with pytest.raises(InputError, match="delta: expected that of a generator"):
        delta.apply(generator)
    with pytest.raises(InputError, match="num_steps: expected 1 or more, got 0"):
        TuningConfig(num_steps=0)
    with pytest.raises(CheckpointError, match="expected a delta of a generator"):
        GeneratorDelta.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(CheckpointError, match=r"other.npz: expected a delta of a generator"):
        GeneratorDelta.load(tmp_path / "other.npz")
