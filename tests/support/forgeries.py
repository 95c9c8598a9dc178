"""What a forger does to a playable copy: each function takes an honest copy of `copies.recording()` and returns a false one.

Owns: box surgery.  Must never know: what a checker says of it.
"""

import struct
from collections.abc import Callable
from functools import lru_cache

from relay.evidence.boxes import movie_tracks
from relay.evidence.lipsync import Shift, sound_shifts
from relay.evidence.samples import fragment_samples
from tests.support.copies import FRAMES, PACKETS, derived_copy, ffmpeg, length_prefixed, pictures, recording
from tests.support.mp4_editor import File, Node, edited, with_moov
from tests.support.recordings import AUDIO, VIDEO, Samples, box, fragment, full

Change = Callable[[File], None]
Media = list[tuple[list[bytes], list[bytes]]]
"""Pictures and sound packets, fragment by fragment."""


@lru_cache
def honest() -> bytes:
    """Return the relay's own copy."""
    return derived_copy(recording())


@lru_cache
def tabled() -> bytes:
    """Return the copy with all its tables in `moov`."""
    return ffmpeg(honest())


@lru_cache
def sealed_media() -> Media:
    """Return the sealed samples."""
    built, media = recording(), []
    headers = movie_tracks(built.plain[0])
    for number, link in enumerate(built.links):
        if not link.init:
            plain, found = built.plain[number], fragment_samples(built.plain[number], headers)
            media.append(tuple([plain[one.offset : one.offset + one.size] for one in found[track]] for track in (VIDEO, AUDIO)))
    return media  # type: ignore[return-value]


@lru_cache
def forged_media() -> Media:
    """Return black pictures that are as long as the sealed ones (filler data), in the same places."""
    black, out = pictures(FRAMES * 10, black=True), []
    for number, (video, audio) in enumerate(sealed_media()):
        frames = []
        for index, genuine in enumerate(video):
            data = length_prefixed(black.units[number * FRAMES + index])
            filler = len(genuine) - len(data) - 6
            frames.append(data + struct.pack(">IB", filler + 2, 12) + b"\xff" * filler + b"\x80")
        out.append((frames, audio))
    return out


def fragments(media: Media, *, from_ticks: int = 0) -> list[list[Samples]]:
    """Return the samples of each fragment with their times."""
    return [
        [
            Samples(VIDEO, from_ticks + number * FRAMES * 3600, 3600, tuple(video)),
            Samples(AUDIO, number * PACKETS * 960, 960, tuple(audio)),
        ]
        for number, (video, audio) in enumerate(media)
    ]


def head(data: bytes | None = None) -> bytes:
    """Return `ftyp` and `moov` of a copy."""
    file = File.of(data or honest())
    return file.one("ftyp").raw() + file.one("moov").raw()


def relaid(change: Callable[[Node, list[bytes], list[bytes]], list[bytes]]) -> bytes:
    """Return a copy whose fragments were laid out anew; sound comes first, then pictures.

    `change` gets the `moof`, the payload as it is (sound, pictures) and the forged pictures; it returns the new payload.
    """
    out = head()
    for number, (genuine, forged) in enumerate(zip(fragments(sealed_media()), forged_media(), strict=True)):
        file = File.of(fragment(number + 1, genuine[::-1]))
        moof, sound, picture = file.one("moof"), b"".join(genuine[1].data), b"".join(genuine[0].data)
        payload = change(moof, [sound, picture], [b"".join(forged[0])])
        out += moof.raw() + box(b"mdat", *payload)
    return out


def _data_offset(traf: Node, value: int) -> None:
    traf.one("trun").put(8, struct.pack(">i", value))


def second_traf() -> bytes:
    """A second track fragment without default-base-is-moof: its offset counts from the end of the first one's data."""

    def change(moof: Node, honest: list[bytes], forged: list[bytes]) -> list[bytes]:
        sound, picture = honest
        traf = moof.every("traf")[1]
        traf.one("tfhd").put(0, struct.pack(">I", 0))
        data = len(moof.raw()) + 8
        pad = bytes(len(picture))
        _data_offset(moof.every("traf")[0], data + len(pad))
        genuine_at = data + len(pad) + len(sound)
        _data_offset(traf, genuine_at)
        # From the end of the sound, the same offset leads as much further.
        between = bytes(2 * genuine_at - genuine_at - len(picture))
        return [pad, sound, picture, between, *forged]

    return relaid(change)


