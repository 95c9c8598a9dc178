"""The zip of an extraction, made while it is sent, so that no plain media is ever stored (LIV-05).

Owns: the archive's layout (EXT-03).  Must never know: people, the journal, the loop.
All functions block; they run in one thread.

    <recording>/chain, statement          every link, and the signed statement of the interval
    <recording>/succession-0001 …         the successions: they name each signing key's successor, if any
    <recording>/revocations               signed list of revoked keys as of now, and whether they vouch for this recording
    <recording>/journal                   the entries of its opening, its end and this extraction, with their proofs
    <recording>/00000.mp4 …               the sealed plain bytes, untouched: init segment, then the interval's fragments
    <recording>/derived/playable.mp4      DERIVED playable copy, remuxed; not sealed, proves nothing
    <recording>/verify.py                 standalone verifier (Python and `cryptography`)
    <recording>/public_key.hex            for convenience: trust only a verdict under a key from elsewhere
    <recording>/LISEZMOI.txt              what these files are and the one command that checks them, in French and English
    <recording>/manifest.json             who asked, on what basis, and SHA-256 of every file above
    <recording>/extraction                signed list of every file that the chain does not cover; last, because digests are
                                          known only then
"""

import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from relay.archive import notice
from relay.archive.key_pictures import first_decodable
from relay.base.codes import Code
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.chain import iterate
from relay.evidence.extraction import EXTRACTION, MANIFEST, ListedFile
from relay.evidence.lipsync import Moves, Shift, moves_of, thinned
from relay.evidence.readings import content_digest
from relay.evidence.records import Body, End, Link, Recovery, Start, TrackKind
from relay.runtime.cage import program_environment

DERIVE = (sys.executable, "-m", "relay.recorder.derive")
"""Command that makes the playable copy, in a process of its own: FFmpeg's code must not run in control."""
_PIPE_CHUNK = 1 << 18
MAX_ARGUMENT = 100_000
"""Bytes of one command-line argument; Linux takes 128 KiB."""
MAX_TOLERANCE_NS = 20_000_000
"""How exactly a copy follows a drift at least."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every zip member; the true times are in the chain."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The links of an interval, by segment; `first` and `last` number its fragments, init segments apart."""

    chain: bytes
    head: bytes
    first: int
    last: int
    links: tuple[Link, ...]
    moves: Moves
    start: Start | None
    began_ns: int
    """When the first of its fragments arrived."""
    latest_ns: int
    """The latest time in the whole chain: a document about it must not be older (FORMAT.md §7.2), whatever the clock says."""


def select_interval(chain: Iterable[bytes], from_ns: int, to_ns: int, read: Callable[[Link], bytes] | None = None) -> Selection:
    """Return the links of a recording within [from, to] (arrival times, UTC ns), with the init segments they need.

    With `read`, which returns a link's plain bytes, it begins early enough for the first pictures to be decoded.
    Raises TheirError(NOT_FOUND) where there are none, TheirError(INVALID) where the chain cannot be read.
    """
    data = b"".join(chain)
    links: list[Link] = []
    head = b""
    start: Start | None = None
    latest_ns = 0
    for record in iterate(data):
        head = record.head
        latest_ns = max(latest_ns, _time_of(record.body))
        if isinstance(record.body, Start):
            start = record.body
        elif isinstance(record.body, Link):
            links.append(record.body)
    inside = [link for link in links if not link.init and link.arrival_end_ns >= from_ns and link.arrival_start_ns <= to_ns]
    if not inside:
        raise TheirError(Kind.NOT_FOUND, "nothing was recorded in this interval", code=Code.INTERVAL_NOT_RECORDED)
    first, last = inside[0].fragment, inside[-1].fragment
    if read is not None:
        first = first_decodable(links, inside[0], read)
    touched = {link.segment for link in inside}
    # All fragments between the first and the last are included: a clock step inside must not leave fragments out.
    wanted = [link for link in links if (link.init and link.segment in touched) or first <= link.fragment <= last]
    began = next(link.arrival_start_ns for link in wanted if not link.init)
    moves = moves_of(lambda: (record.body for record in iterate(data)), last)
    return Selection(data, head, first, last, tuple(wanted), moves, start, began, latest_ns)


def _time_of(body: Body) -> int:
    """Return the time (UTC ns) up to which a record reaches, 0 where it has none that counts."""
    if isinstance(body, Link):
        return 0 if body.clock_suspect else body.arrival_end_ns
    return body.end_ns if isinstance(body, End) else body.recovered_ns if isinstance(body, Recovery) else 0


@dataclass(slots=True)
class Parts:
    """The parts of the zip beside the media, and the facts of the manifest."""

    recording: str
    selection: Selection
    statement: bytes
    public_key: bytes
    successions: Sequence[bytes]
    revocations: bytes
    verifier: bytes
    derive: Sequence[str] | None
    """Command that reads the sealed plain bytes on its standard input and writes the playable copy on its standard output;
    it is given by how much to move tracks (`relay.recorder.derive`), `--sound` where there is any, and what the copy is of."""
    sign_list: Callable[[Sequence[ListedFile]], bytes]
    """Returns the signed list of these files (`evidence.extraction`); called last, when every digest is known."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Further files by name, relative to the recording's folder; the signed list covers them."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Requester, legal basis and interval, for the manifest."""


