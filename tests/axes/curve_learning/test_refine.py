"""Axes refined through images of a small StyleGAN2 of eight layers, measured by a classifier of a user's own."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jaxedit
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.image_reader import RefinementNetworks
from jaxedit.axes.curve_learning.refine import draw_latents, refine_axes
from jaxedit.axes.curve_learning.regression import ridge_derivatives
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.errors import InputError
from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.seed_stream import sample_w
from tests.generators.random_weights import stylegan2_params
from tests.storage.spoiled_units import spoil

SHAPE = StyleGAN2Config.of_size(32, channel_base=512, channel_max=16, z_dim=16, w_dim=16, mapping_layers=2)
TINY = RefinementConfig(
    num_latents=12, num_derivatives=3, num_images=20, num_calibration_latents=4, images_per_update=2
)
STEADY = RefinementConfig(
    num_latents=24, num_derivatives=24, num_images=8, num_calibration_latents=12, images_per_update=4
)
"""Enough derivatives for a descent that does not magnify rounding."""

AXES = jaxedit.AxesConfig(num_layers=2, hidden_width=16, num_steps=40, steps_per_chunk=20, batch_size=64)


class Looks:
    """Four numbers of an image that go together in W."""

    names = ("warmth", "brightness", "left", "contrast")

    def __call__(self, images):
        gray = images.mean(3)
        half = images.shape[2] // 2
        return jnp.stack(
            [
                (images[..., 0] - images[..., 2]).mean((1, 2)),
                gray.mean((1, 2)),
                gray[:, :, :half].mean((1, 2)) - gray[:, :, half:].mean((1, 2)),
                jnp.log(gray.std((1, 2)) + 1e-3),
            ],
            axis=1,
        )


LOOKS = Looks()
"""The same object in all tests: its programs are compiled once."""


class Rounded(Looks):
    """The same without a derivative."""

    def __call__(self, images):
        return jnp.round(super().__call__(images), 4)


class Called(Looks):
    """The same on the host."""

    def __call__(self, images):
        shape = jax.ShapeDtypeStruct((len(images), 4), jnp.float32)
        return jax.pure_callback(lambda x: np.asarray(LOOKS(jnp.asarray(x))), shape, images)


class GreenBlue:
    """An independent network for warmth, and one number more of the image."""

    names = ("warmth@green",)

    def __call__(self, images):
        return (images[..., 1] - images[..., 2]).mean((1, 2))[:, None], images[:, ::8, ::8].reshape(
            len(images), -1
        )


def corners(images):
    return images[:, ::16, ::16].reshape(len(images), -1)


def labeled(generator, classifier, num: int) -> LabelledLatents:
    w = sample_w(generator, 0, num)
    read = jax.jit(lambda w: classifier(generator.synthesis(w)))
    values = np.concatenate([np.asarray(read(w[i : i + 64])) for i in range(0, num, 64)])
    return LabelledLatents(w, values, classifier.names, ("",) * len(classifier.names))


@pytest.fixture(scope="module")
def tiny(small, plain, tmp_path_factory):
    """A folder of a small run, and its result."""
    out = tmp_path_factory.mktemp("refinement") / "run"
    return out, refine_axes(small, plain, LOOKS, TINY, out=out, progress=False)


def leaves(axes):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(axes.curves)]


def assert_same(one, other, **tolerance):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        if tolerance:
            np.testing.assert_allclose(a, b, **tolerance)
        else:
            np.testing.assert_array_equal(a, b)


def effects_in_images(generator, axes, w):
    """½ (up − down) of each attribute (columns) by ±1 along each axis (rows), in standard deviations."""
    read = jax.jit(lambda w: axes.quantile_transform.transform(LOOKS(generator.synthesis(w))))
    sides = [
        [np.asarray(read(axes.edit(w, {name: a}))) for a in (-1.0, 1.0)] for name in axes.attribute_names
    ]
    return np.stack([(up - down).mean(0) / 2 for down, up in sides])


@pytest.mark.slow
def test_leakage_in_the_image_falls(small, plain):
    config = RefinementConfig(
        num_latents=256, num_derivatives=32, num_images=320, num_calibration_latents=64, batch_size=16,
        gradient_batch_size=8,
    )  # fmt: skip
    refined = refine_axes(small, plain, LOOKS, config, progress=False)
    assert refined.curves.num_ws == small.num_ws == 8
    held_out = sample_w(small, 7, 96)
    before, after = (effects_in_images(small, axes, held_out) for axes in (plain, refined))
    # 0.15 and 0.04.
    assert leakage_of_effects(after).mean() < 0.5 * leakage_of_effects(before).mean()
    assert np.diag(after).min() > 0.7
    # An edit and its reading go together.
    edited = refined.edit(held_out, {"warmth": 1.0})
    moved = refined.encode(edited)[:, 0] - refined.encode(held_out)[:, 0]
    np.testing.assert_allclose(moved, 1.0, atol=0.05)


@pytest.mark.parametrize(
    "kept", ["descent/000005", "unedited", "derivatives/00001", "calibration/0-002-down"]
)
def test_an_interrupted_run_ends_with_the_same_curves(small, plain, tiny, tmp_path, kept):
    """What was written after a unit is missing, as after a kill."""
    out, whole = tiny
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    order = ["unedited", "derivatives", "descent", "calibration"]
    stage = kept.split("/")[0]
    for path in copy.rglob("*.npz"):
        unit = path.relative_to(copy).with_suffix("").as_posix()
        later = order.index(unit.split("/")[0]) > order.index(stage)
        if later or (unit.split("/")[0] == stage and unit > kept):
            path.unlink()
    assert_same(refine_axes(small, plain, LOOKS, TINY, out=copy, progress=False), whole)
    assert_same(refine_axes(small, plain, LOOKS, TINY, progress=False), whole)


def test_units_with_other_arrays_are_made_again(small, plain, tiny, tmp_path):
    out, whole = tiny
    arrays = {
        "unedited": "values", "derivatives/00001": "rows", "descent/000010": "000.sums",
        "descent/000005": "001.batches", "calibration/unedited": "values", "calibration/0-002-down": "values",
    }  # fmt: skip
    shutil.copytree(out, tmp_path / "run")
    for number, (unit, name) in enumerate(arrays.items()):
        spoil(tmp_path / "run" / f"{unit}.npz", name, number)
    assert_same(refine_axes(small, plain, LOOKS, TINY, out=tmp_path / "run", progress=False), whole)
    for unit in arrays:
        assert (tmp_path / "run" / f"{unit}.npz").read_bytes() == (out / f"{unit}.npz").read_bytes()


def test_another_run_in_the_folder_is_refused(small, plain, tiny):
    out, _ = tiny
    with pytest.raises(InputError, match="another seed: expected 1, found 0"):
        refine_axes(small, plain, LOOKS, dataclasses.replace(TINY, seed=1), out=out, progress=False)


@pytest.fixture(scope="module")
def steady(small, plain):
    return refine_axes(small, plain, LOOKS, STEADY, progress=False)


@pytest.mark.slow
def test_larger_batches_give_the_same_up_to_rounding(small, plain, steady):
    config = dataclasses.replace(STEADY, batch_size=5, gradient_batch_size=3)
    assert_same(refine_axes(small, plain, LOOKS, config, progress=False), steady, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_mesh_gives_the_same_up_to_rounding(small, plain, steady, kind):
    mesh = jax.make_mesh((1,), ("rows",), (getattr(AxisType, kind),), devices=jax.devices()[:1])
    assert_same(refine_axes(small, plain, LOOKS, STEADY, mesh=mesh, progress=False), steady, atol=1e-2)


def test_identity_and_independent_networks(small, plain, tiny, tmp_path):
    networks = RefinementNetworks(identity=(corners,), independent=(GreenBlue(),))
    run = refine_axes(small, plain, LOOKS, TINY, networks=networks, out=tmp_path / "run", progress=False)
    assert not np.allclose(run.curves.tangents, tiny[1].curves.tangents, atol=1e-2)
    with np.load(tmp_path / "run" / "unedited.npz") as file:
        assert file["independent"].shape == (12, 1)
        assert [file[f"descriptor_{i}"].shape[1] for i in range(2)] == [12, 48]
    config = dataclasses.replace(TINY, loss=dataclasses.replace(TINY.loss, identity=(1.0,)))
    with pytest.raises(
        InputError, match=r"loss\.identity: expected a weight for each of 2 descriptors, got 1"
    ):
        refine_axes(small, plain, LOOKS, config, networks=networks, progress=False)


def test_some_attributes_are_refined_and_others_stay(small, plain, tiny):
    config = dataclasses.replace(TINY, attributes=("left",))
    some = refine_axes(small, plain, LOOKS, config, progress=False)
    w = jnp.asarray(sample_w(small, 9, 4))
    for name in ("warmth", "contrast"):  # as in W, up to how the decoder curves from latent to latent
        in_w, in_w_plus = plain.edit(w, {name: 0.5}) - w, some.edit(w, {name: 0.5}) - w[:, None]
        assert float(jnp.ptp(in_w_plus, axis=1).max()) < 1e-4
        assert float(jnp.linalg.norm(in_w_plus[:, 0] - in_w)) < 0.35 * float(jnp.linalg.norm(in_w))
    assert float(jnp.ptp(some.edit(w, {"left": 0.5}) - w[:, None], axis=1).max()) > 1e-2
    # Curves that are there stay to the bit.
    again = refine_axes(small, tiny[1], LOOKS, config, progress=False)
    for index in (0, 1, 3):
        np.testing.assert_array_equal(again.curves.tangents[index], tiny[1].curves.tangents[index])
        np.testing.assert_array_equal(again.curves.slopes[index], tiny[1].curves.slopes[index])
    assert not np.array_equal(again.curves.tangents[2], tiny[1].curves.tangents[2])


def test_what_the_config_says_of_saturation_is_taken(small, plain):
    config = dataclasses.replace(
        TINY, attributes=("warmth", "left"), ends={"left": (-1.0, 1.5)}, slopes={"left": 0.25},
        far={"warmth": (1.5, 2.0)},
    )  # fmt: skip
    curves = refine_axes(small, plain, LOOKS, config, progress=False).curves
    np.testing.assert_allclose(curves.ends[2], [-1.0, 1.5])
    np.testing.assert_allclose(curves.ends[0], [-2.0, 2.0])
    np.testing.assert_allclose(curves.slopes[2], 0.25)
    assert 0.35 <= float(curves.slopes[0]) <= 1.0


def test_a_far_correction_takes_out_what_is_measured_there(small, plain, tiny, tmp_path):
    config = dataclasses.replace(TINY, far={"warmth": (1.5, 2.0)})
    far = refine_axes(small, plain, LOOKS, config, progress=False)
    assert not np.array_equal(far.curves.tangents[0], tiny[1].curves.tangents[0])
    np.testing.assert_array_equal(far.curves.tangents[1:], tiny[1].curves.tangents[1:])


def test_groups(small, plain):
    config = dataclasses.replace(TINY, groups=(0, 1, 1, 1, 2, 2, 2, 2))
    curves = refine_axes(small, plain, LOOKS, config, progress=False).curves
    assert curves.tangents.shape == (4, 3, 16)
    assert curves.group_of_layer.tolist() == list(config.groups)


def test_a_classifier_without_derivatives_is_told_and_regressed(small, plain, tmp_path):
    with pytest.raises(
        InputError, match=r"gradient of 'warmth' is zero in all of 3 images; give method='regr"
    ):
        refine_axes(small, plain, Rounded(), TINY, progress=False)
    with pytest.raises(InputError, match=r"that JAX can differentiate, got ValueError: .* give method='regr"):
        refine_axes(small, plain, Called(), TINY, progress=False)
    config = RefinementConfig(
        num_latents=128, num_images=400, num_derivatives=1, num_calibration_latents=48, batch_size=16,
        method="regression",
    )  # fmt: skip
    networks = RefinementNetworks(identity=(corners,), independent=(GreenBlue(),))
    given = (small, plain, Rounded(), config)
    refined = refine_axes(*given, networks=networks, out=tmp_path / "run", progress=False)
    spoil(tmp_path / "run" / "regression" / "00001.npz", "responses", 1)
    again = refine_axes(*given, networks=networks, out=tmp_path / "run", progress=False)
    assert_same(again, refined)
    held_out = sample_w(small, 7, 48)
    effects = effects_in_images(small, refined, held_out)
    # Contrast has no mean derivative that would find it: a move and its negative change it alike.
    assert np.diag(effects)[:3].min() > 0.6
    assert leakage_of_effects(effects)[:3].mean() < 0.2


def test_ridge_derivatives_are_those_of_a_linear_world():
    random = np.random.RandomState(0)
    true, moves = random.randn(2, 6), random.randn(200, 6)
    found = ridge_derivatives(moves, moves @ true.T + 0.1 * random.randn(200, 2))
    np.testing.assert_allclose(found, true, atol=0.05)
    # A column that answers to nothing gets next to nothing.
    assert np.linalg.norm(ridge_derivatives(moves, random.randn(200, 1))) < 0.3


def test_half_of_the_latents_are_truncated(small):
    w = draw_latents(small, TINY)
    mean = np.asarray(small.w_avg[...])
    full = sample_w(small, TINY.latent_seed, len(w))
    np.testing.assert_allclose(w[::2], full[::2], atol=1e-5)
    np.testing.assert_allclose(w[1::2], mean + 0.7 * (full[1::2] - mean), atol=1e-5)


def test_what_does_not_fit_is_refused(small, plain, tiny):
    def refused(match, *, generator=small, axes=plain, classifier=None, **changes):
        with pytest.raises(InputError, match=match):
            config = dataclasses.replace(TINY, **changes)
            refine_axes(generator, axes, classifier or LOOKS, config, progress=False)

    class Less(Looks):
        names = ("warmth", "brightness", "left")

    other = dataclasses.replace(SHAPE, w_dim=12)
    refused(
        "width 12, as the generator's, got 16",
        generator=StyleGAN2(other, stylegan2_params(other)),
    )
    deeper = StyleGAN2Config.of_size(
        16, channel_base=512, channel_max=16, z_dim=16, w_dim=16, mapping_layers=2
    )
    deeper_generator = StyleGAN2(deeper, stylegan2_params(deeper))
    refused("curves of 6 layers, as the generator's, got 8", generator=deeper_generator, axes=tiny[1])
    refused("classifier: expected the attributes of the axes.* found no 'contrast'", classifier=Less())
    refused("got 'hat'", attributes=("hat",))
    refused("got 'hat'", slopes={"hat": 0.5})
    refused("attributes: expected one or more", attributes=())
    refused("groups: expected the group of each of 8 layers", groups=(0, 0, 1))
    refused("groups: expected the group of each of 8 layers", groups=(0, 0, 1, 1, 3, 3, 3, 3))
    refused(
        "groups: expected those of the curves that the axes keep",
        axes=tiny[1], attributes=("left",), groups=(0, 0, 0, 0, 1, 1, 1, 1),
    )  # fmt: skip
