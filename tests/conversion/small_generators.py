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


def small_stylegan3() -> dict[str, np.ndarray]:
    """Parameters of a StyleGAN3 of 32 × 32 pixels with two layers, by their official names."""
    with np.load(FIXTURES / "stylegan3_t_32.npz") as file:
        params = {key.removeprefix("param."): file[key] for key in file.files if key.startswith("param.")}
    # The second and third layers double the resolution: they become those of a shorter generator.
    names = {"L0_36_12": "L0_36_12", "L4_32_8": "L1_32_12", "L5_32_3": "L2_32_3"}
    kept = {}
    for key, array in params.items():
        layer = key.split(".")[1] if key.startswith("synthesis.L") else None
        if layer is None:
            kept[key] = array
        elif layer in names:
            kept[key.replace(layer, names[layer])] = array
    first, last = "synthesis.L1_32_12", "synthesis.L2_32_3"
    for key in ("weight", "bias", "affine.weight", "affine.bias"):
        kept[f"{first}.{key}"] = params[f"synthesis.L1_36_12.{key}"]
    kept[f"{first}.up_filter"] = params["synthesis.L2_52_12.up_filter"]
    for key in ("weight", "affine.weight", "affine.bias"):
        array = kept[f"{last}.{key}"]
        kept[f"{last}.{key}"] = np.concatenate([array, array], axis=1 if key == "weight" else 0)[
            (slice(None), slice(12)) if key == "weight" else slice(12)
        ]
    return kept


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
