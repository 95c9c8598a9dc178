"""Zip archives of one recording, honest and forged, with the verdict that each must have: FORMAT.md §1a.

An archive is written by hand here, because a library writes none of the forged ones.  A row reads as in `vectors`.
"""

import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.evidence.vectors import flip_at
from tests.support.recordings import LONGTERM, build

SCRIPT = "SIPPPE"
FILES = build(SCRIPT).export()
FORGED = flip_at(FILES["00000.mp4"], -40)


@dataclass(frozen=True)
class Item:
    """A member: its header (`local`) and its row of the list at the end (`listed`), what they say, what stands around them."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    local_name: bytes | None = None
    local: bool = True
    listed: bool = True
    deferred: bool = False
    wide: bool = False
    extra: bytes = b""
    comment: bytes = b""
    attributes: int = 0
    before: bytes = b""
    packed_tail: bytes = b""
    size: int | None = None
    of: int | None = None
    """Number of the member whose header the list names instead of its own."""

    def packed(self) -> bytes:
        if self.method != 8:
            return self.data
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush() + self.packed_tail


@dataclass
class Zip:
    """An archive to be written."""

    items: list[Item]
    prefix: bytes = b""
    shifted: bool = False
    """Whether the offsets count the prefix."""
    gap: bytes = b""
    comment: bytes = b""
    suffix: bytes = b""
    end64: dict[str, int] = field(default_factory=dict)
    with_end64: bool = False
    end: dict[str, int] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """Write it."""
        out, offsets = bytearray(self.prefix), []
        for item in self.items:
            out += item.before
            offsets.append(len(out) - (0 if self.shifted else len(self.prefix)))
            out += header(item) if item.local else b""
        out += self.gap
        start = len(out) - (0 if self.shifted else len(self.prefix))
        listing = b"".join(
            entry(item, offsets[number if item.of is None else item.of])
            for number, item in enumerate(self.items)
            if item.listed
        )
        count = sum(item.listed for item in self.items)
        out += listing
        if self.with_end64:
            told = {"count": count, "length": len(listing), "start": start} | self.end64
            out += struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, told["count"], told["length"], told["start"])
            out += struct.pack("<4sIQI", b"PK\6\7", 0, start + len(listing), 1)
        told = {"disk": 0, "count": count, "length": len(listing), "start": start} | self.end
        row = (told["disk"], 0, told["count"], told["count"], told["length"], told["start"], len(self.comment))
        return bytes(out + struct.pack("<4sHHHHIIH", b"PK\5\6", *row) + self.comment + self.suffix)


def header(item: Item) -> bytes:
    """A member's header, data and descriptor."""
    packed, name = item.packed(), item.name if item.local_name is None else item.local_name
    crc, size = zlib.crc32(item.data), len(item.data) if item.size is None else item.size
    told = (0, 0, 0) if item.deferred else (crc, len(packed), size)
    extra = item.extra
    if item.wide:
        extra += struct.pack("<HHQQ", 1, 16, told[2], told[1])
        told = (told[0], 0xFFFFFFFF, 0xFFFFFFFF)
    flags = item.flags | (8 if item.deferred else 0)
    out = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, flags, item.method, 0, 33, *told, len(name), len(extra)) + name + extra
    out += packed
    if item.deferred:
        out += struct.pack("<4sIQQ" if item.wide else "<4sIII", b"PK\7\10", crc, len(packed), size)
    return out


def entry(item: Item, offset: int) -> bytes:
    """A member's row of the list at the end."""
    packed, size = len(item.packed()), len(item.data) if item.size is None else item.size
    extra = item.extra + (struct.pack("<HHQQ", 1, 16, size, packed) if item.wide else b"")
    told = (zlib.crc32(item.data), 0xFFFFFFFF, 0xFFFFFFFF) if item.wide else (zlib.crc32(item.data), packed, size)
    row = struct.pack(
        "<4sBBHHHHHIII", b"PK\1\2", 45, 3, 45, item.flags | (8 if item.deferred else 0), item.method, 0, 33, *told
    )
    row += struct.pack("<HHHHHII", len(item.name), len(extra), len(item.comment), 0, 0, item.attributes, offset)
    return row + item.name + extra + item.comment


def items(folder: str = "", **fields: object) -> list[Item]:
    """The files of the export as members."""
    return [Item(f"{folder}{name}".encode(), data, **fields) for name, data in FILES.items()]  # type: ignore[arg-type]


def media(**fields: object) -> list[Item]:
    """The same, with something about the segment."""
    return [replace(item, **fields) if item.name == b"00000.mp4" else item for item in items()]  # type: ignore[arg-type]


def added(*more: Item) -> list[Item]:
    return [*items(), *more]


