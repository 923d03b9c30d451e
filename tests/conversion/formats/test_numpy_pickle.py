import numpy as np
import pytest

from weights_conversion.errors import ConversionError
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS, StoredArray, StoredType


def stored_type(code, order):
    dtype = StoredType(code, False, True)
    dtype.setstate((3, order, None, None, None, -1, -1, 0))
    return dtype


def stored(*state):
    array = StoredArray()
    array.setstate(state)
    return array


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("fortran", [False, True])
def test_arrays_of_both_orders(order, fortran):
    array = np.arange(6, dtype=np.dtype("f4").newbyteorder(order)).reshape(2, 3)
    data = array.tobytes("F" if fortran else "C")
    read = stored(1, (2, 3), stored_type("f4", order), fortran, data).array()
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_scalars_and_buffers():
    scalar = NUMPY_CONSTRUCTORS["numpy.core.multiarray.scalar"](
        stored_type("f8", "<"), np.float64(1.5).tobytes()
    )
    assert scalar.array() == 1.5
    buffer = NUMPY_CONSTRUCTORS["numpy._core.numeric._frombuffer"]
    read = buffer(bytearray(range(6)), stored_type("u1", "|"), (3, 2), "F").array()
    np.testing.assert_array_equal(read, [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("code", ["O8", "V4", "S3", "M8", "f16", None, 4, "f4,f4", ("f4",)])
def test_types_that_are_no_numbers(code):
    with pytest.raises(ConversionError, match="expected an array of numbers, found one of"):
        StoredType(code)


@pytest.mark.parametrize("state", [None, (), (3,), (3, "x"), (3, None), {"a": 1}])
def test_damaged_types(state):
    with pytest.raises(ConversionError, match="byte order"):
        StoredType("f4").setstate(state)


FLOAT = stored_type("f4", "<")


@pytest.mark.parametrize(
    "state",
    [
        (1, (2,), FLOAT, False, b"1234567"),
        (1, (-1,), FLOAT, False, b"1234"),
        (1, (2**62, 2**62), FLOAT, False, b"1234"),
        (1, (True,), FLOAT, False, b"1234"),
        (1, (1.0,), FLOAT, False, b"1234"),
        (1, [1], FLOAT, False, b"1234"),
        (1, (1,), FLOAT, False, "1234"),
        (1, (1,), "f4", False, b"1234"),
        (1, (1,) * 65, FLOAT, False, b"1234"),
        (1, None, None, None, None),
    ],
)
def test_damaged_arrays(state):
    with pytest.raises(ConversionError, match="expected"):
        stored(*state).array()


def test_arrays_without_a_state():
    with pytest.raises(ConversionError, match="expected the state of an array"):
        stored(1)
    with pytest.raises(ConversionError, match="expected an array of numbers with its type"):
        StoredArray().array()


def test_bytes_as_text():
    encode = NUMPY_CONSTRUCTORS["_codecs.encode"]
    assert encode("\x00ÿ", "latin1") == b"\x00\xff"
    for arguments in [("Ā", "latin1"), ("a", "rot13"), (b"a", "latin1"), ()]:
        with pytest.raises(ConversionError, match="latin1"):
            encode(*arguments)
