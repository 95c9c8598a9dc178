"""The negative vectors: changes to a recording, and exactly the findings that each must have.

A row reads: name, script of the recording (`tests.support.recordings`), what is done to it, the marks that must come out (one
per fragment), the four answers as letters, and the findings, as `code@fragment`; notes are not listed.  The exit code is 1
with findings, 0 without, and 2 where the row says `unreadable`.

Answers: integrity I intact, S intact as stored, A altered, ? not judged · completeness C complete, V complete for this
interval, T interrupted, O open, M incomplete, ? not judged · origin P proved, N not proved · time C consistent, S suspect,
N not proved.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relay.evidence.boxes import movie_tracks
from relay.evidence.chain import PREAMBLE, ChainWriter, frame, iterate
from relay.evidence.records import End, KeyRollover, Original, Reason, Recovery
from relay.evidence.samples import fragment_samples
from relay.evidence.seal import MemorySigner, key_id, sha256
from relay.evidence.statement import sign_revocations, sign_succession
from tests.support.mp4_editor import File, Node, playable
from tests.support.recordings import (
    DAY,
    LONGTERM,
    OTHER_LONGTERM,
    RECORDING_KEY,
    SECOND,
    T0,
    VIDEO,
    Built,
    Samples,
    box,
    build,
    fragment,
    full,
    init_segment,
    sample,
    session,
    start_record,
)

Files = dict[str, bytes]
Tamper = Callable[[Built], Files]

ANSWERS = {
    "integrity": {"I": "intact", "S": "intact as stored", "A": "altered", "?": "not judged"},
    "completeness": {
        "C": "complete",
        "V": "complete for this interval",
        "T": "interrupted",
        "O": "open",
        "M": "incomplete",
        "?": "not judged",
    },
    "origin": {"P": "proved", "N": "not proved"},
    "time": {"C": "consistent", "S": "suspect", "N": "time not proved"},
}


@dataclass(frozen=True)
class Vector:
    """One row."""

    name: str
    script: str
    tamper: Tamper
    marks: str
    answers: str
    findings: str = ""
    public_key: bytes | None = LONGTERM.public_key
    recording_key: bytes | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    revoked: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    still_open: int | None = None
    """Fragments that the relay knows of a recording that it is making now."""
    expected: str | None = None

    def files(self) -> Files:
        """Return the tampered files."""
        return self.tamper(build(self.script, **self.start))

    @property
    def exit_code(self) -> int:
        """What the process must exit with."""
        return 2 if self.marks == "unreadable" else 1 if self.findings else 0


# --- what can be done -------------------------------------------------------------------------------------------------


def nothing(built: Built) -> Files:
    return dict(built.files)


def stored(change: Callable[[Built, Files], None]) -> Tamper:
    """Change the vault folder."""

    def tamper(built: Built) -> Files:
        files = dict(built.files)
        change(built, files)
        return files

    return tamper


def exported(change: Callable[[Built, Files], None] | None = None, first: int | None = None, last: int | None = None) -> Tamper:
    """Change an export, whole or of an interval."""

    def tamper(built: Built) -> Files:
        files = built.export(first, last)
        if change is not None:
            change(built, files)
        return files

    return tamper


def flip_at(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def pieces(built: Built, segment: int, files: Files, *, plain: bool = False) -> list[bytes]:
    """Cut a segment's file into its fragments."""
    name, out, at = f"{segment:05d}.{'mp4' if plain else 'seg'}", [], 0
    for link in built.links:
        if link.segment == segment:
            length = link.plain_length if plain else link.stored_length
            out.append(files[name][at : at + length])
            at += length
    return out


def rearrange(order: str, segment: int = 0, *, plain: bool = False) -> Callable[[Built, Files], None]:
    """Put the fragments of a segment in the order of the digits of `order`."""

    def change(built: Built, files: Files) -> None:
        cut = pieces(built, segment, files, plain=plain)
        files[f"{segment:05d}.{'mp4' if plain else 'seg'}"] = b"".join(cut[int(digit)] for digit in order)

    return change


def flip_fragment(number: int, at: int = -40, *, plain: bool = False) -> Callable[[Built, Files], None]:
    """Flip a bit of a fragment."""

    def change(built: Built, files: Files) -> None:
        link = built.links[number]
        cut = pieces(built, link.segment, files, plain=plain)
        index = number - next(other.fragment for other in built.links if other.segment == link.segment)
        cut[index] = flip_at(cut[index], at)
        files[f"{link.segment:05d}.{'mp4' if plain else 'seg'}"] = b"".join(cut)

    return change


def append(name: str, data: bytes) -> Callable[[Built, Files], None]:
    def change(built: Built, files: Files) -> None:
        files[name] = files.get(name, b"") + data

    return change


def truncate(name: str, by: int) -> Callable[[Built, Files], None]:
    def change(built: Built, files: Files) -> None:
        files[name] = files[name][:-by]

    return change


def remove(*names: str) -> Callable[[Built, Files], None]:
    def change(built: Built, files: Files) -> None:
        for name in names:
            del files[name]

    return change


