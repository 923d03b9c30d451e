"""A StyleGAN2 of 64 pixels a side with random weights, and a tuning of any generator."""

import json

import jax
import numpy as np
from flax import nnx

from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.inversion import tuning
from jaxedit.inversion.tuning import GeneratorDelta

SHAPE = StyleGAN2Config.of_size(64, channel_base=512, channel_max=16, z_dim=12, w_dim=16, mapping_layers=2)


def small_generator(seed: int = 0) -> StyleGAN2:
    """NumPy draws the weights, biases too, all of one size."""
    random = np.random.RandomState(seed)
    shapes = jax.eval_shape(lambda: initial_params(SHAPE, jax.random.key(0), noise_strength=0.1))
    return StyleGAN2(SHAPE, jax.tree.map(lambda x: np.asarray(0.3 * random.randn(*x.shape), x.dtype), shapes))


def delta_of(generator) -> GeneratorDelta:
    """As if a tuning had made every weight of the synthesis network a little larger."""
    _, weights, _ = nnx.split(generator, tuning._is_tuned, ...)
    arrays = {
        tuning._dotted(path): np.full(variable[...].shape, 0.01, np.float16)
        for path, variable in nnx.to_flat_state(weights)
    }
    return GeneratorDelta(json.loads(json.dumps(generator.describe())), arrays)