def absolute_base() -> bytes:
    """An absolute base-data-offset that leads to forged pictures; taken as relative to the moof it leads to the genuine."""
    out = head()
    for number, (genuine, forged) in enumerate(zip(fragments(sealed_media()), forged_media(), strict=True)):
        moof = File.of(fragment(number + 1, genuine[::-1])).one("moof")
        sound, picture = b"".join(genuine[1].data), b"".join(genuine[0].data)
        size = len(moof.raw()) + 8 + 8
        mdat = box(b"mdat", sound, picture)
        offset = size + len(sound)
        false_at = len(out) + size - 8 + len(mdat) + 8
        _data_offset(moof.every("traf")[0], size)
        _data_offset(moof.every("traf")[1], offset)
        moof.every("traf")[1].one("tfhd").head = struct.pack(">IIQ", 0x1, VIDEO, false_at - offset)
        out += moof.raw() + mdat + box(b"free", b"".join(forged[0]))
    return out


def second_run() -> bytes:
    """A second run without a data offset: by the standard it follows the first, but some players begin at the base again."""

    def change(moof: Node, honest: list[bytes], forged: list[bytes]) -> list[bytes]:
        traf = moof.every("traf")[1]
        run = traf.one("trun")
        rows, size = run.head[12:], len(moof.raw()) + 8
        first = full(b"trun", 0, 0x301, struct.pack(">Ii", 1, 0), rows[:8])
        rest = full(b"trun", 0, 0x300, struct.pack(">I", FRAMES - 1), rows[8:])
        assert traf.children is not None
        traf.children[-1:] = [Node(b"trun", first[8:]), Node(b"trun", rest[8:])]
        size = len(moof.raw()) + 8
        _data_offset(traf, size + len(honest[0]))
        _data_offset(moof.every("traf")[0], size)
        return [*honest, *forged]

    return relaid(change)


def orphan_run() -> bytes:
    """A traf whose tfhd stands after its run: what the run belongs to depends on the reader."""

    def change(moof: Node, honest: list[bytes], forged: list[bytes]) -> list[bytes]:
        traf = moof.every("traf")[1]
        assert traf.children is not None
        traf.children = [traf.children[1], traf.children[2], traf.children[0]]
        return honest

    return relaid(change)


# --- tables -----------------------------------------------------------------------------------------------------------


def stz2_first() -> bytes:
    """Black pictures before the others, in tables of `moov` whose sizes are 16 bits wide."""
    black = forged_media()[0][0]
    data = b"".join(black)

    def change(file: File) -> None:
        stbl = file.track(b"vide").one("mdia/minf/stbl")
        assert stbl.children is not None
        kept = [child for child in stbl.children if child.kind == b"stsd"]
        sizes = b"".join(struct.pack(">H", len(one)) for one in black)
        tables = [
            full(b"stts", 0, 0, struct.pack(">III", 1, len(black), 3600)),
            full(b"stsc", 0, 0, struct.pack(">IIII", 1, 1, len(black), 1)),
            full(b"stz2", 0, 0, struct.pack(">II", 16, len(black)), sizes),
            full(b"stco", 0, 0, struct.pack(">II", 1, len(file.one("ftyp").raw()) + 8)),
        ]
        stbl.children = [*kept, *[Node(table[4:8], table[8:]) for table in tables]]
        assert file.children is not None
        file.children.insert(1, Node(b"mdat", data))
        for number, moof in enumerate(file.every("moof")):
            for traf in moof.every("traf"):
                if int.from_bytes(traf.one("tfhd").head[4:8], "big") == VIDEO:
                    traf.one("tfdt").put(4, struct.pack(">Q", (number + 1) * FRAMES * 3600))

    return edited(head() + b"".join(fragment(n + 1, one) for n, one in enumerate(fragments(sealed_media()))), change)


def add_table(table: bytes) -> bytes:
    """Add a table to the pictures of a copy."""
    return _add_table(tabled(), lambda _: table)