def both(*changes: Callable[[Built, Files], None]) -> Callable[[Built, Files], None]:
    def change(built: Built, files: Files) -> None:
        for each in changes:
            each(built, files)

    return change


def raw_records(chain: bytes) -> list[bytes]:
    return [chain[record.position : record.position + record.size] for record in iterate(chain)]


def chain_order(*numbers: int) -> Callable[[Built, Files], None]:
    """Keep these records of the chain, in this order (negative numbers count from the end)."""

    def change(built: Built, files: Files) -> None:
        records = raw_records(files["chain"])
        files["chain"] = PREAMBLE + b"".join(records[number] for number in numbers)

    return change


def cut_records(count: int) -> Callable[[Built, Files], None]:
    """Cut records off the end."""

    def change(built: Built, files: Files) -> None:
        files["chain"] = PREAMBLE + b"".join(raw_records(files["chain"])[:-count])

    return change


def flip_record(number: int, at: int) -> Callable[[Built, Files], None]:
    """Flip a bit of a record at a place that keeps it readable."""

    def change(built: Built, files: Files) -> None:
        records = raw_records(files["chain"])
        records[number] = flip_at(records[number], at)
        files["chain"] = PREAMBLE + b"".join(records)

    return change


def flip_text(number: int, text: str) -> Callable[[Built, Files], None]:
    """Flip a bit of the last letter of a text in a record."""

    def change(built: Built, files: Files) -> None:
        records = raw_records(files["chain"])
        records[number] = flip_at(records[number], records[number].index(text.encode()) + len(text.encode()) - 1)
        files["chain"] = PREAMBLE + b"".join(records)

    return change


def splice(script: str, number: int, **start: Any) -> Callable[[Built, Files], None]:
    """Replace record and fragment `number` by those of another recording (one segment, same lengths)."""

    def change(built: Built, files: Files) -> None:
        other = build(script, **start)
        mine, theirs = raw_records(files["chain"]), raw_records(other.files["chain"])
        mine[number + 1] = theirs[number + 1]
        files["chain"] = PREAMBLE + b"".join(mine)
        cut = pieces(built, 0, files)
        cut[number] = pieces(other, 0, other.files)[number]
        files["00000.seg"] = b"".join(cut)

    return change


def no_signatures(built: Built, files: Files) -> None:
    files["chain"] = PREAMBLE + b"".join(record[:-64] + bytes(64) for record in raw_records(files["chain"]))


def append_record(make: Callable[[Built], Any], signer: str = "session") -> Callable[[Built, Files], None]:
    """Append one more record, well linked and signed by a session key."""

    def change(built: Built, files: Files) -> None:
        last = list(iterate(files["chain"]))[-1]
        files["chain"] += frame(last.sequence + 1, last.head, make(built), session(signer))

    return change


def end_of(built: Built) -> End:
    return End(Reason.STOPPED, None, T0 + 10 * SECOND, len(built.links), 0, 1, 0, 0)


def forged_recovery(built: Built) -> Recovery:
    certificate = session("recovery session", OTHER_LONGTERM).certificate
    return Recovery("forged", T0 + 10 * SECOND, 0, 0, len(built.links), 0, certificate)


def recovery_at(seconds: int, cause: str = "died") -> Callable[[Built], Recovery]:
    """A genuine recovery, dated so many seconds after the recording began."""
    certificate = session("recovery session").certificate
    return lambda built: Recovery(cause, T0 + seconds * SECOND, 0, 0, len(built.links), 0, certificate)


def forged_certificate(built: Built) -> Files:
    """An attacker's session key under a certificate that only names the trusted key."""
    signer = session("attacker", OTHER_LONGTERM)
    forged = replace(signer.certificate, issuer=key_id(LONGTERM.public_key))
    return build("SIPPPE", signer=replace(signer, certificate=forged)).files


def rollover(*, certified: bool = True, consent: bool = True) -> Tamper:
    """A change of session key in mid-recording with something wrong about it."""

    def tamper(built: Built) -> Files:
        first = session()
        second = session("second session", LONGTERM if certified else OTHER_LONGTERM)
        writer = ChainWriter(first, start_record(first))
        files = dict(built.files)
        chain = writer.start() + writer.link(built.links[0]) + writer.link(built.links[1])
        if consent:
            chain += writer.rollover(second)
        else:
            body = KeyRollover(second.certificate, bytes(64))
            chain += frame(3, writer.head, body, first)
            head = sha256(frame(3, writer.head, body, first))
            files["chain"] = chain + frame(4, head, built.links[2], second)
            head = sha256(frame(4, head, built.links[2], second))
            sizes = sum(link.plain_length for link in built.links), sum(link.stored_length for link in built.links)
            files["chain"] += frame(5, head, End(Reason.STOPPED, None, T0 + SECOND, 3, 0, 1, *sizes), second)
            return files
        files["chain"] = chain + writer.link(built.links[2]) + writer.end(Reason.STOPPED, None, T0 + SECOND)
        return files

    return tamper


