import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict

import pytest

from weights_conversion.errors import ConversionError
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS
from weights_conversion.formats.safe_pickle import PLAIN_CONSTRUCTORS, Global, describe, load, load_at

PROTO = b"\x80\x04"


def read(data, **constructors):
    return load(data, constructors=PLAIN_CONSTRUCTORS | constructors, name="f.pkl")


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values(protocol):
    value = {
        "numbers": [1, -5, 300, 70_000, 2**40, -(2**90), 2.5, True, False, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "text": ["", "ä", "x" * 300],
        "dicts": [{}, {1: 2}, {("a", 1): {}}, OrderedDict(a=1)],
        3: "number",
    }
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_and_sets(protocol):
    value = {"bytes": [b"", b"ab", b"x" * 300], "set": {1, 2}, "frozen": frozenset([3])}
    found = read(pickle.dumps(value, protocol))
    assert found == {"bytes": value["bytes"], "set": [1, 2], "frozen": [3]}
    assert read(pickle.dumps(bytearray(b"ab"), 5)) == b"ab"


def test_an_object_appears_once():
    shared = [1]
    first, second = read(pickle.dumps([shared, shared]))
    assert first is second


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Calls(os.system, "exit 1"), "posix.system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(exec, "1"), "builtins.exec"),
        (Calls(getattr, 1, "real"), "builtins.getattr"),
        (Calls(os.kill, 1, 9), "posix.kill"),
        (Calls(OrderedDict, Calls(os.getpid)), "posix.getpid"),
        ([{"a": (Calls(print, 1),)}], "builtins.print"),
        (os.PathLike, "os.PathLike"),
        (os.path.join, "posixpath.join"),
    ],
)
def test_names_that_are_not_known_are_refused(call, name, protocol):
    with pytest.raises(ConversionError, match=rf"f\.pkl: refused: the pickle asks for {name}"):
        read(pickle.dumps(call, protocol))


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "made"
    for data in (
        pickle.dumps(Calls(os.mkdir, str(target))),
        f"cposix\nmkdir\n(V{target}\ntR.".encode(),
        f"(V{target}\niposix\nmkdir\n.".encode(),
        f"(cposix\nmkdir\nV{target}\no.".encode(),
    ):
        with pytest.raises(ConversionError, match=r"asks for posix\.mkdir"):
            read(data)
    assert not target.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x82\x01.", "EXT1 of pickles is not supported"),
        (b"\x83\x01\x00.", "EXT2 of pickles is not supported"),
        (b"\x84\x01\x00\x00\x00.", "EXT4 of pickles is not supported"),
        (b"\x97.", "NEXT_BUFFER of pickles is not supported"),
        (b"N\x98.", "READONLY_BUFFER of pickles is not supported"),
        (b"K\x01)R.", "the pickle calls 1"),
        (b"]}b.", "sets the state of list"),
        (b"ccollections\nOrderedDict\n}b.", r"sets the state of collections\.OrderedDict"),
        (b"ccollections\nOrderedDict\nK\x01R.", "in a tuple, found 1"),
        (b"ccollections\nOrderedDict\n(](](K\x01K\x02eetR.", "expected no arguments of collections"),
        (b"ccollections\nOrderedDict\n)}X\x01\x00\x00\x00aK\x01s\x92.", "keyword arguments"),
        (b"Pabc\n.", "refers to something outside"),
        (b"NQ.", "refers to something outside"),
        (b"NNNs.", "expected a dict to add to"),
        (b"}Na.", "expected a list to append to, found dict"),
        (b"}]Ns.", "short texts or numbers, found list"),
        (b"}(Nu.", "a key of a dict has no value"),
        (b"K\x01K\x02\x93.", "names something by what is not text"),
        (b"0.", "goes back to a mark"),
        (b".", "empty stack"),
        (b"t.", "goes back to a mark"),
        (b"(o.", "object of no class"),
        (b"h\x07.", "recalls number 7"),
        (b"Np-1\n.", "damaged"),
        (b"\xff.", "damaged"),
        (b"", "damaged"),
        (b"not a pickle", "damaged"),
        (b"\x80\x04N", "damaged"),
    ],
)
def test_damaged_or_hostile(data, message):
    with pytest.raises(ConversionError, match=rf"f\.pkl: .*{message}"):
        read(data)


def test_every_truncation_is_an_error():
    data = pickle.dumps({"a": [1, 2.5, (3, 4, 5, 6)], "b": OrderedDict(x=b"12"), "c": "text" * 100})
    for end in range(len(data)):
        with pytest.raises(ConversionError, match=r"f\.pkl: "):
            read(data[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"\x8d" + struct.pack("<Q", 2**40) + b"x.",  # BINUNICODE8
        b"\x8e" + struct.pack("<Q", 2**40) + b"x.",  # BINBYTES8
        b"\x96" + struct.pack("<Q", 2**40) + b"x.",  # BYTEARRAY8
        b"\x8e" + struct.pack("<Q", 2**64 - 1) + b"x.",
        b"B" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"X" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"T" + struct.pack("<i", -1) + b"x.",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",  # LONG4
        b"\x8b" + struct.pack("<i", -5) + b"x.",
        b"\x95" + struct.pack("<Q", 2**62),  # FRAME
        b"I" + b"9" * 5000 + b"\n.",
    ],
)
def test_sizes_that_the_file_does_not_have_cost_nothing(data):
    tracemalloc.start()
    with pytest.raises(ConversionError, match=r"f\.pkl: expected"):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_memo_of_large_numbers_costs_nothing():
    tracemalloc.start()
    assert read(b"Nr" + struct.pack("<I", 2**31) + b"j" + struct.pack("<I", 2**31) + b"\x86.") == (None, None)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_numbers_of_many_digits_are_refused():
    assert read(b"\x8a\xff" + b"\x01" * 255 + b".").bit_length() > 2000
    with pytest.raises(ConversionError, match="at most 2040 bits"):
        read(b"\x8b" + struct.pack("<i", 300) + b"\x01" * 300 + b".")