class ExportZip:
    """Writes the zip into `sink`; `read(link)` returns a link's plain bytes."""

    def __init__(self, sink: IO[bytes], parts: Parts, read: Callable[[Link], bytes], progress: Callable[[float], None]) -> None:
        self._zip = zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._parts = parts
        self._read = read
        self._progress = progress
        self._files: list[ListedFile] = []
        self._done = 0

    def write(self) -> bytes:
        """Write all members; return the manifest's SHA-256.  Raises OurError, TheirError, OSError."""
        parts = self._parts
        with self._zip:
            self._put("chain", [parts.selection.chain])
            self._put("statement", [parts.statement])
            for number, succession in enumerate(parts.successions, 1):
                self._put(f"succession-{number:04d}", [succession])
            self._put("revocations", [parts.revocations])
            sealed = {"chain"}
            for segment, links in _by_segment(parts.selection.links):
                sealed.add(f"{segment:05d}.mp4")
                self._put(f"{segment:05d}.mp4", self._plain(links))
            if parts.derive is not None:
                self._put("derived/playable.mp4", self._derived([*parts.derive, *_options(parts.selection)]))
            for name, content in parts.beside.items():
                self._put(name, [content])
            self._put("verify.py", [parts.verifier])
            self._put("public_key.hex", [parts.public_key.hex().encode() + b"\n"])
            self._put(notice.NAME, [notice.notice(parts.recording)])
            manifest = self._manifest()
            self._put(MANIFEST, [manifest])
            self._put(EXTRACTION, [parts.sign_list([file for file in self._files if file.name not in sealed])])
        return hashlib.sha256(manifest).digest()

    @property
    def content(self) -> str:
        """Digest of the files written so far, apart from the zip around them (FORMAT.md §7.8)."""
        return content_digest({file.name: file.digest for file in self._files})

    def _manifest(self) -> bytes:
        digests = {file.name: file.digest.hex() for file in self._files}
        derived = "derived/ is remuxed from the sealed files and is not sealed itself; `extraction` signs its digest"
        facts = {**self._parts.facts, "files": digests, "derived": derived}
        return json.dumps(facts, sort_keys=True, indent=1, ensure_ascii=False).encode()

    def _put(self, name: str, pieces: Iterable[bytes]) -> None:
        digest, length = hashlib.sha256(), 0
        info = zipfile.ZipInfo(f"{self._parts.recording}/{name}", _EPOCH)
        with self._zip.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                length += len(piece)
                file.write(piece)
        self._files.append(ListedFile(name, length, digest.digest()))

    def _plain(self, links: Sequence[Link]) -> Iterator[bytes]:
        """Yield a segment's plain bytes, one fragment at a time.  A fragment that differs from its link stops the export."""
        total = len(self._parts.selection.links) * (2 if self._parts.derive is not None else 1)
        for link in links:
            data = self._read(link)
            if hashlib.sha256(data).digest() != link.plain_digest:
                raise OurError(
                    f"fragment {link.fragment} is not what was sealed: verify the recording", code=Code.RECORDING_ALTERED
                )
            self._done += 1
            self._progress(self._done / total)
            yield data

    def _derived(self, command: Sequence[str]) -> Iterator[bytes]:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=program_environment())
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=self._feed, args=(process.stdin,), name="derive feed")
        feeder.start()
        try:
            while piece := process.stdout.read(_PIPE_CHUNK):
                yield piece
            if process.wait() != 0:
                raise OurError(f"the playable copy could not be made (exit {process.returncode})", code=Code.EXPORT_FAILED)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            feeder.join()

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                for _, links in _by_segment(self._parts.selection.links):
                    for piece in self._plain(links):
                        pipe.write(piece)
        except OSError:
            return  # the process ended first: its exit code is reported


def _options(selection: Selection) -> Iterator[str]:
    for name, shifts in zip(("picture-drift", "sound-drift", "sound-shifts"), selection.moves, strict=True):
        yield f"--{name}={_shifts_text(shifts)}"
    if any(part.kind is TrackKind.AUDIO for link in selection.links for part in link.tracks):
        yield "--sound"
    if selection.start is not None:
        # One argument each, with =, so that no text of a stranger can be read as an option.
        yield f"--recording={selection.start.recording}"
        yield f"--camera={selection.start.camera}"
        yield f"--began-ns={selection.began_ns}"


def _shifts_text(shifts: Sequence[Shift]) -> str:
    """Return shifts for the command line, within what one argument may have; half a day of drift is a few numbers then."""
    tolerance_ns = 1_000_000
    while True:
        kept = thinned(shifts, tolerance_ns)
        text = ",".join(f"{shift.since}:{shift.offset_ns}" + (":even" if shift.gradual else "") for shift in kept)
        if len(text) < MAX_ARGUMENT or tolerance_ns > MAX_TOLERANCE_NS:
            return text
        tolerance_ns *= 2


def _by_segment(links: Sequence[Link]) -> Iterator[tuple[int, list[Link]]]:
    found: dict[int, list[Link]] = {}
    for link in links:
        found.setdefault(link.segment, []).append(link)
    yield from sorted(found.items())
