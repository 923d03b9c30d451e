"""A StyleGAN3 passes through the rest of the library: conversion, saving, PCA, axes, projection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxedit
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.stylegan3 import StyleGAN3
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.conversion import convert_generator, export_generator
from jaxedit.pretrained.inspection import describe
from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import write_pickle
from tests.generators.stylegan3.references import read_reference, relative


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("stylegan3")
    (root / "network.pkl").write_bytes(
        write_pickle({"G_ema": stylegan3_module(read_reference("stylegan3_r_64")[1])})
    )
    converted = convert_generator(root / "network.pkl", root / "checkpoint")
    assert converted.summary.startswith("stylegan3, 64 × 64, R, 3 labels, ")
    return root / "checkpoint"


def same(one: StyleGAN3, other: StyleGAN3) -> bool:
    pairs = zip(jax.tree.leaves(module_params(one)), jax.tree.leaves(module_params(other)), strict=True)
    return one.config == other.config and all(np.array_equal(a, b) for a, b in pairs)


def test_checkpoints_and_open_files(folder, tmp_path):
    generator = jaxedit.load_generator(folder)
    assert isinstance(generator, StyleGAN3)
    assert "sampling_rates: [16, 16, 32, 64, 64, 64, 64]" in describe(str(folder))
    jaxedit.save_generator(generator, tmp_path / "again")
    assert same(jaxedit.load_generator(tmp_path / "again"), generator)
    export_generator(generator, tmp_path / "open")
    assert same(jaxedit.load_generator(tmp_path / "open"), generator)
    convert_generator(tmp_path / "open", tmp_path / "back")
    assert same(jaxedit.load_generator(tmp_path / "back"), generator)
    assert jaxedit.load_generator(folder, dtype="bfloat16").dtype == jnp.bfloat16


def test_pca_and_classes(folder):
    generator = jaxedit.load_generator(f"{folder}#1")
    assert isinstance(generator, ConditionedGenerator)
    out = read_reference("stylegan3_r_64")[2]
    assert relative(generator.mapping(out["z"])[1], out["w"][1, 0]) < 1e-5
    w = generator.mapping(np.random.RandomState(0).standard_normal((64, 16)).astype(np.float32))
    pca = jaxedit.fit_pca(w, 8)
    assert pca.num_components == 8


@pytest.mark.slow
def test_projection_finds_the_image(folder):
    generator = jaxedit.load_generator(f"{folder}#0")
    w = generator.mapping(np.random.RandomState(1).standard_normal((1, 16)).astype(np.float32))
    image = np.clip(np.asarray(generator.synthesis(w)), -1, 1)
    config = jaxedit.ProjectionConfig.fast(
        num_steps=40, num_w_steps=20, learning_rate=0.1, lpips_size=64, face_weight=0.0, identity_weight=0.0
    )
    result = jaxedit.project(generator, image, config, progress=False)
    found = generator.synthesis(result.w)
    start = generator.synthesis(jnp.asarray(generator.generator.w_avg[...])[None])
    assert relative(found, image) < 0.5 * relative(start, image)
