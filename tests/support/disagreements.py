"""Copies that a reader of the standard and FFmpeg, or another player, take differently: what a forger looks for in a parser.

Owns: box surgery on copies of `copies.recording()`.  Must never know: what a checker says of it.
"""

import struct
from collections.abc import Callable

from tests.support.copies import FRAMES, ffmpeg, pictures
from tests.support.forgeries import ENTRY, TURNED, avcc, edits, fragments, head, honest, relay_fragments, sealed_media, tabled
from tests.support.mp4_editor import File, Node, edited, with_moov
from tests.support.recordings import AUDIO, VIDEO, Samples, box, fragment, full

PICTURE, SOUND = b"vide", b"soun"
UNITY = 0x10000


def u32(*values: int) -> bytes:
    """Return numbers of 32 bits."""
    return struct.pack(f">{len(values)}I", *values)


def _insert(into: Node, new: bytes, place: int | None = None) -> None:
    assert into.children is not None
    into.children.insert(len(into.children) if place is None else place, Node(new[4:8], new[8:]))


def _foreign() -> bytes:
    other = pictures(3, 64, 96)
    return box(b"avcC", avcc(other.sps, other.pps))


def _list(*rows: tuple[int, int, int]) -> bytes:
    return full(b"elst", 0, 0, u32(len(rows)), b"".join(struct.pack(">IiI", *row) for row in rows))


def _decode_times(file: File, track: int, new: Callable[[int], int]) -> None:
    for moof in file.every("moof"):
        for traf in moof.every("traf"):
            if traf.one("tfhd").head[4:8] == u32(track):
                tfdt = traf.one("tfdt")
                tfdt.put(4, struct.pack(">Q", new(int.from_bytes(tfdt.head[4:12], "big"))))


# --- boxes at places where only some readers look ---------------------------------------------------------------------


def colour_table() -> bytes:
    """A depth of 8 bits: FFmpeg reads a table of colours first, so it finds the avcC that lies inside a `free` box."""

    def change(file: File) -> None:
        entry = file.track(PICTURE).one(ENTRY[PICTURE])
        entry.put(74, b"\0\x08\0\0")
        _insert(entry, box(b"free", _foreign()), 0)

    return edited(honest(), change)


def in_texts(new: bytes, *, within: bytes = b"udta", place: int | None = None, data: bytes | None = None) -> bytes:
    """Put a box among the texts of the pictures' track, where FFmpeg obeys it."""
    texts = box(b"udta", new) if within == b"udta" else full(b"meta", 0, 0, _handler(b"mdir"), new)
    return with_moov(data or tabled(), lambda file: _insert(file.track(PICTURE), texts, place))


def _handler(kind: bytes) -> bytes:
    return full(b"hdlr", 0, 0, bytes(4), kind, bytes(13))


def cut_by_texts(within: bytes) -> bytes:
    """An edit list among the texts that cuts two seconds off."""
    return in_texts(_list((2000, 180_000, UNITY)), within=within)


def decoder_in_texts() -> bytes:
    """Another avcC among the texts, before the true one."""
    return in_texts(_foreign(), place=1)


def turned_by_texts() -> bytes:
    """A track header among the texts."""
    header = File.of(tabled()).track(PICTURE).one("tkhd")
    header.put(40, TURNED)
    return in_texts(header.raw())


def sizes_in_texts() -> bytes:
    """Sizes among the texts, before the true ones."""
    return in_texts(full(b"stsz", 0, 0, u32(300, 100)), place=1)


def pictures_as_sound() -> bytes:
    """Texts whose handler says that the track is sound."""
    return in_texts(full(b"meta", 0, 0, _handler(b"soun")))


def wide_entry() -> bytes:
    """An avcC with a length of 64 bits."""

    def change(file: File) -> None:
        entry = file.track(PICTURE).one(ENTRY[PICTURE])
        entry.one("avcC").head = struct.pack(">Q", 16 + len(entry.one("avcC").head)) + entry.one("avcC").head

    changed = edited(honest(), change)
    at = changed.index(b"avcC") - 4
    return changed[:at] + u32(1) + changed[at + 4 :]


