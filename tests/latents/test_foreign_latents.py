"""Latents in the structures in which other libraries write them."""

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.latents.latent_files import load_latent_file
from tests.conversion.foreign_torch import write_archive, write_stream
from tests.inversion.small_generator import small_generator

BATCH = (
    np.random.RandomState(0).randn(5, 10, 16).astype(np.float32)
)  # of a generator with num_ws 10, w_dim 16


@pytest.fixture(scope="module")
def small():
    return small_generator()


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("content", "index", "expected"),
    [
        (write_archive(BATCH), 3, BATCH[3]),  # latents.pt of encoder4editing
        (write_archive(BATCH), "3", BATCH[3]),
        (write_stream(BATCH[:1]), None, BATCH[0]),  # a pivot of PTI
        (write_stream(BATCH[:1]), 0, BATCH[0]),
        (BATCH, 4, BATCH[4]),  # w_plus.npy of StyleCLIP
        (BATCH[:, 0], 2, BATCH[2, 0]),  # a batch of W
        (BATCH[0, 0], 0, BATCH[0, 0]),
        (BATCH[:, :1], 2, BATCH[2, 0]),
        ({"a.jpg": [BATCH[0], BATCH[1]], "b.jpg": [BATCH[2]]}, "a.jpg/1", BATCH[1]),  # latents.npy of ReStyle
        ({"a.jpg": [BATCH[0], BATCH[1]], "b.jpg": [BATCH[2]]}, 2, BATCH[2]),
        ({"a.jpg": BATCH[0]}, None, BATCH[0]),
        ({"a.jpg": BATCH[0], "b.jpg": BATCH[1:2]}, "b.jpg", BATCH[1]),
        ({"w": BATCH[0], "other": BATCH}, None, BATCH[0]),
        ({"dlatents": BATCH}, 1, BATCH[1]),
        (write_archive([BATCH[0], BATCH[1]]), 1, BATCH[1]),
        (write_archive({"a.png": {"img": BATCH, "latent": BATCH[0, 0]}}), None, BATCH[0, 0]),
    ],
)
def test_latents_of_others(small, tmp_path, content, index, expected):
    latent = load_latent_file(write(tmp_path / "latents.npy", content), index)
    np.testing.assert_array_equal(latent.of(small)[0], expected)
    assert latent.noise is None


@pytest.mark.parametrize("key", ["w", "dlatents", "latents", "W", "w_plus"])
def test_archives_by_their_keys(small, tmp_path, key):
    np.savez(tmp_path / "w.npz", **{key: BATCH[1:2], "x": np.ones(3)})
    np.testing.assert_array_equal(load_latent_file(tmp_path / "w.npz").of(small)[0], BATCH[1])


def test_an_archive_with_a_dict(small, tmp_path):
    np.savez(tmp_path / "w.npz", w={"a": BATCH[0], "b": BATCH[1]})
    np.testing.assert_array_equal(load_latent_file(tmp_path / "w.npz", "b").of(small)[0], BATCH[1])


def test_noise_images_beside_a_latent(small, tmp_path):
    own = small.const_noise()
    noise = [np.asarray(image)[None, None] + 1 for image in own.values()]  # as stylegan2-pytorch's projector
    content = write_archive({"a.png": {"latent": BATCH[0], "noise": noise}})
    found = load_latent_file(write(tmp_path / "a.pt", content)).noise_of(small)
    assert list(found) == list(own)
    for name, image in own.items():
        np.testing.assert_array_equal(found[name][0], np.asarray(image) + 1)


def test_w_repeated_for_the_layers_of_another_generator(small, tmp_path):
    path = write(tmp_path / "w.npy", np.repeat(BATCH[:1, :1], 18, axis=1))
    np.testing.assert_array_equal(load_latent_file(path).of(small), BATCH[:1, 0])


@pytest.mark.parametrize(
    ("content", "index", "message"),
    [
        (BATCH, None, r"expected one latent, found 5: choose one by its index \(--index\), 0…4"),
        (BATCH, 5, "index: expected 0…4, the latents of this file, got 5"),
        (BATCH, -1, "index: expected 0…4"),
        (BATCH, "a.jpg", "index: expected 0…4"),
        ({"a": BATCH[0], "b": BATCH[1]}, None, r"found 2: choose one by its number, 0…1, or name .*: a, b"),
        ({"a": BATCH[0], "b": BATCH[1]}, "c", "expected a number, 0…1, or name .*: a, b, got 'c'"),
        ({"a": BATCH[0], "b": BATCH}, "b", "b: expected one latent, found 5"),
        ({str(i): BATCH[0] for i in range(99)}, None, "found 99: .*0, 1, 2, 3, 4, 5, …"),
        (BATCH[None], None, "expected numbers of shape"),
        ({"w": BATCH[0] * np.nan}, None, "expected finite numbers"),
        (write_archive(BATCH)[:-50], 0, "expected a latent .* could not read it"),
        (b"<!DOCTYPE html>", None, "expected a latent .* a web page"),
        (b"version https://git-lfs.github.com/spec/v1", None, "expected a latent .* a Git LFS pointer"),
    ],
)
def test_what_is_no_one_latent(tmp_path, content, index, message):
    path = write(tmp_path / "latents.npy", content)
    with pytest.raises(InputError, match=message) as error:
        load_latent_file(path, index)
    assert "allow_pickle" not in str(error.value)
    assert str(error.value).count(str(path)) == 1


def test_a_batch_of_w_without_an_index_says_how_to_choose(small, tmp_path):
    path = write(tmp_path / "w.npy", BATCH[:, 0])
    with pytest.raises(InputError, match=r"found \[5, 16\] \(W\+ .* of which --index chooses one\)"):
        load_latent_file(path).of(small)
