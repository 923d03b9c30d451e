"""Generators of 8 × 8 pixels and 4 channels, cut out of the references: valid, and small enough to be damaged often."""

import re
from typing import Any

import numpy as np

from tests.conversion.official_fixtures import FIXTURES, fixture_params

_OFFICIAL = re.compile(r"synthesis\.b[48]\.|mapping\.(w_avg|fc[01]\.)")
_ROSINALITY = re.compile(
    r"style\.[12]\.|input\.|conv1\.|to_rgb1\.|convs\.[01]\.|to_rgbs\.0\.|noises\.noise_[012]$"
)


def _small(array: np.ndarray) -> np.ndarray:
    return np.array(array[tuple(slice(4 if length > 8 else None) for length in array.shape)])


def small_official() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Parameters by their official names, and the options of the generator."""
    params, options = fixture_params("stylegan2_ada_64")
    sizes = {"z_dim": 4, "w_dim": 4, "img_resolution": 8, "num_mapping_layers": 2}
    return {name: _small(array) for name, array in params.items() if _OFFICIAL.match(name)}, options | sizes


def rosinality_checkpoint() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The reference of stylegan2-pytorch: its checkpoint, and everything that is stored of it."""
    with np.load(FIXTURES / "stylegan2_rosinality_32.npz") as file:
        arrays = {key: file[key] for key in file.files if key != "meta"}
    state = {key.removeprefix("g_ema."): array for key, array in arrays.items() if key.startswith("g_ema.")}
    return {"g_ema": state, "latent_avg": arrays["latent_avg"]}, arrays


def small_rosinality() -> dict[str, Any]:
    """A checkpoint of stylegan2-pytorch."""
    checkpoint, _ = rosinality_checkpoint()
    state = {name: _small(array) for name, array in checkpoint["g_ema"].items() if _ROSINALITY.match(name)}
    return {"g_ema": state, "latent_avg": _small(checkpoint["latent_avg"])}
