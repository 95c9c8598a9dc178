"""Small synthetic recordings, described by a string, with real fragmented-MP4 bytes; no encoder needed.

A script is one letter per thing, in order: `S` start, `I` a new segment's init, `P` a fragment (0.4 s of picture and sound),
`A` a fragment with sound only, `V` one with picture only, `L` one with long frames, `G` a jump in time of 3 s with its signed
gap, `g` the same with a gap of unknown cause, `n` one of media that was received and not recorded, `l` one of a track that
began later, `h` a jump in time without a gap, `s` the mark that a silence of the sound begins, `t` a gap of no length in the
sound, `p` the mark of a recovery point, `C` a correction of both tracks' clocks by what came so far (0.4 s a fragment), `K`
another session key takes over, `E` the signed end, `R` a recovery. `build("SIPPPGPPE")` gives the files of a vault folder;
`.export()` those of an export. Everything is deterministic, keys included.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import VERSION, ChainWriter, Record, iterate, recover, survey
from relay.evidence.container import Oddity
from relay.evidence.extraction import EXTRACTION, ListedFile, sign_extraction
from relay.evidence.records import Cause, ClockMap, Correction, Gap, Link, Original, Point, Reason, Start, SyncSource, TrackKind
from relay.evidence.samples import track_parts
from relay.evidence.seal import MemorySigner, SessionSigner, encrypt_fragment, issue_certificate, sha256
from relay.evidence.statement import sign_statement

T0 = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
HOUR = 3600 * SECOND
LIFE = {1: (T0 - DAY, T0 + DAY)} | dict.fromkeys((2, 3), (T0 - 2 * HOUR, T0 + 22 * HOUR))
"""From when to when a session certificate is valid, by format version of the chain."""
FRAGMENT_NS = 400_000_000
VIDEO, AUDIO = 1, 2
FRAMES, PACKETS = 4, 20
JUMPS = {"G": Cause.RADIO, "g": Cause.UNKNOWN, "n": Cause.NOT_RECORDED, "l": Cause.LATE_TRACK, "h": None}
"""Letters that are a jump in time, and the cause of its gap."""
LONG_FRAME = 25_600
RECORDING = "0190a1b2c3d4e5f60718293a4b5c6d7e"

LONGTERM = MemorySigner(sha256(b"long-term"))
OTHER_LONGTERM = MemorySigner(sha256(b"another relay's long-term"))
RECORDING_KEY = sha256(b"recording key")


def session(
    name: str = "session", longterm: MemorySigner = LONGTERM, version: int = VERSION, **certificate: Any
) -> SessionSigner:
    """Return a deterministic session key, certified for one day around T0 (two days in format version 1)."""
    signer = MemorySigner(sha256(name.encode()))
    since, until = LIFE[version]
    fields: dict[str, Any] = {"role": "recorder", "index": 0, "not_before_ns": since, "not_after_ns": until} | certificate
    return SessionSigner(signer, issue_certificate(longterm, signer.public_key, **fields))


# --- boxes ------------------------------------------------------------------------------------------------------------


def box(kind: bytes, *payload: bytes) -> bytes:
    """Return a box."""
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """Return a full box."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def _track(track: int, handler: bytes, scale: int, entry: bytes) -> bytes:
    tkhd = full(b"tkhd", 0, 7, struct.pack(">III", 0, 0, track), bytes(68))
    mdhd = full(b"mdhd", 0, 0, struct.pack(">IIIII", 0, 0, scale, 0, 0x55C40000))
    hdlr = full(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"\0")
    empty = [full(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    stbl = box(b"stbl", full(b"stsd", 0, 0, struct.pack(">I", 1), entry), *empty, full(b"stsz", 0, 0, bytes(8)))
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", stbl)))


def init_segment(number: int = 0) -> bytes:
    """Return ftyp + moov of one H.264 and one Opus track; `number` makes it differ from the others."""
    avc1 = box(b"avc1", bytes(6), b"\0\1", bytes(70), box(b"avcC", b"\1\x42\xe0\x1f\xff\xe0\0"))
    opus = box(b"Opus", bytes(6), b"\0\1", bytes(20), box(b"dOps", bytes(11)))
    mvhd = full(b"mvhd", 0, 0, struct.pack(">IIII", 0, number, 1000, 0), bytes(80))
    trex = [full(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, 0)) for track in (VIDEO, AUDIO)]
    tracks = _track(VIDEO, b"vide", 90_000, avc1), _track(AUDIO, b"soun", 48_000, opus)
    return box(b"ftyp", b"iso5", bytes(4), b"iso5mp41") + box(b"moov", mvhd, *tracks, box(b"mvex", *trex))


@dataclass(frozen=True)
class Samples:
    """Samples of one track of a fragment."""

    track: int
    time: int
    duration: int
    data: tuple[bytes, ...]


def fragment(sequence: int, tracks: Sequence[Samples]) -> bytes:
    """Return moof + mdat."""

    def trafs(base: int) -> bytes:
        parts, at = [], base
        for samples in tracks:
            rows = b"".join(struct.pack(">II", samples.duration, len(data)) for data in samples.data)
            trun = full(b"trun", 0, 0x301, struct.pack(">Ii", len(samples.data), at), rows)
            tfhd = full(b"tfhd", 0, 0x20000, struct.pack(">I", samples.track))
            parts.append(box(b"traf", tfhd, full(b"tfdt", 1, 0, struct.pack(">Q", samples.time)), trun))
            at += sum(map(len, samples.data))
        return b"".join(parts)

    mfhd = full(b"mfhd", 0, 0, struct.pack(">I", sequence))
    moof = box(b"moof", mfhd, trafs(len(box(b"moof", mfhd, trafs(0))) + 8))
    return moof + box(b"mdat", *[data for samples in tracks for data in samples.data])


def sample(name: str, size: int) -> bytes:
    """Return `size` bytes that look like nothing else."""
    data = b"".join(sha256(f"{name}{n}".encode()) for n in range(size // 32 + 1))
    return data[:size]


# --- recordings -------------------------------------------------------------------------------------------------------


class MemoryReader:
    """A `Reader` over a dictionary."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def names(self) -> list[str]:
        return sorted(self.files)

    def size(self, name: str) -> int:
        return len(self.files[name])

    def read(self, name: str, offset: int, size: int) -> bytes:
        if name not in self.files:
            raise TheirError(Kind.NOT_FOUND, name)
        return self.files[name][offset : offset + size]

    def oddities(self) -> list[Oddity]:
        return []

    def folder(self) -> str:
        return ""


@dataclass
class Built:
    """A finished recording: its vault folder, its plain bytes, and what was used to make it."""

    files: dict[str, bytes]
    plain: dict[int, bytes]
    """Plain bytes by fragment number, init segments included."""
    links: list[Link] = field(default_factory=list)
    longterm: MemorySigner = LONGTERM
    recording_key: bytes = RECORDING_KEY
    recording: str = RECORDING

    def reader(self) -> MemoryReader:
        """Return a reader over the vault folder."""
        return MemoryReader(dict(self.files))

    def records(self) -> list[Record]:
        """Return the chain's records."""
        return list(iterate(self.files["chain"]))

    def export(self, first: int | None = None, last: int | None = None) -> dict[str, bytes]:
        """Return the files of an export: whole, or of fragments `first` to `last` with a signed statement."""
        files = {"chain": self.files["chain"]}
        wanted = [link for link in self.links if first is None or last is None or first <= link.fragment <= last]
        segments = {link.segment for link in wanted}
        for link in self.links:
            if link in wanted or (link.init and link.segment in segments):
                name = f"{link.segment:05d}.mp4"
                files[name] = files.get(name, b"") + self.plain[link.fragment]
        if first is not None and last is not None:
            files["statement"] = self.statement(first, last)
        return files

    def handed_over(
        self,
        files: dict[str, bytes],
        longterm: MemorySigner | None = None,
        *,
        head: bytes | None = None,
        recording: str = "",
        issued_ns: int = T0 + DAY,
    ) -> dict[str, bytes]:
        """Return an export with its signed list of the files that the chain does not cover."""
        sealed = {"chain", EXTRACTION} | {f"{link.segment:05d}.mp4" for link in self.links}
        listed = [ListedFile(name, len(data), sha256(data)) for name, data in files.items() if name not in sealed]
        extraction = sign_extraction(
            longterm or self.longterm,
            recording=recording or self.recording,
            head=head or self.records()[-1].head,
            files=listed,
            issued_ns=issued_ns,
        )
        return {**files, EXTRACTION: extraction}

    def statement(self, first: int, last: int, longterm: MemorySigner | None = None, later_ns: int = 0) -> bytes:
        """Return the signed statement of an interval given by its fragments; `later_ns` prolongs what it claims."""
        return sign_statement(
            longterm or self.longterm,
            recording=self.recording,
            head=self.records()[-1].head,
            from_ns=self.links[first].arrival_start_ns,
            to_ns=self.links[last].arrival_end_ns + later_ns,
            first=first,
            last=last,
            issued_ns=T0 + DAY,
        )

    def write(self, folder: Path) -> Path:
        """Write the vault folder; return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return folder


class Builder:
    """Follows a script."""

    def __init__(self, signer: SessionSigner, start: Start, frame_bytes: int, version: int) -> None:
        self._frame_bytes = frame_bytes
        self._version = version
        self._writer = ChainWriter(signer, start, version)
        self.built = Built({"chain": b""}, {}, recording=start.recording)
        self._now = start.started_ns
        self._elapsed = 0
        self._segment = -1
        self._init = b""
        self.overrides: dict[int, dict[str, Any]] = {}

    def run(self, script: str) -> Built:
        """Do every letter."""
        steps = {
            "S": self._start,
            "I": self._begin,
            "K": self._rollover,
            "E": self._end,
            "R": self._recover,
            "C": self._correct,
        }
        steps |= {"t": lambda: self._mark(AUDIO, 0, Cause.RADIO)}
        steps |= {"s": lambda: self._mark(AUDIO, 0, Cause.SILENCE), "p": lambda: self._mark(VIDEO, 200, Cause.RECOVERY_POINT)}
        for letter in script:
            if letter in "PALV":
                self._fragment(letter, frame_bytes=LONG_FRAME if letter == "L" else self._frame_bytes)
            elif letter in JUMPS:
                self._time_jump(letter)
            else:
                steps[letter]()
        return self.built

    def _append(self, data: bytes) -> None:
        self.built.files["chain"] += data

    def _start(self) -> None:
        self._append(self._writer.start())

    def _begin(self) -> None:
        self._segment += 1
        self._init = init_segment(self._segment)
        self._add(self._init, init=True)

    def _fragment(self, letter: str, frame_bytes: int) -> None:
        number = self._writer.links
        video = Samples(
            VIDEO,
            self._elapsed * 90_000 // SECOND,
            36_000 // FRAMES,
            tuple(sample(f"v{number}.{n}", frame_bytes) for n in range(FRAMES)),
        )
        audio = Samples(
            AUDIO,
            self._elapsed * 48_000 // SECOND,
            960,
            tuple(sample(f"a{number}.{n}", 40) for n in range(PACKETS)),
        )
        self._add(fragment(number, {"A": [audio], "V": [video]}.get(letter, [video, audio])), init=False)
        self._now += FRAGMENT_NS
        self._elapsed += FRAGMENT_NS

    def _add(self, plain: bytes, *, init: bool) -> None:
        number, name = self._writer.links, f"{self._segment:05d}.seg"
        stored = encrypt_fragment(self.built.recording_key, self.built.recording, number, plain)
        before = self.built.files.get(name, b"")
        clock = ClockMap(VIDEO, SyncSource.SENDER_REPORT, self._now, 1234, self._elapsed * 90_000 // SECOND, 2_000_000, 500_000)
        link = Link(
            fragment=number,
            segment=self._segment,
            init=init,
            offset=len(before),
            plain_length=len(plain),
            stored_length=len(stored),
            plain_digest=sha256(plain),
            stored_digest=sha256(stored),
            tracks=() if init else track_parts(self._init, plain),
            arrival_start_ns=self._now,
            arrival_length_ns=0 if init else FRAGMENT_NS,
            clocks=(clock,) if number % 5 == 1 else (),
            metadata=(("battery", f"{90 - number}"), ("position", "48.85,2.35")) if number % 5 == 2 else (),
        )
        link = replace(link, **self.overrides.get(number, {}))
        self._append(self._writer.link(link))
        self.built.files[name] = before + stored
        self.built.plain[number] = plain
        self.built.links.append(link)

    def _time_jump(self, letter: str) -> None:
        cause = JUMPS[letter]
        if cause is not None:
            self._append(self._writer.gap(Gap(self._now, 3 * SECOND, None, cause)))
        self._now += 3 * SECOND
        self._elapsed += 3 * SECOND

    def _mark(self, track: int, ms: int, cause: Cause) -> None:
        self._append(self._writer.gap(Gap(self._now, ms * 1_000_000, track, cause)))

    def _correct(self) -> None:
        points = [
            Point(VIDEO, SyncSource.ARRIVAL, self._elapsed * 90_000 // SECOND, 300_000_000, gradual=True),
            Point(AUDIO, SyncSource.SENDER_REPORT, self._elapsed * 48_000 // SECOND, -20_000_000, gradual=False),
        ]
        self._append(self._writer.correction(Correction(tuple(points))))

    def _rollover(self) -> None:
        self._append(self._writer.rollover(session("second session", version=self._version)))

    def _end(self) -> None:
        self._append(self._writer.end(Reason.STOPPED, "op-1", self._now))

    def _recover(self) -> None:
        torn = survey(self.built.files["chain"])
        signer = session("recovery session", version=self._version)
        self._append(
            recover(
                torn,
                signer,
                cause="recorder died",
                recovered_ns=self._now + 5 * SECOND,
                dropped_chain_bytes=17,
                dropped_media_bytes=4321,
            )
        )


def start_record(signer: SessionSigner, **fields: Any) -> Start:
    """Return a start with plausible fields."""
    values: dict[str, Any] = {
        "recording": RECORDING,
        "camera": "cam-07",
        "label": "Caméra 07",
        "regime": "police_nationale",
        "service": "CSP Exemple",
        "original": Original.RELAY,
        "bearer": "0042",
        "intervention": "0190a1b2c3d4e5f60718293a4b5c0001",
        "trigger": "press",
        "threat": "menace immédiate",
        "expires_on": "2026-02-01",
        "previous_recording": None,
        "previous_head": None,
        "started_ns": T0,
        "certificate": signer.certificate,
    }
    return Start(**(values | fields))


def build(
    script: str,
    *,
    signer: SessionSigner | None = None,
    frame_bytes: int = 64,
    overrides: dict[int, dict[str, Any]] | None = None,
    version: int = VERSION,
    **start: Any,
) -> Built:
    """Return the recording that `script` describes; `overrides` replaces fields of links by fragment number."""
    signer = signer or session(version=version)
    builder = Builder(signer, start_record(signer, **start), frame_bytes, version)
    builder.overrides = overrides or {}
    return builder.run(script)


__all__ = [
    "AUDIO",
    "FRAGMENT_NS",
    "LONGTERM",
    "OTHER_LONGTERM",
    "RECORDING",
    "RECORDING_KEY",
    "SECOND",
    "T0",
    "VIDEO",
    "Built",
    "MemoryReader",
    "Samples",
    "TrackKind",
    "build",
    "fragment",
    "init_segment",
    "session",
    "start_record",
]
