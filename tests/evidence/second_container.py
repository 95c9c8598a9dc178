"""The second checker's zip archives, written from FORMAT.md §1a alone: it shares no code with the relay.

It answers with the files of an archive and the findings about it; `second_checker.check` goes on from there.
"""

import struct
import unicodedata
import zlib
from collections.abc import Iterable
from typing import Any

from tests.evidence.second_checker import Bad, Files


def find(data: bytes, at: int, layout: str) -> tuple[Any, ...]:
    if at < 0 or at + struct.calcsize("<" + layout) > len(data):
        raise Bad("cut off")
    return struct.unpack_from("<" + layout, data, at)


def extra_fields(data: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while len(data) >= 4:
        kind, length = struct.unpack("<HH", data[:4])
        fields.setdefault(kind, data[4 : 4 + length])
        data = data[4 + length :]
    return fields


def doubled(data: bytes) -> bool:
    kinds = []
    while len(data) >= 4:
        kind, length = struct.unpack("<HH", data[:4])
        kinds.append(kind)
        data = data[4 + length :]
    return kinds.count(1) > 1 or kinds.count(0x7075) > 1


def ending(name: str) -> str:
    last = name.rsplit(".", 1)[-1]
    return last if "." in name and last.isascii() else ""


def wide(field: bytes, *numbers: int) -> list[int]:
    """The numbers, each from the zip64 field where it is 2³²−1."""
    out = []
    for number in numbers:
        if number == 0xFFFFFFFF and len(field) >= 8:
            number, field = int.from_bytes(field[:8], "little"), field[8:]
        out.append(number)
    return out


class Archive:
    """One archive."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.findings: set[str] = set()
        self.files: Files = {}
        self.unreadable: set[str] = set()
        self.links: set[str] = set()
        self.taken: list[tuple[int, int]] = []
        self.read()

    def read(self) -> None:
        data = self.data
        ends = [at for at in range(max(len(data) - 65557, 0), len(data) - 21) if data[at : at + 4] == b"PK\5\6"]
        if not ends:
            raise Bad("no end record")
        whole = [at for at in ends if at + 22 + find(data, at + 20, "H")[0] == len(data)]
        end = (whole or ends)[-1]
        comment = data[end + 22 : end + 22 + find(data, end + 20, "H")[0]]
        if b"PK\5\6" in comment or len(whole) > 1:
            self.findings.add("archive_hides")
        self.taken.append((end, end + 22 + len(comment)))
        disk, start_disk, here, count, length, offset = find(data, end + 4, "HHHHII")
        before = end
        if data[end - 20 : end - 16] == b"PK\6\7" and end >= 20:
            before = end - 76
            if data[before : before + 4] != b"PK\6\6" or find(data, before + 4, "Q") != (44,):
                raise Bad("zip64")
            small, (count, length, offset) = (count, length, offset), find(data, before + 32, "QQQ")
            for was, now, most in zip(small, (count, length, offset), (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True):
                if was not in (now, most):
                    self.findings.add("archive_hides")
            if find(data, end - 12, "Q")[0] != length + offset:
                self.findings.add("archive_hides")
            self.taken.append((before, end))
        if disk != start_disk or here not in (count, 0xFFFF) or count > 20_000:
            raise Bad("several parts, or too many members")
        first = before - length
        shift = first - offset
        if first < 0 or shift < 0:
            raise Bad("cut off")
        self.taken.append((first, before))
        at = first
        for _ in range(count):
            at = self.entry(at, shift, before)
        if at != before:
            raise Bad("list")
        self.holes()

    def entry(self, at: int, shift: int, limit: int) -> int:
        data = self.data
        if data[at : at + 4] != b"PK\1\2" or at + 46 > limit:
            raise Bad("list")
        _, made_by, _, flags, method, _, crc, packed, size = find(data, at + 4, "BBHHHIIII")
        names, extras, comments, _, _, attributes, offset = find(data, at + 28, "HHHHHII")
        stop = at + 46 + names + extras + comments
        if stop > limit:
            raise Bad("list")
        raw, fields = data[at + 46 : at + 46 + names], extra_fields(data[at + 46 + names : at + 46 + names + extras])
        size, packed, offset = wide(fields.get(1, b""), size, packed, offset)
        said = {"raw": raw, "flags": flags, "method": method, "crc": crc, "packed": packed, "size": size}
        said["twice"] = doubled(data[at + 46 + names : at + 46 + names + extras])
        if 0x7075 in fields and len(fields[0x7075]) >= 5 and not raw.isascii() and not flags & 2048:
            version, crc_of_name = struct.unpack("<BI", fields[0x7075][:5])
            path = fields[0x7075][5:].decode("utf-8", "surrogateescape")
            if version != 1 or crc_of_name != zlib.crc32(raw) or ending(raw.decode("cp437")) != ending(path):
                self.findings.add("archive_hides")
        said["field"] = fields.get(0x7075, b"")
        said |= {"path": fields.get(0x7075, b"")[5:], "link": made_by == 3 and attributes >> 28 == 0xA}
        self.member(said, offset + shift)
        return int(stop)

    def member(self, said: dict[str, Any], at: int) -> None:
        data = self.data
        if data[at : at + 4] != b"PK\3\4" or at + 30 > len(data):
            self.findings.add("archive_hides")
            return
        flags, method, _, crc, packed, size, names, extras = find(data, at + 6, "HHIIIIHH")
        begin = at + 30 + names + extras
        raw, fields = data[at + 30 : at + 30 + names], extra_fields(data[at + 30 + names : begin])
        size, packed = wide(fields.get(1, b""), size, packed)
        stop = begin + said["packed"]
        if stop > len(data):
            raise Bad("cut off")
        none = (0, 0xFFFFFFFF) if flags & 8 else ()
        pairs = ((crc, said["crc"]), (packed, said["packed"]), (size, said["size"]))
        same = raw == said["raw"] and method == said["method"] and not (flags ^ said["flags"]) & 1
        same = same and all(mine == theirs or mine in none for mine, theirs in pairs)
        same = same and (raw.isascii() or not (flags ^ said["flags"]) & 2048)
        for path in (said["path"], fields.get(0x7075, b"")[5:]):
            same = same and not (path and path != said["raw"] and (raw.isascii() or flags & 2048))
        own = fields.get(0x7075, b"")
        if own[5:] and own != (said["field"] or own[:5] + raw):
            same = False
        if said["twice"] or doubled(data[at + 30 + names : begin]):
            same = False
        if said["method"] == 0 and said["packed"] != said["size"] and not said["flags"] & 1:
            same = False
        if not same:
            self.findings.add("archive_hides")
        if flags & 8:
            stop += self.descriptor(stop, said)
        self.taken.append((at, stop))
        self.keep(said, data[begin : begin + said["packed"]])

    def descriptor(self, at: int, said: dict[str, Any]) -> int:
        for form in ("<IQQ", "<III"):
            if form == "<III" and max(said["packed"], said["size"]) > 0xFFFFFFFF:
                continue
            rest = struct.pack(form, said["crc"], said["packed"], said["size"])
            for whole in (b"PK\7\10" + rest, rest):
                if self.data[at : at + len(whole)] == whole:
                    return len(whole)
        return 0

    def keep(self, said: dict[str, Any], packed: bytes) -> None:
        raw = said["path"] if said["path"] and not said["raw"].isascii() and not said["flags"] & 2048 else said["raw"]
        utf8 = said["flags"] & 2048 or raw is not said["raw"]
        name = (raw.decode("utf-8", "surrogateescape") if utf8 else raw.decode("cp437")).replace("\\", "/").removeprefix("./")
        folder = name.endswith("/") and said["size"] == 0
        parts = name.removesuffix("/").split("/") if folder else name.split("/")
        astray = any(part in ("", ".", "..") for part in parts) or "\0" in name or (name[1:2] == ":" and name[:1].isalpha())
        if folder or said["link"] or astray:
            self.findings.update({"name_astray"} if astray and not (said["link"] and not folder) else ())
            if folder and len(packed) > 2 and not astray:
                self.findings.add("archive_hides")
            if said["link"] and not folder:
                self.links.add(name)
                if len(packed) > 4096 or b"\0" in packed:
                    self.findings.add("archive_hides")
            return
        if name in self.files or name in self.unreadable:
            self.findings.add("name_twice")
        if said["flags"] & 1 or said["method"] not in (0, 8):
            self.unreadable.add(name)
            return
        self.files[name] = packed if said["method"] == 0 else self.inflate(packed, said["size"])

    def inflate(self, packed: bytes, size: int) -> bytes:
        opener, plain = zlib.decompressobj(-15), b""
        try:
            plain = opener.decompress(packed)
        except zlib.error:
            self.findings.add("archive_hides")
        if not opener.eof or opener.unused_data or len(plain) != size:
            self.findings.add("archive_hides")
        return plain[:size]

    def holes(self) -> None:
        at = 0
        for begin, stop in [*sorted(self.taken), (len(self.data), len(self.data))]:
            if begin > at:
                self.findings.add("archive_bytes")
            if begin < at:
                self.findings.add("archive_hides")
            at = max(at, stop)


def same_name(name: str) -> str:
    parts = [part.rstrip(". ") or part for part in unicodedata.normalize("NFC", name).split("/")]
    return unicodedata.normalize("NFC", "/".join(parts).casefold())


def name_findings(names: Iterable[str]) -> set[str]:
    found = list(names)
    return {"name_twice"} if len({same_name(name) for name in found}) < len(found) else set()


def open_archive(data: bytes) -> tuple[Files, set[str], set[str]]:
    """Return the files, the findings, and the names that are there but cannot be read; raises Bad."""
    archive = Archive(data)
    names = [*archive.files, *archive.unreadable]
    tops = {name.split("/")[0] if "/" in name else "" for name in names}
    top = f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""
    findings = archive.findings | name_findings(names)
    if {name.removeprefix(top) for name in archive.links} & {name.removeprefix(top) for name in names}:
        findings.add("name_twice")
    files = {name.removeprefix(top): content for name, content in archive.files.items()}
    return files, findings, {name.removeprefix(top) for name in archive.unreadable}
