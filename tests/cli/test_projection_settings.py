import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import cli
from jaxedit.cli.projection_settings import projection_of
from jaxedit.errors import InputError
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder, initial_params
from jaxedit.inversion.encoder_config import EncoderConfig
from jaxedit.inversion.presets import preset
from jaxedit.nn.lpips import LPIPS
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import save_generator
from tests.inversion.small_generator import small_generator


@pytest.fixture(scope="module")
def small():
    return small_generator()


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """An encoder that has learned nothing."""
    random = np.random.RandomState(0)
    shape = EncoderConfig(
        small.num_ws, small.w_dim, side=64, num_features=4, num_channels=2, num_hidden=6, num_components=4
    )
    images = jnp.asarray(random.uniform(-1, 1, (4, 64, 64, 3)), jnp.float32)
    trunk = LPIPS.from_pretrained("alex")
    params = initial_params(
        shape, trunk, random.randn(100, small.w_dim).astype(np.float32), images, images[:1]
    )
    encoder = Encoder(shape, trunk, params, weights_fingerprint(small))
    return encoder.save(tmp_path_factory.mktemp("encoder") / "encoder")


def test_presets_with_an_encoder(small, folder):
    config, encoder = projection_of(
        "instant", None, generator=small, generator_name="cats", encoder=str(folder), seed=3
    )
    assert config == ProjectionConfig.instant(seed=3)
    assert encoder.config.num_ws == small.num_ws
    config, _ = projection_of("quick", 7, generator=small, generator_name="cats", encoder=str(folder))
    assert config == ProjectionConfig.quick(num_steps=7)


def test_presets_without_an_encoder(small):
    for name in ("fast", None):
        config, encoder = projection_of(name, None, generator=small, generator_name="cats")
        assert (config, encoder) == (ProjectionConfig.fast(), None)
    for name in ("instant", "quick", "fine"):
        with pytest.raises(InputError, match=rf"{name} needs an encoder.*train-encoder"):
            projection_of(name, None, generator=small, generator_name="cats")


def test_what_does_not_go_together(small, folder):
    with pytest.raises(InputError, match="--encoder: expected with the presets instant, quick and fine"):
        projection_of("fast", None, generator=small, generator_name="cats", encoder=str(folder))
    with pytest.raises(InputError, match=r"another generator or class .*train-encoder"):
        projection_of(
            "quick", None, generator=small_generator(seed=1), generator_name="cats", encoder=str(folder)
        )
    with pytest.raises(InputError, match="expected one of mobile-stylegan-ffhq, or a folder of an encoder"):
        projection_of("quick", None, generator=small, generator_name="cats", encoder="nowhere")
    with pytest.raises(InputError, match="num_steps: expected none with the preset instant"):
        preset("instant", num_steps=5, has_encoder=True)


def test_the_shipped_encoder_is_that_of_the_shipped_generator():
    encoder = load_encoder("mobile-stylegan-ffhq")
    assert (encoder.config.num_ws, encoder.config.w_dim) == (16, 512)
    with pytest.raises(InputError, match="mobile-stylegan-ffhq"):
        load_encoder("mobile-stylegan-ffhq", small_generator())


def test_train_encoder_on_the_command_line(small, tmp_path, monkeypatch, capsys):
    generator = save_generator(small, tmp_path / "cats")
    out = tmp_path / "encoder"
    monkeypatch.setattr(
        sys,
        "argv",
        ["jaxedit", "train-encoder", "-g", str(generator), "-o", str(out), "--side", "96"],
    )
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxedit: error: side: expected at most the generator's 64")
    assert error.count("\n") == 1
    assert not out.exists()
