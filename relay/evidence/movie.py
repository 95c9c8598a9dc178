"""What the `moov` of a playable copy tells a player: tracks, decoder configurations, edits, and how pictures are placed.

Owns: which of these values leave pictures and sound as they were sealed, and which do not.
Must never know: the chain, files, samples' bytes.  What is not as it should be is a remark (`layout.Remarks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from relay.evidence.boxes import Box, TrackHeader, fail, full_box, movie_tracks, number, track_kind
from relay.evidence.layout import Remarks, Tree, read_tree
from relay.evidence.parameters import (
    UNSPECIFIED,
    Configuration,
    Look,
    PictureConfiguration,
    look,
    picture_configuration,
    sound_configuration,
)
from relay.evidence.records import TrackKind
from relay.evidence.samples import MAX_TIME, TABLES

_UNITY = b"".join(value.to_bytes(4, "big") for value in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
_ENDLESS = (0, (1 << 32) - 1, (1 << 64) - 1)
"""Durations that say that the length is not known."""
_SECOND = 1_000_000_000
_TRUE_COLOUR = 0x0018FFFF
"""Depth 24 and no table of colours."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample description: the configuration, and the size of its pictures (0 × 0 for sound)."""

    configuration: Configuration
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Edit:
    """From where on a track is shown, and where: `length_ns` is None where the edit has no end."""

    empty_ns: int = 0
    media_time: int = 0
    length_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A track of the copy."""

    header: TrackHeader
    kind: TrackKind
    entries: tuple[Entry, ...]
    edit: Edit
    tables: Mapping[bytes, Box]
    length_ns: tuple[int, ...]
    """The length that the track's header states, its edits included (ISO/IEC 14496-12 §8.3.2); none where it is not known."""
    media_ns: tuple[int, ...]
    """The length that the media's header states, before any edit (§8.4.2); none where it is not known."""

    def shown_ns(self, time: int) -> int:
        """Return when a player shows what has this time in the track, in ns from the beginning of the copy."""
        return self.edit.empty_ns + self.media_time_ns(time - self.edit.media_time)

    def media_time_ns(self, time: int) -> int:
        """Return a time in the track in ns."""
        return time * _SECOND // self.header.timescale


@dataclass(frozen=True, slots=True)
class Movie:
    """The tracks of a copy; `fragmented`: more samples may follow in fragments."""

    data: bytes
    tracks: Mapping[int, Track]
    length_ns: tuple[int, ...]
    """The length that the movie's header states; none where it is not known."""
    fragments_ns: tuple[int, ...]
    """The length that it states for a movie in fragments."""


def read_movie(data: bytes, remarks: Remarks, *, origin: int = 0) -> Movie:
    """Read a `moov`.  Raises TheirError where it cannot be read, or where readers would read it differently."""
    tree = read_tree(data, remarks, origin=origin)
    headers = movie_tracks(data)
    if len(headers) != sum(1 for _ in tree.every(b"trak")):
        raise fail(origin, "two tracks with one number")
    scale = _movie_header(data, tree.need(b"mvhd"), remarks)
    extended = [number(data, trex.box.payload + 4, 4, trex.box.end) for trex in tree.every(b"mvex", b"trex")]
    if len(set(extended)) < len(extended):
        raise fail(origin, "two trex of one track, of which readers use one or the other")
    if max(scale, *(header.timescale for header in headers.values()), 0) >= MAX_TIME:
        raise fail(origin, "a timescale of 2^31 or more")
    tracks = {}
    for trak in tree.every(b"trak"):
        track = _track(data, trak, headers, scale, remarks)
        if track is not None:
            tracks[track.header.track] = track
    if len({track.kind for track in tracks.values()}) < len(tracks):
        remarks.show("several tracks of one kind")
    _chosen(data, tree, remarks)
    mehd = tree.one(b"mvex", b"mehd")
    stated = () if mehd is None else _stated(data, mehd.box, 4, 4, scale)
    return Movie(data, tracks, _stated(data, tree.need(b"mvhd"), 16, 24, scale), stated)


def _chosen(data: bytes, tree: Tree, remarks: Remarks) -> None:
    """Judge which tracks are played: those in the movie (flag 2 of `tkhd`), one of each alternate group."""
    boxes = [trak.need(b"tkhd") for trak in tree.every(b"trak")]
    flags = [full_box(data, box)[1] & 6 for box in boxes]
    if any(flags) and not all(flag & 2 for flag in flags):
        remarks.show("a track that is not in the movie")
    groups = [number(data, box.payload + (46 if full_box(data, box)[0] == 1 else 34), 2, box.end) for box in boxes]
    if len({group for group in groups if group}) < sum(1 for group in groups if group):
        remarks.show("tracks of which players choose one")


