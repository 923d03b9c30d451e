"""Pickles read as data: nothing that a pickle names is imported, and nothing of it is executed.

A pickle is a program for a small stack machine, which can call any function of Python. The machine here calls none:
each name in a pickle is looked up in a table of the reader's own factories, and what is not there is refused. Time and
memory stay in proportion to the size of the file, whatever the file says.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from weights_conversion.errors import ConversionError

MAX_OPERATIONS = 2_000_000
"""Of one pickle. The largest generators take some hundred thousand."""

_MAX_INT_BITS = 8 * 255
_MAX_KEY_LENGTH = 1024
_MAX_KEY_PARTS = 16
_MAX_OTHER_KEYS = 10_000
"""Keys that are not text, in all the dicts together: unlike texts, numbers can be chosen to collide in a dict."""


class Global(NamedTuple):
    """A class, function or constant that a pickle names."""

    name: str
    """Module and name within it, joined by a dot."""
    factory: Callable[..., Any] | None
    """What stands for it when it is called; None for what may be named and not called."""


def _items(items: Any = None) -> Any:
    return [] if items is None else items


PLAIN_CONSTRUCTORS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": dict,
    "builtins.set": _items,
    "builtins.frozenset": _items,
}
"""Containers of Python. Sets become lists, so that nothing must be hashed."""


def load(
    data: bytes,
    *,
    constructors: Mapping[str, Callable[..., Any] | None],
    persistent_load: Callable[[Any], Any] | None = None,
    max_operations: int = MAX_OPERATIONS,
    name: str,
) -> Any:
    """Read the first pickle in some bytes; what follows it is not looked at.

    Args:
        data: the pickle.
        constructors: `module.name` → the factory to call where the pickle calls that. A factory takes foreign
            arguments and must be quick whatever they are; `dict` is called without. What it returns may have a method
            `setstate`, for the state that a pickle gives an object; the state of a dict, which is that of its
            attributes, is dropped. None for a name that may stand as a value and must not be called.
        persistent_load: from a reference to something outside the pickle to what it refers to.
        max_operations: how many operations the pickle may have.
        name: what to call the file in an error.

    Returns:
        The object. Lists and dicts in it may contain themselves, and a `Global` stands for a name that is a value.

    Raises:
        ConversionError: if the pickle is damaged, too large, or asks for what is not in the table.
    """
    machine = _Machine(constructors, persistent_load, name)
    return machine.run(data, 0, max_operations)[0]


def load_at(
    data: bytes,
    start: int,
    *,
    constructors: Mapping[str, Callable[..., Any] | None],
    persistent_load: Callable[[Any], Any] | None = None,
    max_operations: int = MAX_OPERATIONS,
    name: str,
) -> tuple[Any, int]:
    """As `load`, from a position on, in a stream that holds more than one pickle.

    Returns:
        The object, and the position after the pickle.
    """
    return _Machine(constructors, persistent_load, name).run(data, start, max_operations)


def describe(value: Any) -> str:
    """A foreign value for an error message: never long, whatever it is."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        text = repr(value[:60] if isinstance(value, str | bytes) else value)
        return text if len(text) <= 80 else f"{text[:77]}…"
    return value.name if isinstance(value, Global) else type(value).__name__


def shorten(text: str) -> str:
    """A foreign name, or the message of an error about foreign bytes, for an error message: short and on one line."""
    text = text[:120]
    return text if text.isprintable() else repr(text)


