"""Generator and axes that the tests of curve learning share."""

import jax
import pytest

import jaxedit
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.generators.stylegan2.initial import initial_params
from tests.axes.curve_learning.test_refine import AXES, LOOKS, SHAPE, labeled


@pytest.fixture(scope="session")
def small() -> StyleGAN2:
    params = initial_params(SHAPE, jax.random.key(3))
    for block in params["blocks"].values():
        block["to_rgb"]["weight"] = 0.3 * block["to_rgb"]["weight"]
    return StyleGAN2(SHAPE, params)


@pytest.fixture(scope="session")
def plain(small):
    dataset = labeled(small, LOOKS, 1024)
    return jaxedit.learn_axes(dataset, jaxedit.fit_pca(dataset.w, 16), AXES, progress=False)
