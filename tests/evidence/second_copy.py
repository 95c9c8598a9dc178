"""The second checker's view of a playable copy, from FORMAT.md §7.6 and §7.7 alone; it shares no code with the relay."""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

S = 1_000_000_000
UNITY = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
INSIDE = {
    "": "ftyp styp moov moof mdat sidx ssix mfra prft emsg",
    "moov": "mvhd trak mvex iods udta meta",
    "trak": "tkhd edts mdia udta meta",
    "edts": "elst",
    "mdia": "mdhd hdlr minf elng",
    "minf": "vmhd smhd dinf stbl",
    "dinf": "dref",
    "dref": "url",
    "stbl": "stsd stts ctts cslg stss stsz stz2 stsc stco co64 sdtp sgpd sbgp",
    "stsd": "avc1 avc3 Opus",
    "avc1": "avcC btrt pasp colr",
    "avc3": "avcC btrt pasp colr",
    "Opus": "dOps btrt",
    "mvex": "mehd trex trep",
    "moof": "mfhd traf",
    "traf": "tfhd tfdt trun sdtp sgpd sbgp",
}
VERSIONS = dict.fromkeys(["mvhd", "tkhd", "mdhd", "elst", "ctts", "mehd", "tfdt", "trun"], 1)
VERSIONS |= dict.fromkeys(["hdlr", "vmhd", "smhd", "dref", "url", "stsd", "stts", "stss", "stsz", "stz2", "stsc", "stco"], 0)
VERSIONS |= dict.fromkeys(["co64", "trex", "mfhd", "tfhd"], 0)
TEXTS = {
    "udta": "meta name titl auth dscp cprt perf gnre loci date yrrc albm kywd clsf rtng kind Xtra",
    "meta": "hdlr keys ilst",
    "ilst": "---- desc ldes cprt trkn disk aART gnre tmpo keyw catg",
}
SEVERAL = ["trak", "trex", "traf", "trun", "url", "avc1", "avc3", "Opus", "udta", "sgpd", "sbgp", "free", "skip", "wide"]
START = {"dref": 8, "stsd": 8, "avc1": 78, "avc3": 78, "Opus": 28}
SHAPES = [
    "0/0",
    "1/1",
    "12/11",
    "10/11",
    "16/11",
    "40/33",
    "24/11",
    "20/11",
    "32/11",
    "80/33",
    "18/11",
    "15/11",
    "64/33",
    "160/99",
    "4/3",
    "3/2",
    "2/1",
]


class Unreadable(Exception):
    """§7.6: derived_unreadable."""


class Shown(Exception):
    """§7.6: derived_shown."""


def u(data: bytes, at: int, width: int = 4) -> int:
    if at < 0 or at + width > len(data):
        raise Unreadable("field")
    return int.from_bytes(data[at : at + width], "big")


@dataclass
class Node:
    """A box: its payload, and where that lies in the file."""

    kind: str
    data: bytes
    at: int
    inner: "list[Node]" = field(default_factory=list)

    def all(self, path: str) -> "list[Node]":
        found = [self]
        for step in path.split("/"):
            found = [child for one in found for child in one.inner if child.kind == step]
        return found

    def get(self, path: str) -> "Node":
        if not (found := self.all(path)):
            raise Unreadable(path)
        return found[0]


class Doubts(list[str]):
    """What §7.6 calls not judged."""


def boxes(data: bytes, begin: int, parent: str, doubts: Doubts) -> Iterator[Node]:
    at, seen = START.get(parent, 0), set()
    if at > len(data):
        raise Unreadable("short")
    while at < len(data):
        size, head = u(data, at), 8
        kind = data[at + 4 : at + 8].decode("latin-1").strip()
        if size == 1:
            size, head = u(data, at + 8, 8), 16
        if size == 0 and parent:
            raise Unreadable("no length")
        if head == 16 and (parent or kind in ("moov", "moof")):
            raise Unreadable("64 bits")
        size = len(data) - at if size == 0 else size
        if size < head or at + size > len(data):
            raise Unreadable("size")
        if kind in seen and kind not in SEVERAL and parent:
            raise Unreadable("twice")
        seen.add(kind)
        node = Node(kind, data[at + head : at + size], begin + at + head)
        known = kind in INSIDE[parent].split()
        if known and parent and kind in VERSIONS and u(node.data, 0, 1) > VERSIONS[kind]:
            raise Unreadable("version")
        if not known and kind not in ("free", "skip", "wide"):
            doubts.append(kind)
        if known and kind in INSIDE and parent:
            node.inner = list(boxes(node.data, node.at, kind, doubts))
        if (
            known
            and kind in ("sgpd", "sbgp")
            and node.data[4:8].decode("latin-1").strip() not in ("roll", "prol", "rap", "tele", "sync")
        ):
            doubts.append("group")
        if known and kind in ("udta", "meta"):
            texts(node.data, kind, doubts)
            doubts += [
                word for word in ["covr", "iTunSMPB", "LOOP", "AllF", "SelO", "WLOC", "rotate"] if word.encode() in node.data
            ]
        yield node
        at += size


