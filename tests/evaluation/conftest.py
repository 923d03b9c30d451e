"""A linear generator, a linear classifier and exact axes, so that all results are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxedit.attributes.person.mask import PersonMask
from jaxedit.axes import AttributeAxes, AxesConfig, fit_pca, learn_axes
from jaxedit.labels.dataset import LabelledLatents
from tests.attributes.person.fakes import LeftHalf, person_at

W_DIM = 6
RESOLUTION = 16
NAMES = ("red", "green", "blue")


class LinearGenerator(nnx.Module):
    """Images of one color: the first three entries of w, a tenth of each."""

    z_dim = w_dim = W_DIM
    c_dim = 0
    num_ws = 4
    resolution = RESOLUTION

    def describe(self):
        return {"family": "linear"}

    def mapping(self, z, *, c=None, truncation_psi=1.0, truncation_cutoff=None):
        return z * truncation_psi

    def synthesis(self, w):
        w = w.mean(1) if w.ndim == 3 else w
        return jnp.broadcast_to(0.1 * w[:, None, None, :3], (len(w), RESOLUTION, RESOLUTION, 3))


class MeanColor(nnx.Module):
    """A classifier: ten times the mean of each channel, which is the latent's first three entries."""

    def __init__(self):
        self.scale = nnx.Param(jnp.float32(10.0))

    @property
    def names(self):
        return NAMES

    def __call__(self, images):
        return self.scale[...] * images.mean((1, 2))


@pytest.fixture(scope="session")
def toy() -> LinearGenerator:
    return LinearGenerator()


@pytest.fixture(scope="session")
def classifier() -> MeanColor:
    return MeanColor()


@pytest.fixture(scope="session")
def toy_w() -> np.ndarray:
    return np.asarray(jax.random.normal(jax.random.key(0), (5, W_DIM)))


@pytest.fixture(scope="session")
def toy_axes() -> AttributeAxes:
    w = jax.random.normal(jax.random.key(1), (2000, W_DIM))
    dataset = LabelledLatents(w, w[:, :3], NAMES, ("years", "degrees", "logit"))
    config = AxesConfig(num_steps=5, batch_size=64, learning_rate=1e-6, hidden_width=8)
    return learn_axes(dataset, fit_pca(w, W_DIM), config, progress=False)


@pytest.fixture(scope="session")
def left_half() -> PersonMask:
    """In place of the network: a person in the left half of every image."""
    half = np.zeros((RESOLUTION, RESOLUTION))
    half[:, : RESOLUTION // 2] = 1
    return person_at(half)


@pytest.fixture(scope="session")
def places() -> LeftHalf:
    return LeftHalf()
