import io
import pickle
import zipfile

import numpy as np
import pytest

from tests.conversion.foreign_torch import View, write_archive, write_pickle, write_stream
from weights_conversion.errors import ConversionError
from weights_conversion.formats.array_files import read_array_file

W = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


def npy(value, **options):
    buffer = io.BytesIO()
    np.save(buffer, value, **options)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        *(npy(W), npy(np.asfortranarray(W)), npy(W.astype(">f8")), npy(W.astype(np.int16))),
        *(write_archive(W), write_stream(W), write_pickle(W), pickle.dumps(W, 2), pickle.dumps(W, 5)),
    ],
)
def test_one_array(data):
    found = read_array_file(data)
    np.testing.assert_array_equal(found, W)


@pytest.mark.parametrize("write", [write_archive, write_stream, write_pickle, npy, pickle.dumps])
def test_dicts_and_lists(write):
    found = read_array_file(write({"a.jpg": [W, W + 1], 2: {"w": W[0], "name": "text"}, "none": None}))
    assert list(found) == ["a.jpg", "2"]
    np.testing.assert_array_equal(found["a.jpg"][1], W + 1)
    assert list(found["2"]) == ["w"]
    np.testing.assert_array_equal(found["2"]["w"], W[0])


def test_archives_with_arrays_and_dicts():
    found = read_array_file(npz(w=W, latents={"a": W}, text="text"))
    np.testing.assert_array_equal(found["w"], W)
    np.testing.assert_array_equal(found["latents"]["a"], W)
    assert set(found) == {"w", "latents"}


def test_views_of_one_storage():
    flat = np.arange(4000, dtype=np.float32)
    views = [View(flat, 40 * i, (1, 10, 4), (40, 4, 1)) for i in range(100)]
    found = read_array_file(write_archive(views))
    np.testing.assert_array_equal(np.concatenate(found).ravel(), flat)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def _recursive():
    items = [W]
    items.append(items)
    return pickle.dumps(items)


def _laughs():
    items = [W]
    for _ in range(7):
        items = [items] * 50
    return pickle.dumps(items)


def _bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(10**8))
    return buffer.getvalue()


WHOLE = npy(W)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"text", "another format"),
        (npy("text"), "expected arrays of numbers, found none"),
        (npy({"a": "text"}), "expected arrays of numbers, found none"),
        (pickle.dumps(Evil()), "asks for builtins.print"),
        (npy({"a": Evil()}), "asks for builtins.print"),
        (write_archive([Evil()]), "asks for builtins.print"),
        (_recursive(), "found too many"),
        (_laughs(), "found too many"),
        (_bomb(), "in proportion"),
        (WHOLE[:-1], "expected 48 bytes"),
        (WHOLE[:20], "header is damaged"),
        (WHOLE[:8], "damaged"),
        (WHOLE.replace(b"(1, 3, 4)", b"(9, 3, 4)"), "expected 432 bytes"),
        (WHOLE.replace(b"(1, 3, 4)", b"(1.,3, 4)"), "whole numbers"),
        (npz(w=W)[:-30], "damaged"),
        (write_archive([View(np.zeros(1, np.float32), 0, (1, 2**19), (0, 0))] * 200), "too small"),
    ],
)
def test_files_without_arrays(data, message, capfd):
    with pytest.raises(ConversionError, match=message):
        read_array_file(data)
    assert "executed" not in capfd.readouterr().out


def test_a_file_is_named(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"text")
    with pytest.raises(ConversionError, match=r"w\.pt: expected arrays"):
        read_array_file(tmp_path / "w.pt")
