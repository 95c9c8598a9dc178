"""The layout of a zip archive: its members, and every byte that belongs to none (APPNOTE 6.3.10; FORMAT.md §1a).

Owns: end records, central directory and local headers, to the byte.  Must never know: what the members mean, how they are read.

Programs read an archive in two ways: by its central directory at the end, or from its beginning by the local headers.  Python's
own module reads the first way and forgives much.  Here both must tell the same, and whatever they do not tell is named.
"""

import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.base.errors import Kind, TheirError
from relay.evidence.container import Oddity, OddityKind, leads_astray

MAX_FILES = 20_000
"""Members of one archive; more are refused."""
MAX_DIRECTORY = 64 << 20
"""Bytes of the central directory; a longer one is refused."""
MAX_TARGET = 4096
"""Bytes of what a link names."""
STORED, DEFLATED = 0, 8
_NOTHING_DEFLATED = 2

_END, _END64, _LOCATOR, _CENTRAL, _LOCAL, _DESCRIPTOR = (
    b"PK\5\6",
    b"PK\6\6",
    b"PK\6\7",
    b"PK\1\2",
    b"PK\3\4",
    b"PK\7\10",
)
_END_SIZE, _END64_SIZE, _LOCATOR_SIZE, _CENTRAL_SIZE, _LOCAL_SIZE = 22, 56, 20, 46, 30
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED, _DEFERRED, _UTF8 = 1, 8, 1 << 11
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075

Read = Callable[[int, int], bytes]
"""Return up to so many bytes of the archive from an offset."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, as the central directory tells it; `data` is where its bytes begin."""

    name: str
    method: int
    encrypted: bool
    packed: int
    size: int
    data: int


@dataclass(slots=True)
class Layout:
    """What is in an archive."""

    members: list[Member] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """Names of links, which some programs unpack as files."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where the central directory lies; `shift`: by how much every offset of the archive is too small (data was prepended)."""

    start: int
    size: int
    count: int
    shift: int
    comment: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    link: bool
    comment: bytes
    other_name: bool
    unicode_path: bytes


def read_layout(read: Read, size: int, archive: str) -> Layout:
    """Read the layout of an archive of `size` bytes; `archive` is its name.  Raises TheirError where it is no zip archive."""
    layout = Layout()
    owned: list[tuple[int, int]] = []
    end = _end_of(read, size, archive, layout, owned)
    if end.comment:
        layout.oddities.append(Oddity(OddityKind.COMMENT, archive, _text(end.comment)))
    for entry in _entries(read(end.start, end.size), end, archive):
        _take(read, entry, size, layout, owned)
    _unowned(owned, size, archive, layout)
    return layout


# --- the end ----------------------------------------------------------------------------------------------------------


def _end_of(read: Read, size: int, archive: str, layout: Layout, owned: list[tuple[int, int]]) -> _End:
    tail_at = max(size - _END_SIZE - _MAX16, 0)
    tail = read(tail_at, size - tail_at)
    places = [at for at in _all(tail, _END) if at + _END_SIZE <= len(tail)]
    if not places:
        raise TheirError(Kind.INVALID, f"{archive}: no zip archive, or its end is cut off")
    exact = [at for at in places if at + _END_SIZE + _u16(tail, at + 20) == len(tail)]
    at = (exact or places)[-1]
    disks, directory_disk, here, count = struct.unpack_from("<4H", tail, at + 4)
    length, start = struct.unpack_from("<2I", tail, at + 12)
    comment = tail[at + _END_SIZE : at + _END_SIZE + _u16(tail, at + 20)]
    owned.append((tail_at + at, tail_at + at + _END_SIZE + len(comment)))
    if _END in comment or len(exact) > 1:
        layout.oddities.append(Oddity(OddityKind.HIDDEN, archive, "a second end of the archive"))
    told = _end64(read, tail_at + at, layout, owned, (count, length, start), archive)
    count, length, start, before = told or (count, length, start, tail_at + at)
    if disks != directory_disk or here not in (count, _MAX16):
        raise TheirError(Kind.INVALID, f"{archive}: an archive of several parts: join them, or unpack it and verify the folder")
    shift = before - length - start
    if shift < 0 or length > MAX_DIRECTORY or count > MAX_FILES:
        too_many = count > MAX_FILES or length > MAX_DIRECTORY
        raise TheirError(Kind.INVALID, f"{archive}: {'more files than a recording has' if too_many else 'bytes are missing'}")
    owned.append((before - length, before))
    return _End(before - length, length, count, shift, comment)


