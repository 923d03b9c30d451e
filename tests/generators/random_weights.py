"""Random numbers of NumPy: JAX would compile a program for every shape that is drawn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.generators.stylegan2.config import StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.RandomState(seed).standard_normal(shape), jnp.float32)


def stylegan2_params(
    config: StyleGAN2Config, *, noise_strength: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """Weights of the distribution of `initial_params`."""
    random = np.random.RandomState(seed)

    def draw(path: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        *above, name = (key.key for key in path)
        if name in ("weight", "constant", "noise"):
            gain = 1 / np.sqrt(leaf.shape[0]) if name == "weight" and leaf.ndim == 2 else 1.0
            return jnp.asarray(gain * random.standard_normal(leaf.shape), leaf.dtype)
        value = noise_strength if name == "noise_strength" else float(name == "bias" and "affine" in above)
        return jnp.asarray(np.full(leaf.shape, value), leaf.dtype)

    shapes = jax.eval_shape(lambda: initial_params(config, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)
