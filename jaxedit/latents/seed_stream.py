"""The seed stream of latents: the same numbers on every machine and with every version.

Labels are worth nothing without their latents, and the random streams of JAX have changed between releases. Latents
that are kept by their seed alone therefore come from `RandomState` of NumPy, whose streams are frozen. Blocks of the
stream have generators of their own, so that any part can be drawn without the parts before it.
"""

import math
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator

_BLOCK = 1024
_MAX_SEED = 2**32 - 1
_MAX_PSI = 2.0


def sample_z(
    seed: int, num_samples: int, z_dim: int, *, start: int = 0
) -> Float[np.ndarray, "num_samples z_dim"]:
    """Input latents number `start` … `start + num_samples - 1` of a seed's stream, N(0, I), float32.

    Args:
        seed: 0 … 2³² − 1.
        num_samples: number of latents.
        z_dim: width of a latent; another width is another stream.
        start: number of the first latent.

    Raises:
        InputError: if a number is out of range.

    Examples:
        >>> from jaxedit.latents.seed_stream import sample_z
        >>> z = sample_z(7, 3, 512)
        >>> z.shape, bool((z[2:] == sample_z(7, 1, 512, start=2)).all())
        ((3, 512), True)
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"seed: expected 0…{_MAX_SEED}, got {seed}")
    if num_samples < 0 or start < 0:
        raise InputError(
            f"num_samples and start: expected numbers of 0 or more, got {num_samples} and {start}"
        )
    z = np.empty((num_samples, z_dim), np.float32)
    filled = 0
    while filled < num_samples:
        block, skipped = divmod(start + filled, _BLOCK)
        rows = min(_BLOCK - skipped, num_samples - filled)
        drawn = np.random.RandomState([seed, block]).standard_normal((skipped + rows, z_dim))
        z[filled : filled + rows] = drawn[skipped:]
        filled += rows
    return z


def sample_nvidia_z(seed: int, z_dim: int) -> Float[np.ndarray, "1 z_dim"]:
    """The input latent of a seed in NVIDIA's `generate.py` (StyleGAN2-ADA and StyleGAN3 for PyTorch), float32.

    Args:
        seed: 0 … 2³² − 1.
        z_dim: width of the latent.

    Raises:
        InputError: if the seed is out of range.

    Examples:
        >>> from jaxedit.latents.seed_stream import sample_nvidia_z
        >>> round(float(sample_nvidia_z(85, 512)[0, 0]), 4)
        0.1769
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"seed: expected 0…{_MAX_SEED}, got {seed}")
    return np.random.RandomState(seed).randn(1, z_dim).astype(np.float32)


def check_truncation_psi(psi: float) -> None:
    """Raise `InputError` unless ψ of the truncation trick is one that makes images: −2 … 2."""
    if not (math.isfinite(psi) and abs(psi) <= _MAX_PSI):
        raise InputError(
            f"truncation_psi: expected a number in -2…2 (1 for none, 0 for the mean of W), got {psi}"
        )


def w_of_seed(
    generator: Generator, seed: int, *, truncation_psi: float = 1.0, nvidia: bool = False
) -> Float[jax.Array, "1 w_dim"] | Float[jax.Array, "1 num_ws w_dim"]:
    """The latent of W of the first image of a seed.

    Args:
        generator: a generator of this library (a pytree).
        seed: 0 … 2³² − 1.
        truncation_psi: 1 for none, 0 for the mean of W; −2 … 2.
        nvidia: whether the seed is one of NVIDIA's `generate.py`, which draws other latents.

    Raises:
        InputError: if the seed or the truncation is out of range.
    """
    check_truncation_psi(truncation_psi)
    z = sample_nvidia_z(seed, generator.z_dim) if nvidia else sample_z(seed, 1, generator.z_dim)
    return _truncated(generator, z, truncation_psi)


@jax.jit
def _truncated(
    generator: Generator, z: Float[jax.Array, "batch z_dim"], psi: Float[jax.Array, ""]
) -> jax.Array:
    return generator.mapping(z, truncation_psi=psi)


def sample_w(
    generator: Generator, seed: int, num_samples: int, *, batch_size: int = 4096
) -> Float[np.ndarray, "num_samples w_dim"]:
    """Latents of W of the first `num_samples` input latents of a seed, float32, in host memory."""
    w = np.empty((num_samples, generator.w_dim), np.float32)
    for start, z in z_batches(seed, num_samples, generator.z_dim, batch_size=batch_size):
        rows = min(batch_size, num_samples - start)
        w[start : start + rows] = np.asarray(generator.mapping(jax.numpy.asarray(z)))[:rows]
    return w


def z_batches(
    seed: int, num_samples: int, z_dim: int, *, batch_size: int, start: int = 0
) -> Iterator[tuple[int, Float[np.ndarray, "batch_size z_dim"]]]:
    """Pairs of (number of the first latent, batch). All batches have the full size: one compilation serves all.

    The last batch continues in the stream beyond `num_samples`.
    """
    for first in range(start, num_samples, batch_size):
        yield first, sample_z(seed, batch_size, z_dim, start=first)


def fingerprint(
    latents: Float[np.ndarray | jax.Array, "num_samples width"],
) -> Float[np.ndarray, " num_samples"]:
    """The fingerprint of each latent: its product with a fixed direction of unit length.

    Compare with a tolerance: the last digits of W depend on the machine.
    """
    width = latents.shape[1]
    direction = np.random.RandomState(width).standard_normal(width)
    return (np.asarray(latents, np.float64) @ (direction / np.linalg.norm(direction))).astype(np.float32)
