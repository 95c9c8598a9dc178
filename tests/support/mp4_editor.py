"""A small box editor for tests: read an MP4 into a tree, change it, write it again.

Owns: boxes as bytes.  Must never know: media, a checker.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_HEADS = {b"stsd": 8, b"avc1": 78, b"Opus": 28, b"dref": 8}
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"dinf", *_HEADS}


@dataclass
class Node:
    """A box: its type, and its payload or its children behind `head`."""

    kind: bytes
    head: bytes = b""
    children: "list[Node] | None" = None
    at: int = 0

    def raw(self) -> bytes:
        """Return the box."""
        body = self.head + b"".join(child.raw() for child in self.children or ())
        return (8 + len(body)).to_bytes(4, "big") + self.kind + body

    def every(self, path: str) -> "list[Node]":
        """Return the boxes below this one at a path such as `trak/mdia/hdlr`."""
        first, _, rest = path.partition("/")
        found = [child for child in self.children or () if child.kind == first.encode()]
        return found if not rest else [node for child in found for node in child.every(rest)]

    def one(self, path: str) -> "Node":
        """Return the first of them."""
        return self.every(path)[0]

    def put(self, at: int, data: bytes) -> None:
        """Overwrite bytes of the payload before the children."""
        self.head = self.head[:at] + data + self.head[at + len(data) :]


def parse(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Node]:
    """Yield the boxes of a file."""
    at, end = start, len(data) if end is None else end
    while at < end:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, stop = at + 8, at + size
        if kind in _PARENTS:
            head = _HEADS.get(kind, 0)
            yield Node(kind, data[body : body + head], list(parse(data, body + head, stop)), at)
        else:
            yield Node(kind, data[body:stop], None, at)
        at = stop


@dataclass
class File(Node):
    """A whole file."""

    children: list[Node] | None = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> "File":
        """Read a file."""
        return cls(b"", children=list(parse(data)))

    def raw(self) -> bytes:
        """Return the file."""
        return b"".join(child.raw() for child in self.children or ())

    def track(self, kind: bytes) -> Node:
        """Return the `trak` of a handler: `vide` or `soun`."""
        return next(trak for trak in self.one("moov").every("trak") if trak.one("mdia/hdlr").head[8:12] == kind)


def edited(data: bytes, change: Callable[[File], None]) -> bytes:
    """Return a fragmented file with boxes changed."""
    file = File.of(data)
    change(file)
    return file.raw()


def with_moov(data: bytes, change: Callable[[File], None]) -> bytes:
    """Return any file with its `moov` changed; the media stays where it is: the new `moov` stands at the end."""
    file = File.of(data)
    assert file.children is not None
    old = file.one("moov")
    place, size = file.children.index(old), len(old.raw())
    change(file)
    file.children[place] = Node(b"free", bytes(size - 8))
    file.children.append(old)
    return file.raw()


UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def playable(init: bytes) -> bytes:
    """Return an init segment of `recordings` with the header values that a player needs; the sealed one leaves them at zero."""

    def change(file: File) -> None:
        file.one("moov/mvhd").put(20, struct.pack(">IH", 0x10000, 0x100))
        file.one("moov/mvhd").put(36, UNITY)
        for trak in file.one("moov").every("trak"):
            trak.one("tkhd").put(36, b"\1\0")
            trak.one("tkhd").put(40, UNITY)
            for entry in trak.every("mdia/minf/stbl/stsd/avc1"):
                entry.put(74, struct.pack(">Hh", 24, -1))
            for entry in trak.every("mdia/minf/stbl/stsd/Opus"):
                entry.put(24, struct.pack(">I", 48_000 << 16))
            minf = trak.one("mdia/minf")
            assert minf.children is not None
            reference = Node(b"dref", struct.pack(">II", 0, 1), [Node(b"url ", struct.pack(">I", 1))])
            minf.children.insert(0, Node(b"dinf", b"", [reference]))

    return edited(init, change)
