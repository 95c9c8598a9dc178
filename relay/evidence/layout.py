"""The boxes of an MP4 as a tree, and which boxes may stand where (FORMAT.md §7.6).

Owns: the list of boxes that a checker knows, and what it noticed about others.
Must never know: samples, times, the chain.  A box that may change what a player shows, or that is not in the list, is a remark.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from relay.base.errors import TheirError
from relay.evidence.boxes import MAX_BOXES, Box, box_header, fail, number

_FILLER = frozenset({b"free", b"skip", b"wide"})
_TEXT = frozenset({b"udta", b"meta"})
_GROUPS = frozenset({b"sgpd", b"sbgp"})
TOP = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"mfra", b"prft", b"emsg"}) | _FILLER
_CHILDREN = {
    b"moov": frozenset({b"mvhd", b"trak", b"mvex", b"iods"}) | _TEXT,
    b"trak": frozenset({b"tkhd", b"edts", b"mdia"}) | _TEXT,
    b"edts": frozenset({b"elst"}),
    b"mdia": frozenset({b"mdhd", b"hdlr", b"minf", b"elng"}),
    b"minf": frozenset({b"vmhd", b"smhd", b"dinf", b"stbl"}),
    b"dinf": frozenset({b"dref"}),
    b"dref": frozenset({b"url "}),
    b"stbl": frozenset({b"stsd", b"stts", b"ctts", b"cslg", b"stss", b"stsz", b"stz2", b"stsc", b"stco", b"co64", b"sdtp"})
    | _GROUPS,
    b"stsd": frozenset({b"avc1", b"avc3", b"Opus"}),
    b"avc1": frozenset({b"avcC", b"btrt", b"pasp", b"colr"}),
    b"avc3": frozenset({b"avcC", b"btrt", b"pasp", b"colr"}),
    b"Opus": frozenset({b"dOps", b"btrt"}),
    b"mvex": frozenset({b"mehd", b"trex", b"trep"}),
    b"moof": frozenset({b"mfhd", b"traf"}),
    b"traf": frozenset({b"tfhd", b"tfdt", b"trun", b"sdtp"}) | _GROUPS,
}
_BEFORE_CHILDREN = {b"dref": 8, b"stsd": 8, b"avc1": 78, b"avc3": 78, b"Opus": 28}
_MANY = frozenset({b"trak", b"trex", b"traf", b"trun", b"url ", b"avc1", b"avc3", b"Opus", b"udta"}) | _FILLER | _GROUPS
HARMLESS_GROUPS = frozenset({b"roll", b"prol", b"rap ", b"tele", b"sync"})
"""Sample groups that say where decoding may begin; others may change how samples are shown."""
_VERSIONS = {
    **dict.fromkeys((b"mvhd", b"tkhd", b"mdhd", b"elst", b"ctts", b"mehd", b"tfdt", b"trun"), 1),
    **dict.fromkeys((b"hdlr", b"vmhd", b"smhd", b"dref", b"url ", b"stsd", b"stts", b"stss", b"stsz", b"stz2", b"stsc"), 0),
    **dict.fromkeys((b"stco", b"co64", b"trex", b"mfhd", b"tfhd"), 0),
}
"""The highest version that is defined: readers take a later one for this or for that."""
_TEXTS = {
    b"udta": frozenset({b"meta", b"name", b"titl", b"auth", b"dscp", b"cprt", b"perf", b"gnre", b"loci", b"date", b"yrrc"})
    | frozenset({b"albm", b"kywd", b"clsf", b"rtng", b"kind", b"Xtra"})
    | _FILLER,
    b"meta": frozenset({b"hdlr", b"keys", b"ilst"}) | _FILLER,
    b"ilst": frozenset({b"----", b"desc", b"ldes", b"cprt", b"trkn", b"disk", b"aART", b"gnre", b"tmpo", b"keyw", b"catg"})
    | _FILLER,
}
"""What holds texts.  FFmpeg obeys any other box in them as if it stood where it belongs: an edit list, a table, a decoder."""
_TEXT_HANDLERS = frozenset({b"mdir", b"mdta"})
_OBEYED = (b"covr", b"iTunSMPB", b"LOOP", b"AllF", b"SelO", b"WLOC", b"rotate")
"""Values among a file's texts that some players obey."""


@dataclass(slots=True)
class Remarks:
    """The first thing noticed of each kind; "" where there is none."""

    shown: str = ""
    """It changes what a player shows."""
    unjudged: str = ""
    """It may change what a player shows: it is not in the list."""

    def show(self, what: str) -> None:
        """Note something that changes what a player shows."""
        self.shown = self.shown or what

    def doubt(self, what: str) -> None:
        """Note something whose effect is not known."""
        self.unjudged = self.unjudged or what