class _Machine:
    """The stack, the marked stacks under it, and the memo of one pickle."""

    def __init__(
        self,
        constructors: Mapping[str, Callable[..., Any] | None],
        persistent_load: Callable[[Any], Any] | None,
        name: str,
    ) -> None:
        self.constructors = constructors
        self.persistent_load = persistent_load
        self.name = name
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.other_keys = 0
        self.bytes_left = 0

    def run(self, data: bytes, start: int, max_operations: int) -> tuple[Any, int]:
        file = io.BytesIO(data)  # shares the memory of `data`
        self.bytes_left = len(data)
        file.seek(start)
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if count >= max_operations:
                    self.fail(f"expected at most {max_operations} operations, found more")
                if opcode.name in _VALUES:
                    self.stack.append(self.value(argument))
                elif opcode.name in _OPERATIONS:
                    _OPERATIONS[opcode.name](self, argument)
                elif opcode.name not in _IGNORED:
                    self.fail(f"refused: the operation {opcode.name} of pickles is not supported")
            return self.pop(), file.tell()
        except ConversionError:
            raise
        except (ValueError, OverflowError) as error:  # of pickletools, for every damage that it finds
            raise ConversionError(
                f"{self.name}: expected a pickle, it is damaged: {shorten(str(error))}"
            ) from error

    def fail(self, message: str) -> NoReturn:
        raise ConversionError(f"{self.name}: {message}")

    def pop(self) -> Any:
        if not self.stack:
            self.fail("expected a pickle, it is damaged: it takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        self.stack.append(value := self.pop())
        return value

    def pop_marked(self) -> list[Any]:
        if not self.below:
            self.fail("expected a pickle, it is damaged: it goes back to a mark that it never set")
        items, self.stack = self.stack, self.below.pop()
        return items

    def value(self, value: Any) -> Any:
        if type(value) is int and value.bit_length() > _MAX_INT_BITS:
            self.fail(f"expected whole numbers of at most {_MAX_INT_BITS} bits, found a larger one")
        return value

    def push(self, *values: Any) -> None:
        self.stack.extend(values)

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def drop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_marked()

    def drop_marked(self, _: Any) -> None:
        self.pop_marked()

    def tuple_of(self, count: int) -> None:
        self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))

    def append(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            self.fail(f"expected a list to append to, found {describe(target)}")
        target.extend(items)

    def set_items(self, pairs: list[Any]) -> None:
        target = self.top()
        if type(target) is not dict:
            self.fail(f"expected a dict to add to, found {describe(target)}")
        if len(pairs) % 2:
            self.fail("expected a pickle, it is damaged: a key of a dict has no value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.check_key(key)
            target[key] = value

    def check_key(self, key: Any) -> None:
        """Refuses keys whose hashing or comparison would cost more than their bytes in the file."""
        parts = key if type(key) is tuple else (key,)
        fits = len(parts) <= _MAX_KEY_PARTS and all(
            len(part) <= _MAX_KEY_LENGTH
            if type(part) in (str, bytes)
            else part is None or type(part) in (int, float, bool, Global)
            for part in parts
        )
        if not fits:
            self.fail(f"expected keys of dicts that are short texts or numbers, found {describe(key)}")
        self.other_keys += type(key) not in (str, bytes)
        if self.other_keys > _MAX_OTHER_KEYS:
            self.fail(f"expected at most {_MAX_OTHER_KEYS} keys of dicts that are not text, found more")

    def put(self, index: Any) -> None:
        if index < 0:
            self.fail("expected a pickle, it is damaged: it remembers under a negative number")
        self.memo[index] = self.top()

    def get(self, index: Any) -> None:
        if index not in self.memo:
            self.fail(f"expected a pickle, it is damaged: it recalls number {index}, which it never set")
        self.stack.append(self.memo[index])

    def global_of(self, module: Any, qualname: Any) -> Global:
        if type(module) is not str or type(qualname) is not str:
            self.fail("expected a pickle, it is damaged: it names something by what is not text")
        module = _PYTHON_2.get(module, module)
        full = f"{module}.{qualname}"
        if full not in self.constructors:
            self.fail(f"refused: the pickle asks for {shorten(full)}")
        return Global(full, self.constructors[full])

    def stack_global(self, _: Any) -> None:
        qualname, module = self.pop(), self.pop()
        self.stack.append(self.global_of(module, qualname))

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global) or function.factory is None:
            self.fail(f"refused: the pickle calls {describe(function)}")
        if type(arguments) is not tuple:
            self.fail(f"expected arguments of {function.name} in a tuple, found {describe(arguments)}")
        if function.factory is dict:
            if arguments:  # a dict of foreign pairs would hash keys that nobody has checked
                self.fail(f"expected no arguments of {function.name}, found {len(arguments)}")
            self.stack.append({})
            return
        try:
            made = function.factory(*arguments)
        except ConversionError as error:
            raise ConversionError(f"{self.name}: {error}") from error
        except TypeError as error:  # too few or too many
            raise ConversionError(f"{self.name}: unexpected arguments of {function.name}") from error
        if type(made) is bytes:  # a pickle can have one remembered text encoded as often as it likes
            self.bytes_left -= len(made)
            if self.bytes_left < 0:
                self.fail("the file is too small for all the bytes that its pickle makes")
        self.stack.append(made)

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.call(function, arguments)

    def reduce_keywords(self, _: Any) -> None:
        if self.pop() != {}:
            self.fail("refused: the pickle makes an object with keyword arguments")
        self.reduce(None)

    def make(self, _: Any) -> None:
        items = self.pop_marked()
        if not items:
            self.fail("expected a pickle, it is damaged: it makes an object of no class")
        self.call(items[0], tuple(items[1:]))

    def instance(self, argument: str) -> None:
        module, _, qualname = argument.partition(" ")
        self.call(self.global_of(module, qualname), tuple(self.pop_marked()))

    def build(self, _: Any) -> None:
        state, target = self.pop(), self.top()
        if type(target) is dict:
            return
        setstate = getattr(type(target), "setstate", None)
        if setstate is None:
            self.fail(f"refused: the pickle sets the state of {describe(target)}")
        try:
            setstate(target, state)
        except ConversionError as error:
            raise ConversionError(f"{self.name}: {error}") from error

    def persistent(self, reference: Any) -> None:
        if self.persistent_load is None:
            self.fail("refused: the pickle refers to something outside it")
        self.stack.append(self.persistent_load(reference))

    def dict_of_marked(self, _: Any) -> None:
        pairs = self.pop_marked()
        self.push({})
        self.set_items(pairs)

    def global_named(self, argument: str) -> None:
        module, _, qualname = argument.partition(" ")
        self.stack.append(self.global_of(module, qualname))


_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules that have another name in the pickles of old protocols."""

_IGNORED = {"PROTO", "FRAME", "STOP"}

_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
"""Operations that push their argument."""

_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_marked())),
    "LIST": lambda machine, _: machine.push(machine.pop_marked()),
    "FROZENSET": lambda machine, _: machine.push(machine.pop_marked()),
    "DICT": _Machine.dict_of_marked,
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_marked()),
    "ADDITEMS": lambda machine, _: machine.append(machine.pop_marked()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop() for _ in range(2)][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_marked,
    "DUP": lambda machine, _: machine.push(machine.top()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.global_named,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.reduce_keywords,
    "OBJ": _Machine.make,
    "INST": _Machine.instance,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent,
    "BINPERSID": lambda machine, _: machine.persistent(machine.pop()),
}
