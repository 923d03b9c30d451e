import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.latents.latent_files import load_latent_file, save_latent_file
from tests.inversion.small_generator import small_generator

QUAD = np.asarray([[0, 0], [0, 9], [9, 9], [9, 0]], np.float64)


@pytest.fixture(scope="module")
def small():
    return small_generator()  # num_ws 10, w_dim 16


@pytest.mark.parametrize("shape", [(16,), (1, 16), (10, 16), (1, 10, 16)])
def test_npy_of_w_and_w_plus(small, tmp_path, shape):
    np.save(tmp_path / "w.npy", np.ones(shape))
    latent = load_latent_file(tmp_path / "w.npy")
    w = latent.of(small)
    assert w.shape == ((1, 16) if np.prod(shape) == 16 else (1, 10, 16))
    assert w.dtype == jnp.float32
    assert (latent.generator, latent.noise, latent.delta, latent.about) == (None, None, None, {})


def test_what_is_saved_is_loaded_from_file_and_folder(small, tmp_path):
    w_plus = np.random.RandomState(0).randn(10, 16).astype(np.float32)
    noise = {name: np.asarray(image) + 1 for name, image in small.const_noise().items()}
    about = {"generator": "cats", "projection": {"seed": 3}}
    path = save_latent_file(tmp_path / "latent.npz", w_plus, about=about, quad=QUAD, noise=noise)
    for where in (path, tmp_path):
        latent = load_latent_file(where)
        np.testing.assert_array_equal(latent.of(small)[0], w_plus)
        assert latent.about == about
        assert latent.generator == "cats"
        assert latent.delta is None
        found = latent.noise_of(small)
        for name, image in noise.items():
            np.testing.assert_array_equal(found[name][0], image)
        small.synthesis(latent.of(small), noise=found)  # they fit
    (tmp_path / "delta.npz").touch()
    assert load_latent_file(tmp_path).delta == tmp_path / "delta.npz"
    with np.load(path) as file:
        np.testing.assert_array_equal(file["quad"], QUAD)
        assert json.loads(str(file["metadata"])) == {"kind": "latent", **about}


def test_metadata_of_an_earlier_version(tmp_path):
    np.savez(tmp_path / "latent.npz", w_plus=np.ones((10, 16)), about=np.asarray('{"generator": "cats"}'))
    latent = load_latent_file(tmp_path)
    assert (latent.generator, latent.about) == ("cats", {"generator": "cats"})


def test_archive_of_the_official_projector(small, tmp_path):
    np.savez(tmp_path / "projected_w.npz", w=np.ones((1, 10, 16), np.float32))
    assert load_latent_file(tmp_path / "projected_w.npz").of(small).shape == (1, 10, 16)


def test_noise_of_another_generator(small, tmp_path):
    noise = {"b4.conv1": np.zeros((4, 4), np.float32)}
    path = save_latent_file(
        tmp_path / "l.npz", np.ones((10, 16), np.float32), about={}, quad=QUAD, noise=noise
    )
    with pytest.raises(InputError, match="noise images of this generator"):
        load_latent_file(path).noise_of(small)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.full(16, np.nan), "finite numbers"),
        (np.full(16, 1e300), "finite numbers"),  # beyond float32
        (np.asarray("text"), "expected arrays of numbers, found none"),
        (np.asarray(None, object), "expected a latent .* found none"),
        (np.ones((2, 10, 16)), "expected one latent, found 2"),
        (np.ones((0, 16)), "expected numbers"),
        (np.asarray(1.0), "expected numbers"),
        (b"not a latent", "expected a latent"),
        (b"", "expected a latent"),
        (b"PK\x03\x04 no archive", "expected a latent"),
        (None, "found nothing"),
    ],
)
def test_files_that_hold_no_latent(tmp_path, content, message):
    path = tmp_path / "w.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(InputError, match=message) as error:
        load_latent_file(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones(16)}, "without w_plus or w"),
        ({"w_plus": np.ones((10, 16)), "about": np.asarray("{")}, "damaged"),
        ({"w_plus": np.ones((10, 16)), "about": np.asarray("[]")}, "damaged"),
        ({"w_plus": np.ones((10, 16)), "noise.b4": np.ones((4, 4)) * np.inf}, "b4: expected finite"),
        ({"w_plus": np.ones((10, 16)), "noise.b4": np.ones(4)}, "b4: expected numbers"),
    ],
)
def test_archives_that_hold_no_latent(tmp_path, arrays, message):
    np.savez(tmp_path / "latent.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_latent_file(tmp_path)


def test_an_archive_cut_short(tmp_path):
    path = save_latent_file(tmp_path / "l.npz", np.ones((10, 16), np.float32), about={}, quad=QUAD)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load_latent_file(path)


@pytest.mark.parametrize("shape", [(15,), (9, 16), (2, 16)])
def test_latents_of_another_generator(small, tmp_path, shape):
    np.save(tmp_path / "w.npy", np.arange(np.prod(shape)).reshape(shape))
    with pytest.raises(InputError, match=r"w.npy: expected numbers of shape \[16\] or \[10, 16\], found"):
        load_latent_file(tmp_path / "w.npy").of(small)


def test_a_folder_without_a_latent(tmp_path):
    with pytest.raises(InputError, match=r"latent.npz: expected a latent .*, found nothing"):
        load_latent_file(tmp_path)
