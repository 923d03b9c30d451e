"""A classifier learned from marks: what it sees, its figures, saving, resuming."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.joined import join_classifiers
from jaxedit.attributes.learned.classifier import LearnedClassifier
from jaxedit.attributes.learned.heads import Kernels, fit_head
from jaxedit.attributes.user_classifier import load_classifier
from jaxedit.errors import CheckpointError, InputError
from jaxedit.images import to_uint8
from jaxedit.labels.classifier_agreement import agreement_with
from jaxedit.labels.classifier_learning import ClassifierConfig, learn_classifier
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.marked_images import MarkedImages
from tests.inversion.small_generator import small_generator

READ = jax.jit(lambda classifier, images: classifier(images))
CONFIG = ClassifierConfig(batch_size=8, unit_size=16)


@pytest.fixture(scope="module")
def generator():
    return small_generator()


@pytest.fixture(scope="module")
def marked(generator):
    """Forty-eight latents: whether the image is red rather than blue, and how light it is, in four levels."""
    w = np.random.RandomState(1).randn(48, generator.w_dim).astype(np.float32)
    images = np.clip(np.asarray(jax.jit(type(generator).synthesis)(generator, w)), -1, 1)
    redness = (images[..., 0] - images[..., 2]).mean((1, 2))
    lightness = images.mean((1, 2, 3))
    levels = np.argsort(np.argsort(lightness)) * 4 // 48
    values = np.stack([redness > np.median(redness), levels], axis=1).astype(np.float32)
    values[5, 0] = np.nan
    return LabelledLatents(w, values, ("red", "lightness"), ("0 or 1", "0…3"))


@pytest.fixture(scope="module")
def learned(generator, marked, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "features"
    classifier, heads = learn_classifier(generator, marked, CONFIG, out=run, progress=False)
    return classifier, heads, run


def test_marks_that_features_show_are_learned(learned):
    _, (red, lightness), _ = learned
    assert (red.is_binary, lightness.is_binary) == (True, False)
    assert (red.num_marks, lightness.num_marks) == (47, 48)
    assert 5 not in red.marked
    assert red.quality > 0.9
    assert lightness.quality > 0.8


def test_a_classifier_reads_images(generator, marked, learned):
    classifier, _, _ = learned
    images = jax.jit(type(generator).synthesis)(generator, marked.w[:8])
    values = np.asarray(READ(classifier, images))
    assert values.shape == (8, 2)
    assert classifier.units == ("log-odds", "level")
    # It has learned from these images.
    known = ~np.isnan(marked.values[:8, 0])
    np.testing.assert_array_equal(values[known, 0] > 0, marked.values[:8, 0][known] == 1)
    assert np.corrcoef(values[:, 1], marked.values[:8, 1])[0, 1] > 0.8


def test_a_classifier_has_gradients_in_the_image(learned):
    classifier, _, _ = learned
    image = jnp.asarray(np.random.RandomState(0).uniform(-0.9, 0.9, (1, 64, 64, 3)).astype(np.float32))
    direction = jnp.asarray(np.random.RandomState(2).randn(1, 64, 64, 3).astype(np.float32))
    direction /= jnp.linalg.norm(direction)
    read = jax.jit(jax.value_and_grad(lambda x: classifier(x)[0].sum()))
    gradient = read(image)[1]
    step = 0.05
    measured = (read(image + step * direction)[0] - read(image - step * direction)[0]) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(), measured, rtol=0.1, atol=1e-3)


def test_a_classifier_comes_back_from_its_folder(learned, tmp_path):
    classifier, _, _ = learned
    folder = classifier.save(tmp_path / "seen")
    images = jnp.asarray(np.random.RandomState(0).uniform(-1, 1, (8, 64, 64, 3)).astype(np.float32))
    for loaded in (LearnedClassifier.load(folder), load_classifier(str(folder))):
        assert (loaded.names, loaded.units) == (classifier.names, classifier.units)
        np.testing.assert_allclose(READ(loaded, images), READ(classifier, images), atol=0.02)
    swapped = classifier.select(("lightness", "red"))
    np.testing.assert_allclose(swapped.bias, classifier.bias[::-1])
    np.testing.assert_array_equal(swapped.weights["image"], classifier.weights["image"][:, ::-1])
    with pytest.raises(InputError, match="attributes: expected each once, some of red, lightness"):
        classifier.select(("hat",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="not a jaxedit checkpoint"):
        load_classifier(str(tmp_path / "empty"))


def test_an_interrupted_run_resumes(generator, marked, learned, tmp_path):
    classifier, _, run = learned
    copy = tmp_path / "features"
    shutil.copytree(run, copy)
    units = sorted(copy.rglob("*.npz"))
    assert len(units) == 3
    units[1].unlink()
    kept = units[0].stat().st_mtime_ns
    again, _ = learn_classifier(generator, marked, CONFIG, out=copy, progress=False)
    assert units[0].stat().st_mtime_ns == kept
    for name, weight in classifier.weights.items():
        np.testing.assert_allclose(again.weights[name], weight, atol=1e-5)
    with pytest.raises(InputError, match="unit_size"):
        learn_classifier(generator, marked, dataclasses.replace(CONFIG, unit_size=8), out=copy)


def test_marks_that_are_too_few_are_refused_before_rendering(generator, marked):
    values = np.where(np.arange(48)[:, None] < 3, 1, np.zeros((48, 1))).astype(np.float32)
    few = LabelledLatents(marked.w, values, ("hat",), ("0 or 1",))
    with pytest.raises(
        InputError, match=r"marks of 'hat': expected 5 images or more of each of two values.*1: 3"
    ):
        learn_classifier(generator, few, progress=False)


def test_probabilities_are_calibrated_and_wrong_marks_stand_out():
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 20)).astype(np.float32)
    truth = x[:, 0] + 0.5 * random.normal(size=400) > 0.8
    marks = truth.astype(float)
    wrong = [int(np.argmax(x[:, 0])), int(np.argmin(x[:, 0]))]
    marks[wrong] = 1 - marks[wrong]
    head = fit_head(Kernels({"image": x}), marks, "thing", is_binary=True).head
    assert set(head.doubtful(2)) == set(wrong)
    for predicted, marked, count in head.reliability():
        assert abs(predicted - marked) < 3 * np.sqrt(0.25 / count)
    assert head.quality > 0.9


def test_columns_of_several_classifiers_stand_side_by_side(learned):
    classifier, _, _ = learned
    only = classifier.select(("red",)), classifier.select(("lightness",))
    both = join_classifiers(only)
    images = jnp.asarray(np.random.RandomState(0).uniform(-1, 1, (8, 64, 64, 3)).astype(np.float32))
    np.testing.assert_allclose(READ(both, images), READ(classifier, images), atol=1e-5)
    assert (both.names, both.units) == (classifier.names, classifier.units)
    later = join_classifiers([classifier, only[0]])  # the later "red" is kept
    assert later.names == ("lightness", "red")
    np.testing.assert_allclose(READ(later, images), READ(classifier, images)[:, ::-1], atol=1e-5)


@pytest.fixture(scope="module")
def edited(marked):
    """Twenty images of one color each, two of each of ten things: red and blue ones, and their lightness."""
    random = np.random.RandomState(3)
    red = np.arange(20) % 4 > 1
    light = random.randint(4, size=20)
    colors = np.where(red[:, None], [0.5, 0.0, -0.5], [-0.5, 0.0, 0.5]) + 0.15 * (light[:, None] - 1.5)
    images = colors[:, None, None] + 0.05 * random.randn(20, 64, 64, 3)
    return MarkedImages(
        np.asarray(to_uint8(jnp.asarray(images, jnp.float32))),
        np.stack([light, np.where(np.arange(20) == 4, np.nan, red)], axis=1),
        ("lightness", "red"),
        ("0…3", "0 or 1"),
        tuple(f"{i}.png" for i in range(20)),
        ("edited",) * 15 + ("unedited",) * 5,
        np.arange(20) // 2,
    )


def test_marked_images_join_marked_latents(generator, marked, learned, edited, tmp_path):
    classifier, heads = learn_classifier(
        generator, marked, CONFIG, also=[edited], out=tmp_path / "run", progress=False
    )
    red, lightness = heads
    assert (red.num_marks, lightness.num_marks) == (47 + 19, 48 + 20)
    assert {kind: count for kind, (_, count) in red.qualities.items()} == {
        "generated": 47, "edited": 14, "unedited": 5
    }  # fmt: skip
    assert red.qualities["edited"][0] > 0.9 and red.qualities["generated"][0] > 0.9
    assert 48 + 4 not in red.marked and red.marked.max() == 67
    values = np.asarray(READ(classifier, jnp.asarray(edited.images[:8]).astype(jnp.float32) / 127.5 - 1))
    np.testing.assert_array_equal(values[:4, 0] > 0, edited.values[:4, 1] == 1)
    assert learned[1][0].qualities == {}
    # Features that are there are not made again, and other images are another run.
    units = sorted((tmp_path / "run").rglob("*.npz"))
    assert len(units) == 3 + 2
    before = [unit.stat().st_mtime_ns for unit in units]
    _, again = learn_classifier(
        generator, marked, CONFIG, also=[edited], out=tmp_path / "run", progress=False
    )
    assert [unit.stat().st_mtime_ns for unit in units] == before
    assert again[0].qualities == red.qualities
    with pytest.raises(InputError, match="another also"):
        other = dataclasses.replace(edited, images=edited.images[::-1])
        learn_classifier(generator, marked, CONFIG, also=[other], out=tmp_path / "run", progress=False)


def test_a_classifier_and_marks_agree_by_kind(learned, edited):
    found = agreement_with(learned[0], edited, batch_size=8)
    assert list(found) == ["lightness", "red"]
    assert found["red"]["edited"][0] > 0.9 and found["red"]["edited"][1] == 14
    wrong = dataclasses.replace(edited, values=edited.values * [1, -1] + [0, 1])
    assert agreement_with(learned[0], wrong)["red"]["edited"][0] == pytest.approx(
        1 - found["red"]["edited"][0]
    )
    same = dataclasses.replace(edited, values=0 * edited.values)
    assert np.isnan(agreement_with(learned[0], same)["red"]["edited"][0])
    with pytest.raises(
        InputError, match="classifier: expected one of the attributes hat, red, got lightness"
    ):
        agreement_with(
            learned[0].select(("lightness",)), dataclasses.replace(edited, attribute_names=("hat", "red"))
        )


def test_marked_images_that_do_not_fit_are_refused(generator, marked, edited):
    for change, message in (
        (
            {"attribute_names": ("hat", "coat")},
            "expected one of the attributes red, lightness, got hat, coat",
        ),
        ({"attribute_units": ("0…2", "0 or 1")}, "'lightness': expected the unit '0…3', got '0…2'"),
    ):
        with pytest.raises(InputError, match=message):
            learn_classifier(generator, marked, CONFIG, also=[dataclasses.replace(edited, **change)])
    for change, message in (
        ({"attribute_units": ("0…3",)}, r"values: expected shape \[20, 2\]"),
        ({"kinds": ()}, "names, kinds and groups: expected 20 each, got 20, 0 and 20"),
        ({"values": edited.values + np.inf}, "infinity"),
    ):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(edited, **change)


def test_a_fold_has_all_images_of_a_face():
    """Faces that are alike tell nothing of the marks, but each is marked alike: only then is 0.5 the right quality."""
    random = np.random.default_rng(0)
    faces = np.repeat(np.arange(60), 4)
    x = random.normal(size=(60, 300))[faces] + 0.01 * random.normal(size=(240, 300))
    marks = random.permutation(np.arange(60) % 2)[faces].astype(float)
    kernels = Kernels({"image": x.astype(np.float32)})
    fooled = fit_head(kernels, marks, "thing", is_binary=True).head
    honest = fit_head(kernels, marks, "thing", is_binary=True, groups=faces).head
    assert fooled.quality > 0.99
    assert 0.25 < honest.quality < 0.75