def _end64(
    read: Read, end: int, layout: Layout, owned: list[tuple[int, int]], told: tuple[int, int, int], archive: str
) -> tuple[int, int, int, int] | None:
    """Return count, length and start of the directory as the zip64 records tell them, and where these begin."""
    locator = read(max(end - _LOCATOR_SIZE, 0), _LOCATOR_SIZE)
    if len(locator) < _LOCATOR_SIZE or not locator.startswith(_LOCATOR):
        return None
    at = end - _LOCATOR_SIZE - _END64_SIZE
    record = read(max(at, 0), _END64_SIZE)
    if at < 0 or not record.startswith(_END64) or struct.unpack_from("<Q", record, 4)[0] != _END64_SIZE - 12:
        raise TheirError(Kind.INVALID, f"{archive}: its zip64 records cannot be read")
    count, length, start = struct.unpack_from("<QQQ", record, 32)
    owned += [(at, end)]
    # Programs that follow the locator must come to this record: data before the archive moves all offsets alike.
    if struct.unpack_from("<Q", locator, 8)[0] != start + length:
        layout.oddities.append(Oddity(OddityKind.HIDDEN, archive, "its end names another end record"))
    wide = zip((count, length, start), told, (_MAX16, _MAX32, _MAX32), strict=True)
    if any(old not in (new, most) for new, old, most in wide):
        layout.oddities.append(Oddity(OddityKind.HIDDEN, archive, "its two end records differ"))
    return count, length, start, at


# --- the central directory --------------------------------------------------------------------------------------------


def _entries(data: bytes, end: _End, archive: str) -> list[_Entry]:
    entries, at = [], 0
    for _ in range(end.count):
        if data[at : at + 4] != _CENTRAL or at + _CENTRAL_SIZE > len(data):
            raise TheirError(Kind.INVALID, f"{archive}: its list of files is damaged")
        flags, method = struct.unpack_from("<2H", data, at + 8)
        crc, packed, size, names, extras, comments = struct.unpack_from("<3I3H", data, at + 16)
        attributes, offset = struct.unpack_from("<2I", data, at + 38)
        name_at = at + _CENTRAL_SIZE
        extra_at, comment_at = name_at + names, name_at + names + extras
        if comment_at + comments > len(data):
            raise TheirError(Kind.INVALID, f"{archive}: its list of files is damaged")
        raw, extra = data[name_at:extra_at], _extras(data[extra_at:comment_at])
        size, packed, offset = _wide(extra.get(_ZIP64, b""), (size, packed, offset), archive)
        name, other_name = _name(raw, flags, extra.get(_UNICODE_PATH))
        other_name = other_name or _twice(data[extra_at:comment_at])
        made_by_unix = data[at + 5] == 3
        link = made_by_unix and stat.S_IFMT(attributes >> 16) == stat.S_IFLNK
        comment = data[comment_at : comment_at + comments]
        entries.append(
            _Entry(
                raw,
                name,
                flags,
                method,
                crc,
                packed,
                size,
                offset + end.shift,
                link,
                comment,
                other_name,
                extra.get(_UNICODE_PATH, b""),
            )
        )
        at = comment_at + comments
    if at != len(data):
        raise TheirError(Kind.INVALID, f"{archive}: its list of files is longer than it says")
    return entries


