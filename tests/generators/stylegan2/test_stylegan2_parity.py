"""Agreement with outputs that the original implementations computed, in float32 on a CPU."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.conftest import FIXTURES
from tests.conversion.foreign_torch import write_archive
from weights_conversion.models.stylegan2.rosinality import convert_rosinality
from weights_conversion.models.stylegan2.state_dict import convert_state_dict

TOLERANCE = 1e-5
"""Relative: ‖ours − reference‖ / ‖reference‖."""


def relative(ours, reference: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(ours) - reference) / np.linalg.norm(reference))


def nhwc(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1)


def read(name: str, prefix: str) -> tuple[dict, dict[str, np.ndarray], dict[str, np.ndarray]]:
    with np.load(FIXTURES / f"{name}.npz") as file:
        arrays = {k.removeprefix(prefix): file[k] for k in file.files if k.startswith(prefix)}
        out = {k.removeprefix("out."): file[k] for k in file.files if k.startswith("out.")}
        return json.loads(str(file["meta"])), arrays, out


@pytest.mark.parametrize("name", ["stylegan2_ada_64", "stylegan2_ada_cond_32", "stylegan2_ada_resnet_32"])
def test_stylegan2_ada(name):
    meta, arrays, out = read(name, "param.")
    config = StyleGAN2Config.of_size(
        meta["img_resolution"],
        channel_base=meta["channel_base"],
        channel_max=meta["channel_max"],
        z_dim=meta["z_dim"],
        c_dim=meta["c_dim"],
        w_dim=meta["w_dim"],
        mapping_layers=meta["num_mapping_layers"],
        architecture=meta["architecture"],
    )
    described = dataclasses.asdict(config) | {"family": "stylegan2", "channels": list(config.channels)}
    generator = StyleGAN2(config, convert_state_dict(arrays, described, name=name))
    z, classes = jnp.asarray(out["z"]), out.get("c")
    w = generator.mapping(z, c=classes)
    assert generator.num_ws == out["w"].shape[1]
    assert relative(w, out["w"][:, 0]) < TOLERANCE
    truncated = generator.mapping(z, c=classes, truncation_psi=0.7)
    assert relative(truncated, out["w_psi07"][:, 0]) < TOLERANCE
    cut = generator.mapping(z, c=classes, truncation_psi=0.5, truncation_cutoff=4)
    assert relative(cut, out["w_psi05_cutoff4"]) < TOLERANCE
    assert relative(generator.synthesis(w), nhwc(out["img_const"])) < TOLERANCE
    assert relative(generator.synthesis(w, noise_mode="none"), nhwc(out["img_none"])) < TOLERANCE
    from_w_plus = generator.synthesis(jnp.asarray(out["w_plus"]))
    assert relative(from_w_plus, nhwc(out["img_wplus_const"])) < TOLERANCE


def test_rosinality():
    _, arrays, out = read("stylegan2_rosinality_32", "g_ema.")
    with np.load(FIXTURES / "stylegan2_rosinality_32.npz") as file:
        checkpoint = {"g_ema": arrays, "latent_avg": file["latent_avg"]}
    described, params = convert_rosinality(write_archive(checkpoint))
    shape = {key: value for key, value in described.items() if key != "family"}
    generator = StyleGAN2(StyleGAN2Config(**shape | {"channels": tuple(shape["channels"])}), params)
    z = jnp.asarray(out["z"])
    w = generator.mapping(z)
    assert relative(w, out["w"]) < TOLERANCE
    assert relative(generator.synthesis(w), nhwc(out["img"])) < TOLERANCE
    truncated = generator.mapping(z, truncation_psi=0.7)
    assert relative(generator.synthesis(truncated), nhwc(out["img_truncation07"])) < TOLERANCE
    from_w_plus = generator.synthesis(jnp.asarray(out["w_plus"]))
    assert relative(from_w_plus, nhwc(out["img_wplus"])) < TOLERANCE
