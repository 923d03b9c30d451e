import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import InputError
from jaxedit.images import to_uint8
from jaxedit.inversion.reconstruction_quality import compare, compare_batch, metrics_text
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import shrink

measure = jax.jit(lambda network, *images: network(*images))


@pytest.fixture(scope="module")
def faces(images):
    """Four generated faces of 512 pixels a side."""
    return np.clip(np.asarray(shrink(jnp.asarray(images[:4]), 512)), -1, 1)


def test_equal_images_are_at_distance_zero(faces):
    found = compare_batch(faces[:2], faces[:2])
    assert found.keys() == {"lpips", "psnr", "psnr_256", "identity"}
    np.testing.assert_allclose(found["lpips"], 0, atol=1e-6)
    np.testing.assert_allclose(found["identity"], 0, atol=1e-5)
    np.testing.assert_allclose(found["psnr"], 106.02, atol=0.01)


def test_values_are_those_of_the_formulas(faces):
    a, b = faces[:2], faces[2:]
    found = compare_batch(a, b)
    small_a, small_b = (np.asarray(shrink(jnp.asarray(x), 256), np.float64) for x in (a, b))
    for name, one, other in (("psnr", a.astype(float), b), ("psnr_256", small_a, small_b)):
        error = np.square(one - other).mean((1, 2, 3))
        np.testing.assert_allclose(found[name], 10 * np.log10(4 / error), rtol=1e-5)
    descriptors = measure(FaceIdentity(), jnp.concatenate([a, b]))
    np.testing.assert_allclose(
        found["identity"], np.linalg.norm(descriptors[:2] - descriptors[2:], axis=1), rtol=1e-4
    )
    lpips = measure(LPIPS.from_pretrained("alex"), *(jnp.asarray(x, jnp.float32) for x in (small_a, small_b)))
    np.testing.assert_allclose(found["lpips"], lpips, rtol=1e-3)


@pytest.mark.slow
def test_one_image_and_uint8(faces):
    pixels = np.asarray(to_uint8(jnp.asarray(faces)))
    alone = compare(pixels[0], pixels[1])
    batch = compare_batch(faces[:2], faces[1:3])
    for name, value in alone.items():
        assert isinstance(value, float)
        assert value == pytest.approx(float(batch[name][0]), rel=0.01)


def test_noise_has_the_psnr_of_its_strength():
    random = np.random.RandomState(0)
    image = random.uniform(-0.5, 0.5, (64, 64, 3)).astype(np.float32)
    noisy = image + 0.1 * random.randn(64, 64, 3).astype(np.float32)
    found = compare(image, noisy)
    assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.01), abs=0.1)
    assert found["psnr_256"] == found["psnr"]  # as small images stay
    assert "identity" not in found  # 64 pixels are too few


def test_beyond_the_range_is_clipped():
    white = np.ones((64, 64, 3), np.float32)
    assert compare(white, 3 * white)["psnr"] > 100


def test_the_larger_image_is_shrunk():
    image = np.random.RandomState(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    large = np.kron(image, np.ones((2, 2, 1), np.float32))
    assert compare(large, image)["psnr"] > 100
    assert compare(image, large)["psnr"] > 100


@pytest.mark.parametrize(
    ("side", "value", "message"), [(31, 0.0, "32 pixels a side or more, got 31"), (64, np.nan, "NaN")]
)
def test_images_that_do_not_fit(side, value, message):
    image = np.full((side, side, 3), value, np.float32)
    with pytest.raises(InputError, match=message):
        compare(image, np.zeros_like(image))


def test_text():
    values = {"lpips": 0.214, "psnr": 18.0, "psnr_256": 19.31, "identity": 0.4}
    assert metrics_text(values) == "LPIPS 0.21, PSNR 19.3 dB, identity 0.40"
    del values["identity"]
    assert metrics_text(values) == "LPIPS 0.21, PSNR 19.3 dB"