def _add_table(data: bytes, made: Callable[[Node], bytes]) -> bytes:
    def change(file: File) -> None:
        stbl = file.track(b"vide").one("mdia/minf/stbl")
        table = made(stbl)
        assert stbl.children is not None
        stbl.children.append(Node(table[4:8], table[8:]))

    return with_moov(data, change)


def both_sizes() -> bytes:
    """Sizes twice: players take the later table."""
    return _add_table(tabled(), lambda stbl: full(b"stz2", 0, 0, struct.pack(">II", 16, 100), struct.pack(">H", 300) * 100))


def both_offsets() -> bytes:
    """Chunk offsets twice: players take the later table."""

    def made(stbl: Node) -> bytes:
        count = int.from_bytes(stbl.one("stco").head[4:8], "big")
        return full(b"co64", 0, 0, struct.pack(">I", count), struct.pack(">Q", 5000) * count)

    return _add_table(tabled(), made)


def short_times() -> bytes:
    """A table of times that ends before the samples do."""
    return with_moov(tabled(), lambda file: file.track(b"vide").one("mdia/minf/stbl/stts").put(8, struct.pack(">I", 60)))


def honest_stz2() -> bytes:
    """The same sizes, 16 bits wide: an honest file."""

    def change(file: File) -> None:
        for kind in (b"vide", b"soun"):
            stbl = file.track(kind).one("mdia/minf/stbl")
            old = stbl.one("stsz")
            sizes = struct.unpack(f">{(len(old.head) - 12) // 4}I", old.head[12:])
            old.kind = b"stz2"
            old.head = struct.pack(">III", 0, 16, len(sizes)) + struct.pack(f">{len(sizes)}H", *sizes)

    return with_moov(tabled(), change)


def honest_co64() -> bytes:
    """The same offsets, 64 bits wide: an honest file."""

    def change(file: File) -> None:
        for kind in (b"vide", b"soun"):
            old = file.track(kind).one("mdia/minf/stbl/stco")
            at = struct.unpack(f">{(len(old.head) - 8) // 4}I", old.head[8:])
            old.kind, old.head = b"co64", old.head[:8] + struct.pack(f">{len(at)}Q", *at)

    return with_moov(tabled(), change)


# --- edits and headers ------------------------------------------------------------------------------------------------


def edits(data: bytes, *rows: tuple[int, int, int], kinds: tuple[bytes, ...] = (b"vide", b"soun")) -> bytes:
    """Give tracks an edit list: (length in movie ticks of 1 ms, media time, rate in 16.16)."""

    def change(file: File) -> None:
        for kind in kinds:
            trak = file.track(kind)
            scale = 1 if kind == b"vide" else 48 / 90
            table = b"".join(struct.pack(">IiI", length, int(at * scale) if at > 0 else at, rate) for length, at, rate in rows)
            elst = full(b"elst", 0, 0, struct.pack(">I", len(rows)), table)
            assert trak.children is not None
            trak.children = [child for child in trak.children if child.kind != b"edts"]
            trak.children.insert(1, Node(b"edts", b"", [Node(b"elst", elst[8:])]))

    return with_moov(data, change)


def header(kind: bytes, path: str, at: int, value: bytes, data: bytes | None = None) -> bytes:
    """Overwrite bytes of a box of a track."""
    return edited(data or honest(), lambda file: file.track(kind).one(path).put(at, value))


def movie(at: int, value: bytes) -> bytes:
    """Overwrite bytes of `mvhd`."""
    return edited(honest(), lambda file: file.one("moov/mvhd").put(at, value))


def matrix(*rows: float) -> bytes:
    """Return a matrix; the last column is 2.30."""
    return b"".join(struct.pack(">i", int(value * (1 << (30 if n % 3 == 2 else 16)))) for n, value in enumerate(rows))


TURNED = matrix(-1, 0, 0, 0, -1, 0, 96, 64, 1)
MIRRORED = matrix(-1, 0, 0, 0, 1, 0, 96, 0, 1)

# --- decoders ---------------------------------------------------------------------------------------------------------