def texts(data: bytes, kind: str, doubts: Doubts) -> None:
    at = 4 if kind == "meta" and data[:4] == bytes(4) else 0
    if kind == "meta" and (data[at + 4 : at + 8] != b"hdlr" or data[at + 16 : at + 20] not in (b"mdir", b"mdta")):
        doubts.append("handler")
    while data[at:].strip(b"\0"):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].decode("latin-1")
        if len(name) < 4 or size < 8 or at + size > len(data):
            doubts.append("text")
            return
        allowed = [*TEXTS[kind].split(), "free", "skip", "wide"]
        if name not in allowed and name[0] != "\xa9" and not (kind == "ilst" and name[0] == "\0"):
            doubts.append(name)
        elif name in TEXTS:
            texts(data[at + 8 : at + size], name, doubts)
        at += size


def unfold(node: Node, doubts: Doubts) -> Node:
    node.inner = list(boxes(node.data, node.at, node.kind, doubts))
    return node


# --- configurations ---------------------------------------------------------------------------------------------------


def bits_of(sps: bytes) -> tuple[tuple[int, int], list[int], int]:
    """Return pixel shape, three colours and full_range of an SPS."""
    text = "".join(f"{byte:08b}" for byte in sps[1:].replace(b"\0\0\3", b"\0\0"))
    place = 0

    def f(n: int) -> int:
        nonlocal place
        if place + n > len(text):
            raise Unreadable("sps")
        place += n
        return int(text[place - n : place] or "0", 2)

    def e() -> int:
        zeros = 0
        while f(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + f(zeros)

    profile = f(8)
    f(16)
    e()
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = e()
        if chroma == 3:
            f(1)
        e(), e(), f(1)
        for n in range(12 if chroma == 3 else 8) if f(1) else ():
            last = after = 8
            for _ in range((16 if n < 6 else 64) if f(1) else 0):
                if after:
                    code = e()
                    after = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
                last = after or last
    e()
    order = e()
    if order == 0:
        e()
    if order == 1:
        f(1), e(), e()
        for _ in range(e()):
            e()
    e(), f(1), e(), e()
    if f(1) == 0:
        f(1)
    f(1)
    if f(1):
        e(), e(), e(), e()
    shape, colours, full = (0, 0), [2, 2, 2], 0
    if f(1):
        if f(1):
            kind = f(8)
            shape = (f(16), f(16)) if kind == 255 else tuple(map(int, SHAPES[kind].split("/"))) if kind < 17 else (0, 0)  # type: ignore[assignment]
        if f(1):
            f(1)
        if f(1):
            f(3)
            full = f(1)
            if f(1):
                colours = [f(8), f(8), f(8)]
    return shape, colours, full


def avcc(data: bytes) -> tuple[Any, ...]:
    if len(data) < 7 or data[0] != 1:
        raise Unreadable("avcC")
    at, sets = 5, []
    for mask in (31, 255):
        count, group = u(data, at, 1) & mask, []
        at += 1
        for _ in range(count):
            size = u(data, at, 2)
            u(data, at + 2, max(size, 1)) if size else None
            group.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        sets.append(tuple(group))
    if data[at:] and (len(data) - at != 4 or data[-1]):
        raise Unreadable("avcC")
    return data[1:4], data[4] & 3, *sets


def set_id(unit: bytes) -> tuple[int, int] | None:
    """Return type and number of an SPS or PPS."""
    kind = unit[0] & 31 if unit else 0
    if kind not in (7, 8):
        return None
    text = "".join(f"{byte:08b}" for byte in unit[4 if kind == 7 else 1 :][:16].replace(b"\0\0\3", b"\0\0"))
    zeros = len(text) - len(text.lstrip("0"))
    digits = text[zeros : 2 * zeros + 1]
    return (kind, int(digits, 2) - 1) if len(digits) == zeros + 1 and zeros <= 32 else None


def dops(data: bytes) -> tuple[Any, ...]:
    if len(data) < 11 or data[0]:
        raise Unreadable("dOps")
    return data[1], data[2:4], data[8:10], data[10:]


@dataclass
class Track:
    kind: str
    scale: int
    entries: list[tuple[Any, ...]]
    stbl: Node
    empty: int = 0
    media: int = 0
    end: int | None = None
    lengths: list[int] = field(default_factory=list)
    medias: list[int] = field(default_factory=list)
    trex: tuple[int, int, int] | None = None

    def at(self, time: int) -> int:
        return self.empty + (time - self.media) * S // self.scale


def scaled(node: Node, short: int, long: int, scale: int) -> list[int]:
    wide = node.data[:1] == b"\1"
    length = u(node.data, long if wide else short, 8 if wide else 4)
    return [] if length in (0, 2**32 - 1, 2**64 - 1) else [length * S // scale]


def movie(moov: Node, doubts: Doubts, wrong: list[str]) -> dict[int, Track]:
    """Return the tracks by number; `wrong` gets what is derived_shown."""
    head = moov.get("mvhd").data
    at = 20 if u(head, 0, 1) else 12
    scale, rest = u(head, at), at + (12 if head[0] else 8)
    u(head, rest + 16 + 35, 1)
    if not scale:
        raise Unreadable("timescale")
    if head[rest : rest + 6] != b"\0\1\0\0\1\0" or head[rest + 16 : rest + 52] != UNITY:
        wrong.append("mvhd")
    chosen(moov, wrong)
    tracks: dict[int, Track] = {}
    numbers = []
    for trak in moov.all("trak"):
        tkhd, mdhd, hdlr = trak.get("tkhd").data, trak.get("mdia/mdhd").data, trak.get("mdia/hdlr").data
        numbers.append(number := u(tkhd, 20 if u(tkhd, 0, 1) else 12))
        if not number or not 0 < u(mdhd, 20 if u(mdhd, 0, 1) else 12) < 1 << 31 or scale >> 31:
            raise Unreadable("track")
        u(hdlr, 8)
        if hdlr[8:12] not in (b"vide", b"soun"):
            wrong.append("further track")
            continue
        kind = "video" if hdlr[8:12] == b"vide" else "audio"
        track = Track(kind, u(mdhd, 20 if mdhd[0] else 12), [], trak.get("mdia/minf/stbl"))
        stsd = trak.get("mdia/minf/stbl/stsd")
        for entry in stsd.inner:
            describe(entry, track, doubts, wrong)
        if len(track.entries) != u(stsd.data, 4):
            wrong.append("stsd")
        references = trak.all("mdia/minf/dinf/dref/url")
        stated = [u(table.data, 4) for table in trak.all("mdia/minf/dinf/dref")]
        if len(references) != 1 or stated != [1] or not u(references[0].data, 0) & 1:
            wrong.append("dref")
        placed(tkhd, track, wrong)
        for name, width in (("vmhd", 8), ("smhd", 2)):
            if any(u(one.data, 4, width) for one in trak.all("mdia/minf/" + name)):
                wrong.append(name)
        edit(trak, track, scale, wrong)
        track.lengths = scaled(trak.get("tkhd"), 20, 28, scale)
        track.medias = scaled(trak.get("mdia/mdhd"), 16, 24, track.scale)
        for trex in moov.all("mvex/trex"):
            if u(trex.data, 4) == number:
                track.trex = u(trex.data, 8), u(trex.data, 12), u(trex.data, 16)
        tracks[number] = track
    if len(set(numbers)) != len(numbers):
        raise Unreadable("two tracks of one number")
    if len({track.kind for track in tracks.values()}) != len(tracks):
        wrong.append("several of a kind")
    return tracks


def chosen(moov: Node, wrong: list[str]) -> None:
    extended = [u(trex.data, 4) for trex in moov.all("mvex/trex")]
    if len(set(extended)) != len(extended):
        raise Unreadable("two trex")
    headers = [trak.get("tkhd").data for trak in moov.all("trak")]
    groups = [group for header in headers if (group := u(header, 46 if u(header, 0, 1) else 34, 2))]
    flags = [u(header, 0) & 6 for header in headers]
    if len(set(groups)) != len(groups) or (any(flags) and not all(flag & 2 for flag in flags)):
        wrong.append("chosen")


def describe(entry: Node, track: Track, doubts: Doubts, wrong: list[str]) -> None:
    if entry.kind not in (("avc1", "avc3") if track.kind == "video" else ("Opus",)):
        wrong.append("codec")
        return
    if u(entry.data, 6, 2) != 1:
        wrong.append("data reference")
    if entry.kind == "Opus":
        if u(entry.data, 8, 2):
            doubts.append("version")
        if u(entry.data, 24) != 48000 << 16:
            wrong.append("sample rate")
        track.entries.append((dops(entry.get("dOps").data),))
        return
    configuration = avcc(entry.get("avcC").data)
    width, height = u(entry.data, 24, 2), u(entry.data, 26, 2)
    if u(entry.data, 74, 2) != 24 or u(entry.data, 76, 2) != 0xFFFF:
        wrong.append("depth")
    shape, colours, full = bits_of(configuration[2][0]) if configuration[2] else ((0, 0), [2, 2, 2], 0)
    for pasp in entry.all("pasp"):
        if u(pasp.data, 0) * (shape[1] or 1) != u(pasp.data, 4) * (shape[0] or 1):
            wrong.append("pasp")
    for colr in entry.all("colr"):
        if colr.data[:4] not in (b"nclx", b"nclc"):
            doubts.append("colr")
            continue
        if any(u(colr.data, 4 + 2 * n, 2) not in (2, colours[n]) for n in range(3)):
            wrong.append("colr")
        if colr.data[:4] == b"nclx" and u(colr.data, 10, 1) >> 7 != full:
            wrong.append("full range")
    track.entries.append((configuration, width, height, shape))


def placed(tkhd: bytes, track: Track, wrong: list[str]) -> None:
    at = 44 if tkhd[0] else 32
    u(tkhd, at + 48)
    if not tkhd[3] & 1 or u(tkhd, at, 2):
        wrong.append("enabled, layer")
    if track.kind == "audio":
        if u(tkhd, at + 4, 2) != 256:
            wrong.append("volume")
        return
    if tkhd[at + 8 : at + 44] != UNITY:
        wrong.append("matrix")
    for _, width, height, shape in track.entries[:1]:
        said, tall = u(tkhd, at + 44) / 65536, u(tkhd, at + 48) / 65536
        wide = Fraction(*shape) if all(shape) else Fraction(1)
        if abs(tall - height) >= 1 or min(abs(said - width), abs(said - width * wide)) >= 1:
            wrong.append("size")


def edit(trak: Node, track: Track, scale: int, wrong: list[str]) -> None:
    for elst in trak.all("edts/elst"):
        wide = u(elst.data, 0, 1) == 1
        width = 8 if wide else 4
        real = 0
        if u(elst.data, 0) & 0xFFFFFF:
            wrong.append("flags")
        for n in range(u(elst.data, 4)):
            at = 8 + n * (2 * width + 4)
            length, media, rate = u(elst.data, at, width), u(elst.data, at + width, width), u(elst.data, at + 2 * width)
            if rate != 65536 or real:
                wrong.append("elst")
            if media >> (8 * width - 1):
                if media != (1 << 8 * width) - 1 or track.empty:
                    wrong.append("empty edit")
                track.empty += length * S // scale
                continue
            real += 1
            track.media = media
            track.end = None if length in (0, 2**32 - 1, 2**64 - 1) else track.empty + length * S // scale
            base = track.empty
        if real:
            track.empty = base
        elif u(elst.data, 4):
            wrong.append("elst")


# --- samples ----------------------------------------------------------------------------------------------------------


@dataclass
class Sample:
    track: Track
    entry: int
    time: int
    shown: int
    start: int
    size: int
    shift: int


def tabled(track: Track) -> Iterator[Sample]:
    tables = {child.kind: child.data for child in track.stbl.inner}
    if {"stsz", "stz2"} <= set(tables) or {"stco", "co64"} <= set(tables):
        raise Unreadable("both")
    if not (set(tables) & {"stsz", "stz2"} and set(tables) & {"stco", "co64"} and {"stts", "stsc"} <= set(tables)):
        return
    if track.kind == "audio" and (u(tables["stts"], 4) == 1 == u(tables["stts"], 12)):
        raise Unreadable("ticks")
    sizes, count = sizes_of(tables)
    if "ctts" in tables and count:
        for n in range(u(tables["ctts"], 4)):
            value = u(tables["ctts"], 12 + 8 * n)
            if min(value, 2**32 - value) >= 1 << 28:
                raise Unreadable("composition")
    durations = spread(tables["stts"], count, signed=True)
    shifts = (
        spread(tables["ctts"], count, signed=tables["ctts"][:1] == b"\0")
        if "ctts" in tables and count
        else iter([0] * min(count, 1 << 20))
    )
    chunk = "stco" if "stco" in tables else "co64"
    width = 4 if chunk == "stco" else 8
    chunks = u(tables[chunk], 4)
    u(tables[chunk], 8, width * chunks) if chunks else None
    rows = [tuple(u(tables["stsc"], 8 + 12 * n + 4 * k) for k in range(3)) for n in range(u(tables["stsc"], 4))]
    ends = [row[0] for row in rows[1:]] + [chunks + 1]
    wrong = any(end <= row[0] or not row[1] for row, end in zip(rows, ends, strict=False)) or (rows and rows[0][0] != 1)
    if wrong or sum(row[1] * (end - row[0]) for row, end in zip(rows, ends, strict=False)) != count:
        raise Unreadable("stsc")
    number = time = 0
    for row, end in zip(rows, ends, strict=False):
        for index in range(row[0], end):
            at = u(tables[chunk], 8 + width * (index - 1), width)
            for _ in range(row[1]):
                duration, size = next(durations), sizes[number] if isinstance(sizes, list) else sizes
                shift = next(shifts)
                yield Sample(track, row[2], time, track.at(time + shift), at, size, shift)
                at, time, number = at + size, time + duration, number + 1


def sizes_of(tables: dict[str, bytes]) -> tuple[list[int] | int, int]:
    """Return one size for all, or each; and how many there are."""
    if "stsz" in tables:
        data = tables["stsz"]
        constant, count = u(data, 4), u(data, 8)
        if count and not constant:
            u(data, 12, 4 * count)
        return constant or [u(data, 12 + 4 * n) for n in range(count)], count
    data = tables["stz2"]
    width, count = u(data, 7, 1), u(data, 8)
    if width not in (4, 8, 16):
        raise Unreadable("stz2")
    if count:
        u(data, 12, (count * width + 7) // 8)
    if width == 4:
        return [u(data, 12 + n // 2, 1) >> (0 if n % 2 else 4) & 15 for n in range(count)], count
    return [u(data, 12 + n * width // 8, width // 8) for n in range(count)], count


def spread(table: bytes, count: int, *, signed: bool) -> Iterator[int]:
    """`signed`: 2^31 or more is unreadable; else it is negative."""
    rows = [(u(table, 8 + 8 * n), u(table, 12 + 8 * n)) for n in range(u(table, 4))]
    if sum(many for many, _ in rows) != count:
        raise Unreadable("times")
    if signed and any(value >> 31 for _, value in rows):
        raise Unreadable("2^31")
    return (value - (value >> 31 << 32) for many, value in rows for _ in range(many))


def fragment(moof: Node, tracks: dict[int, Track], reached: dict[int, int], limit: int) -> Iterator[tuple[Sample, bool]]:
    """Yield samples, each with whether its traf had no tfdt."""
    begin = end = moof.at - 8
    seen = []
    for traf in moof.all("traf"):
        kinds = [child.kind for child in traf.inner if child.kind in ("tfhd", "tfdt", "trun")]
        if kinds[:1] != ["tfhd"] and kinds:
            raise Unreadable("tfhd")
        if "tfdt" in kinds[2:]:
            raise Unreadable("tfdt")
        if not kinds:
            continue
        tfhd = traf.get("tfhd").data
        flags, number, at = u(tfhd, 0) & 0xFFFFFF, u(tfhd, 4), 8
        if (number in seen and "tfdt" not in kinds) or (flags & 0x10000 and "trun" in kinds):
            raise Unreadable("traf")
        seen.append(number)
        known = tracks[number].trex if number in tracks else None
        entry, duration, size = known or (1, 0, 0)
        base = begin if flags & 0x20000 else end
        if flags & 1:
            base, at = u(tfhd, at, 8), at + 8
        if flags & 2:
            entry, at = u(tfhd, at), at + 4
        if flags & 8:
            duration, at = u(tfhd, at), at + 4
        if flags & 16:
            size = u(tfhd, at)
        untimed = "tfdt" not in kinds
        if untimed:
            time = reached.get(number, 0)
        else:
            tfdt = traf.get("tfdt").data
            time = u(tfdt, 4, 8 if u(tfdt, 0, 1) == 1 else 4)
        for order, run in enumerate(traf.all("trun")):
            data, at, place = run.data, 8, base
            said, count = u(data, 0) & 0xFFFFFF, u(data, 4)
            if said & 1:
                place, at = base + struct.unpack(">i", u(data, 8).to_bytes(4, "big"))[0], 12
            elif order:
                raise Unreadable("second run")
            at += 4 if said & 4 else 0
            width = 4 * (said >> 8 & 15).bit_count()
            u(data, at, width * count) if width * count else None
            if not width and count * max(size, 1) > limit:
                raise Unreadable("outside")
            end = place
            out = []
            for n in range(count):
                row = at + n * width
                values = [duration, size, 0, 0]
                for bit in range(4):
                    if said & 0x100 << bit:
                        values[bit], row = u(data, row), row + 4
                shift = values[3]
                if values[0] >> 31 or (shift >> 31 and not data[0]):
                    raise Unreadable("2^31")
                shift -= shift >> 31 << 32
                if known is None:
                    raise Unreadable("no such track")
                out.append(
                    (Sample(tracks[number], entry, time, tracks[number].at(time + shift), end, values[1], shift), untimed)
                )
                end, time = end + values[1], time + values[0]
            if count and (place < 0 or end > limit):
                raise Unreadable("outside")
            yield from out
        reached[number] = time


class Copy:
    """A copy's samples, kind by kind, read box by box."""

    def __init__(self, data: bytes) -> None:
        self.data, self.doubts, self.wrong = data, Doubts(), list[str]()
        self.tracks: dict[int, Track] | None = None
        self.fragmented = False
        self.whole, self.pieces = list[int](), list[int]()
        self.top = boxes(data, 0, "", self.doubts)
        self.queues: dict[str, list[Iterator[Sample]]] = {"video": [], "audio": []}
        self.reached: dict[int, int] = {}
        self.first, self.sidx, self.untimed = True, False, False
        self.small = 0

    def next(self, kind: str) -> Sample | None:
        while True:
            while self.queues[kind]:
                if (found := next(self.queues[kind][0], None)) is not None:
                    return found
                self.queues[kind].pop(0)
            node = next(self.top, None)
            if node is None:
                return None
            if self.first and node.kind != "ftyp":
                raise Unreadable("ftyp")
            self.first = False
            self.small += len(node.data) + 8 < 32
            if self.small > 100_000:
                raise Unreadable("small boxes")
            self.sidx |= node.kind == "sidx"
            if node.kind == "moov":
                self.moov(node)
            elif node.kind == "moof":
                self.moof(node)

    def moov(self, node: Node) -> None:
        if self.tracks is not None:
            raise Unreadable("second moov")
        unfold(node, self.doubts)
        self.tracks = movie(node, self.doubts, self.wrong)
        self.whole = scaled(node.get("mvhd"), 16, 24, self.scale(node))
        self.pieces = [end for mehd in node.all("mvex/mehd") for end in scaled(mehd, 4, 4, self.scale(node))]
        for track in self.tracks.values():
            self.queues[track.kind].append(tabled(track))

    @staticmethod
    def scale(moov: Node) -> int:
        head = moov.get("mvhd").data
        return u(head, 20 if head[0] else 12)

    def moof(self, node: Node) -> None:
        self.fragmented = True
        if self.tracks is None:
            raise Unreadable("moof before moov")
        unfold(node, self.doubts)
        found = list(fragment(node, self.tracks, self.reached, len(self.data)))
        self.untimed |= any(untimed for _, untimed in found)
        if self.sidx and self.untimed:
            raise Unreadable("sidx")
        for kind, queue in self.queues.items():
            queue.append(iter([sample for sample, _ in found if sample.track.kind == kind]))

    def bytes(self, sample: Sample) -> bytes:
        if not 0 < sample.size <= 64 << 20 or sample.start + sample.size > len(self.data):
            raise Unreadable("sample")
        return self.data[sample.start : sample.start + sample.size]


def b_slice(data: bytes) -> bool:
    """§7.6, Times: whether the first slice of a picture is a B slice."""
    at = 0
    for _ in range(1000):
        if at + 4 >= len(data):
            return False
        size = u(data, at)
        if data[at + 4] & 31 in range(1, 6):
            plain = data[at + 5 : at + min(4 + size, 24)].replace(b"\0\0\3", b"\0\0")
            bits = "".join(f"{byte:08b}" for byte in plain)
            numbers = []
            for _ in range(2):
                zeros = len(bits) - len(bits.lstrip("0"))
                if zeros > 32 or 2 * zeros + 1 > len(bits):
                    return False
                numbers.append(int(bits[: 2 * zeros + 1], 2) - 1)
                bits = bits[2 * zeros + 1 :]
            return numbers[1] % 5 == 1
        at += 4 + size
    return False


# --- comparing --------------------------------------------------------------------------------------------------------


@dataclass
class Way:
    """One of the ways to place a track: §7.6, Times."""

    right: bool = True
    seen: int | None = None
    base: int | None = None
    last: int | None = None
    loose: int = 0

    def take(self, shown: int, low: int, high: int, *, every: bool) -> None:
        if self.seen is None:
            self.seen = shown - low
            if every:
                return
        if self.base is None:
            self.base = shown - low
            self.right &= -5 * S <= self.seen - self.base <= S // 20
        most = S // 20 + self.loose
        self.right &= low - most <= shown - self.base <= high + most


@dataclass
class Comparison:
    """Compares a copy with the links it is given."""

    copy: Copy
    moves: "Moves"
    full: bool = True
    sealed: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    earlier: list[tuple[Any, ...]] = field(default_factory=list)
    tracks: dict[int, Track] = field(default_factory=dict)
    carries: bool | None = None
    decoder: Any = None
    forced: dict[Any, bytes] = field(default_factory=dict)
    plain_picture: Way = field(default_factory=Way)
    moved_picture: Way = field(default_factory=Way)
    plain_sound: Way = field(default_factory=Way)
    moved_sound: Way = field(default_factory=Way)
    last: dict[str, Sample] = field(default_factory=dict)
    before: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    pictures: list[tuple[int, int]] = field(default_factory=list)

    def init(self, plain: bytes | None) -> None:
        self.earlier += self.sealed.values()
        self.sealed, self.tracks, self.carries = {}, {}, None
        if plain is not None:
            try:
                for node in boxes(plain, 0, "", Doubts()):
                    if node.kind == "moov":
                        self.tracks = movie(unfold(node, Doubts()), Doubts(), [])
            except Unreadable:
                self.tracks = {}
            self.sealed = {track.kind: track.entries[0] for track in self.tracks.values() if track.entries}

    def force(self, *units: bytes) -> None:
        for unit in units:
            if (name := set_id(unit)) is not None:
                self.forced[name] = unit

    def part(self, part: dict[str, Any], plain: bytes | None) -> str | None:
        """Return a finding."""
        try:
            return self._part(part, plain)
        except Unreadable:
            return "derived_unreadable"
        except Shown:
            return "derived_shown"

    def _part(self, part: dict[str, Any], plain: bytes | None) -> str | None:
        kind = part["kind"]
        samples = [found for _ in range(part["samples"]) if (found := self.copy.next(kind)) is not None]
        if self.copy.wrong:
            raise Shown
        digest = hashlib.sha256()
        for sample in samples:
            data = self.copy.bytes(sample)
            digest.update(struct.pack(">I", len(data)) + data)
        if digest.digest() != part["digest"]:
            return "derived_differs"
        if not samples:
            return None
        self.decoders(kind, samples)
        sealed = self.sealed_times(part, plain)
        for number, sample in enumerate(samples):
            tick = None if sealed is None else sealed[number]
            before, was = self.before.get(kind, (sample.shown - 1, None))
            self.before[kind] = (sample.shown, tick)
            if kind == "audio":
                wrong = sample.shown < before
            elif tick is not None and was is not None:
                wrong = (sample.shown > before) != (tick >= was)
            elif sample.shown > before:
                wrong = False
            else:
                wrong = sample.shown == before or not b_slice(self.copy.bytes(sample))
                self.plain_picture.loose = self.moved_picture.loose = S // 2
            if wrong:
                raise Shown
        if min(sample.shown for sample in samples) < samples[0].track.empty - (0 if kind == "video" else S // 50):
            raise Shown
        self.last[kind] = max([*samples, *([self.last[kind]] if kind in self.last else [])], key=lambda one: one.shown)
        if not self.times(part, samples, sealed):
            return "derived_time"
        if kind == "video":
            pairs = [] if sealed is None else [(one.shown, at) for one, at in zip(samples, sealed, strict=True)]
            chain = sorted([*self.pictures, *pairs], key=lambda pair: pair[1]) if sealed is not None else []
            self.pictures = chain[-16:]
            for (early, was), (late, then) in pairwise(chain):
                apart = (then - was) * S // 90_000
                apart = min(apart, apart + self.moves.at("video", then) - self.moves.at("video", was))
                if late - early < apart / 2 - S // 1000:
                    raise Shown
        return None

    def decoders(self, kind: str, samples: list[Sample]) -> None:
        for sample in samples:
            if not 1 <= sample.entry <= len(sample.track.entries):
                raise Unreadable("description")
        own = self.sealed.get(kind)
        if own is None:
            self.full = False
            return
        for sample in samples if kind == "video" else []:
            entry = sample.track.entries[sample.entry - 1]
            if entry != self.decoder:
                self.decoder = entry
                self.force(*entry[0][2], *entry[0][3])
            data, at = self.copy.bytes(sample), 0
            for _ in range(1000):
                if at + 4 >= len(data) or data[at + 4] & 31 in range(1, 6):
                    break
                size = u(data, at)
                self.force(data[at + 4 : at + 4 + size])
                at += 4 + size
            if self.carries is None:
                wanted = [*own[0][2], *own[0][3]]
                self.carries = all(set_id(unit) is not None and self.forced.get(set_id(unit)) == unit for unit in wanted)
        for sample in samples:
            entry = sample.track.entries[sample.entry - 1]
            if entry != own and not (kind == "video" and self.carries and entry in self.earlier):
                raise Shown

    def sealed_times(self, part: dict[str, Any], plain: bytes | None) -> list[int] | None:
        if plain is None or part["track"] not in self.tracks:
            return None
        rate, track = (90_000 if part["kind"] == "video" else 48_000), self.tracks[part["track"]]
        try:
            moof = next(node for node in boxes(plain, 0, "", Doubts()) if node.kind == "moof")
            found = [one for one, _ in fragment(unfold(moof, Doubts()), self.tracks, {}, len(plain)) if one.track is track]
        except (Unreadable, StopIteration):
            return None
        return [(one.time + one.shift) * rate // track.scale for one in found] if len(found) == part["samples"] else None

    def times(self, part: dict[str, Any], samples: list[Sample], ticks: list[int] | None) -> bool:
        every, rate = ticks is not None, (90_000 if part["kind"] == "video" else 48_000)
        self.full &= every
        for sample, tick in zip(samples, ticks if ticks is not None else [part["first"]], strict=False):
            time = tick * S // rate
            low = time + self.moves.at(part["kind"], tick)
            if part["kind"] == "video":
                self.plain_picture.take(sample.shown, time, time, every=every)
                self.moved_picture.take(sample.shown, low, low, every=every)
                continue
            self.plain_sound.take(sample.shown, time, time, every=every)
            high = low if self.moved_sound.last is None else max(low, self.moved_sound.last + S // 48_000)
            self.moved_sound.take(sample.shown, low, high, every=every)
            self.moved_sound.last = high
        if part["kind"] == "audio" and not every and self.moved_sound.last is not None:
            self.moved_sound.last += part["duration"] * S // rate
        pairs = ((self.plain_picture, self.plain_sound), (self.moved_picture, self.moved_sound))
        for picture, sound in pairs:
            if sound.base is not None and picture.base is not None:
                sound.right &= abs(sound.base - picture.base) <= S // 20 + picture.loose
        return any(picture.right and sound.right for picture, sound in pairs)

    def finish(self, *, alone: bool) -> str | None:
        """Return a finding."""
        try:
            more = [kind for kind in ("video", "audio") if self.copy.next(kind) is not None]
        except Unreadable:
            return "derived_unreadable"
        if more:
            return "extra_bytes"
        for sample in self.last.values():
            track = sample.track
            ends = [*self.copy.pieces] if self.copy.fragmented else [*track.lengths, *self.copy.whole]
            ends += [] if track.end is None else [track.end]
            late = S // 1000 if track.kind == "video" else S // 2
            undone = sample.shown - track.empty + track.media * S // track.scale
            if not self.copy.fragmented and any(media + late < undone for media in track.medias):
                return "derived_shown"
            if any(end + late < sample.shown for end in ends):
                return "derived_shown"
        if self.copy.wrong:
            return "derived_shown"
        return "derived_unjudged" if self.copy.doubts or not (self.full or alone) else None


class Moves:
    """§7.7: by how many ns what has a decode time (ticks) is moved."""

    def __init__(self, links: list[dict[str, Any]], points: list[dict[str, Any]], last: int) -> None:
        kinds = {part["track"]: part["kind"] for link in links for part in link["tracks"]}
        self.drift: dict[str, list[tuple[int, int, bool]]] = {"video": [], "audio": []}
        for point in points:
            if point["track"] in kinds:
                mine = self.drift[kinds[point["track"]]]
                mine[:] = [one for one in mine if one[0] < point["time"]]
                mine.append((point["time"], point["moved"], point["gradual"]))
        self.lips = sound_shifts([link for link in links if link["fragment"] <= last], self.drifted)

    def drifted(self, kind: str, tick: int) -> int:
        before = [one for one in self.drift[kind] if one[0] <= tick]
        if not before:
            return 0
        since, moved, _ = before[-1]
        for then, by, gradual in self.drift[kind][len(before) : len(before) + 1]:
            return moved + ((by - moved) * (tick - since) // (then - since) if gradual else 0)
        return moved

    def at(self, kind: str, tick: int) -> int:
        lips = 0 if kind == "video" else next((by for since, by in reversed(self.lips) if since <= tick), 0)
        return self.drifted(kind, tick) + lips


def sound_shifts(links: list[dict[str, Any]], drifted: Callable[[str, int], int]) -> list[tuple[int, int]]:
    """§7.7: (decode time of the sound, by how many ns it is moved from there on besides)."""
    out: list[tuple[int, int]] = []
    ties: dict[str, tuple[int, int]] = {}
    kinds: dict[int, str] = {}
    known: int | None = None
    began = reached = 0

    def change(since: int, by: int) -> None:
        while out and out[-1][0] >= since:
            out.pop()
        if by != (out[-1][1] if out else 0):
            out.append((since, by))

    for link in links:
        kinds |= {part["track"]: part["kind"] for part in link["tracks"]}
        sound = [part for part in link["tracks"] if part["kind"] == "audio"]
        since = sound[0]["first"] if sound else reached
        for clock in sorted(link["clocks"], key=lambda clock: clock["source"] != "arrival"):
            kind = kinds.get(clock["track"])
            if kind is None:
                continue
            if clock["source"] == "arrival":
                ties.pop(kind, None)
                began, known = since, None
                change(since, 0)
            else:
                rate = 90_000 if kind == "video" else 48_000
                ties[kind] = clock["wall"] - clock["time"] * S // rate - drifted(kind, clock["time"]), clock["offset"]
        if link["clocks"] and len(ties) == 2 and abs(ties["audio"][1] - ties["video"][1]) <= S // 4:
            by = ties["audio"][0] - ties["video"][0]
            if abs(by) <= 5 * S and (known is None or abs(by - known) > 5_000_000):
                change(began if known is None else since, by)
                known = by
        if sound:
            reached = sound[0]["first"] + sound[0]["duration"]
    return out
