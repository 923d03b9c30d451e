"""A StyleGAN3 passes through the rest of the library, from Python; `test_stylegan3_commands` has the commands."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxedit
from jaxedit.errors import LeftOutWarning
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.stylegan3 import StyleGAN3
from jaxedit.generators.stylegan3.initial import StyleGAN3Design, initial_params
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.conversion import convert_generator, export_generator
from jaxedit.pretrained.inspection import describe
from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import write_pickle
from tests.generators.stylegan3.references import read_reference, relative

TINY_T = StyleGAN3Design(32, channel_base=256, channel_max=8, num_layers=3, num_critical=1)
TINY_R = dataclasses.replace(TINY_T, conv_kernel=1, radial=True)


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


class Colors:
    """Image statistics."""

    names = ("brightness", "warmth")
    units = ("", "")

    def __call__(self, images):
        warmth = images[..., 0].mean((1, 2)) - images[..., 2].mean((1, 2))
        return jnp.stack([images.mean((1, 2, 3)), warmth], axis=1)


def tiny(design: StyleGAN3Design) -> StyleGAN3:
    config = design.config(z_dim=12, w_dim=16)
    return StyleGAN3(config, initial_params(design, config, jax.random.key(0)))


def learned(generator: StyleGAN3, folder) -> tuple[jaxedit.LabelledLatents, jaxedit.AttributeAxes]:
    """Labels and axes of a few latents."""
    request = jaxedit.LabelingConfig(num_samples=128, batch_size=32, shard_size=128)
    labels = jaxedit.label(generator, Colors(), folder, request, generator_name="tiny", progress=False)
    dataset = labels.with_latents(generator)
    settings = jaxedit.AxesConfig(
        num_layers=1, hidden_width=32, num_steps=60, steps_per_chunk=60, batch_size=32
    )
    return dataset, jaxedit.learn_axes(dataset, jaxedit.fit_pca(dataset.w, 8), settings, progress=False)


@pytest.mark.parametrize(
    "design", [pytest.param(TINY_T, id="T"), pytest.param(TINY_R, id="R", marks=pytest.mark.slow)]
)
def test_labels_axes_and_edits_in_w_and_w_plus(design, tmp_path):
    generator = tiny(design)
    dataset, axes = learned(generator, tmp_path)
    w = jnp.asarray(dataset.w[:32])
    w_plus = jnp.repeat(w[:, None], generator.num_ws, axis=1).at[:, 0].set(w[::-1])
    before = Colors()(generator.synthesis(w))
    np.testing.assert_allclose(before, dataset.values[:32], atol=1e-5)
    for latents in (w, w_plus):
        edited = axes.edit(latents, {"warmth": 1.0})
        assert edited.shape == latents.shape
        moved = Colors()(generator.synthesis(edited)) - Colors()(generator.synthesis(latents))
        assert moved[:, 1].mean() > 0.3 * before[:, 1].std()


@pytest.mark.slow
@pytest.mark.parametrize("design", [TINY_T, TINY_R], ids=["T", "R"])
def test_refinement(design, tmp_path):
    generator = tiny(design)
    dataset, axes = learned(generator, tmp_path)
    config = jaxedit.RefinementConfig(
        num_latents=64, num_derivatives=8, num_images=16, num_calibration_latents=16, gradient_batch_size=8
    )
    refined = jaxedit.refine_axes(generator, axes, Colors(), config, progress=False)
    w, before = jnp.asarray(dataset.w), dataset.values
    assert refined.edit(w, {"warmth": 1.0}).shape == (128, generator.num_ws, 16)
    plain, moved = (
        (Colors()(generator.synthesis(one.edit(w, {"warmth": 1.0}))) - before).mean(0) / before.std(0)
        for one in (axes, refined)
    )
    assert moved[1] == pytest.approx(1, abs=0.4)
    assert abs(moved[0]) < 0.5 * abs(plain[0])


@pytest.mark.slow
@pytest.mark.parametrize("design", [TINY_T, TINY_R], ids=["T", "R"])
def test_projection_and_tuning(design):
    generator = tiny(design)
    w = generator.mapping(np.random.RandomState(1).standard_normal((1, 12)).astype(np.float32))
    image = np.clip(np.asarray(generator.synthesis(w))[0], -1, 1)
    target = image.repeat(2, 0).repeat(2, 1)
    config = jaxedit.ProjectionConfig.fast(
        num_steps=20, num_w_steps=10, learning_rate=0.1, lpips_size=64, face_weight=0.0, identity_weight=0.0
    )
    result = jaxedit.project(generator, target, config, progress=False)
    found = np.asarray(generator.synthesis(result.w_plus))[0]
    start = np.asarray(generator.synthesis(generator.w_avg[...][None]))[0]
    assert relative(found, image) < 0.7 * relative(start, image)
    tuning = jaxedit.TuningConfig(num_steps=10, steps_per_chunk=10, lpips_size=64, identity_weight=0.0)
    with pytest.warns(LeftOutWarning, match="loss of the face"):
        delta = jaxedit.tune(generator, target, result.w_plus, tuning, progress=False)
    tuned = np.asarray(delta.apply(generator).synthesis(result.w_plus))[0]
    assert relative(tuned, image) < relative(found, image)