ENTRY = {b"vide": "mdia/minf/stbl/stsd/avc1", b"soun": "mdia/minf/stbl/stsd/Opus"}


def avcc(sps: bytes, pps: bytes) -> bytes:
    """Return the payload of an `avcC`."""
    return b"\1" + sps[1:4] + b"\xff\xe1" + struct.pack(">H", len(sps)) + sps + b"\1" + struct.pack(">H", len(pps)) + pps


def other_avcc() -> bytes:
    """The pictures with parameter sets of another resolution."""
    other = pictures(3, 64, 96)
    return edited(
        honest(), lambda file: setattr(file.track(b"vide").one(ENTRY[b"vide"] + "/avcC"), "head", avcc(other.sps, other.pps))
    )


def flipped_pps() -> bytes:
    """The pictures with a picture parameter set that sets another quantiser."""
    own = pictures(100)
    pps = own.pps[:2] + bytes([own.pps[2] ^ 0x10]) + own.pps[3:]
    return edited(honest(), lambda file: setattr(file.track(b"vide").one(ENTRY[b"vide"] + "/avcC"), "head", avcc(own.sps, pps)))


def second_description(by: str) -> bytes:
    """A second sample description with foreign parameter sets, chosen by `trex`, `tfhd` or `stsc`."""
    other = pictures(3, 64, 96)

    def add(file: File) -> None:
        stsd = file.track(b"vide").one("mdia/minf/stbl/stsd")
        copy = next(iter(File.of(stsd.one("avc1").raw()).children or ()))
        copy.one("avcC").head = avcc(other.sps, other.pps)
        assert stsd.children is not None
        stsd.children.append(copy)
        stsd.put(4, struct.pack(">I", 2))
        if by == "trex":
            file.one("moov/mvex/trex").put(8, struct.pack(">I", 2))
        if by == "stsc":
            stsc = file.track(b"vide").one("mdia/minf/stbl/stsc")
            for at in range(16, len(stsc.head), 12):
                stsc.put(at, struct.pack(">I", 2))
        for moof in file.every("moof") if by == "tfhd" else ():
            for traf in moof.every("traf"):
                tfhd = traf.one("tfhd")
                if int.from_bytes(tfhd.head[4:8], "big") == VIDEO and not tfhd.head[3] & 2:
                    grown = len(moof.raw()) + 4
                    tfhd.head = (
                        struct.pack(">I", int.from_bytes(tfhd.head[:4], "big") | 2)
                        + tfhd.head[4:8]
                        + struct.pack(">I", 2)
                        + tfhd.head[8:]
                    )
                    for each in moof.every("traf"):
                        moved = int.from_bytes(each.one("trun").head[8:12], "big") + 4
                        _data_offset(each, moved)
                    assert grown == len(moof.raw())

    return with_moov(tabled(), add) if by == "stsc" else edited(honest(), add)


def opus(at: int, value: bytes) -> bytes:
    """Overwrite bytes of `dOps`."""
    return header(b"soun", ENTRY[b"soun"] + "/dOps", at, value)


def in_entry(kind: bytes, *boxes: bytes) -> bytes:
    """Add boxes to a sample description."""

    def change(file: File) -> None:
        entry = file.track(kind).one(ENTRY[kind])
        assert entry.children is not None
        entry.children = [child for child in entry.children if child.kind not in [one[4:8] for one in boxes]]
        entry.children += [Node(one[4:8], one[8:]) for one in boxes]

    return edited(honest(), change)


# --- times ------------------------------------------------------------------------------------------------------------


def moved(kind: int, ticks: int, *, since: int = 0) -> bytes:
    """Decode times of a track moved by so many ticks, from a fragment on."""

    def change(file: File) -> None:
        for number, moof in enumerate(file.every("moof")):
            for traf in moof.every("traf"):
                tfdt = traf.one("tfdt")
                if int.from_bytes(traf.one("tfhd").head[4:8], "big") == kind and number >= since:
                    tfdt.put(4, struct.pack(">Q", int.from_bytes(tfdt.head[4:12], "big") + ticks))

    return edited(relay_fragments(), change)


@lru_cache
def relay_fragments() -> bytes:
    """Return an honest copy with fragments of 0.4 s."""
    return head() + b"".join(fragment(number + 1, tracks) for number, tracks in enumerate(fragments(sealed_media())))


