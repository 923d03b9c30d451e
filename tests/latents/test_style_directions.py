import pickle

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.latents.style_directions import load_style_direction
from tests.inversion.small_generator import small_generator


@pytest.fixture(scope="module")
def small():
    return small_generator()


def write(path, content):
    if isinstance(content, list):
        path.write_bytes(pickle.dumps(content))
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    return path


def moves(small):
    return [
        np.full((1, channels), number, np.float32)
        for number, channels in enumerate(small.style_channels.values())
    ]


@pytest.mark.parametrize("form", ["list", "flat", "dict"])
def test_lists_flat_arrays_and_dicts(small, tmp_path, form):
    arrays = moves(small)
    content = {
        "list": arrays,
        "flat": np.concatenate(arrays, axis=1),
        "dict": dict(zip(small.style_channels, arrays, strict=True)),
    }[form]
    name = {"list": "s.pkl", "flat": "s.npy", "dict": "s.npz"}[form]
    found = load_style_direction(write(tmp_path / name, content), small)
    assert list(found) == list(small.style_channels)
    for array, expected in zip(found.values(), arrays, strict=True):
        np.testing.assert_array_equal(array, expected[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda arrays: arrays[:-1], "expected arrays of .* layers of StyleSpace"),
        (lambda arrays: [*arrays[:-1], np.ones(3)], r"expected numbers of shape \[\d+\], found \[3\]"),
        (lambda arrays: [*arrays[:-1], arrays[-1] * np.nan], "expected finite numbers"),
        (lambda arrays: np.ones(9088), "expected .* channels of StyleSpace, .* found shape"),
        (lambda arrays: {"b4096.conv0": arrays[0]}, "found 'b4096.conv0'"),
    ],
)
def test_directions_of_another_generator(small, tmp_path, make, message):
    content = make(moves(small))
    name = "s.npz" if isinstance(content, dict) else "s.pkl" if isinstance(content, list) else "s.npy"
    with pytest.raises(InputError, match=message):
        load_style_direction(write(tmp_path / name, content), small)