def _movie_header(data: bytes, box: Box, remarks: Remarks) -> int:
    """Return the movie's timescale."""
    at = box.payload + (20 if full_box(data, box)[0] == 1 else 12)
    scale, at = number(data, at, 4, box.end), at + (12 if full_box(data, box)[0] == 1 else 8)
    if not scale:
        raise fail(box.start, "a movie without timescale")
    if number(data, at, 4, box.end) != 0x10000:
        remarks.show("preferred rate")
    if number(data, at + 4, 2, box.end) != 0x100:
        remarks.show("preferred volume")
    number(data, at + 16, 36, box.end)
    if data[at + 16 : at + 52] != _UNITY:
        remarks.show("matrix of the movie")
    return scale


def _track(data: bytes, trak: Tree, headers: Mapping[int, TrackHeader], scale: int, remarks: Remarks) -> Track | None:
    box = trak.need(b"tkhd")
    header = headers[number(data, box.payload + (20 if full_box(data, box)[0] == 1 else 12), 4, box.end)]
    if header.handler not in (b"vide", b"soun"):
        remarks.show(f"a further track ({header.handler.decode('latin-1')})")
        return None
    kind = track_kind(header)
    entries = tuple(_entries(data, trak, kind, remarks))
    _self_contained(data, trak, remarks)
    _place(data, box, kind, entries, remarks)
    _mixing(data, trak, remarks)
    tables = {child.box.kind: child.box for child in trak.every(b"mdia", b"minf", b"stbl") for child in child.children}
    edit = _edit(data, trak, scale, remarks)
    length = _stated(data, box, 20, 28, scale)
    media = _stated(data, trak.need(b"mdia", b"mdhd"), 16, 24, header.timescale)
    return Track(header, kind, entries, edit, {name: tables[name] for name in TABLES & tables.keys()}, length, media)