def test_what_contains_itself():
    ring: list = [1]
    ring.append(ring)
    found = read(pickle.dumps(ring))
    assert found[1] is found
    table: dict = {}
    table["self"] = table
    found = read(pickle.dumps(table))
    assert found["self"] is found


def test_deep_and_doubled_structures():
    deep = read(b"]" * 50_000 + b"a" * 49_999 + b".")
    assert len(deep) == 1
    doubled = PROTO + b")" + b"2\x86" * 500 + b"."  # a pair of a pair of …: 2^500 leaves
    assert len(read(doubled)) == 2
    for key in (doubled[2:-1], b"(" + b"N" * 17 + b"t", b"X" + struct.pack("<I", 2000) + b"k" * 2000):
        with pytest.raises(ConversionError, match="short texts or numbers"):
            read(PROTO + b"}" + key + b"Ns.")


def test_keys_that_could_collide_are_few():
    keys = b"".join(b"J" + struct.pack("<i", i) + b"Ns" for i in range(10_001))
    with pytest.raises(ConversionError, match="at most 10000 keys"):
        read(PROTO + b"}" + keys + b".")


def test_operations_are_counted():
    data = b"N" * 1000 + b"."
    assert load(data, constructors={}, max_operations=1001, name="f") is None
    with pytest.raises(ConversionError, match="f: expected at most 1000 operations"):
        load(data, constructors={}, max_operations=1000, name="f")


class Record:
    def __init__(self, *arguments):
        self.arguments = arguments
        self.state = None

    def setstate(self, state):
        if state == "bad":
            raise ConversionError("a bad state")
        self.state = state


def test_factories():
    call = b"cpackage.module\nClass.inner\n(K\x01K\x02tR"
    name = {"package.module.Class.inner": Record}
    record = read(call + b"}b.", **name)
    assert record.arguments == (1, 2)
    assert record.state == {}
    assert read(b"(K\x05ipackage.module\nClass.inner\n.", **name).arguments == (5,)
    assert read(b"(cpackage.module\nClass.inner\nK\x05o.", **name).arguments == (5,)
    assert read(b"cpackage.module\nClass.inner\n.", **name) == Global(*next(iter(name.items())))
    with pytest.raises(ConversionError, match=r"f\.pkl: a bad state"):
        read(call + b"X\x03\x00\x00\x00badb.", **name)
    with pytest.raises(ConversionError, match=r"unexpected arguments of package\.module\.Class\.inner"):
        read(call + b".", **{"package.module.Class.inner": lambda: None})
    with pytest.raises(ConversionError, match=r"calls package\.module\.Class\.inner"):
        read(call + b".", **{"package.module.Class.inner": None})


def test_attributes_of_a_dict_are_dropped():
    table = OrderedDict(a=1)
    table.extra = 2
    assert read(pickle.dumps(table)) == {"a": 1}


def test_references_to_the_outside():
    found = load(b"(X\x01\x00\x00\x00aQPtext\nt.", constructors={}, persistent_load=lambda r: [r], name="f")
    assert found == (["a"], ["text"])


def test_several_pickles_in_one_stream():
    data = pickle.dumps([1]) + pickle.dumps("b") + b"rest"
    first, position = load_at(data, 0, constructors={}, name="f")
    second, position = load_at(data, position, constructors={}, name="f")
    assert (first, second, data[position:]) == ([1], "b", b"rest")


def test_descriptions_are_short():
    assert describe("x" * 10**6) == repr("x" * 60)
    assert len(describe(2**2000)) == 78
    assert describe([[]]) == "list"


def encoded_often(times, length):
    """A pickle of protocol 2 that remembers one text and has it encoded again and again."""
    text = b"X" + length.to_bytes(4, "little") + b"a" * length + b"q\x01"
    function = b"c_codecs\nencode\nq\x02"
    calls = b"h\x02h\x01X\x06\x00\x00\x00latin1\x86R" * times
    return b"\x80\x02](" + text + b"0" + function + b"0" + calls + b"e."


def test_bytes_that_a_pickle_makes_stay_in_proportion_to_it():
    assert load(encoded_often(1, 1000), constructors=NUMPY_CONSTRUCTORS, name="f") == [b"a" * 1000]
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match="f: the file is too small for all the bytes"):
            load(encoded_often(9000, 10**6), constructors=NUMPY_CONSTRUCTORS, name="f")
        assert tracemalloc.get_traced_memory()[1] < 10 * 10**6
    finally:
        tracemalloc.stop()