def written(method: int, **options: object) -> bytes:
    """As Python's library writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, **options) as archive:  # type: ignore[call-overload]
        for name, data in FILES.items():
            archive.writestr(name, data)
    return out.getvalue()


def streamed() -> bytes:
    """As it is written to a socket: no length is known beforehand."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.parts.append(bytes(data))  # type: ignore[call-overload]
            return len(self.parts[-1])

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, data in FILES.items():
            with archive.open(zipfile.ZipInfo(f"rec/{name}"), "w", force_zip64=True) as file:
                file.write(data)
    return b"".join(pipe.parts)


@dataclass(frozen=True)
class Archive:
    """One row; `unreadable` in place of marks: exit code 2."""

    name: str
    make: Callable[[], bytes]
    marks: str = "...."
    answers: str = "ICPC"
    findings: str = ""
    notes: str = ""
    public_key: bytes = LONGTERM.public_key

    @property
    def exit_code(self) -> int:
        """What the process must exit with."""
        return 2 if self.marks == "unreadable" else 1 if self.findings else 0


def raw(make: Callable[[], Zip]) -> Callable[[], bytes]:
    return lambda: make().bytes()


def unicode_path(name: bytes, other: bytes) -> bytes:
    return struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other


TEXT = Item(b"note.txt", b"seen")
NFC, NFD = (unicodedata.normalize(form, "relevé.txt").encode() for form in ("NFC", "NFD"))
HIDDEN = Item(b"00000.mp4", FORGED, listed=False)
A, H = "ACPC", "archive_hides"

LINK = 0o120777 << 16
N = "not_covered"


def path_field(name: bytes, other: bytes, crc: int | None = None, version: int = 1) -> bytes:
    return struct.pack("<HHBI", 0x7075, 5 + len(other), version, zlib.crc32(name) if crc is None else crc) + other


def named(name: bytes, *paths: bytes, crc: int | None = None, version: int = 1) -> bytes:
    """The export and a forged film under a name with these Unicode paths."""
    extra = b"".join(path_field(name, path, crc, version) for path in paths)
    return Zip(added(Item(name, FORGED, extra=extra))).bytes()


def other_path() -> bytes:
    """A text whose own header gives the Unicode path of a film."""
    made, path = named(b"relev\x82.txt", NFC), path_field(b"relev\x82.txt", NFC)
    return made.replace(path, path[:-3] + b"mp4", 1)


def second_list() -> bytes:
    """A zip64 locator that leads into a member, to another list, in which the film is a forged one."""
    rows, out, at = items(), b"", 0
    inside = sum(len(header(item)) for item in rows) + 30 + len(b"note.bin")
    film = Item(b"00000.mp4", FORGED)
    for item in rows:
        out += entry(film, inside) if item.name == film.name else entry(item, at)
        at += len(header(item))
    start = inside + len(header(film))
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, len(rows), len(rows), len(out), start)
    note = Item(b"note.bin", header(film) + out + end)
    most = {"count": 0xFFFF, "length": 0xFFFFFFFF, "start": 0xFFFFFFFF}
    made = Zip([*rows, note], with_end64=True, end=most).bytes()
    place = made.rindex(b"PK\6\7") + 8
    return made[:place] + struct.pack("<Q", start + len(out)) + made[place + 8 :]