def _stated(data: bytes, box: Box, at: int, long_at: int, scale: int) -> tuple[int, ...]:
    """Return the duration of a track header or media header in ns, where it states one."""
    long = full_box(data, box)[0] == 1
    length = number(data, box.payload + (long_at if long else at), 8 if long else 4, box.end)
    return () if length in _ENDLESS else (length * _SECOND // scale,)


def _place(data: bytes, box: Box, kind: TrackKind, entries: tuple[Entry, ...], remarks: Remarks) -> None:
    """Judge a track header (§8.3.2): enabled, unturned, in its own size."""
    version, flags = full_box(data, box)
    at = box.payload + (32 if version == 1 else 20) + (12 if version == 1 else 12)
    number(data, at, 48, box.end)
    if not flags & 1:
        remarks.show("track not enabled")
    if data[at + 8 : at + 44] != _UNITY and kind is TrackKind.VIDEO:
        remarks.show("matrix of the track")
    if number(data, at, 2, box.end):
        remarks.show("layer of the track")
    if kind is TrackKind.AUDIO and number(data, at + 4, 2, box.end) != 0x100:
        remarks.show("volume of the track")
    size = number(data, at + 44, 4, box.end), number(data, at + 48, 4, box.end)
    if kind is TrackKind.VIDEO and any(not _fits(size, entry) for entry in entries[:1]):
        remarks.show("size of the track")


def _fits(size: tuple[int, int], entry: Entry) -> bool:
    """Whether pictures are shown in their own size, or widened as their parameter sets ask."""
    pixel = _look(entry).pixel
    wide = Fraction(*pixel) if all(pixel) else Fraction(1)
    width, height = size[0] / 65536, size[1] / 65536
    return abs(height - entry.height) < 1 and (abs(width - entry.width * wide) < 1 or abs(width - entry.width) < 1)


def _look(entry: Entry) -> Look:
    configuration = entry.configuration
    return look(configuration.sps[0]) if isinstance(configuration, PictureConfiguration) and configuration.sps else Look()


def _self_contained(data: bytes, trak: Tree, remarks: Remarks) -> None:
    references = list(trak.every(b"mdia", b"minf", b"dinf", b"dref", b"url "))
    table = trak.one(b"mdia", b"minf", b"dinf", b"dref")
    stated = 0 if table is None else number(data, table.box.payload + 4, 4, table.box.end)
    if len(references) != 1 or stated != 1 or not full_box(data, references[0].box)[1] & 1:
        remarks.show("media in another file")


def _mixing(data: bytes, trak: Tree, remarks: Remarks) -> None:
    """Judge the graphics mode of pictures and the balance of sound (§12.1.2, §12.2.2)."""
    for kind, width, what in ((b"vmhd", 8, "graphics mode"), (b"smhd", 2, "balance of the sound")):
        found = trak.one(b"mdia", b"minf", kind)
        if found is not None and number(data, found.box.payload + 4, width, found.box.end):
            remarks.show(what)


# --- sample descriptions ----------------------------------------------------------------------------------------------


def _entries(data: bytes, trak: Tree, kind: TrackKind, remarks: Remarks) -> list[Entry]:
    stsd = next(trak.every(b"mdia", b"minf", b"stbl", b"stsd"), None)
    if stsd is None:
        raise fail(trak.box.start, "no stsd")
    found = []
    for child in stsd.children:
        box, sound = child.box, child.box.kind == b"Opus"
        if (box.kind not in (b"avc1", b"avc3", b"Opus")) or sound != (kind is TrackKind.AUDIO):
            remarks.show(f"another codec ({box.kind.decode('latin-1')})")
            continue
        if number(data, box.payload + 6, 2, box.end) != 1:
            remarks.show("media in another file")
        found.append(_sound_entry(data, child, remarks) if sound else _picture_entry(data, child, remarks))
    if len(found) != number(data, stsd.box.payload + 4, 4, stsd.box.end):
        remarks.show("sample descriptions that do not count up")
    return found


def _sound_entry(data: bytes, tree: Tree, remarks: Remarks) -> Entry:
    box, inner = tree.box, tree.need(b"dOps")
    if number(data, box.payload + 8, 2, box.end):
        remarks.doubt("a sound description of another version")
    if number(data, box.payload + 24, 4, box.end) != 48_000 << 16:
        remarks.show("sample rate of the sound")
    return Entry(sound_configuration(data[inner.payload : inner.end]), 0, 0)


def _picture_entry(data: bytes, tree: Tree, remarks: Remarks) -> Entry:
    box, inner = tree.box, tree.need(b"avcC")
    width, height = number(data, box.payload + 24, 2, box.end), number(data, box.payload + 26, 2, box.end)
    entry = Entry(picture_configuration(data[inner.payload : inner.end]), width, height)
    if number(data, box.payload + 74, 4, box.end) != _TRUE_COLOUR:
        remarks.show("a table of colours")  # readers of one look for the configuration behind it
    if (shape := tree.one(b"pasp")) is not None:
        pixel = number(data, shape.box.payload, 4, shape.box.end), number(data, shape.box.payload + 4, 4, shape.box.end)
        wanted = _look(entry).pixel
        if pixel[0] * (wanted[1] or 1) != pixel[1] * (wanted[0] or 1):
            remarks.show("shape of the pixels")
    if (colour := tree.one(b"colr")) is not None:
        _colours(data, colour.box, _look(entry), remarks)
    return entry


def _colours(data: bytes, box: Box, wanted: Look, remarks: Remarks) -> None:
    if data[box.payload : box.payload + 4] not in (b"nclx", b"nclc"):
        remarks.doubt("a colour profile")
        return
    fields = zip(wanted.colours, (number(data, box.payload + 4 + 2 * n, 2, box.end) for n in range(3)), strict=True)
    full = (
        number(data, box.payload + 10, 1, box.end) >> 7 if data[box.payload : box.payload + 4] == b"nclx" else wanted.full_range
    )
    if any(said not in (mine, UNSPECIFIED) for mine, said in fields) or full != wanted.full_range:
        remarks.show("colours")


# --- edits ------------------------------------------------------------------------------------------------------------


def _edit(data: bytes, trak: Tree, scale: int, remarks: Remarks) -> Edit:
    """Read an edit list (§8.6.6): empty edits, then one edit at normal rate, leave a track as it is but for its beginning."""
    found = trak.one(b"edts", b"elst")
    if found is None:
        return Edit()
    box = found.box
    long = full_box(data, box)[0] == 1
    row, count = (20 if long else 12), number(data, box.payload + 4, 4, box.end)
    number(data, box.payload + 8, row * count, box.end)
    empty, edits = 0, 0
    last = Edit()
    if full_box(data, box)[1]:
        remarks.show("edit list")
    for at in range(box.payload + 8, box.payload + 8 + row * count, row):
        width = 8 if long else 4
        length, start = number(data, at, width, box.end), number(data, at + width, width, box.end, signed=True)
        if edits or number(data, at + 2 * width, 4, box.end) != 0x10000:
            remarks.show("edit list")
        if start < 0:
            if start != -1 or empty or edits:
                remarks.show("edit list")  # players leave out all empty edits but the first
            empty += length * _SECOND // scale
            continue
        edits += 1
        last = Edit(empty, start, None if length in _ENDLESS else length * _SECOND // scale)
    if count and not edits:
        remarks.show("edit list")
    return last