def _extras(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<2H", data, at)
        found.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _twice(data: bytes) -> bool:
    """Whether a name or lengths stand twice among extra fields: programs take the first or the last."""
    kinds, at = [], 0
    while at + 4 <= len(data):
        kinds.append(struct.unpack_from("<H", data, at)[0])
        at += 4 + int(struct.unpack_from("<H", data, at + 2)[0])
    return kinds.count(_ZIP64) > 1 or kinds.count(_UNICODE_PATH) > 1


def _wide(extra: bytes, values: tuple[int, int, int], archive: str) -> tuple[int, int, int]:
    """Return size, packed size and offset, each from the zip64 field where 32 bits do not hold it."""
    found, at = [], 0
    for value in values:
        if value == _MAX32 and extra:
            if at + 8 > len(extra):
                raise TheirError(Kind.INVALID, f"{archive}: its list of files is damaged")
            value, at = struct.unpack_from("<Q", extra, at)[0], at + 8
        found.append(value)
    return found[0], found[1], found[2]


def _name(raw: bytes, flags: int, unicode_path: bytes | None) -> tuple[str, bool]:
    """Return a member's name, and whether the archive also gives it another one."""
    name = raw.decode("utf-8", "surrogateescape") if flags & _UTF8 else raw.decode("cp437")
    if unicode_path is None or len(unicode_path) < 5:
        return _plain(name), False
    other = unicode_path[5:].decode("utf-8", "surrogateescape")
    if raw.isascii() or flags & _UTF8:
        return _plain(name), other != name
    # A program that does not believe the field, or does not know it, shows the name of code page 437.
    ignored = unicode_path[0] != 1 or struct.unpack_from("<I", unicode_path, 1)[0] != zlib.crc32(raw)
    return _plain(other), ignored or _ending(name) != _ending(other)


def _ending(name: str) -> str:
    """Return what follows the last dot, where it is ASCII: by it a program is chosen that opens the file."""
    ending = name.rpartition(".")[2]
    return ending if "." in name and ending.isascii() else ""


def _plain(name: str) -> str:
    """Return a name with `/` between its parts, without `./` at its start."""
    return name.replace("\\", "/").removeprefix("./")


# --- the members ------------------------------------------------------------------------------------------------------


def _take(read: Read, entry: _Entry, size: int, layout: Layout, owned: list[tuple[int, int]]) -> None:
    """Compare an entry with its local header, and add the member."""
    local = read(entry.offset, _LOCAL_SIZE + len(entry.raw_name)) if entry.offset < size else b""
    if local[:4] != _LOCAL or len(local) < _LOCAL_SIZE:
        _odd(layout, OddityKind.HIDDEN, entry, "it stands in the list at the end only")
        return
    names, extras = struct.unpack_from("<2H", local, 26)
    data = entry.offset + _LOCAL_SIZE + names + extras
    fields = read(entry.offset + _LOCAL_SIZE + names, extras)
    extra = _extras(fields)
    end = data + entry.packed
    if end > size:
        raise TheirError(Kind.INVALID, f"{entry.name}: the archive ends before it: it was cut off")
    if not _agrees(local, extra, entry) or _twice(fields):
        _odd(layout, OddityKind.HIDDEN, entry, "its own header tells another name, method or length than the list at the end")
    if struct.unpack_from("<H", local, 6)[0] & _DEFERRED:
        end += _descriptor(read(end, 24), entry)
    owned.append((entry.offset, end))
    if entry.comment:
        _odd(layout, OddityKind.COMMENT, entry, _text(entry.comment))
    _keep(read, entry, data, layout)


def _keep(read: Read, entry: _Entry, data: int, layout: Layout) -> None:
    """Add the member whose bytes begin at `data`, unless it is a folder, a link, or has a name that leads astray."""
    if entry.name.endswith("/") and entry.size == 0:
        if leads_astray(entry.name.removesuffix("/")):
            _odd(layout, OddityKind.ASTRAY, entry)
        elif entry.packed > _NOTHING_DEFLATED:
            _odd(layout, OddityKind.HIDDEN, entry, "a folder that holds bytes")
    elif entry.link:
        _odd(layout, OddityKind.LINK, entry)
        if entry.packed > MAX_TARGET or b"\0" in read(data, entry.packed):
            _odd(layout, OddityKind.HIDDEN, entry, "a link that is none, which some programs unpack as a file")
        layout.links.append(entry.name)
    elif leads_astray(entry.name):
        _odd(layout, OddityKind.ASTRAY, entry)
    else:
        encrypted = bool(entry.flags & _ENCRYPTED)
        layout.members.append(Member(entry.name, entry.method, encrypted, entry.packed, entry.size, data))


def _agrees(local: bytes, extra: dict[int, bytes], entry: _Entry) -> bool:
    """Whether a local header tells the same as the central directory; lengths may follow in a descriptor."""
    flags, method = struct.unpack_from("<2H", local, 6)
    if local[_LOCAL_SIZE:] != entry.raw_name or method != entry.method:
        return False
    telling = _ENCRYPTED | (0 if entry.raw_name.isascii() else _UTF8)
    if (flags ^ entry.flags) & telling or entry.other_name:
        return False
    unicode_path = extra.get(_UNICODE_PATH, b"")
    if unicode_path[5:] and unicode_path != (entry.unicode_path or unicode_path[:5] + entry.raw_name):
        return False
    if entry.method == STORED and entry.packed != entry.size and not entry.flags & _ENCRYPTED:
        return False
    later = (0, _MAX32) if flags & _DEFERRED else ()
    told = _local_lengths(local, extra.get(_ZIP64, b""))
    return all(one == true or one in later for one, true in zip(told, (entry.crc, entry.packed, entry.size), strict=True))


def _local_lengths(local: bytes, wide: bytes) -> tuple[int, int, int]:
    """Return what a local header says: CRC, packed length, length."""
    crc, packed, size = struct.unpack_from("<3I", local, 14)
    at = 0
    if size == _MAX32 and len(wide) >= 8:
        size, at = struct.unpack_from("<Q", wide)[0], 8
    if packed == _MAX32 and len(wide) >= at + 8:
        packed = struct.unpack_from("<Q", wide, at)[0]
    return crc, packed, size


def _descriptor(data: bytes, entry: _Entry) -> int:
    """Return the length of the descriptor that follows a member's bytes, 0 where there is none."""
    for layout in ("<2Q", "<2I"):
        lengths = b""
        if layout == "<2Q" or max(entry.packed, entry.size) <= _MAX32:
            lengths = struct.pack("<I", entry.crc) + struct.pack(layout, entry.packed, entry.size)
        for expected in (_DESCRIPTOR + lengths, lengths):
            if lengths and data.startswith(expected):
                return len(expected)
    return 0


def _odd(layout: Layout, kind: OddityKind, entry: _Entry, detail: str = "") -> None:
    layout.oddities.append(Oddity(kind, entry.name, detail))


def _unowned(owned: list[tuple[int, int]], size: int, archive: str, layout: Layout) -> None:
    """Name the bytes that belong to no member and no record, and members that share bytes."""
    at = outside = 0
    shared = False
    for start, end in [*sorted(owned), (size, size)]:
        outside += max(start - at, 0)
        shared = shared or start < at
        at = max(at, end)
    if outside:
        layout.oddities.append(Oddity(OddityKind.OUTSIDE, archive, str(outside)))
    if shared:
        layout.oddities.append(Oddity(OddityKind.HIDDEN, archive, "two of its members share bytes"))


def _all(data: bytes, wanted: bytes) -> list[int]:
    found, at = [], data.find(wanted)
    while at >= 0:
        found.append(at)
        at = data.find(wanted, at + 1)
    return found


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _text(data: bytes) -> str:
    return data[:200].decode("utf-8", "replace")
