import io
import json
import tarfile

import jax
import numpy as np
import pytest

from jaxedit.storage.download import FACE_API, fetch
from weights_conversion.errors import ConversionError
from weights_conversion.models.face_api import TABLES, convert_face_api


@pytest.fixture(scope="module")
def tarball():
    return fetch(FACE_API)


@pytest.fixture(scope="module")
def converted(tarball):
    return convert_face_api(tarball)


def repack(tarball, target, change):
    """A copy of the tarball's models with `change(name, data) → data or None` applied to each member."""
    with tarfile.open(tarball) as old, tarfile.open(target, "w:gz", compresslevel=1) as new:
        for member in old:
            if member.isfile() and ("model/" in member.name or member.name == "package/package.json"):
                data = change(member.name, old.extractfile(member).read())
                if data is not None:
                    info = tarfile.TarInfo(member.name)
                    info.size = len(data)
                    new.addfile(info, io.BytesIO(data))
    return target


def test_config_names_the_outputs(converted):
    config, _ = converted
    assert config["version"] == "1.7.15"
    assert config["expressions"][1] == "happy"
    assert config["genders"] == ["male", "female"]
    json.dumps(config)


def test_arrays_are_float32_and_finite(converted):
    _, arrays = converted
    leaves = jax.tree.leaves(arrays)
    assert arrays.keys() == TABLES.keys()
    assert len(leaves) == sum(len(rows) for _, rows in TABLES.values())
    assert all(leaf.dtype == np.float32 and np.isfinite(leaf).all() for leaf in leaves)


def test_dequantizes_as_the_manifest_says(tarball, converted):
    with tarfile.open(tarball) as archive:
        manifest = json.load(archive.extractfile("package/model/age_gender_model-weights_manifest.json"))
        data = archive.extractfile("package/model/age_gender_model.bin").read()
    first, second = manifest[0]["weights"][:2]
    quantized = np.frombuffer(data, np.uint8, 864).reshape(3, 3, 3, 32)
    scale, minimum = first["quantization"]["scale"], first["quantization"]["min"]
    np.testing.assert_allclose(
        converted[1]["age_gender"]["conv_in"]["filters"], quantized * scale + minimum, atol=1e-7
    )
    assert "quantization" not in second
    bias = np.frombuffer(data, np.float32, 32, 864)
    np.testing.assert_array_equal(converted[1]["age_gender"]["conv_in"]["bias"], bias)


def test_truncated_tarball(tarball, tmp_path):
    short = tmp_path / "short.tgz"
    short.write_bytes(tarball.read_bytes()[:5_000_000])
    with pytest.raises(ConversionError, match=r"short\.tgz"):
        convert_face_api(short)


@pytest.mark.parametrize("content", [b"", b"not a tarball"])
def test_not_a_tarball(tmp_path, content):
    path = tmp_path / "other.tgz"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=r"other\.tgz"):
        convert_face_api(path)


def test_missing_file(tmp_path):
    with pytest.raises(ConversionError, match="absent"):
        convert_face_api(tmp_path / "absent.tgz")


def test_missing_member_is_named(tarball, tmp_path):
    path = repack(
        tarball, tmp_path / "x.tgz", lambda name, data: None if name.endswith("68_model.bin") else data
    )
    with pytest.raises(ConversionError, match=r"face_landmark_68_model\.bin"):
        convert_face_api(path)


def test_short_weights_are_counted(tarball, tmp_path):
    path = repack(
        tarball,
        tmp_path / "x.tgz",
        lambda name, data: data[:-1] if name.endswith("gender_model.bin") else data,
    )
    with pytest.raises(ConversionError, match=r"age_gender_model: expected 429708 bytes.*429707"):
        convert_face_api(path)


@pytest.mark.parametrize("manifest", [b"{", b"7", b"{}", b'[{"paths": ["a.bin"]', b'[{"weights": []}]'])
def test_damaged_manifests_name_the_tarball(tarball, tmp_path, manifest):
    def damage(name, data):
        return manifest if name.endswith("gender_model-weights_manifest.json") else data

    path = repack(tarball, tmp_path / "x.tgz", damage)
    with pytest.raises(ConversionError, match=r"x\.tgz|age_gender_model"):
        convert_face_api(path)


def test_unknown_tensor_is_named(tarball, tmp_path):
    def rename(name, data):
        return data.replace(b'"fc/age/bias"', b'"fc/new/bias"') if name.endswith("manifest.json") else data

    path = repack(tarball, tmp_path / "x.tgz", rename)
    with pytest.raises(ConversionError, match=r"fc/new/bias"):
        convert_face_api(path)
