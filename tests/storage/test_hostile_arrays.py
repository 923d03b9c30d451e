"""Array files that are damaged, hostile, or hold other things than they should."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.labels.labels_file import Labels, load_labels, save_labels
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.storage.arrays import read_arrays, write_arrays


def npy(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(path: Path, entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def encrypted(path: Path) -> None:
    archive(path, [("a.npy", npy("(1,)", data=b"1234"))])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def broken_deflate(path: Path) -> None:
    write_arrays(path, {"a": np.arange(5000.0)}, kind="toys", compressed=True)
    content = bytearray(path.read_bytes())
    content[200:230] = bytes(30)
    path.write_bytes(content)


def unpacks_to_gigabytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as entry:
        entry.write(npy("(300000000,)", "|u1"))
        for _ in range(300):
            entry.write(bytes(1_000_000))


def deep_header(path: Path) -> None:
    archive(path, [("a.npy", npy("(" * 9000 + "1" + ")" * 9000))])


def deep_metadata(path: Path) -> None:
    np.savez(path, metadata=np.asarray("[" * 100_000))


def twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(path, [("a.npy", npy("(1,)", data=b"1234")), ("a.npy", npy("(1,)", data=b"5678"))])


HOSTILE = {
    "encrypted": (encrypted, "encrypted"),
    "unknown compression": (
        lambda path: archive(path, [("a.npy", npy("(1,)", data=b"1234"))], zipfile.ZIP_BZIP2),
        "unknown method",
    ),
    "broken deflate": (broken_deflate, "could not read it"),
    "a header of 4 TiB": (
        lambda path: archive(path, [("a.npy", npy("(1099511627776,)", data=b"1234"))]),
        "expected 4398046511104 bytes for shape",
    ),
    "a negative size": (
        lambda path: archive(path, [("a.npy", npy("(-1, -1)", data=b"1234"))]),
        "for shape|could not read",
    ),
    "a deep header": (deep_header, "could not read it"),
    "deep metadata": (deep_metadata, "too deeply nested"),
    "gigabytes from little": (unpacks_to_gigabytes, "unpacks to 300 MB"),
    "objects": (
        lambda path: archive(path, [("a.npy", npy("(1,)", "|O", b"12345678"))]),
        "found the type object",
    ),
    "a name twice": (twice, "'a' twice"),
    "another file in it": (lambda path: archive(path, [("a.txt", b"hello")]), r"'a\.txt'"),
    "no array": (lambda path: archive(path, [("a.npy", b"hello")]), "expected an array"),
    "more than the header says": (
        lambda path: archive(path, [("a.npy", npy("(1,)", data=b"12345678"))]),
        "expected 4 bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(tmp_path, name):
    make, message = HOSTILE[name]
    make(tmp_path / "x.npz")
    tracemalloc.start()
    for read in (read_arrays, load_labels, load_latent_file):
        with pytest.raises(InputError, match=message if read is read_arrays else r"x\.npz") as error:
            read(tmp_path / "x.npz")
        assert len(str(error.value)) < 500
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_pipes_and_devices_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", Path("/dev/zero")):
        for read in (read_arrays, load_labels, load_latent_file):
            with pytest.raises(InputError, match="found a pipe, a socket or a device"):
                read(path)
    with pytest.raises(InputError, match="found a folder"):
        load_labels(tmp_path)


def labels(**changes: object) -> dict[str, object]:
    return {
        "format": np.int32(1),
        "generator": "toy",
        "seed": np.uint32(3),
        "values": np.ones((4, 2), np.float32),
        "attribute_names": ("a", "b"),
        "attribute_units": ("", ""),
        "z_fingerprint": np.ones(4, np.float32),
        "w_fingerprint": np.ones(4, np.float32),
    } | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.ones((4, 3), np.float32)}, r"names of shape \[2\]: num_attributes is 3 in values"),
        ({"w_fingerprint": np.ones(5)}, r"w_fingerprint of shape \[5\]: num_samples is 4 in values"),
        ({"values": np.ones(4, np.float32)}, r"values of shape \[4\], which must have 2 dimensions"),
        ({"values": np.full((4, 2), "x")}, "values of type <U1, which must be floats"),
        ({"values": np.full((4, 2), np.nan, np.float32)}, "NaN or infinity in values"),
        ({"z_fingerprint": np.full(4, np.nan)}, "NaN or infinity in z_fingerprint"),
        ({"attribute_names": ("a", "a")}, "a name of its own for each attribute"),
        ({"attribute_names": np.arange(2)}, "attribute_names of type int64, which must be texts"),
        ({"seed": np.asarray("x")}, "seed of type <U1"),
        ({"seed": np.int64(-1)}, "expected a seed"),
        ({"format": np.int32(9)}, "written in format 9"),
    ],
)
def test_labels_of_other_contents_are_refused(tmp_path, changes, message):
    write_arrays(tmp_path / "labels.npz", labels(**changes), kind="labels", compressed=True)
    with pytest.raises(InputError, match=rf"labels\.npz: .*{message}"):
        load_labels(tmp_path / "labels.npz")


def test_labels_round_trip(tmp_path):
    content = {name: value for name, value in labels().items() if name != "format"}
    kept = load_labels(save_labels(Labels(**content | {"seed": 3}), tmp_path / "x.npz"))
    assert kept.attribute_names == ("a", "b")
    assert kept.values.dtype == np.float32


def test_every_file_of_json_is_read_with_care(tmp_path):
    from jaxedit.storage.regular_files import read_json

    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "list.json").write_text("[1]")
    os.mkfifo(tmp_path / "pipe.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(100_000_000)
    for name, found in {
        "deep": "too deeply nested",
        "list": "no table",
        "pipe": "found a pipe",
        "large": "found 100 MB",
        "none": "found nothing",
    }.items():
        with pytest.raises(InputError, match=rf"{name}\.json: expected settings, .*{found}"):
            read_json(tmp_path / f"{name}.json", expected="settings")


def test_arrays_in_other_orders_and_versions_are_read(tmp_path):
    arrays = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "e": np.ones((0, 3)),
    }
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    for name, array in read_arrays(tmp_path / "x.npz").arrays.items():
        np.testing.assert_array_equal(array, arrays[name])
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.arange(4.0), version=(2, 0))
    archive(tmp_path / "y.npz", [("a.npy", buffer.getvalue())])
    np.testing.assert_array_equal(read_arrays(tmp_path / "y.npz").arrays["a"], np.arange(4.0))
    assert json.dumps(read_arrays(tmp_path / "y.npz").metadata) == "{}"
