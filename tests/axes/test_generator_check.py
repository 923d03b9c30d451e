"""Axes belong to the generator on whose latents they were learned."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxedit.axes import AttributeAxes
from jaxedit.axes.curve_learning.refine import refine_axes
from jaxedit.axes.learning import learn
from jaxedit.axes.paths import DecoderPath
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import AxesMethod, check_methods
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labels_file import Labels
from jaxedit.latents.seed_stream import fingerprint, sample_w, sample_z
from jaxedit.pretrained.registry import load_axes, save_generator
from tests.generators.random_weights import stylegan2_params

SHAPE = StyleGAN2Config.of_size(8, channel_max=4, z_dim=8, w_dim=32, mapping_layers=1, c_dim=3)


def conditional(seed: int = 0) -> StyleGAN2:
    random = np.random.RandomState(seed)
    shapes = jax.eval_shape(lambda: initial_params(SHAPE, jax.random.key(0)))
    return StyleGAN2(SHAPE, jax.tree.map(lambda x: np.asarray(random.randn(*x.shape), x.dtype), shapes))


@pytest.fixture(scope="module")
def of_class():
    generator = conditional()
    return [ConditionedGenerator(generator, index) for index in range(3)]


@pytest.fixture(scope="module")
def own_axes(axes, of_class):
    """Axes as if they had been learned on class 1."""
    return dataclasses.replace(axes, generator_fingerprint=weights_fingerprint(of_class[1]))


def test_axes_of_another_generator_or_class_are_refused(own_axes, of_class, tmp_path):
    folder = own_axes.save(tmp_path / "axes")
    assert load_axes(folder, of_class[1]).generator_fingerprint == own_axes.generator_fingerprint
    for other in (of_class[2], ConditionedGenerator(conditional(1), 1)):
        with pytest.raises(InputError, match=r"axes: expected axes of this generator .* --force"):
            own_axes.check_generator(other)
        with pytest.raises(InputError, match=f"axes '{folder}': expected axes of this generator"):
            load_axes(folder, other)
        with pytest.raises(InputError, match="axes 'ours': expected axes of this generator"):
            check_methods(other, [AxesMethod("ours", own_axes)])
        forced = load_axes(folder, other, check=False)
        assert forced.generator_fingerprint is None
        check_methods(other, [AxesMethod("ours", forced)])


def test_refinement_takes_forced_axes_alone(own_axes, of_class):
    class Other:
        names = ("hat",)

        def __call__(self, images):
            return images.mean((1, 2))[:, :1]

    with pytest.raises(InputError, match="axes: expected axes of this generator"):
        refine_axes(of_class[2], own_axes, Other(), progress=False)
    forced = dataclasses.replace(own_axes, generator_fingerprint=None)  # as `load_axes(…, check=False)`
    with pytest.raises(InputError, match="classifier: expected the attributes of the axes, age, smile, yaw"):
        refine_axes(of_class[2], forced, Other(), progress=False)


def test_axes_without_a_fingerprint_fit_every_generator_of_their_shape(axes, of_class):
    assert axes.generator_fingerprint is None
    for generator in of_class:
        axes.check_generator(generator)
    narrow = dataclasses.replace(SHAPE, w_dim=16)
    with pytest.raises(InputError, match="axes of latents of width 16, as the generator's, got 32"):
        axes.check_generator(StyleGAN2(narrow, stylegan2_params(narrow)))


def test_folders_of_earlier_versions_have_none(own_axes, of_class, monkeypatch, tmp_path):
    from jaxedit.axes import attribute_axes

    def former(axes):
        config, arrays = to_checkpoint(axes)
        return {name: value for name, value in config.items() if name != "generator_fingerprint"}, arrays

    to_checkpoint = attribute_axes.to_checkpoint
    monkeypatch.setattr(attribute_axes, "to_checkpoint", former)
    loaded = load_axes(own_axes.save(tmp_path / "axes"), of_class[2])
    assert loaded.generator_fingerprint is None


def test_labels_hand_the_fingerprint_on(own_axes, of_class):
    z, w = sample_z(0, 6, 8), sample_w(of_class[1], 0, 6)
    labels = Labels("cats#1", 0, np.ones((6, 1), np.float32), ("a",), ("",), fingerprint(z), fingerprint(w))
    dataset = labels.with_latents(of_class[1])
    assert dataset.generator_fingerprint == own_axes.generator_fingerprint
    assert dataset.select(["a"]).generator_fingerprint == own_axes.generator_fingerprint


def test_learned_axes_take_the_fingerprint_of_their_labels(dataset, pca, axes, monkeypatch):
    monkeypatch.setattr(learn, "run_chunks", lambda chunk, state, loop, keeper: (state, axes.history))
    labeled = dataclasses.replace(dataset, generator_fingerprint="abc")
    assert isinstance(labeled, LabelledLatents)
    found = learn.learn_axes(labeled, pca, axes.config, progress=False)
    assert found.generator_fingerprint == "abc"


def test_the_fingerprint_is_no_part_of_a_compiled_edit(own_axes):
    assert isinstance(own_axes.path(), DecoderPath)
    assert jax.tree.structure(own_axes.path()) == jax.tree.structure(
        dataclasses.replace(own_axes, generator_fingerprint=None).path()
    )


def test_a_folder_of_a_generator_is_no_folder_of_axes(of_class, tmp_path):
    folder = save_generator(conditional(), tmp_path / "cats")
    with pytest.raises(
        ValueError, match=r"cats: expected a folder of axes, found one of kind 'generator'; .*learn"
    ):
        load_axes(folder)


def test_a_fingerprint_that_is_no_text_is_refused(own_axes, tmp_path):
    broken = dataclasses.replace(own_axes, generator_fingerprint=7)
    with pytest.raises(ValueError, match="generator_fingerprint: expected text or none, found int"):
        AttributeAxes.load(broken.save(tmp_path / "axes"))
