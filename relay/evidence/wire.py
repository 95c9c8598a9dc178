"""Canonical binary encoding: each value has one encoding, and every other is refused.

Owns: the primitives from which FORMAT.md builds its records, and the rule `encode(decode(b)) == b`.
Must never know: keys, files, what a record means.

A codec writes a value to a `bytearray` and reads it back from a `Cursor`.  Reading raises `TheirError` with the position of the
first byte that breaks the format; writing raises `ValueError`, because a value out of bounds is our bug.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields as dataclass_fields
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from relay.base.errors import Kind, TheirError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

U64_MAX = (1 << 64) - 1
_FLAGS = (b"\0", b"\1")
_VERSION = 2
"""Bytes of a format version, behind a file's magic."""


def newer_format(data: bytes, magic: bytes, newest: int) -> TheirError | None:
    """Return the error for a file that begins with `magic` and a version later than `newest`; None where it does not."""
    version = int.from_bytes(data[len(magic) : len(magic) + _VERSION], "big")
    if not data.startswith(magic) or version <= newest:
        return None
    what = magic.decode("ascii")
    detail = f"newer format: {what} of version {version}, this verifier reads up to {newest}; use a newer verifier"
    return TheirError(Kind.UNSUPPORTED, detail)


class Cursor:
    """A bounded reader over bytes; `origin` is the position of `data` in its file, for messages only."""

    __slots__ = ("data", "origin", "position")

    def __init__(self, data: bytes, origin: int = 0) -> None:
        self.data = data
        self.origin = origin
        self.position = 0

    def fail(self, why: str) -> TheirError:
        """Return the error that names the current position."""
        return TheirError(Kind.INVALID, f"byte {self.origin + self.position}: {why}")

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; raises TheirError when fewer are left."""
        end = self.position + count
        if end > len(self.data):
            raise self.fail(f"needs {count} bytes, {len(self.data) - self.position} left")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def finish(self) -> None:
        """Raise TheirError unless all bytes were read."""
        if self.position != len(self.data):
            raise self.fail(f"{len(self.data) - self.position} bytes too many")


class Codec(Protocol[T]):
    """Writes and reads one kind of value."""

    def write(self, out: bytearray, value: T) -> None:
        """Append the one encoding of `value`; raises ValueError when it has none."""
        ...

    def read(self, cursor: Cursor) -> T:
        """Read one value; raises TheirError at its position."""
        ...


class UInt:
    """Unsigned LEB128 of at most 64 bits, shortest form only."""

    def __init__(self, maximum: int = U64_MAX) -> None:
        self._maximum = maximum

    def write(self, out: bytearray, value: int) -> None:
        """Append 1 to 10 bytes."""
        if not 0 <= value <= self._maximum:
            raise ValueError(f"{value} is not in 0..{self._maximum}")
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)

    def read(self, cursor: Cursor) -> int:
        """Read 1 to 10 bytes; a padded or too large number is refused."""
        data, position = cursor.data, cursor.position  # indexed directly: a link holds about twenty numbers
        value = shift = 0
        try:
            while (byte := data[position]) > 0x7F and shift < 63:
                value |= (byte & 0x7F) << shift
                shift += 7
                position += 1
        except IndexError:
            raise cursor.fail("number without an end") from None
        value |= byte << shift
        if value > self._maximum or (byte == 0 and shift):
            raise cursor.fail("number too large or not in its shortest form")
        cursor.position = position + 1
        return value


class SInt:
    """Signed 64-bit number, zigzag over `UInt`."""

    _unsigned = UInt()

    def write(self, out: bytearray, value: int) -> None:
        """Append 1 to 10 bytes."""
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{value} does not fit 64 bits")
        self._unsigned.write(out, (value << 1) ^ (value >> 63))

    def read(self, cursor: Cursor) -> int:
        """Read 1 to 10 bytes."""
        value = self._unsigned.read(cursor)
        return value >> 1 ^ -(value & 1)


class Fixed:
    """Unsigned big-endian number of a fixed width."""

    def __init__(self, width: int) -> None:
        self._width = width

    def write(self, out: bytearray, value: int) -> None:
        """Append exactly `width` bytes."""
        if not 0 <= value < 1 << 8 * self._width:
            raise ValueError(f"{value} does not fit {self._width} bytes")
        out += value.to_bytes(self._width, "big")

    def read(self, cursor: Cursor) -> int:
        """Read exactly `width` bytes."""
        return int.from_bytes(cursor.take(self._width), "big")


class Raw:
    """Bytes of a fixed length."""

    def __init__(self, length: int) -> None:
        self._length = length

    def write(self, out: bytearray, value: bytes) -> None:
        """Append exactly `length` bytes."""
        if len(value) != self._length:
            raise ValueError(f"{len(value)} bytes where {self._length} belong")
        out += value

    def read(self, cursor: Cursor) -> bytes:
        """Read exactly `length` bytes."""
        return cursor.take(self._length)


class Text:
    """UTF-8 with its length in bytes before it."""

    def __init__(self, maximum: int) -> None:
        self._length = UInt(maximum)

    def write(self, out: bytearray, value: str) -> None:
        """Append length and UTF-8; raises ValueError (UnicodeEncodeError for a lone surrogate)."""
        data = value.encode()
        self._length.write(out, len(data))
        out += data

    def read(self, cursor: Cursor) -> str:
        """Read length and UTF-8."""
        data = cursor.take(self._length.read(cursor))
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise cursor.fail("text is not UTF-8") from None


class Flag:
    """One byte, 0 or 1."""

    def write(self, out: bytearray, value: bool) -> None:
        """Append one byte."""
        out.append(1 if value else 0)

    def read(self, cursor: Cursor) -> bool:
        """Read one byte; anything but 0 and 1 is refused."""
        if (byte := cursor.take(1)) not in _FLAGS:
            raise cursor.fail(f"flag is {byte[0]}")
        return byte == b"\1"


class Maybe(Generic[T]):
    """A flag, then the value where the flag is 1."""

    def __init__(self, codec: Codec[T]) -> None:
        self._codec = codec

    def write(self, out: bytearray, value: T | None) -> None:
        """Append the flag and, where there is one, the value."""
        out.append(0 if value is None else 1)
        if value is not None:
            self._codec.write(out, value)

    def read(self, cursor: Cursor) -> T | None:
        """Read the flag and, where it is 1, the value."""
        return self._codec.read(cursor) if Flag().read(cursor) else None


class Repeat(Generic[T]):
    """A count, then as many values."""

    def __init__(self, codec: Codec[T], maximum: int) -> None:
        self._codec = codec
        self._count = UInt(maximum)

    def write(self, out: bytearray, value: tuple[T, ...]) -> None:
        """Append count and values."""
        self._count.write(out, len(value))
        for item in value:
            self._codec.write(out, item)

    def read(self, cursor: Cursor) -> tuple[T, ...]:
        """Read count and values."""
        count = self._count.read(cursor)
        return tuple([self._codec.read(cursor) for _ in range(count)]) if count else ()


class Pairs:
    """Text to text, strictly ascending by the key's UTF-8, so that a mapping has one encoding."""

    def __init__(self, maximum: int, key: int, value: int) -> None:
        self._count, self._key, self._value = UInt(maximum), Text(key), Text(value)

    def write(self, out: bytearray, value: tuple[tuple[str, str], ...]) -> None:
        """Append count and pairs; raises ValueError unless sorted and unique."""
        keys = [key.encode() for key, _ in value]
        if any(second <= first for first, second in zip(keys, keys[1:], strict=False)):
            raise ValueError("pairs are not sorted and unique")
        self._count.write(out, len(value))
        for key, text in value:
            self._key.write(out, key)
            self._value.write(out, text)

    def read(self, cursor: Cursor) -> tuple[tuple[str, str], ...]:
        """Read count and pairs."""
        pairs: list[tuple[str, str]] = []
        for _ in range(self._count.read(cursor)):
            key = self._key.read(cursor)
            if pairs and key.encode() <= pairs[-1][0].encode():
                raise cursor.fail("pairs are not sorted and unique")
            pairs.append((key, self._value.read(cursor)))
        return tuple(pairs)


