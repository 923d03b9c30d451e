import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.conversion.foreign_torch import Parameter, View, write_archive, write_pickle, write_stream
from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import load
from weights_conversion.formats.torch_file import TORCH_CONSTRUCTORS, is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import Allowance

RANDOM = np.random.default_rng(0)
FLOATS = np.arange(12, dtype=np.float32)
WRITERS = {"archive": write_archive, "stream": write_stream, "pickle": write_pickle}


def read(data):
    if is_torch_file(data):
        return load_torch(data, name="f.pt")
    return load(data, constructors=TORCH_CONSTRUCTORS, name="f.pt")


def array(data):
    return read(data)["a"].array(where="f.pt: a")


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_]
)
def test_types(writer, dtype):
    stored = (RANDOM.standard_normal((2, 3, 4)) * 50).astype(dtype)
    found = array(writer({"a": Parameter(stored)}))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, stored)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_views(writer):
    cases = [
        (View(FLOATS, 0, (3, 4), (4, 1)), FLOATS.reshape(3, 4)),
        (View(FLOATS, 0, (4, 3), (1, 4)), FLOATS.reshape(3, 4).T),
        (View(FLOATS, 2, (2, 2), (4, 2)), FLOATS[[[2, 4], [6, 8]]]),
        (View(FLOATS, 11, (), ()), FLOATS[11]),
        (View(FLOATS, 3, (5, 2), (0, 1)), np.tile(FLOATS[3:5], (5, 1))),
        (View(FLOATS, 50, (0, 3), (3, 1)), np.zeros((0, 3))),
        (np.asfortranarray(FLOATS.reshape(3, 4)), FLOATS.reshape(3, 4)),
    ]
    tensors = read(writer([view for view, _ in cases]))
    for tensor, (_, expected) in zip(tensors, cases, strict=True):
        found = tensor.array(where="a")
        np.testing.assert_array_equal(found, expected)
        assert found.flags.c_contiguous
        assert found.flags.owndata or found.base.flags.owndata


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_bfloat16_becomes_float32(writer):
    values = np.array([0, 1, -2.5, np.inf], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    found = array(writer({"a": View(upper, 0, (2, 2), (2, 1), "BFloat16")}))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.reshape(2, 2))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(protocol):
    for writer in (write_archive, write_stream):
        np.testing.assert_array_equal(array(writer({"a": FLOATS}, protocol=protocol)), FLOATS)


@pytest.mark.parametrize("order", ["little", "big", None])
def test_byte_orders(order):
    found = array(write_archive({"a": FLOATS}, order=order))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, FLOATS)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(FLOATS, 0, (13,), (1,)), "expected a storage of 13 elements or more, found one of 12"),
        (View(FLOATS, 1, (3, 4), (4, 1)), "expected a storage of 13 elements or more"),
        (View(FLOATS, 2**62, (1,), (1,)), "expected a storage of"),
        (View(FLOATS, 0, (2,), (2**62,)), "expected a storage of"),
        (View(FLOATS, -1, (1,), (1,)), "expected the offset of a tensor in whole numbers from 0, found -1"),
        (View(FLOATS, 0, (-1,), (1,)), "expected the size of a tensor in whole numbers from 0, found -1"),
        (View(FLOATS, 0, (2,), (-1,)), "expected the stride of a tensor in whole numbers from 0, found -1"),
        (View(FLOATS, 0, (2**63,), (0,)), "expected the size of a tensor in whole numbers"),
        (View(FLOATS, 0, (2.0,), (1,)), r"expected the size of a tensor in whole numbers from 0, found 2\.0"),
        (View(FLOATS, 0, (True,), (1,)), "expected the size of a tensor in whole numbers"),
        (View(FLOATS, 0, "12", (1,)), "expected the size of a tensor of at most 8 dimensions, found '12'"),
        (View(FLOATS, 0, (1,) * 9, (1,) * 9), "expected the size of a tensor of at most 8"),
        (View(FLOATS, 0, (3, 4), (1,)), "expected as many strides as sizes, found 1 and 2"),
        (View(FLOATS, 0, (2**20 + 1,), (0,)), "expected a tensor within its storage of 12 elements"),
        (View(FLOATS, 0, (2**40, 2**40), (0, 0)), "expected a tensor within its storage of 12 elements"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(writer, view, message):
    tracemalloc.start()
    with pytest.raises(ConversionError, match=f"f.pt: a: {message}"):
        array(writer({"a": view}))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("numel", [11, 13, 2**40, 2**62])
def test_storages_of_another_size_than_they_say(numel):
    view = View(FLOATS, 0, (3,), (1,), numel=numel)
    with pytest.raises(ConversionError, match=r"f\.pt: .*expected a storage of \d+ bytes, found 48"):
        array(write_archive({"a": view}))
    for writer in (write_stream, write_pickle):
        with pytest.raises(
            ConversionError, match=r"f\.pt: .*expected a storage of \d+ elements, it is damaged"
        ):
            array(writer({"a": view}))
    for wrong in (-1, "3", 2**63):
        with pytest.raises(ConversionError, match="expected a storage with its type, key and size"):
            array(write_archive({"a": view._replace(numel=wrong)}))


def test_a_storage_shared_too_often_is_refused():
    data = write_archive({str(i): View(FLOATS, 0, (2**18,), (0,)) for i in range(20)})
    allowance = Allowance(len(data), name="f.pt")
    with pytest.raises(ConversionError, match=r"f\.pt: \d+: the file is too small for all the tensors"):
        for name, tensor in read(data).items():
            allowance.array(tensor, name)
    large = np.zeros(2**18, np.float32)
    for data in (
        write_archive({"a": View(large, 0, (1,), (1,))}),
        write_pickle({"a": View(large, 0, (1,), (1,))}),
    ):
        tensor, allowance = read(data)["a"], Allowance(len(data), name="f.pt")
        assert [allowance.array(tensor, "a").item() for _ in range(2)] == [0, 0]
        with pytest.raises(ConversionError, match=r"f\.pt: a: the file is too small"):
            for _ in range(2):
                allowance.array(tensor, "a")
    with pytest.raises(ConversionError, match=r"f\.pt: x: expected a parameter, found none"):
        allowance.array(None, "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": zipfile.ZIP_DEFLATED}, "expected byteorder as plain bytes, found it compressed"),
        ({"order": "middle"}, "expected byte order little or big, found b'middle'"),
        ({"change": {"data.pkl": None}}, "expected a file of PyTorch with one data.pkl, found 0"),
        ({"change": {"other/data.pkl": b""}}, "expected a file of PyTorch with one data.pkl, found 2"),
        ({"change": {"constants.pkl": b""}}, "a program of TorchScript"),
        ({"change": {"data/0": None}}, "expected a member data/0, found none"),
        ({"change": {"data/0": b"123"}}, "expected a storage of 48 bytes, found 3"),
        (
            {"change": {"data.pkl": b"cposix\nsystem\n(Vexit\ntR."}},
            r"refused: the pickle asks for posix\.system",
        ),
        ({"change": {"data.pkl": b"NQ."}}, "expected a reference to a storage, found None"),
        ({"change": {"data.pkl": b"(X\x06\x00\x00\x00modulettQ."}}, "damaged"),
        ({"change": {"data.pkl": b""}}, "damaged"),
    ],
)
def test_damaged_archives(options, message):
    with pytest.raises(ConversionError, match=rf"f\.pt: .*{message}"):
        array(write_archive({"a": FLOATS}, **options))


