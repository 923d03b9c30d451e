"""A small generator with axes of two attributes, which the tests of the studio share."""

import jax
import numpy as np
import pytest

import jaxedit
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.latents.seed_stream import sample_w


@pytest.fixture(scope="session")
def small_generator():
    config = StyleGAN2Config.of_size(32, channel_max=8, z_dim=8, w_dim=8)
    return StyleGAN2(config, initial_params(config, jax.random.key(0)))


@pytest.fixture(scope="session")
def small_dataset(small_generator):
    w = np.asarray(sample_w(small_generator, 0, 400))
    values = np.stack([40 + 10 * w[:, 0], w[:, 1]], axis=1).astype(np.float32)
    return jaxedit.LabelledLatents(w, values, ("age", "smile"), ("years", "logit"))


@pytest.fixture(scope="session")
def small_config():
    return jaxedit.AxesConfig(num_steps=40, steps_per_chunk=40, hidden_width=16, batch_size=64)


@pytest.fixture(scope="session")
def small_axes(small_dataset, small_config):
    return jaxedit.learn_axes(
        small_dataset, jaxedit.fit_pca(small_dataset.w, 6), small_config, progress=False
    )


@pytest.fixture(scope="session")
def small_folders(small_generator, small_axes, tmp_path_factory):
    """Folders of the generator and of the axes."""
    folder = tmp_path_factory.mktemp("studio")
    jaxedit.save_generator(small_generator, folder / "generator")
    small_axes.save(folder / "axes")
    return folder / "generator", folder / "axes"