def overriding(number: int, **fields: Any) -> dict[str, Any]:
    """A recorder that signs something odd about one fragment."""
    return {"overrides": {number: fields}}


def succession(built: Built, files: Files) -> None:
    files["succession-1"] = sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + DAY, reason="yearly")


def forged_succession(built: Built, files: Files) -> None:
    files["succession-1"] = sign_succession(MemorySigner(bytes(32)), OTHER_LONGTERM, at_ns=T0, reason="x").replace(
        MemorySigner(bytes(32)).public_key, LONGTERM.public_key
    )


def listing(
    revoked: Mapping[bytes, bool], longterm: MemorySigner = LONGTERM, head: bytes | None = None
) -> Callable[[Built, Files], None]:
    """Put a list of revoked keys beside the chain: each with whether it vouches for the chain's head."""

    def change(built: Built, files: Files) -> None:
        about = head or built.records()[-1].head
        heads = {key: frozenset({about} if attested else ()) for key, attested in revoked.items()}
        files["revocations"] = sign_revocations(longterm, head=about, issued_ns=T0 + DAY, revoked=heads)

    return change


def flip_listing(files: Files) -> None:
    """Turn the flag of the last key, which stands before the signature."""
    files["revocations"] = flip_at(files["revocations"], -65)


def statement_by(longterm: MemorySigner) -> Callable[[Built, Files], None]:
    def change(built: Built, files: Files) -> None:
        files["statement"] = built.statement(2, 4, longterm)

    return change


def statement_of_another(built: Built, files: Files) -> None:
    files["statement"] = build("SIPPPPPPPE").statement(2, 4)


def derived(change: Callable[[list[Samples]], None] | None = None, scale: int = 1, tail: bytes = b"") -> Tamper:
    """Only a remuxed copy and the chain: same samples in other boxes."""

    def tamper(built: Built) -> Files:
        out, headers = playable(init_segment(9)), movie_tracks(init_segment())
        for number, link in enumerate(built.links):
            if link.init:
                continue
            tracks = []
            for track, found in fragment_samples(built.plain[number], headers).items():
                data = tuple(built.plain[number][one.offset : one.offset + one.size] for one in found)
                tracks.append(Samples(track, found[0].time * scale, found[0].duration * scale, data))
            if change is not None and number == 2:
                change(tracks)
            out += fragment(number + 500, tracks[::-1])
        return {"chain": built.files["chain"], "copy.mp4": out + tail}

    return tamper


def replaced(track: int) -> Callable[[list[Samples]], None]:
    """Other bytes of the same length in one track."""

    def change(tracks: list[Samples]) -> None:
        for index, samples in enumerate(tracks):
            if samples.track == track:
                data = tuple(sample(f"forged{n}", len(one)) for n, one in enumerate(samples.data))
                tracks[index] = replace(samples, data=data)

    return change


def one_frame_less(tracks: list[Samples]) -> None:
    tracks[0] = replace(tracks[0], data=tracks[0].data[:-1])


def progressive(built: Built) -> Files:
    """A remux to one `moov` with tables at the end of the file, as `mp4 → fMP4 → mp4` gives."""
    headers, media = movie_tracks(init_segment()), b""
    tables: dict[int, tuple[list[int], list[int], list[tuple[int, int]]]] = {}
    for number, link in enumerate(built.links):
        for track, found in fragment_samples(built.plain[number], headers).items() if not link.init else ():
            rows = tables.setdefault(track, ([], [], []))
            rows[0].append(8 + len(media))
            rows[1].append(len(found))
            rows[2].extend((one.duration, one.size) for one in found)
            media += b"".join(built.plain[number][one.offset : one.offset + one.size] for one in found)
    file = File.of(playable(init_segment(9)))
    moov = file.one("moov")
    for trak, (track, rows) in zip(moov.every("trak"), sorted(tables.items()), strict=True):
        stbl = trak.one("mdia/minf/stbl")
        stbl.children = [*stbl.every("stsd"), *_tables(*rows)]
        assert int.from_bytes(trak.one("tkhd").head[12:16], "big") == track
    moov.children = [child for child in moov.children or () if child.kind != b"mvex"]
    ftyp = file.one("ftyp").raw()
    for stco in [trak.one("mdia/minf/stbl/stco") for trak in moov.every("trak")]:
        places = struct.unpack(f">{len(stco.head) // 4}I", stco.head)
        stco.head = struct.pack(f">{len(places)}I", *places[:2], *[place + len(ftyp) for place in places[2:]])
    return {"chain": built.files["chain"], "copy.mp4": ftyp + box(b"mdat", media) + moov.raw()}


def _tables(chunks: list[int], counts: list[int], rows: list[tuple[int, int]]) -> list[Node]:
    def table(kind: bytes, *lines: bytes, before: bytes = b"") -> Node:
        return Node(kind, full(kind, 0, 0, before, struct.pack(">I", len(lines)), *lines)[8:])

    return [
        table(b"stts", *[struct.pack(">II", 1, duration) for duration, _ in rows]),
        table(b"stsz", *[struct.pack(">I", size) for _, size in rows], before=bytes(4)),
        table(b"stsc", *[struct.pack(">III", n, count, 1) for n, count in enumerate(counts, 1)]),
        table(b"stco", *[struct.pack(">I", at) for at in chunks]),
    ]