def test_an_archive_whose_bytes_have_changed():
    data = write_archive({"a": FLOATS})
    position = data.index(FLOATS.tobytes())
    with pytest.raises(ConversionError, match=r"f\.pt: a: .*data/0 is damaged"):
        array(data[:position] + b"\xff" + data[position + 1 :])


@pytest.mark.parametrize("writer", [write_archive, write_stream])
def test_truncated(writer):
    data = writer({"a": FLOATS, "b": FLOATS + 1})
    for end in range(0, len(data), 3):
        with pytest.raises(ConversionError, match=r"f\.pt: "):
            load_torch(data[:end], name="f.pt")


def test_damaged_streams():
    good = write_stream({"a": FLOATS})
    other = pickle.dumps(5, 2)
    header = len(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    for data, message in (
        (pickle.dumps({"a": 1}), "found another pickle"),
        (good[:header] + other + good[header + 6 :], "found another pickle"),
        (write_stream({"a": FLOATS}, keys=["0", "1"]), "expected a list of the storages"),
        (write_stream({"a": FLOATS}, keys=[]), "expected a list of the storages"),
        (good.replace(struct.pack("<q", 12), struct.pack("<q", 13)), "expected a storage of 12 elements"),
        (good[:-1], r"expected 48 bytes of a storage, found 47 \(truncated\?\)"),
    ):
        with pytest.raises(ConversionError, match=message):
            load_torch(data, name="f.pt")


def test_a_storage_within_a_pickle_that_is_none():
    for content, message in (
        (b"", "damaged"),
        (pickle.dumps(1), "found another pickle"),
        (write_stream({"a": 1}), "expected a storage, found dict"),
        (b"N" * 2000 + b".", "at most 1000 operations"),
    ):
        tensor = read(write_pickle({"a": FLOATS}))["a"]
        nested = load(
            b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(content)) + content + b"\x85R.",
            constructors=TORCH_CONSTRUCTORS,
            name="f.pt",
        )
        with pytest.raises(ConversionError, match=rf"f\.pt: a: .*{message}"):
            tensor._replace(storage=nested).array(where="f.pt: a")
    with pytest.raises(ConversionError, match=r"f\.pt: a: expected a storage, found 1"):
        tensor._replace(storage=1).array(where="f.pt: a")


def test_which_bytes_are_files_of_pytorch():
    assert is_torch_file(write_archive({}))
    assert is_torch_file(write_stream({}))
    assert not is_torch_file(write_pickle({"a": FLOATS}))
    assert not is_torch_file(b"")