class Choice(Generic[E]):
    """One byte, from 1, in the order in which the enumeration (or a part of it) gives its members."""

    def __init__(self, members: Iterable[E]) -> None:
        self._by_code: dict[int, E] = dict(enumerate(members, 1))
        self._codes = {member: code for code, member in self._by_code.items()}

    def write(self, out: bytearray, value: E) -> None:
        """Append one byte; raises ValueError for a member that has no code here."""
        if value not in self._codes:
            raise ValueError(f"{value} has no code")
        out.append(self._codes[value])

    def read(self, cursor: Cursor) -> E:
        """Read one byte; an unknown code is refused."""
        code = cursor.take(1)[0]
        if code not in self._by_code:
            raise cursor.fail(f"unknown code {code}")
        return self._by_code[code]


class Struct(Generic[T]):
    """A frozen dataclass, its fields in the given order; on reading, a `ValueError` of its own checks becomes TheirError."""

    def __init__(self, make: type[T], fields: Sequence[tuple[str, Codec[Any]]]) -> None:
        self._make = make
        self._fields = tuple(fields)
        self._codecs = tuple(codec for _, codec in fields)
        names = [name for name, _ in fields]
        if names != [field.name for field in dataclass_fields(make)]:  # type: ignore[arg-type]
            raise ValueError(f"{make.__name__} and its layout name other fields")

    def write(self, out: bytearray, value: T) -> None:
        """Append every field."""
        for name, codec in self._fields:
            codec.write(out, getattr(value, name))

    def read(self, cursor: Cursor) -> T:
        """Read every field."""
        values = [codec.read(cursor) for codec in self._codecs]
        try:
            return self._make(*values)
        except ValueError as error:
            raise cursor.fail(str(error)) from None


def encode(codec: Codec[T], value: T) -> bytes:
    """Return the one encoding of `value`; raises ValueError when it has none."""
    out = bytearray()
    codec.write(out, value)
    return bytes(out)


def decode(codec: Codec[T], data: bytes, origin: int = 0) -> T:
    """Return the value that `data` as a whole encodes; raises TheirError with the position."""
    cursor = Cursor(data, origin)
    value = codec.read(cursor)
    cursor.finish()
    return value