def frozen() -> bytes:
    """Each fragment shows its first picture nearly all the time, then the others in a rush."""

    def change(file: File) -> None:
        for moof in file.every("moof"):
            trun = moof.every("traf")[0].one("trun")
            for index in range(FRAMES):
                trun.put(12 + 8 * index, struct.pack(">I", 3600 * FRAMES - 90 * (FRAMES - 1) if index == 0 else 90))

    return edited(relay_fragments(), change)


def half_moved() -> bytes:
    """The sound of a recording whose sound is moved, moved by half of it only."""
    built = recording(late_sound_ms=300)
    halves = [Shift(shift.since, shift.offset_ns // 2) for shift in sound_shifts(built.links)]
    return derived_copy(built, shifts=halves)


def hidden() -> bytes:
    """Every second picture at the time of the one after it."""

    def change(file: File) -> None:
        for moof in file.every("moof"):
            trun = moof.every("traf")[0].one("trun")
            for index in range(FRAMES):
                trun.put(12 + 8 * index, struct.pack(">I", 7200 if index % 2 else 0))

    return edited(relay_fragments(), change)


def replayed() -> bytes:
    """The pictures of the third fragment again in place of those of the fifth, which are left out."""
    media = list(sealed_media())
    media[4] = (media[2][0], media[4][1])
    return head() + b"".join(fragment(number + 1, tracks) for number, tracks in enumerate(fragments(media)))


def endless_entry() -> bytes:
    """A sample description whose length is 0: some readers take it to the end of its parent."""
    data = honest()
    at = data.index(b"Opus") - 4
    return data[:at] + bytes(4) + data[at + 4 :]


def no_trex() -> bytes:
    """Fragments of tracks that `mvex` does not name."""

    def change(file: File) -> None:
        for trex in file.one("moov/mvex").every("trex"):
            trex.put(4, struct.pack(">I", int.from_bytes(trex.head[4:8], "big") + 10))

    return edited(honest(), change)


def moved_chunks() -> bytes:
    """The chunks of the pictures in reverse order."""

    def change(file: File) -> None:
        stco = file.track(b"vide").one("mdia/minf/stbl/stco")
        places = struct.unpack(f">{(len(stco.head) - 8) // 4}I", stco.head[8:])
        stco.head = stco.head[:8] + struct.pack(f">{len(places)}I", *places[::-1])

    return with_moov(tabled(), change)


def reordered() -> bytes:
    """Composition offsets that show pictures in another order."""

    def change(file: File) -> None:
        stbl = file.track(b"vide").one("mdia/minf/stbl")
        rows = b"".join(struct.pack(">II", 1, (3, 1, 0, 0)[n % 4] * 3600) for n in range(100))
        table = full(b"ctts", 0, 0, struct.pack(">I", 100), rows)
        assert stbl.children is not None
        stbl.children.append(Node(b"ctts", table[8:]))

    return with_moov(tabled(), change)


def further_track(handler: bytes) -> bytes:
    """A further track: more pictures, or text over them."""

    def change(file: File) -> None:
        moov = file.one("moov")
        copy = next(iter(File.of(file.track(b"vide").raw()).children or ()))
        copy.one("tkhd").put(12, struct.pack(">I", 3))
        copy.one("mdia/hdlr").put(8, handler)
        assert moov.children is not None
        moov.children.insert(1, copy)

    return with_moov(tabled(), change)


def elsewhere() -> bytes:
    """The media lies in another file."""
    return edited(
        honest(), lambda file: setattr(file.track(b"vide").one("mdia/minf/dinf/dref/url "), "head", bytes(4) + b"other.mp4\0")
    )


def added(path: str, new: bytes, data: bytes | None = None) -> bytes:
    """Add a box at a path below a picture's `trak`, or at the top of the file (path empty)."""

    def change(file: File) -> None:
        into: Node = file if not path else file.track(b"vide").one(path) if path != "trak" else file.track(b"vide")
        assert into.children is not None
        into.children.insert(2, Node(new[4:8], new[8:]))

    return edited(data or honest(), change)
