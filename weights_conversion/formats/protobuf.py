"""Messages in the wire format of Protocol Buffers, read without a schema.

A message is a row of fields. Each begins with a key, 8 × number + wire type, and the wire type says how long the value
is. What a number means stands in the schema of the format that uses it, and its reader knows that.
"""

import struct
from collections.abc import Iterator

import numpy as np

from weights_conversion.errors import ConversionError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
"""Bytes of 64 bits, seven in each."""
_LONGEST_TEXT = 200

Value = int | memoryview
"""A varint as an unsigned number, or the bytes of any other value."""


class Message:
    """The fields of one message.

    Attributes:
        name: what to call the message in an error.
    """

    def __init__(self, data: bytes | memoryview, *, name: str) -> None:
        """Read the fields; messages inside it are read when they are asked for.

        Raises:
            ConversionError: if the bytes are no message.
        """
        self.name = name
        self._fields: dict[int, list[tuple[int, Value]]] = {}
        for number, kind, value in _fields(memoryview(data), name):
            self._fields.setdefault(number, []).append((kind, value))

    def messages(self, number: int) -> list["Message"]:
        """The messages of a repeated field."""
        return [Message(data, name=self.name) for data in self._contents(number)]

    def message(self, number: int) -> "Message":
        """The message of a field; an empty one where it is absent."""
        found = self.messages(number)
        return found[-1] if found else Message(b"", name=self.name)

    def content(self, number: int) -> memoryview | None:
        """The bytes of a field; None where it is absent."""
        found = self._contents(number)
        return found[-1] if found else None

    def texts(self, number: int) -> list[str]:
        """The strings of a repeated field, which must be names: short and printable."""
        found = []
        for data in self._contents(number):
            text = bytes(data).decode(errors="replace")
            if len(text) > _LONGEST_TEXT or not text.isprintable() or "\ufffd" in text:
                raise ConversionError(
                    f"{self.name}: field {number}: expected a name, found {bytes(data[:40])!r} (damaged?)"
                )
            found.append(text)
        return found

    def text(self, number: int) -> str:
        """The string of a field; an empty one where it is absent."""
        return (self.texts(number) or [""])[-1]

    def integers(self, number: int) -> list[int]:
        """The signed 64-bit integers of a repeated field, packed or not."""
        found: list[int] = []
        for kind, value in self._fields.get(number, ()):
            if isinstance(value, int):
                found.append(_signed(value))
            elif kind == _BYTES:
                found += map(_signed, _varints(value, self.name))
            else:
                raise self._wrong(number, "integers")
        return found

    def integer(self, number: int) -> int | None:
        """The signed integer of a field; None where it is absent."""
        found = self.integers(number)
        return found[-1] if found else None

    def floats(self, number: int) -> np.ndarray:
        """The 32-bit floats of a repeated field, packed or not."""
        parts = [bytes(value) for kind, value in self._fields.get(number, ()) if not isinstance(value, int)]
        data = b"".join(parts)
        if len(parts) != len(self._fields.get(number, ())) or len(data) % 4:
            raise self._wrong(number, "32-bit floats")
        return np.frombuffer(data, "<f4")

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def _contents(self, number: int) -> list[memoryview]:
        found = self._fields.get(number, [])
        contents = [value for kind, value in found if kind == _BYTES and not isinstance(value, int)]
        if len(contents) != len(found):
            raise self._wrong(number, "bytes")
        return contents

    def _wrong(self, number: int, expected: str) -> ConversionError:
        return ConversionError(
            f"{self.name}: field {number}: expected {expected}, found another type of value"
        )


def _fields(data: memoryview, name: str) -> Iterator[tuple[int, int, Value]]:
    """The fields in their order: number, wire type and value."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position, name)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position, name)
            yield number, kind, value
            continue
        if kind == _BYTES:
            length, position = _varint(data, position, name)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ConversionError(f"{name}: expected a protobuf message, found the unknown wire type {kind}")
        if length > len(data) - position:
            raise ConversionError(
                f"{name}: expected {length} more bytes, found {len(data) - position} (truncated?)"
            )
        yield number, kind, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int, name: str) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, least significant first, and the position after it."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(data):
            raise ConversionError(f"{name}: expected more bytes of a number, found none (truncated?)")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise ConversionError(
        f"{name}: expected a number of {_LONGEST_VARINT} bytes or fewer, found a longer one"
    )


def _varints(data: memoryview, name: str) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position, name)
        yield value


def _signed(value: int) -> int:
    """Two's complement of 64 bits."""
    return int(struct.unpack("<q", struct.pack("<Q", value))[0])
