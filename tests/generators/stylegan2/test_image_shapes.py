"""Generators of gray and RGBA images, and of images that are not square: from latents to axes, edits and files."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.faces.crop import crop_faces
from jaxedit.axes import AxesConfig, fit_pca, learn_axes
from jaxedit.errors import InputError, OutputError
from jaxedit.evaluation.thumbnails import render_thumbnails
from jaxedit.generators.render import render
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.images import save_image
from jaxedit.inversion.project import project
from jaxedit.labels import LabelingConfig, label
from tests.generators.random_weights import stylegan2_params

SHAPES = [(1, (4, 4)), (2, (2, 4)), (4, (5, 3))]


def make(channels, constant):
    config = StyleGAN2Config(
        z_dim=8,
        w_dim=8,
        mapping_layers=2,
        resolution=2 * max(constant),
        channels=(8, 4),
        image_channels=channels,
        constant_size=constant,
    )
    return StyleGAN2(config, stylegan2_params(config, noise_strength=0.3))


class Brightness:
    names = ("brightness", "contrast")
    units = ("", "")

    def __call__(self, images):
        return jnp.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], 1)


@pytest.mark.parametrize(("channels", "constant"), SHAPES)
def test_images_and_their_files(channels, constant, tmp_path):
    generator = make(channels, constant)
    w = np.random.RandomState(0).randn(2, 8).astype(np.float32)
    alone = render(generator, w[:1])
    assert alone.shape == (2 * constant[0], 2 * constant[1], channels)
    assert generator.config.image_size == alone.shape[:2]
    path = save_image(alone, tmp_path / "image.png")
    with Image.open(path) as opened:
        assert opened.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(np.asarray(opened).reshape(alone.shape), alone)
    if channels in (2, 4):
        with pytest.raises(OutputError, match=r"expected a format with alpha, such as \.png"):
            save_image(alone, tmp_path / "image.jpg")
        assert not (tmp_path / "image.jpg").exists()


def test_the_longer_side_is_the_resolution():
    assert make(3, (2, 4)).resolution == 8
    with pytest.raises(InputError, match=r"resolution: expected 5 · 2\^n"):
        StyleGAN2Config(resolution=16, channels=(8, 8, 4), constant_size=(5, 3))
    with pytest.raises(InputError, match="image_channels: expected 1 to 4, got 5"):
        StyleGAN2Config(image_channels=5)
    with pytest.raises(InputError, match="constant_size: expected two positive numbers"):
        StyleGAN2Config(constant_size=(4, 0))


@pytest.mark.slow
def test_a_square_part_of_a_wide_image_is_computed_alike():
    """The convolutions know no shape: away from the margin a wide image is that of a square constant."""
    square, wide = make(3, (4, 4)), make(3, (4, 8))
    wide.constant[...] = jnp.tile(square.constant[...], (1, 2, 1))
    for ours, theirs in zip(wide.blocks, square.blocks, strict=True):
        for (_, layer), (_, other) in zip(ours.styled(), theirs.styled(), strict=True):
            layer.affine, layer.weight, layer.bias = other.affine, other.weight, other.bias
    w = np.random.RandomState(1).randn(1, 8).astype(np.float32)
    left = wide.synthesis(w, noise_mode="none")[:, :, :3]
    np.testing.assert_allclose(left, square.synthesis(w, noise_mode="none")[:, :, :3], atol=1e-5)


@pytest.mark.slow
def test_labels_axes_and_edits_of_a_gray_wide_generator(tmp_path):
    generator = make(1, (2, 4))
    request = LabelingConfig(num_samples=64, batch_size=32, shard_size=64)
    labels = label(generator, Brightness(), tmp_path, request, generator_name="gray", progress=False)
    dataset = labels.with_latents(generator)
    config = AxesConfig(num_layers=1, hidden_width=8, num_steps=4, steps_per_chunk=4, batch_size=32)
    axes = learn_axes(dataset, fit_pca(dataset.w, 6), config, progress=False)
    edited = axes.edit(dataset.w[:2], {"brightness": 1.0})
    assert generator.synthesis(edited).shape == (2, 4, 8, 1)


def test_what_needs_square_rgb_says_so():
    gray, wide = make(1, (4, 4)), make(3, (2, 4))
    w = np.zeros((1, 8), np.float32)
    for generator in (gray, wide):
        with pytest.raises(InputError, match=r"expected \[batch, side, side, 3\] \(square RGB\)"):
            crop_faces(jnp.zeros((1, *generator.config.image_size, generator.config.image_channels)))
        with pytest.raises(
            InputError, match="generator: projection needs one of square RGB images, got one of"
        ):
            project(generator, np.zeros((64, 64, 3), np.float32), progress=False)
        with pytest.raises(InputError, match="expected one of square RGB images, got one of shape"):
            render_thumbnails(generator, w, 4)
