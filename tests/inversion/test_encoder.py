import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import CheckpointError, InputError
from jaxedit.inversion import encoder_training
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder, encode
from jaxedit.inversion.encoder_augmentation import augment
from jaxedit.inversion.encoder_config import EncoderConfig, EncoderTrainingConfig
from jaxedit.inversion.encoder_training import train_encoder
from jaxedit.inversion.project import project
from jaxedit.inversion.projection_problem import LatentPrior
from jaxedit.storage.checkpoints import save_checkpoint
from tests.inversion.small_generator import small_generator

TINY = EncoderTrainingConfig(
    num_latents=64,
    num_versions=2,
    num_steps=80,
    batch_size=16,
    num_probes=4,
    render_batch_size=16,
    unit_size=32,
    num_w_samples=200,
    side=64,
    num_features=16,
    num_channels=4,
    num_hidden=24,
    num_components=4,
    learning_rate=3e-3,
)


@pytest.fixture(scope="module")
def small():
    return small_generator()


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """A run's folder, the encoder, and how many batches of images it rendered."""
    out = tmp_path_factory.mktemp("encoder") / "run"
    return out, train_encoder(small, TINY, out=out, progress=False)


@pytest.fixture(scope="module")
def encoder(run) -> Encoder:
    return run[1]


@pytest.fixture(scope="module")
def seen(small):
    """Latents that no training drew, and their images."""
    w = small.mapping(jax.random.normal(jax.random.key(77), (8, small.z_dim)), truncation_psi=0.7)
    w_plus = jnp.repeat(w[:, None], small.num_ws, 1)
    return np.asarray(w_plus), jnp.clip(small.synthesis(w_plus), -1, 1)


def error(found, w_plus):
    return float(np.square(np.asarray(found) - w_plus).sum((1, 2)).mean())


def test_latents_are_nearer_than_the_mean(small, encoder, seen):
    w_plus, images = seen
    at_mean = error(np.asarray(encoder.fixed["mean"][...]), w_plus)
    once = encoder(images)
    assert once.shape == w_plus.shape
    assert once.dtype == jnp.float32
    assert error(once, w_plus) < 0.9 * at_mean
    np.testing.assert_allclose(encode(encoder, small, images), once, atol=1e-5)
    assert error(encode(encoder, small, images, num_passes=3), w_plus) < 0.9 * at_mean


def test_it_is_a_pure_function(encoder, seen):
    images = seen[1][:2]
    alone = jax.vmap(lambda image: encoder(image[None])[0])(images)
    np.testing.assert_allclose(alone, encoder(images), atol=1e-4)
    gradient = jax.grad(lambda x: encoder(x).sum())(images)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_interrupted_training_ends_in_the_same_bits(run, small, monkeypatch, tmp_path):
    out, encoder = run
    monkeypatch.setattr(encoder_training, "_STEPS_PER_CHUNK", 40)
    left = tmp_path / "run"
    step, count = encoder_training._fit_step, iter(range(10**6))

    def killed(*arguments):
        if next(count) == 60:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(encoder_training, "_fit_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(small, TINY, out=left, progress=False)
    units = sorted(path.relative_to(left) for path in left.rglob("*.npz"))
    assert len([unit for unit in units if unit.parts[0] == "images"]) == 2
    made = {unit: (left / unit).stat().st_mtime_ns for unit in units if unit.parts[0] != "head"}
    again = train_encoder(small, TINY, out=left, progress=False)
    assert again.fingerprint() == encoder.fingerprint()
    assert made == {unit: (left / unit).stat().st_mtime_ns for unit in made}
    with pytest.raises(InputError, match="another config"):
        train_encoder(small, dataclasses.replace(TINY, seed=1), out=out, progress=False)


def test_a_checkpoint_belongs_to_its_generator(small, encoder, seen, tmp_path):
    folder = encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(folder)
    loaded.check_generator(small)
    assert error(loaded(seen[1]), np.asarray(encoder(seen[1]))) < 1e-2 * error(encoder(seen[1]), seen[0])
    with pytest.raises(InputError, match=r"another generator or class .* train-encoder"):
        loaded.check_generator(small_generator(seed=1))
    with pytest.raises(CheckpointError, match="kind"):
        Encoder.load(save_checkpoint(tmp_path / "other", kind="pca", config={}, arrays={"a": np.zeros(2)}))
    file = encoder.save_file(tmp_path / "encoder.npz")
    assert Encoder.load_file(file).fingerprint() == loaded.fingerprint()
    config, arrays = encoder._described(), encoder._arrays()
    arrays["head"]["hidden"] = arrays["head"]["hidden"][:-1]
    damaged = save_checkpoint(tmp_path / "damaged", kind="encoder", config=config, arrays=arrays)
    with pytest.raises(CheckpointError, match="damaged: expected arrays"):
        Encoder.load(damaged)


def test_projection_without_steps_is_the_encoder(small, encoder, seen):
    config = ProjectionConfig.instant(encoder_passes=2)
    result = project(small, seen[1][:2], config, prior=LatentPrior(encoder=encoder), progress=False)
    wanted = encode(encoder, small, seen[1][:2], num_passes=2)
    np.testing.assert_allclose(result.w_plus, wanted, atol=1e-4)
    np.testing.assert_allclose(result.image, small.synthesis(result.w_plus), atol=1e-3)
    assert result.steps.tolist() == [0, 0]
    assert result.loss_history["lpips"].shape == (2, 0)


def test_projection_goes_on_from_the_encoder(small, encoder, seen):
    config = ProjectionConfig.quick(
        num_steps=10,
        learning_rate=0.01,
        lpips_size=64,
        face_weight=0.0,
        identity_weight=0.0,
        num_w_samples=200,
    )
    result = project(small, seen[1][:2], config, prior=LatentPrior(encoder=encoder), progress=False)
    total = result.loss_history["total"]
    assert (total[:, -1] < total[:, 0]).all()


def test_encoders_are_asked_for(small, seen):
    with pytest.raises(InputError, match=r"LatentPrior\(encoder"):
        project(small, seen[1][:1], ProjectionConfig.instant(), progress=False)
    with pytest.raises(InputError, match="num_steps"):
        ProjectionConfig(num_steps=0, num_w_steps=0)


@pytest.mark.parametrize(
    "bad", [{"num_passes": 3}, {"num_latents": 2}, {"learning_rate": 0.0}, {"seed": -1}, {"batch_size": 0}]
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        dataclasses.replace(TINY, **bad)


def test_impossible_shapes_are_refused(small):
    with pytest.raises(InputError, match="num_components"):
        EncoderConfig(num_ws=4, w_dim=8, num_components=9)
    with pytest.raises(InputError, match="side: expected at most the generator's 64"):
        train_encoder(small, dataclasses.replace(TINY, side=128), progress=False)


def test_augmented_images_are_still_images():
    x = jnp.asarray(np.random.RandomState(0).uniform(-1, 1, (3, 64, 64, 3)), jnp.float32)
    y = augment(jax.random.key(0), x)
    assert y.shape == x.shape
    assert float(jnp.abs(y).max()) <= 1
    changed = jnp.abs(y - x).mean((1, 2, 3))
    assert (changed > 1e-3).all()  # each of them
    assert len(set(np.round(np.asarray(changed), 6).tolist())) == 3  # and each by itself
    np.testing.assert_array_equal(y, augment(jax.random.key(0), x))