def wide_moof() -> bytes:
    """Fragments with a length of 64 bits: FFmpeg counts data offsets from 8 bytes further on."""
    out = head()
    for number, one in enumerate(fragments(sealed_media())):
        file = File.of(fragment(number + 1, one))
        moof = file.one("moof")
        for traf in moof.every("traf"):
            run = traf.one("trun")
            run.put(8, u32(int.from_bytes(run.head[8:12], "big") + 8))
        body = moof.raw()[8:]
        out += u32(1) + b"moof" + struct.pack(">Q", 16 + len(body)) + body + file.one("mdat").raw()
    return out


# --- twice, or of another version -------------------------------------------------------------------------------------


def two_defaults() -> bytes:
    """Two trex of one track, the first with a foreign description."""

    def change(file: File) -> None:
        _insert(file.one("moov/mvex"), full(b"trex", 0, 0, u32(VIDEO, 2, 3600, 0, 0)), 0)
        stsd = file.track(PICTURE).one("mdia/minf/stbl/stsd")
        copy = next(iter(File.of(stsd.one("avc1").raw()).children or ()))
        copy.one("avcC").head = _foreign()[8:]
        _insert(stsd, copy.raw())
        stsd.put(4, u32(2))

    return edited(relay_fragments(), change)


def unknown_time_version() -> bytes:
    """A tfdt of version 2: some read 64 bits, which are a minute, others 32, which are 0."""
    media = sealed_media()
    whole = [tuple(one for part in media for one in part[index]) for index in (0, 1)]

    def change(file: File) -> None:
        file.one("moof").every("traf")[1].one("tfdt").head = b"\2\0\0\0" + u32(0, 60 * 48_000)

    made = fragment(1, [Samples(VIDEO, 0, 3600, whole[0]), Samples(AUDIO, 0, 960, whole[1])])
    return edited(head() + made, change)


def unknown_media_version() -> bytes:
    """A media header of version 2, which FFmpeg refuses."""
    return edited(honest(), lambda file: file.track(PICTURE).one("mdia/mdhd").put(0, b"\2"))


def two_parts(*, timed: bool) -> bytes:
    """Two track fragments of each track in a moof; without times of its own FFmpeg puts the second where the first is."""
    out, parts = head(), fragments(sealed_media())
    for number in range(0, len(parts), 2):
        file = File.of(fragment(number + 1, parts[number] + parts[number + 1]))
        trafs = file.one("moof").every("traf")
        if not timed:
            for traf in trafs[2:]:
                assert traf.children is not None
                traf.children = [child for child in traf.children if child.kind != b"tfdt"]
            for traf in trafs:
                traf.one("trun").put(8, u32(int.from_bytes(traf.one("trun").head[8:12], "big") - 40))
        out += file.raw()
    return out


def empty_with_samples() -> bytes:
    """Track fragments that say that they are empty, with samples."""

    def change(file: File) -> None:
        for moof in file.every("moof"):
            moof.every("traf")[0].one("tfhd").put(1, b"\3")

    return edited(relay_fragments(), change)


# --- numbers that some readers do not take ----------------------------------------------------------------------------