ARCHIVES = [
    # --- as honest programs write them --------------------------------------------------------------------------------
    Archive("stored", lambda: written(zipfile.ZIP_STORED)),
    Archive("deflated", lambda: written(zipfile.ZIP_DEFLATED)),
    Archive("streamed in a folder", streamed),
    Archive("zip64 where none is needed", raw(lambda: Zip(items(wide=True), with_end64=True))),
    Archive("zip64 with lengths that follow", raw(lambda: Zip(items(wide=True, deferred=True), with_end64=True))),
    Archive("deflated, with lengths that follow", raw(lambda: Zip(items(method=8, deferred=True)))),
    Archive("reordered", raw(lambda: Zip(items(method=8)[::-1]))),
    Archive("a folder and its entry", raw(lambda: Zip([Item(b"rec/", b""), *items("rec/")]))),
    Archive("names that begin with ./", raw(lambda: Zip(items("./")))),
    Archive("names with backslashes", raw(lambda: Zip(items("rec\\")))),
    Archive("a name of code page 437", raw(lambda: Zip(added(Item(b"relev\x82.txt", b"x")))), notes="not_covered"),
    Archive(
        "a name of code page 437 and its Unicode path",
        raw(lambda: Zip(added(Item(b"relev\x82.txt", b"x", extra=unicode_path(b"relev\x82.txt", NFC))))),
        notes="not_covered",
    ),
    Archive("a comment", raw(lambda: Zip(items(), comment=b"sent on 2 January")), notes="archive_comment"),
    Archive("a comment on a file", raw(lambda: Zip(media(comment=b"the film"))), notes="archive_comment"),
    Archive(
        "a link", raw(lambda: Zip(added(Item(b"link", b"/etc/passwd", attributes=0o120777 << 16)))), notes="link_not_followed"
    ),
    Archive("a text in LZMA beside it", raw(lambda: Zip(added(replace(TEXT, method=14)))), notes="not_covered"),
    Archive("a text with a password beside it", raw(lambda: Zip(added(replace(TEXT, flags=1)))), notes="not_covered"),
    # --- bytes that are part of nothing -------------------------------------------------------------------------------
    Archive("a film before the archive", raw(lambda: Zip(items(), prefix=FORGED)), answers=A, findings="archive_bytes"),
    Archive(
        "a film before the archive, counted",
        raw(lambda: Zip(items(), prefix=FORGED, shifted=True)),
        answers=A,
        findings="archive_bytes",
    ),
    Archive("bytes between two members", raw(lambda: Zip(media(before=b"hidden"))), answers=A, findings="archive_bytes"),
    Archive("bytes before the list", raw(lambda: Zip(items(), gap=FORGED)), answers=A, findings="archive_bytes"),
    Archive("bytes after the end", raw(lambda: Zip(items(), suffix=b"more")), answers=A, findings="archive_bytes"),
    Archive("an archive after an archive", lambda: written(0) + written(0), answers=A, findings="archive_bytes"),
    # --- another content for another program --------------------------------------------------------------------------
    Archive("a forged film that the list does not name", raw(lambda: Zip(added(HIDDEN))), answers=A, findings="archive_bytes"),
    Archive("a forged film before the true one", raw(lambda: Zip([HIDDEN, *items()])), answers=A, findings="archive_bytes"),
    Archive("a name in the list only", raw(lambda: Zip(added(replace(TEXT, local=False)))), answers=A, findings=H),
    Archive(
        "a header with another name",
        raw(lambda: Zip(added(replace(TEXT, local_name=b"film.txt")))),
        answers=A,
        findings=H,
        notes="not_covered",
    ),
    Archive(
        "a header with another name of the same file",
        raw(lambda: Zip(media(local_name=b"00001.mp4"))),
        answers=A,
        findings=H,
    ),
    Archive(
        "two names for one member",
        raw(lambda: Zip(added(Item(b"film.txt", FILES["00000.mp4"], local=False, of=list(FILES).index("00000.mp4"))))),
        answers=A,
        findings="archive_hides archive_hides",
        notes="not_covered",
    ),
    Archive(
        "an ASCII name with another Unicode path",
        raw(lambda: Zip(media(extra=unicode_path(b"00000.mp4", b"00009.mp4")))),
        answers=A,
        findings=H,
    ),
    Archive(
        "stored bytes of two lengths",
        raw(lambda: Zip(added(replace(TEXT, size=3)))),
        answers=A,
        findings=H,
        notes="not_covered",
    ),
    Archive(
        "a member inside the compressed bytes of another",
        raw(lambda: Zip(media(method=8, packed_tail=header(HIDDEN)))),
        answers=A,
        findings=H,
    ),
    Archive(
        "more bytes than the list says",
        raw(lambda: Zip(added(replace(TEXT, method=8, size=2)))),
        answers=A,
        findings=H,
        notes="not_covered",
    ),
    Archive("a second end in the comment", raw(lambda: Zip(items(), comment=Zip([]).bytes())), "unreadable"),
    Archive(
        "a second end in the comment that ends before",
        raw(lambda: Zip(items(), comment=Zip([]).bytes() + b" ")),
        answers=A,
        findings=H,
        notes="archive_comment",
    ),
    Archive(
        "two ends that name different places",
        raw(lambda: Zip(items(), with_end64=True, end={"start": 7})),
        answers=A,
        findings=H,
    ),
    # --- another content for programs that follow another field -------------------------------------------------------
    Archive("a second list that the end names", second_list, answers=A, findings=H, notes="not_covered"),
    Archive("a Unicode path twice", lambda: named(b"note.txt", b"note.txt", b"film.mp4"), answers=A, findings=H, notes=N),
    Archive(
        "a Unicode path that does not fit its name",
        lambda: named(b"\x82.mp4", b"note.txt", crc=1),
        answers=A,
        findings=H,
        notes=N,
    ),
    Archive("a Unicode path of version 2", lambda: named(b"\x82.txt", b"note.txt", version=2), answers=A, findings=H, notes=N),
    Archive("a film by its name, a text by its path", lambda: named(b"\x82.mp4", b"note.txt"), answers=A, findings=H, notes=N),
    Archive("a header with another Unicode path", other_path, answers=A, findings=H, notes=N),
    Archive(
        "a film that is marked as a link",
        raw(lambda: Zip(added(Item(b"derived/playable.mp4", FORGED, attributes=LINK)))),
        answers=A,
        findings=H,
        notes="link_not_followed",
    ),
    Archive(
        "a link with the name of the film",
        raw(lambda: Zip(added(Item(b"00000.mp4", b"../film", attributes=LINK)))),
        answers=A,
        findings="name_twice",
        notes="link_not_followed",
    ),
    Archive(
        "a folder that holds a film", raw(lambda: Zip(added(Item(b"x/", FORGED, method=8, size=0)))), answers=A, findings=H
    ),
    Archive("an empty folder, deflated", raw(lambda: Zip(added(Item(b"x/", b"", method=8))))),
    Archive(
        "lengths twice",
        raw(lambda: Zip(media(wide=True, extra=struct.pack("<HHQQ", 1, 16, *[len(FILES["00000.mp4"])] * 2)))),
        answers=A,
        findings=H,
    ),
    Archive(
        "a film in a folder whose name has two lines",
        raw(lambda: Zip(added(Item(b"a\nb/film.mp4", FORGED)))),
        answers=A,
        findings="derived_shown@1",
    ),
    Archive(
        "a film whose name ends in a dot and a space",
        raw(lambda: Zip(added(Item(b"film.mp4. ", FORGED)))),
        answers=A,
        findings="derived_shown@1",
    ),
    Archive(
        "a film that begins like what macOS leaves",
        raw(lambda: Zip(added(Item(b"._film.mp4", bytes.fromhex("0005160700020000") + FORGED)))),
        answers=A,
        findings="derived_unreadable@1",
    ),
    Archive(
        "what macOS leaves beside a film",
        raw(lambda: Zip(added(Item(b"._00000.mp4", bytes.fromhex("0005160700020000") + bytes(90))))),
        notes="left_by_system",
    ),
    # --- names --------------------------------------------------------------------------------------------------------
    Archive(
        "a name twice, the later forged",
        raw(lambda: Zip(added(Item(b"00000.mp4", FORGED)))),
        "...X",
        A,
        "fragment_altered@3 name_twice",
    ),
    Archive(
        "a name twice, the earlier forged",
        raw(lambda: Zip([Item(b"00000.mp4", FORGED), *items()])),
        answers=A,
        findings="name_twice",
    ),
    Archive(
        "two names that differ in case",
        raw(lambda: Zip(added(TEXT, Item(b"NOTE.txt", b"other")))),
        answers=A,
        findings="name_twice",
        notes="not_covered not_covered",
    ),
    Archive(
        "the chain in two cases",
        raw(lambda: Zip(added(Item(b"Chain", b"other")))),
        answers=A,
        findings="name_twice",
        notes="not_covered",
    ),
    Archive(
        "two names that differ in Unicode form",
        raw(lambda: Zip(added(Item(NFC, b"one", flags=2048), Item(NFD, b"two", flags=2048)))),
        answers=A,
        findings="name_twice",
        notes="not_covered not_covered",
    ),
    Archive(
        "a name with a dot at its end",
        raw(lambda: Zip(added(Item(b"00000.mp4. ", FORGED)))),
        answers=A,
        findings="derived_shown@1 name_twice",
    ),
    Archive(
        "a name that leaves the folder",
        raw(lambda: Zip(added(Item(b"../00000.mp4", FORGED)))),
        answers=A,
        findings="name_astray",
    ),
    Archive(
        "a name that goes out and in",
        raw(lambda: Zip(added(Item(b"x/../00000.mp4", FORGED)))),
        answers=A,
        findings="name_astray",
    ),
    Archive("a name with a drive", raw(lambda: Zip(added(Item(b"C:\\film.txt", FORGED)))), answers=A, findings="name_astray"),
    Archive("an absolute name", raw(lambda: Zip(added(Item(b"/film.txt", FORGED)))), answers=A, findings="name_astray"),
    Archive("a name with a zero", raw(lambda: Zip(added(Item(b"chain\0.txt", FORGED)))), answers=A, findings="name_astray"),
    # --- what cannot be read: no word about the recording -------------------------------------------------------------
    Archive("media in LZMA", raw(lambda: Zip(media(method=14))), "unreadable"),
    Archive("a chain in bzip2", lambda: written(zipfile.ZIP_BZIP2), "unreadable"),
    Archive("media with a password", raw(lambda: Zip(media(flags=1))), "unreadable"),
    Archive("an archive cut off", lambda: written(0)[:-9], "unreadable"),
    Archive("an archive whose beginning is lost", lambda: written(0)[99:], "unreadable"),
    Archive("a part of several", raw(lambda: Zip(items(), end={"disk": 1})), "unreadable"),
    Archive("two ends that count differently", raw(lambda: Zip(items(), with_end64=True, end={"count": 1})), "unreadable"),
    Archive("a list that is longer than it says", raw(lambda: Zip(items(), end={"count": 1})), "unreadable"),
    Archive("no archive", lambda: b"not a zip", "unreadable"),
]
