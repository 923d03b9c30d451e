"""Random weights of a StyleGAN2, as training starts from them: for tests, benchmarks and training."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxedit.generators.stylegan2.config import StyleGAN2Config


@dataclasses.dataclass(frozen=True)
class _Normal:
    """An array to be drawn."""

    shape: tuple[int, ...]
    gain: float


@functools.partial(jax.jit, static_argnames=("config", "noise_strength"))
def initial_params(
    config: StyleGAN2Config, key: Key[Array, ""], *, noise_strength: float = 0.0
) -> dict[str, Any]:
    """Weights N(0, 1) with their equalized-learning-rate gain folded in, biases 0 (of styles 1), w_avg 0.

    Args:
        config: the shape of the generator.
        key: of the random numbers.
        noise_strength: of every layer; 0 at the start of a training.

    Returns:
        A nested dict of float32 arrays, as `StyleGAN2` takes it.
    """

    def normal(*shape: int, gain: float = 1.0) -> _Normal:
        return _Normal(shape, gain)

    def affine(inner: int, outer: int, bias: float = 0.0, gain: float = 1.0) -> dict[str, Any]:
        return {
            "weight": normal(inner, outer, gain=gain / np.sqrt(inner)),
            "bias": jnp.full((outer,), bias, jnp.float32),
        }

    def conv(inner: int, outer: int, size: tuple[int, int]) -> dict[str, Any]:
        return {
            "affine": affine(config.w_dim, inner, 1.0),
            "weight": normal(3, 3, inner, outer),
            "noise_strength": jnp.asarray(noise_strength, jnp.float32),
            "noise": normal(*size),
            "bias": jnp.zeros(outer),
        }

    embedded = config.w_dim if config.c_dim else 0
    widths = [config.z_dim + embedded] + [config.w_dim] * config.mapping_layers
    mapping: dict[str, Any] = {
        "layers": {str(i): affine(widths[i], widths[i + 1]) for i in range(config.mapping_layers)}
    }
    if config.c_dim:
        mapping["embed"] = affine(config.c_dim, embedded)
    blocks = {}
    for i, outer in enumerate(config.channels):
        size = (config.constant_size[0] * 2**i, config.constant_size[1] * 2**i)
        block: dict[str, Any] = {"conv1": conv(outer, outer, size)}
        if i > 0:
            inner = config.channels[i - 1]
            block["conv0"] = conv(inner, outer, size)
            if config.architecture == "resnet":
                block["skip"] = {"weight": normal(inner, outer, gain=1 / np.sqrt(inner))}
        if config.architecture == "skip" or i == len(config.channels) - 1:
            block["to_rgb"] = {
                "affine": affine(config.w_dim, outer, 1.0),
                "weight": normal(outer, config.image_channels, gain=1 / np.sqrt(outer)),
                "bias": jnp.zeros(config.image_channels),
            }
        blocks[str(i)] = block
    params = {
        "mapping_network": mapping,
        "w_avg": jnp.zeros(config.w_dim),
        "constant": normal(*config.constant_size, config.channels[0]),
        "blocks": blocks,
    }
    # Drawn at once: XLA would take most of a second for each array by itself.
    leaves, structure = jax.tree.flatten(params)
    sizes = [math.prod(leaf.shape) if isinstance(leaf, _Normal) else 0 for leaf in leaves]
    numbers = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    drawn = [
        part.reshape(leaf.shape) * np.float32(leaf.gain) if isinstance(leaf, _Normal) else leaf
        for leaf, part in zip(leaves, numbers, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)
