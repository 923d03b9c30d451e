import io
import sys

import h5py
import numpy as np
import pytest

from tests.conversion.foreign_h5 import flaxmodels_arrays, write_h5
from tests.conversion.official_fixtures import assert_same, converted_fixture, fixture_params
from weights_conversion.errors import ConversionError
from weights_conversion.models.stylegan2.flaxmodels import convert_flaxmodels


@pytest.fixture(scope="module")
def arrays():
    return flaxmodels_arrays(fixture_params("stylegan2_ada_64")[0])


@pytest.fixture
def read(tmp_path):
    """Reads a file with this content."""

    def read(content):
        path = tmp_path / "generator.h5"
        path.write_bytes(content)
        return convert_flaxmodels(path)

    return read


@pytest.mark.parametrize("name", ["stylegan2_ada_64", "stylegan2_ada_cond_32"])
def test_gives_what_the_official_reader_gives(read, name):
    config, params = read(write_h5(flaxmodels_arrays(fixture_params(name)[0])))
    expected_config, expected = converted_fixture(name)
    assert config == expected_config
    assert_same(params, expected)


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("earliest", {"compression": "gzip", "chunks": True}),
        ("earliest", {"dtype": np.dtype(">f4")}),
        ("latest", {"dtype": np.float64}),
    ],
)
def test_reads_every_way_of_storing_numbers(read, arrays, version, options):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=version) as file:
        for path, array in arrays.items():
            file.create_dataset(path, data=array, **(options if array.ndim else {}))
    assert_same(read(buffer.getvalue())[1], converted_fixture("stylegan2_ada_64")[1])


def test_half_precision_becomes_float32(read, arrays):
    _, params = read(write_h5({path: array.astype(np.float16) for path, array in arrays.items()}))
    expected = arrays["synthesis_network/const"].astype(np.float16)[0].astype(np.float32)
    np.testing.assert_array_equal(params["constant"], expected)
    assert params["constant"].dtype == np.float32


def test_a_noise_strength_may_be_a_list_of_one(read, arrays):
    changed = {p: a.reshape(1) if p.endswith("strength") else a for p, a in arrays.items()}
    assert_same(read(write_h5(changed))[1], converted_fixture("stylegan2_ada_64")[1])


BLOCK = "synthesis_network/block_16x16"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("mapping_network/w_avg", None, "expected an array 'dlatent_avg' of 1 dimensions, found none"),
        ("mapping_network/fc3/bias", None, "expected an array named 'mapping/Dense3/bias'"),
        (f"{BLOCK}/layer0/conv/weight", None, "expected an array named 'synthesis/16x16/Conv0_up/weight'"),
        (f"{BLOCK}/layer1/noise_strength", None, "Conv1/noise_strength"),
        (f"{BLOCK}/layer1/conv/weight", None, r"expected blocks 8x8, 16x16, … of a StyleGAN2"),
        (
            f"{BLOCK}/layer1/conv/bias",
            np.ones(63, np.float32),
            r"Conv1/bias': expected shape \(64,\) .*found \(63,\)",
        ),
        (f"{BLOCK}/torgb/conv/weight", np.ones((1, 1, 64, 4), np.float32), r"ToRGB/weight': expected shape"),
        (
            f"{BLOCK}/torgb/conv/bias",
            np.array([0, np.nan, 0], np.float32),
            r"blocks\.2\.to_rgb\.bias.*finite",
        ),
        (
            f"{BLOCK}/torgb/conv/bias",
            np.arange(3),
            "torgb/conv/bias: expected an array of floating-point numbers",
        ),
        (
            f"{BLOCK}/torgb/conv/bias",
            np.array([b"a", b"b", b"c"]),
            "expected an array of floating-point numbers",
        ),
        (
            "synthesis_network/const",
            np.ones((4, 4, 64), np.float32),
            r"'synthesis/4x4/Const/const' of 4 dimensions, found one of shape \(4, 4, 64\)",
        ),
        (
            "synthesis_network/const",
            np.ones((0, 4, 4, 64), np.float32),
            "'synthesis/4x4/Const/const' of 4 dimensions",
        ),
    ],
)
def test_what_does_not_fit_is_named(read, arrays, path, value, message):
    changed = {p: a for p, a in arrays.items() if p != path} | ({path: value} if value is not None else {})
    with pytest.raises(ConversionError, match=message):
        read(write_h5(changed))


def test_other_hdf5_files(read):
    with pytest.raises(ConversionError, match=r"expected a group mapping_network .*found \['dense'\]"):
        read(write_h5({"dense/kernel": np.ones(3)}))
    discriminator = {"mapping_network/w_avg": np.ones(3, np.float32), "discriminator/x": np.ones(3)}
    with pytest.raises(ConversionError, match="expected a group synthesis_network"):
        read(write_h5(discriminator))


def test_groups_that_are_arrays_and_links_in_circles(read, arrays):
    changed = {p: a for p, a in arrays.items() if not p.startswith(f"{BLOCK}/torgb")}
    with pytest.raises(ConversionError, match=r"generator\.h5: "):
        read(write_h5(changed | {f"{BLOCK}/torgb": np.ones(3)}))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["mapping_network"] = h5py.SoftLink("/mapping_network")
        file["synthesis_network"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ConversionError, match=r"generator\.h5: "):
        read(buffer.getvalue())


def test_sizes_that_the_file_cannot_hold(read, arrays):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in arrays.items():
            if path != "synthesis_network/const":
                file.create_dataset(path, data=array)
        # a terabyte, of which nothing is stored
        file.create_dataset(
            "synthesis_network/const", (1, 2**19, 2**19, 1), np.float32, chunks=(1, 64, 64, 1)
        )
    with pytest.raises(
        ConversionError, match="const: the file is too small for arrays of the sizes that it declares"
    ):
        read(buffer.getvalue())


@pytest.mark.parametrize("keep", [0, 5, 100, 5_000, -100])
def test_truncated(read, arrays, keep):
    with pytest.raises(ConversionError, match=r"generator\.h5: "):
        read(write_h5(arrays)[:keep])


def test_no_file_and_no_library(tmp_path, monkeypatch):
    with pytest.raises(ConversionError, match=r"absent\.h5: could not read it"):
        convert_flaxmodels(tmp_path / "absent.h5")
    monkeypatch.setitem(sys.modules, "pyfive", None)
    with pytest.raises(ConversionError, match=r"pip install 'jaxedit\[h5\]'"):
        convert_flaxmodels(b"anything")