@dataclass(slots=True)
class Tree:
    """A box and the boxes in it."""

    box: Box
    children: "list[Tree]" = field(default_factory=list)

    def every(self, *path: bytes) -> "Iterator[Tree]":
        """Yield the boxes at a path below this one."""
        for child in self.children:
            if child.box.kind == path[0]:
                if len(path) == 1:
                    yield child
                else:
                    yield from child.every(*path[1:])

    def one(self, *path: bytes) -> "Tree | None":
        """Return the first of them, None where there is none."""
        return next(self.every(*path), None)

    def need(self, *path: bytes) -> Box:
        """Return the first of them; raises TheirError where there is none."""
        found = self.one(*path)
        if found is None:
            raise fail(self.box.start, f"no {path[-1].decode('latin-1')}")
        return found.box


def read_tree(data: bytes, remarks: Remarks, *, origin: int = 0) -> Tree:
    """Return the tree of the one box that `data` is (a `moov` or a `moof`), with remarks about what is not in the list.

    Raises TheirError for boxes that do not fit, and where a box stands twice of which readers use the first or the last.
    """
    root = Tree(box_header(data, 0, len(data), origin=origin))
    _readable(data, root.box, origin)
    waiting, seen = [root], 0
    while waiting:
        parent = waiting.pop()
        known = _CHILDREN[parent.box.kind]
        at, once = parent.box.payload + _BEFORE_CHILDREN.get(parent.box.kind, 0), set[bytes]()
        while at < parent.box.end:
            box = box_header(data, at, parent.box.end, origin=origin)
            if not any(data[at : at + 4]):
                raise fail(origin + at, "a box without length inside another")
            seen += 1
            if seen > MAX_BOXES:
                raise fail(origin + at, f"more than {MAX_BOXES} boxes")
            _readable(data, box, origin)
            if box.kind in once and box.kind not in _MANY:
                raise fail(origin + at, f"a second {box.kind.decode('latin-1')}, of which readers use one or the other")
            once.add(box.kind)
            child = Tree(box)
            parent.children.append(child)
            if box.kind in known and box.kind in _CHILDREN:
                waiting.append(child)
            elif box.kind not in known | _FILLER:
                remarks.doubt(f"box {parent.box.kind.decode('latin-1')}/{box.kind.decode('latin-1')}")
            elif box.kind in _GROUPS or box.kind in _TEXT:
                _look_inside(data, box, remarks)
            at = box.end
    return root


def _readable(data: bytes, box: Box, origin: int) -> None:
    """Refuse what readers take differently: FFmpeg counts offsets from 8 bytes before the end of a `moof`'s header."""
    if box.payload - box.start == 16:
        raise fail(origin + box.start, "a length of 64 bits")
    if box.kind in _VERSIONS and number(data, box.payload, 1, box.end) > _VERSIONS[box.kind]:
        raise fail(origin + box.start, f"a {box.kind.decode('latin-1')} of an unknown version")


def _texts(data: bytes, box: Box, remarks: Remarks) -> None:
    """Look whether only texts stand in a `udta`, `meta` or `ilst`."""
    waiting = [box]
    while waiting:
        parent = waiting.pop()
        at = parent.payload
        if parent.kind == b"meta":
            at += 0 if any(data[at : at + 4]) else 4
            if data[at + 4 : at + 8] != b"hdlr" or data[at + 16 : at + 20] not in _TEXT_HANDLERS:
                remarks.doubt("a meta that holds no texts")
        while at < parent.end and any(data[at : parent.end]):
            try:
                child = box_header(data, at, parent.end)
            except TheirError:
                remarks.doubt(f"a {parent.kind.decode()} that cannot be read")
                break
            item = child.kind[0] == 0xA9 or (parent.kind == b"ilst" and child.kind[0] == 0)
            if not (item or child.kind in _TEXTS[parent.kind]) or child.payload - child.start == 16:
                remarks.doubt(f"box {parent.kind.decode()}/{child.kind.decode('latin-1')}")
            elif child.kind in _TEXTS:
                waiting.append(child)
            at = child.end


def _look_inside(data: bytes, box: Box, remarks: Remarks) -> None:
    if box.kind in _TEXT:
        _texts(data, box, remarks)
        obeyed = next((word for word in _OBEYED if data.find(word, box.payload, box.end) >= 0), None)
        if obeyed is not None:
            remarks.doubt(f"{obeyed.decode()} in {box.kind.decode()}")
        return
    number(data, box.payload + 4, 4, box.end)
    group = data[box.payload + 4 : box.payload + 8]
    if group not in HARMLESS_GROUPS:
        remarks.doubt(f"sample group {group.decode('latin-1')}")
