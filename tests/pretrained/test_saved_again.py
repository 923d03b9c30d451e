"""Every kind of thing that can be saved is loaded, saved again, loaded again, and compared."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.inversion.tuning import GeneratorDelta
from jaxedit.labels.labels_file import load_labels, save_labels
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.latent_files import load_latent_file, save_latent_file
from jaxedit.latents.pca import PCA
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.conversion import export_generator
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.pretrained.registry import AttributeAxes, load_axes, load_generator, save_generator
from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import write_pickle
from tests.generators.stylegan3.references import from_config, read_reference
from weights_conversion.models.mobile_stylegan import mobile_shapes
from weights_conversion.models.official_pickle import convert_official_pickle
from weights_conversion.models.stylegan2.layout import target_shapes
from weights_conversion.table import nest

NAME = "mobile-stylegan-ffhq"
SIZES = {"z_dim": 4, "w_dim": 4, "mapping_layers": 2}
GENERATORS = {
    "skip": {},
    "resnet": {"architecture": "resnet"},
    "orig": {"architecture": "orig"},
    "conditional, clamped": {"c_dim": 3, "conv_clamp": 256.0},
    "gray": {"image_channels": 1},
    "gray with alpha": {"image_channels": 2},
    "RGBA": {"image_channels": 4},
    "not square": {"constant_size": (2, 4)},
    "stylegan3": None,
    "mobile-stylegan": None,
}


def drawn(shapes):
    """Arrays of the shapes, as a nested dict."""
    random = np.random.RandomState(0)
    flat = {name: np.asarray(random.randn(*shape), np.float32) for name, shape in shapes.items()}
    return nest(flat, name="drawn")


def make(kind):
    if kind == "stylegan3":
        return from_config(
            *convert_official_pickle(write_pickle(stylegan3_module(read_reference("stylegan3_t_32")[1])))
        )
    if kind == "mobile-stylegan":
        config = MobileStyleGANConfig(resolution=16, channels=(8, 4), **SIZES)
        return MobileStyleGAN(config, drawn(mobile_shapes(dataclasses.asdict(config))))
    config = StyleGAN2Config(resolution=8, channels=(4, 3), **SIZES, **GENERATORS[kind])
    return StyleGAN2(config, drawn(target_shapes(dataclasses.asdict(config))))


def assert_same(found, expected):
    """Equal trees in all bits, and equal values that are no arrays."""
    assert type(found) is type(expected)
    found, expected = (jax.tree.flatten(tree) for tree in (found, expected))
    assert found[1] == expected[1]
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", GENERATORS)
def test_generators(kind, tmp_path):
    generator = make(kind)
    arrays = jax.tree.map(np.asarray, module_params(generator))
    before = generator
    for i, save in enumerate(
        [save_generator, save_generator, export_generator, export_generator, save_generator]
    ):
        save(before, tmp_path / str(i))
        loaded = load_generator(tmp_path / str(i))
        assert type(loaded) is type(generator)
        assert loaded.config == generator.config
        assert loaded.describe() == generator.describe()
        assert_same(jax.tree.map(np.asarray, module_params(loaded)), arrays)
        before = loaded


@pytest.mark.parametrize("has_curves", [False, True])
def test_axes(has_curves, tmp_path):
    axes = load_axes(NAME)
    first = axes if has_curves else dataclasses.replace(axes, curves=None)
    before = first
    for i in range(2):
        before.save(tmp_path / str(i))
        before = AttributeAxes.load(tmp_path / str(i))
        assert before.attribute_names == first.attribute_names
        assert before.config == first.config
        assert_same(before, first)


@pytest.mark.parametrize(("kind", "part"), [(PCA, "pca"), (QuantileTransform, "quantile_transform")])
def test_parts_of_axes(kind, part, tmp_path):
    first = before = getattr(load_axes(NAME), part)
    for i in range(2):
        before.save(tmp_path / str(i))
        before = kind.load(tmp_path / str(i))
        assert_same(before, first)


def test_labels(tmp_path):
    first = before = load_labels(data_path(KNOWN_GENERATORS[NAME].labels))
    for i in range(2):
        before = load_labels(save_labels(before, tmp_path / f"{i}.npz"))
        assert_same(dataclasses.asdict(before), dataclasses.asdict(first))


def test_latents(tmp_path):
    random = np.random.RandomState(0)
    w = random.randn(3, 4).astype(np.float32)
    noise = {"b4.conv1": random.randn(4, 4).astype(np.float32)}
    quad = np.arange(8.0).reshape(4, 2)
    save_latent_file(tmp_path / "0.npz", w, about={"generator": "x"}, quad=quad, noise=noise)
    first = load_latent_file(tmp_path / "0.npz")
    np.testing.assert_array_equal(first.w[0], w)
    save_latent_file(tmp_path / "1.npz", first.w[0], about={"generator": "x"}, quad=quad, noise=first.noise)
    again = load_latent_file(tmp_path / "1.npz")
    found, expected = (dataclasses.asdict(latent) | {"path": None} for latent in (again, first))
    assert_same(found, expected)
    with pytest.raises(InputError, match=r"noise\.b4\.conv1: expected .* got \[2, 4, 4\]"):
        two = {"b4.conv1": np.zeros((2, 4, 4), np.float32)}
        save_latent_file(tmp_path / "2.npz", w, about={"generator": "x"}, quad=quad, noise=two)
    assert not (tmp_path / "2.npz").exists()


@pytest.mark.parametrize("kind", ["skip", "gray", "not square", "mobile-stylegan"])
def test_deltas_of_generators(kind, tmp_path):
    """A delta knows its generator again, however often both are saved. (The weights of this one are others'.)"""
    generator = make(kind)
    before = GeneratorDelta(generator.describe(), {"a": np.ones(3, np.float16)})
    for i in range(2):
        before = GeneratorDelta.load(before.save(tmp_path / f"{i}.npz"))
        np.testing.assert_array_equal(before.arrays["a"], np.ones(3, np.float16))
        save_generator(generator, tmp_path / f"generator-{i}")
        generator = load_generator(tmp_path / f"generator-{i}")
        with pytest.raises(InputError, match="expected the weights of this generator"):
            before.apply(generator)