def copy_of(data: bytes) -> Tamper:
    return lambda built: {"chain": built.files["chain"], "copy.mp4": data}


def only(**files: bytes) -> Tamper:
    return lambda built: dict(files)


NESTED = b""
for _ in range(1000):
    NESTED = box(b"moov", NESTED)

VECTORS: list[Vector] = [
    # --- intact -------------------------------------------------------------------------------------------------------
    Vector("plain", "SIPPPPE", nothing, ".....", "SCPC"),
    Vector("with its key", "SIPPPPE", nothing, ".....", "ICPC", recording_key=RECORDING_KEY),
    Vector("several segments", "SIPPPIPPIPE", nothing, ".........", "SCPC"),
    Vector("a signed gap", "SIPPGPPE", nothing, ".....", "SCPC"),
    Vector("a gap, a new segment, a gap", "SIPPGIPGPE", nothing, "......", "SCPC"),
    Vector("sound only for a while", "SIPAAPE", nothing, ".....", "SCPC"),
    Vector("a session key takes over", "SIPPKPPE", nothing, ".....", "SCPC"),
    Vector("nothing but a start and an end", "SE", nothing, "", "SCPC"),
    Vector("export", "SIPPPIPPE", exported(), ".......", "ICPC"),
    Vector("export of an interval", "SIPPPPIPPPE", exported(None, 3, 6), ".--....--", "IVPC"),
    Vector("an interval of an interrupted recording", "SIPPPPR", exported(None, 1, 2), "...--", "IVPC"),
    Vector("a file beside it", "SIPPE", stored(append("note.txt", b"seen")), "...", "SCPC"),
    Vector(
        "a derived copy in the export", "SIPPE", exported(append("derived/play.mp4", b"")), "...", "ACPC", "derived_differs@1"
    ),
    Vector(
        "the original is the camera's", "SIPPE", stored(remove("00000.seg")), "...", "ICPC", start={"original": Original.CAMERA}
    ),
    Vector("a succession of long-term keys", "SIPPE", stored(succession), "...", "SCPC", public_key=OTHER_LONGTERM.public_key),
    # --- content ------------------------------------------------------------------------------------------------------
    Vector("bit flip in a fragment", "SIPPPPE", stored(flip_fragment(2)), "..X..", "ACPC", "fragment_altered@2"),
    Vector("bit flip in the init segment", "SIPPPPE", stored(flip_fragment(0)), "X....", "ACPC", "fragment_altered@0"),
    Vector("bit flip in the first byte", "SIPPPPE", stored(flip_fragment(0, 0)), "X....", "ACPC", "fragment_altered@0"),
    Vector("bit flip in the last tag", "SIPPPPE", stored(flip_fragment(4, -1)), "....X", "ACPC", "fragment_altered@4"),
    Vector(
        "bit flip in two segments",
        "SIPPIPPE",
        stored(both(flip_fragment(1), flip_fragment(5))),
        ".X...X",
        "ACPC",
        "fragment_altered@1 fragment_altered@5",
    ),
    Vector(
        "bit flip in exported sound",
        "SIPPPE",
        exported(flip_fragment(2, -10, plain=True)),
        "..X.",
        "ACPC",
        "fragment_altered@2",
    ),
    Vector(
        "bit flip in exported picture",
        "SIPPPE",
        exported(flip_fragment(2, -900, plain=True)),
        "..X.",
        "ACPC",
        "fragment_altered@2",
    ),
    Vector(
        "bit flip in an exported box",
        "SIPPPE",
        exported(flip_fragment(2, 30, plain=True)),
        "..X.",
        "ACPC",
        "fragment_altered@2",
    ),
    Vector(
        "bit flip in the exported init segment",
        "SIPPPE",
        exported(flip_fragment(0, 50, plain=True)),
        "X...",
        "ACPC",
        "fragment_altered@0",
    ),
    Vector("position in a link changed", "SIPPPE", stored(flip_text(3, "48.85,2.35")), "..X.", "ACPC", "record_altered@2"),
    Vector("battery in a link changed", "SIPPPE", stored(flip_text(3, "88")), "..X.", "ACPC", "record_altered@2"),
    Vector("digest in a link changed", "SIPPPE", stored(flip_record(3, 80)), "..X.", "ACPC", "record_altered@2"),
    Vector("signature of a link changed", "SIPPPE", stored(flip_record(3, -1)), "..X.", "ACPC", "record_altered@2"),
    Vector("sequence of a link changed", "SIPPPE", stored(flip_record(3, 4)), "..X.", "ACPC", "record_altered@2"),
    Vector(
        "threat in the start changed",
        "SIPPE",
        stored(flip_text(0, "menace immédiate")),
        "???",
        "AMNN",
        "record_altered no_start",
    ),
    Vector("author in the end changed", "SIPPE", stored(flip_text(-1, "op-1")), "...", "AOPC", "record_altered interrupted"),
    Vector("length of a gap changed", "SIPGPE", stored(flip_record(3, 46)), "...", "AMPC", "record_altered gap_unexplained@2"),
    Vector(
        "another recording's decryption key", "SIPPE", nothing, "...", "ACPC", "wrong_recording_key@0", recording_key=bytes(32)
    ),
    Vector(
        "fragments of another recording",
        "SIPPPE",
        stored(splice("SIPPPE", 2, frame_bytes=64, label="autre")),
        "..X.",
        "ACPC",
        "chain_broken@2 chain_broken@3",
    ),
    # --- order --------------------------------------------------------------------------------------------------------
    Vector(
        "two fragments swapped",
        "SIPPPPE",
        stored(rearrange("01324")),
        "..DD.",
        "ACPC",
        "fragment_misplaced@2 fragment_misplaced@3",
    ),
    Vector(
        "two exported fragments swapped",
        "SIPPPPE",
        exported(rearrange("01324", plain=True)),
        "..DD.",
        "ACPC",
        "fragment_misplaced@2 fragment_misplaced@3",
    ),
    Vector(
        "first and last swapped",
        "SIPPPPE",
        stored(rearrange("04231")),
        ".D..D",
        "ACPC",
        "fragment_misplaced@1 fragment_misplaced@4",
    ),
    Vector("a fragment twice", "SIPPPPE", stored(rearrange("012234")), "..D..", "ACPC", "fragment_twice@2"),
    Vector(
        "a fragment over another", "SIPPPPE", stored(rearrange("01224")), "..DM.", "AMPC", "fragment_twice@2 fragment_missing@3"
    ),
    Vector("a link twice", "SIPPPE", stored(chain_order(0, 1, 2, 3, 3, 4, -1)), "....", "ACPC", "record_misplaced@2"),
    Vector(
        "two links swapped",
        "SIPPPE",
        stored(chain_order(0, 1, 2, 4, 3, -1)),
        "..D.",
        "AMPC",
        "records_missing@3 record_misplaced@2",
    ),
    Vector(
        "an old init segment replayed",
        "SIPIPE",
        stored(lambda b, f: f.update({"00001.seg": pieces(b, 0, f)[0] + pieces(b, 1, f)[1]})),
        "..X.",
        "ACPC",
        "fragment_altered@2",
    ),
    # --- loss ---------------------------------------------------------------------------------------------------------
    Vector("a fragment dropped", "SIPPPPE", stored(rearrange("0134")), "..M..", "SMPC", "fragment_missing@2"),
    Vector("two fragments dropped", "SIPPPPE", stored(rearrange("014")), "..MM.", "SMPC", "fragments_missing@2"),
    Vector(
        "an exported fragment dropped",
        "SIPPPPE",
        exported(rearrange("0134", plain=True)),
        "..M..",
        "IMPC",
        "fragment_missing@2",
    ),
    Vector("the init segment dropped", "SIPPPPE", stored(rearrange("1234")), "M....", "SMPC", "fragment_missing@0"),
    Vector(
        "a link dropped",
        "SIPPPPE",
        stored(chain_order(0, 1, 2, 4, 5, -1)),
        "..M..",
        "SMPC",
        "records_missing@3 fragment_missing@2",
    ),
    Vector(
        "a link and its fragment dropped",
        "SIPPPPE",
        stored(both(rearrange("0134"), chain_order(0, 1, 2, 4, 5, -1))),
        "..M..",
        "SMPC",
        "records_missing@3 fragment_missing@2",
    ),
    Vector(
        "a gap record dropped",
        "SIPGPE",
        stored(chain_order(0, 1, 2, 4, -1)),
        "...",
        "SMPC",
        "records_missing@2 gap_unexplained@2",
    ),
    Vector("a segment's file deleted", "SIPPIPPE", stored(remove("00000.seg")), "MMM...", "SMPC", "fragments_missing@0"),
    Vector(
        "a segment and its links deleted",
        "SIPPIPPIPE",
        stored(both(remove("00001.seg"), chain_order(0, 1, 2, 3, 7, 8, -1))),
        "...MMM..",
        "SMPC",
        "records_missing@6 fragments_missing@3",
    ),
    Vector(
        "an empty segment",
        "SIPPIPPE",
        stored(lambda b, f: f.update({"00000.seg": b""})),
        "MMM...",
        "SMPC",
        "fragments_missing@0",
    ),
    Vector("everything stored deleted", "SIPPE", stored(remove("00000.seg")), "MMM", "SMPC", "fragments_missing@0"),
    # --- ends ---------------------------------------------------------------------------------------------------------
    Vector("the start cut", "SIPPE", stored(chain_order(1, 2, 3, -1)), "???", "?MNN", "no_start"),
    Vector("the head cut", "SIPPPE", stored(chain_order(3, 4, -1)), "MM??", "?MNN", "no_start fragments_missing@0"),
    Vector("the end cut", "SIPPPE", stored(cut_records(1)), "....", "SOPC", "interrupted"),
    Vector("the last link cut", "SIPPPE", stored(cut_records(2)), "...", "SOPC", "interrupted"),
    Vector("the tail cut everywhere", "SIPPPE", stored(both(rearrange("012"), cut_records(2))), "...", "SOPC", "interrupted"),
    Vector(
        "the last segment cut everywhere",
        "SIPPIPPE",
        stored(both(remove("00001.seg"), cut_records(4))),
        "...",
        "SOPC",
        "interrupted",
    ),
    Vector("the last fragment cut", "SIPPPE", stored(rearrange("012")), "...M", "SMPC", "fragment_missing@3"),
    Vector("the last fragment torn", "SIPPPE", stored(truncate("00000.seg", 5)), "...M", "SMPC", "fragment_missing@3"),
    Vector(
        "the last link torn",
        "SIPPPE",
        stored(both(cut_records(1), truncate("chain", 7), rearrange("012"))),
        "...",
        "SOPC",
        "interrupted",
    ),
    Vector("a signed recovery", "SIPPPR", nothing, "....", "STPC", "recovered"),
    Vector(
        "a recovery by a foreign key",
        "SIPPPE",
        stored(both(cut_records(1), append_record(forged_recovery, "recovery session"))),
        "....",
        "STNC",
        "foreign_key recovered",
    ),
    Vector("junk after the last fragment", "SIPPE", stored(append("00000.seg", b"junk")), "...", "ACPC", "extra_bytes"),
    Vector(
        "a free box after the export",
        "SIPPE",
        exported(append("00000.mp4", box(b"free", b"junk"))),
        "...",
        "ACPC",
        "extra_bytes",
    ),
    Vector("junk after the chain", "SIPPE", stored(append("chain", b"junk")), "...", "ACPC", "chain_unreadable"),
    Vector("a second end", "SIPPE", stored(append_record(end_of)), "...", "ACPC", "after_end"),
    Vector(
        "a link after the end",
        "SIPPE",
        stored(append_record(lambda b: replace(b.links[-1], fragment=3, offset=0))),
        "...",
        "ACPC",
        "after_end",
    ),
    Vector("a segment that no link knows", "SIPPE", stored(append("00001.seg", b"more")), "...", "ACPC", "foreign_file"),
    # --- time ---------------------------------------------------------------------------------------------------------
    Vector("a gap that nobody signed", "SIPPhPPE", nothing, ".....", "SMPC", "gap_unexplained@3"),
    Vector(
        "a radio that stalled and brought everything late",
        "SIPPPE",
        nothing,
        "....",
        "SCPC",
        start={"overrides": {2: {"arrival_start_ns": T0 + 4 * SECOND}, 3: {"arrival_start_ns": T0 + 4 * SECOND + SECOND // 2}}},
    ),
    Vector("a gap whose cause is unknown", "SIPPgPPE", nothing, ".....", "SMPC", "gap_unexplained@3 gap_unexplained@3"),
    Vector("a gap shorter than the hole", "SIPPGhPPE", nothing, ".....", "SMPC", "gap_unexplained@3"),
    Vector(
        "the clock back one hour",
        "SIPPPE",
        nothing,
        "....",
        "SCPN",
        "clock_back@2 retimed@2",
        start=overriding(2, arrival_start_ns=T0 - 3600 * SECOND),
    ),
    Vector(
        "the clock back one hour, declared",
        "SIPPPE",
        nothing,
        "....",
        "SCPS",
        start={"overrides": {2: {"arrival_start_ns": T0 - 3600 * SECOND, "clock_suspect": True}, 3: {"clock_suspect": True}}},
    ),
    Vector(
        "signed after the certificate's life",
        "SIPPPE",
        nothing,
        "....",
        "SCPN",
        "certificate_life",
        start={"signer": session(not_after_ns=T0 - 1)},
    ),
    Vector(
        "signed before the certificate's life",
        "SIPPPE",
        nothing,
        "....",
        "SCPN",
        "certificate_life",
        start={"signer": session(not_before_ns=T0 + 1)},
    ),
    Vector(
        "a recovery dated before what it closes",
        "SIPPPE",
        stored(both(cut_records(1), append_record(recovery_at(-3600), "recovery session"))),
        "....",
        "STPN",
        "recovered clock_back@3",
    ),
    Vector(
        "a recovery that says that its clock is suspect",
        "SIPPPE",
        stored(both(cut_records(1), append_record(recovery_at(-3600, "died; clock suspect"), "recovery session"))),
        "....",
        "STPS",
        "recovered",
    ),
    Vector(
        "a recovery dated before fragments that are suspect",
        "SIPPPE",
        stored(both(cut_records(1), append_record(recovery_at(-3600), "recovery session"))),
        "....",
        "STPS",
        "recovered",
        start=overriding(3, clock_suspect=True),
    ),
    # --- key ----------------------------------------------------------------------------------------------------------
    Vector("no public key given", "SIPPE", nothing, "...", "SCNC", "no_public_key", public_key=None),
    Vector("another relay's public key", "SIPPE", nothing, "...", "SCNC", "foreign_key", public_key=OTHER_LONGTERM.public_key),
    Vector(
        "another relay's recording",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "foreign_key",
        start={"signer": session(longterm=OTHER_LONGTERM)},
    ),
    Vector("a certificate that names the trusted key", "SIPPPE", forged_certificate, "....", "SCNC", "bad_certificate"),
    Vector("a new session key from elsewhere", "SIPPE", rollover(certified=False), "...", "SCNC", "foreign_key"),
    Vector("a new session key that did not consent", "SIPPE", rollover(consent=False), "...", "SCNC", "rollover_forged"),
    Vector(
        "a forged succession",
        "SIPPE",
        stored(forged_succession),
        "...",
        "SCNC",
        "foreign_key",
        public_key=OTHER_LONGTERM.public_key,
    ),
    Vector(
        "a revoked long-term key", "SIPPE", nothing, "...", "SCNC", "key_revoked", revoked={LONGTERM.public_key: frozenset()}
    ),
    Vector(
        "a revoked session key", "SIPPE", nothing, "...", "SCNC", "key_revoked", revoked={session().public_key: frozenset()}
    ),
    Vector(
        "revoked after a checkpoint held its head",
        "SIPPE",
        nothing,
        "...",
        "SCPC",
        revoked={LONGTERM.public_key: frozenset({build("SIPPE").records()[-1].head})},
    ),
    Vector(
        "a list names the long-term key", "SIPPE", stored(listing({LONGTERM.public_key: False})), "...", "SCNC", "key_revoked"
    ),
    Vector(
        "a list names the session key", "SIPPE", stored(listing({session().public_key: False})), "...", "SCNC", "key_revoked"
    ),
    Vector("a list says that the key vouches for it", "SIPPE", stored(listing({LONGTERM.public_key: True})), "...", "SCPC"),
    Vector("a list names another key only", "SIPPE", stored(listing({OTHER_LONGTERM.public_key: False})), "...", "SCPC"),
    Vector(
        "a list about another recording",
        "SIPPE",
        stored(listing({}, head=build("SIPPPE").records()[-1].head)),
        "...",
        "SCNC",
        "revocations_foreign",
    ),
    Vector(
        "a list that another relay signed",
        "SIPPE",
        stored(listing({}, OTHER_LONGTERM)),
        "...",
        "SCNC",
        "revocations_foreign",
    ),
    Vector(
        "a list that was shortened",
        "SIPPE",
        stored(both(listing({LONGTERM.public_key: False}), truncate("revocations", 1))),
        "...",
        "SCNC",
        "revocations_foreign",
    ),
    Vector(
        "a list whose word on a key was flipped",
        "SIPPE",
        stored(both(listing({LONGTERM.public_key: False}), lambda _, files: flip_listing(files))),
        "...",
        "SCNC",
        "revocations_foreign",
    ),
    Vector(
        "a list by a key that was followed says nothing",
        "SIPPE",
        stored(both(succession, listing({LONGTERM.public_key: False}))),
        "...",
        "SCPC",
        public_key=OTHER_LONGTERM.public_key,
    ),
    Vector(
        "a list by the key that followed",
        "SIPPE",
        stored(both(succession, listing({LONGTERM.public_key: False}, OTHER_LONGTERM))),
        "...",
        "SCNC",
        "key_revoked",
        public_key=OTHER_LONGTERM.public_key,
    ),
    # --- stripping ----------------------------------------------------------------------------------------------------
    Vector(
        "every signature removed",
        "SIPPE",
        stored(no_signatures),
        "???",
        "AMNN",
        "record_altered chain_broken@1 chain_broken@2 chain_broken no_start",
    ),
    Vector("the chain removed from an export", "SIPPE", exported(remove("chain")), "", "??NN", "unsigned"),
    Vector("a video file alone", "SIPPE", only(**{"clip.mp4": init_segment()}), "", "??NN", "unsigned"),
    # --- intervals ----------------------------------------------------------------------------------------------------
    Vector(
        "an interval's fragment altered",
        "SIPPPPPE",
        exported(flip_fragment(0, plain=True), 2, 4),
        "X-...-",
        "AVPC",
        "fragment_altered@0",
    ),
    Vector(
        "an interval's fragment missing",
        "SIPPPPPE",
        exported(truncate("00000.mp4", 10), 2, 4),
        ".-..M-",
        "IMPC",
        "fragment_missing@4",
    ),
    Vector(
        "an interval stated by another key",
        "SIPPPPPE",
        exported(statement_by(OTHER_LONGTERM), 2, 4),
        ".-...-",
        "IVNC",
        "statement_foreign",
    ),
    Vector(
        "another recording's statement",
        "SIPPPPPE",
        exported(statement_of_another, 2, 4),
        ".-...-",
        "IMPC",
        "statement_mismatch",
    ),
    Vector(
        "an interval without its statement",
        "SIPPPPPE",
        exported(remove("statement"), 2, 4),
        ".M...M",
        "IMPC",
        "fragment_missing@1 fragment_missing@5",
    ),
    Vector("an unexplained hole inside the interval", "SIPPhPPE", exported(None, 2, 4), ".-...", "IMPC", "gap_unexplained@3"),
    Vector("an unexplained hole outside the interval", "SIPPhPPE", exported(None, 3, 4), ".--..", "IVPC"),
    Vector(
        "an interval beyond the interruption",
        "SIPPPPR",
        exported(lambda b, f: f.update({"statement": b.statement(2, 4, later_ns=SECOND)}), 2, 4),
        ".-...",
        "ITPC",
        "recovered",
    ),
    # --- container ----------------------------------------------------------------------------------------------------
    Vector("a remuxed copy with its chain", "SIPPPE", derived(), "????", "?CPC", "derived_only"),
    Vector("a remux with tables at the end", "SIPPPE", progressive, "????", "?CPC", "derived_only"),
    Vector("a copy whose sound was replaced", "SIPPPE", derived(replaced(2)), "??XX", "ACPC", "derived_differs@2 derived_only"),
    Vector(
        "a copy whose picture was replaced",
        "SIPPPE",
        derived(replaced(VIDEO)),
        "??XX",
        "ACPC",
        "derived_differs@2 derived_only",
    ),
    Vector("a copy with a frame less", "SIPPPE", derived(one_frame_less), "??XX", "ACPC", "derived_differs@2 derived_only"),
    Vector("a copy slowed three times", "SIPPPE", derived(scale=3), "??XX", "?CPN", "derived_time@2 derived_only"),
    Vector(
        "a copy with more at its end",
        "SIPPPE",
        derived(tail=fragment(9, [Samples(VIDEO, 0, 1, (b"more",))])),
        "????",
        "ACPC",
        "extra_bytes derived_only",
    ),
    Vector(
        "a copy of random bytes", "SIPPPE", copy_of(sample("random", 5000)), "?XXX", "ACPC", "derived_unreadable@1 derived_only"
    ),
    Vector("a copy nested a thousand deep", "SIPPPE", copy_of(NESTED), "?XXX", "ACPC", "derived_unreadable@1 derived_only"),
    Vector(
        "a copy with a box of 2 GB",
        "SIPPPE",
        copy_of(struct.pack(">I4s", 1 << 31, b"moov") + bytes(100)),
        "?XXX",
        "ACPC",
        "derived_unreadable@1 derived_only",
    ),
    # --- robustness ---------------------------------------------------------------------------------------------------
    Vector("an empty chain", "SIPPE", stored(lambda b, f: f.update({"chain": b""})), "unreadable", ""),
    Vector(
        "a chain of random bytes", "SIPPE", stored(lambda b, f: f.update({"chain": sample("random", 9999)})), "unreadable", ""
    ),
    Vector(
        "a chain of a later version",
        "SIPPE",
        stored(lambda b, f: f.update({"chain": b"BCRCHAIN\0\4" + f["chain"][10:]})),
        "unreadable",
        "",
    ),
    Vector("nothing at all", "SIPPE", only(), "unreadable", ""),
    Vector("only a text", "SIPPE", only(**{"readme.txt": b"x"}), "unreadable", ""),
    Vector(
        "two recordings at once",
        "SIPPE",
        lambda b: {f"{n}/{name}": data for n in "ab" for name, data in b.files.items()},
        "unreadable",
        "",
    ),
    Vector(
        "magic, then random bytes",
        "SIPPE",
        stored(lambda b, f: f.update({"chain": PREAMBLE + sample("random", 9999)})),
        "",
        "AMNN",
        "chain_unreadable no_start interrupted",
    ),
    Vector(
        "a record of 16 MB",
        "SIPPE",
        stored(lambda b, f: f.update({"chain": f["chain"] + b"\xff\xff\xff" + bytes(99)})),
        "...",
        "ACPC",
        "chain_unreadable",
    ),
    Vector(
        "a record of an unknown type",
        "SIPPE",
        stored(append("chain", struct.pack(">I", 200)[1:] + b"\x63" + bytes(199))),
        "...",
        "ACPC",
        "chain_unreadable",
    ),
]

from tests.evidence import (  # noqa: E402  (they need the above)
    vectors_containers,
    vectors_copy,
    vectors_documents,
    vectors_forger,
    vectors_journal,
    vectors_keys,
    vectors_people,
    vectors_tail,
    vectors_time,
)

VECTORS += vectors_documents.VECTORS
VECTORS += vectors_containers.VECTORS
VECTORS += vectors_people.VECTORS
VECTORS += vectors_journal.VECTORS
VECTORS += vectors_copy.VECTORS
VECTORS += vectors_tail.VECTORS
VECTORS += vectors_keys.VECTORS
VECTORS += vectors_forger.VECTORS
VECTORS += vectors_time.VECTORS