def late_composition() -> bytes:
    """Composition offsets beyond 2^28, all the same and taken back by the edit: FFmpeg drops the table and cuts two seconds."""
    late = (1 << 28) + 4096

    def change(file: File) -> None:
        track = file.track(PICTURE)
        track.one("mdia/mdhd").put(12, u32(late // 2, 0))
        tables = track.one("mdia/minf/stbl")
        tables.one("stts").head = u32(0, 1, 100, late // 50)
        _insert(tables, full(b"ctts", 0, 0, u32(4, 1, late, 1, late, 1, late, 97, late)))
        track.one("edts").children = [Node(b"elst", _list((4000, late, UNITY))[8:])]

    return with_moov(tabled(), change)


def sound_in_ticks() -> bytes:
    """Sound with a timescale of 50: each sample lasts one tick, and FFmpeg takes it for plain numbers."""

    def change(file: File) -> None:
        track = file.track(SOUND)
        track.one("mdia/mdhd").put(12, u32(50, 200))
        track.one("mdia/minf/stbl/stts").head = u32(0, 1, 200, 1)

    return with_moov(tabled(), change)


def vast_timescale() -> bytes:
    """A timescale of more than 2^31, which is negative for some."""
    times = 24_000

    def change(file: File) -> None:
        file.track(PICTURE).one("mdia/mdhd").put(12, u32(90_000 * times))
        _decode_times(file, VIDEO, lambda at: at * times)
        for moof in file.every("moof"):
            for index in range(FRAMES):
                moof.every("traf")[0].one("trun").put(12 + 8 * index, u32(3600 * times))

    return edited(relay_fragments(), change)


# --- what is played, and for how long ---------------------------------------------------------------------------------


def late_sound(*rows: tuple[int, int]) -> bytes:
    """Pictures a minute late, and sound too, but by edits (seconds, media time) that players do not all follow."""

    def change(file: File) -> None:
        _decode_times(file, VIDEO, lambda at: at + 60 * 90_000)
        scale = int.from_bytes(file.one("moov/mvhd").head[12:16], "big")
        table = _list(*[(seconds * scale, at, UNITY) for seconds, at in rows])
        track = file.track(SOUND)
        assert track.children is not None
        track.children = [child for child in track.children if child.kind != b"edts"]
        track.children.insert(1, Node(b"edts", b"", [Node(b"elst", table[8:])]))

    return edited(relay_fragments(), change)


def cut_at_the_end() -> bytes:
    """An edit that leaves out the last half second."""
    return edits(tabled(), (3500, 0, UNITY))


def repeated() -> bytes:
    """An edit list whose flag says that it repeats."""
    return with_moov(edits(tabled(), (4000, 0, UNITY)), lambda file: file.track(PICTURE).one("edts/elst").put(0, u32(1)))


def unseen_pictures() -> bytes:
    """Two pictures of three are shown for a ten thousandth of a second."""

    def change(file: File) -> None:
        for moof in file.every("moof"):
            for index in range(FRAMES):
                shown = 3600 if index == FRAMES - 1 else 10_800 - 18 if index % 3 == 2 else 9
                moof.every("traf")[0].one("trun").put(12 + 8 * index, u32(shown))

    return edited(relay_fragments(), change)


def one_group() -> bytes:
    """Pictures and sound in one alternate group, of which a player takes one track."""

    def change(file: File) -> None:
        for kind in (PICTURE, SOUND):
            file.track(kind).one("tkhd").put(34, b"\0\1")

    return edited(honest(), change)


def not_in_movie() -> bytes:
    """Pictures that do not belong to the movie, where the sound does."""

    def change(file: File) -> None:
        file.track(PICTURE).one("tkhd").put(0, u32(1))
        file.track(SOUND).one("tkhd").put(0, u32(3))

    return edited(honest(), change)


def short_in_tables() -> bytes:
    """A track of one second by its header, with an `mvex` but no fragments."""

    def change(file: File) -> None:
        _insert(file.one("moov"), box(b"mvex"))
        file.track(PICTURE).one("tkhd").put(20, u32(1000))

    return with_moov(tabled(), change)


def short_movie() -> bytes:
    """A movie of one second by its header."""
    return with_moov(tabled(), lambda file: file.one("moov/mvhd").put(16, u32(1000)))


def short_fragments() -> bytes:
    """Fragments of one second by their header."""
    return edited(honest(), lambda file: _insert(file.one("moov/mvex"), full(b"mehd", 0, 0, u32(1000)), 0))


def texts() -> bytes:
    """An honest copy with texts of every common kind."""
    more = (
        *("-metadata", "title=Caméra 4", "-metadata", "comment=opus elst", "-metadata", "location=+48.8-002.3/"),
        *("-metadata:s:v:0", "title=Image", "-metadata:s:a:0", "language=fra", "-disposition:v", "default"),
    )
    return ffmpeg(honest(), *more)


def keyed_texts() -> bytes:
    """An honest copy with texts under names of their own."""
    return ffmpeg(honest(), "-metadata", "camera=4", "-movflags", "use_metadata_tags")


def in_decode_order(data: bytes) -> bytes:
    """Show the pictures of a copy in fragments as they are decoded."""

    def change(file: File) -> None:
        for run in file.every("moof/traf/trun"):
            flags, count = int.from_bytes(run.head[1:4], "big"), int.from_bytes(run.head[4:8], "big")
            if flags & 0x800:
                width, at = 4 * (flags >> 8 & 15).bit_count(), 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
                for number in range(count):
                    run.put(at + width * number + width - 4, (3600).to_bytes(4, "big"))

    return edited(data, change)
