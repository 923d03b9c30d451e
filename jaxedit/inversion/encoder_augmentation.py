"""Renderings made to look like photographs: light, color, blur, noise, JPEG, and things before the face.

Training an encoder on clean renderings makes it trust details that photographs do not have. The latent of an augmented
rendering stays that of the clean one, so that the encoder learns to see through what no generator draws.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

_JPEG_BLOCK = 8


def augment(
    key: Shaped[Array, "*key"], images: Float[Array, "batch side side 3"]
) -> Float[Array, "batch side side 3"]:
    """Images in [-1, 1] as photographs of them might be, each by its own random numbers.

    Args:
        key: of the random numbers.
        images: square, of 16 pixels a side or more.
    """
    images = jax.vmap(_augment_one)(jax.random.split(key, len(images)), images)
    return jnp.clip(images, -1, 1)


def _augment_one(key: Array, x: Float[Array, "side side 3"]) -> Float[Array, "side side 3"]:
    light, blur, occlusion, noise, jpeg = jax.random.split(key, 5)
    x = _occluded(occlusion, _lit(light, x))
    x = _blurred(blur, x)
    sigma = 0.06 * jax.random.uniform(noise) ** 2
    x = x + sigma * jax.random.normal(noise, x.shape)
    return _compressed(jpeg, x)


def _lit(key: Array, x: Array) -> Array:
    """Exposure, contrast, saturation, tint, and light that falls off to one side."""
    draw = jax.random.normal(key, (8,))
    side = x.shape[0]
    down, across = jnp.mgrid[:side, :side] / side - 0.5
    shade = 1 + 0.12 * (draw[0] * down + draw[1] * across)
    gray = x.mean(2, keepdims=True)
    x = gray + (x - gray) * jnp.exp(0.08 * draw[2])
    x = (x + 1) * jnp.exp(0.05 * draw[3] + 0.03 * draw[4:7]) * shade[..., None] - 1
    return x * jnp.exp(0.06 * draw[7])


def _occluded(key: Array, x: Array) -> Array:
    """A rectangle of one color over a part of every fourth image."""
    side = x.shape[0]
    place, color, chance = jax.random.split(key, 3)
    draw = jax.random.uniform(place, (4,))
    down, across = jnp.mgrid[:side, :side] / side
    inside = (jnp.abs(down - draw[0]) < 0.04 + 0.16 * draw[2]) & (
        jnp.abs(across - draw[1]) < 0.04 + 0.16 * draw[3]
    )
    inside &= jax.random.uniform(chance) < 0.25
    return jnp.where(inside[..., None], jax.random.uniform(color, (3,), minval=-1, maxval=1), x)


def _blurred(key: Array, x: Array) -> Array:
    """A blend with an image of a quarter of the pixels a side, in half of the images: low resolution, wrong focus."""
    draw = jax.random.uniform(key, (2,))
    side = x.shape[0]
    small = jax.image.resize(x, (side // 4, side // 4, 3), "linear", antialias=True)
    blurred = jax.image.resize(small, x.shape, "cubic")
    share = jnp.where(draw[0] < 0.5, draw[1], 0.0)
    return x + share * (blurred - x)


def _compressed(key: Array, x: Array) -> Array:
    """JPEG's loss: the cosine transform of blocks of 8 × 8 pixels, rounded; coarser for higher frequencies."""
    side = x.shape[0] // _JPEG_BLOCK * _JPEG_BLOCK
    basis = jnp.asarray(_cosines())
    step = 0.25 * jax.random.uniform(key) ** 2 * jnp.asarray(_coarseness())[:, :, None]
    blocks = x[:side, :side].reshape(side // 8, 8, side // 8, 8, 3)
    waves = jnp.einsum("ui,vj,aibjc->abuvc", basis, basis, blocks)
    waves = jnp.where(step > 1e-4, jnp.round(waves / jnp.maximum(step, 1e-4)) * step, waves)
    back = jnp.einsum("ui,vj,abuvc->aibjc", basis, basis, waves)
    return x.at[:side, :side].set(back.reshape(side, side, 3))


@functools.lru_cache
def _cosines() -> Float[np.ndarray, "8 8"]:
    """The orthonormal cosine transform, one wave a row."""
    n = np.arange(_JPEG_BLOCK)
    waves = np.cos(np.pi * (n + 0.5) * n[:, None] / _JPEG_BLOCK) * np.sqrt(2 / _JPEG_BLOCK)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


@functools.lru_cache
def _coarseness() -> Float[np.ndarray, "8 8"]:
    n = np.arange(_JPEG_BLOCK)
    return (0.3 + (n[:, None] + n) / 7).astype(np.float32)
