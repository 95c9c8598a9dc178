"""Recovery of the recordings that a dead recorder left open: each is cut back to its whole part and closed by a signed record.

Owns: the steps of a recovery, and its date.  Must never know: sockets, PyAV, live recordings.

A recording never continues after its process died, because its key must not seal again.  The chain is cut after the last whole
record whose bytes are all on disk and are the bytes that were linked: a power cut may leave a file long enough but empty.  A
segment is cut where its last link ends.  Never more is cut than can have been unsynced (`torn`).  Damage before that stays
as it is: the recovery record names it.  Where the chain cannot be followed, nothing is changed and nothing is signed.  The
recovery record states how many bytes were cut.  It names no gap: nobody knows what never reached the disk.

Control says which heads it knows (`known`): they had been durable.  A chain that lacks its head was cut short.  It is damaged:
no byte of it is cut, and the recovery record says what is missing.

Nobody knows either what the wall clock did meanwhile.  The mark of the open recording holds a clock reading (`marks`).  Within
one boot a step shows, and the record is dated by the clock without the step.  It is never dated before the last packet that it
closes.  A date that cannot be trusted is marked suspect (FORMAT.md §3.6).
"""

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from relay.base.clock import Clock
from relay.evidence.chain import End, Link, Start, TornChain, iterate, recover, survey
from relay.evidence.heads import SealedHead
from relay.evidence.records import DAMAGED_CAUSE, SUSPECT_CAUSE, TAIL_CAUSE
from relay.evidence.seal import NO_DIGEST, SessionSigner
from relay.evidence.span import Span
from relay.record.wall_clock import STEP_NS
from relay.recorder.jobs import SegmentEnded
from relay.recorder.marks import ClockReading, mark_closed, open_marks, read_clocks, read_mark
from relay.recorder.torn import Findings, examine, surplus
from relay.store.vault import CHAIN, AppendFile, FileOps, Vault, is_recording_id, segment_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A recording that was left open and is closed now; `head`: of its chain."""

    recording: str
    reason: str
    """`interrupted`, `damaged`, or the reason of an End that was signed and perhaps never reported."""
    segments: tuple[SegmentEnded, ...]
    links: int
    gaps: int
    head: bytes
    end_ns: int
    duration_ns: int
    stored_bytes: int
    damage: str = ""
    """Damage that no death explains; empty where there is none."""
    missing: str = ""
    """What is missing of its end although it was durable."""


def marked(root: Path, index: int) -> tuple[str, ...]:
    """Return the recordings that recorder `index` left open, oldest first.  Call it before that recorder opens another one."""
    marks = open_marks(root, index)
    return tuple(sorted(path.name for path in marks.iterdir())) if marks.is_dir() else ()


def recover_all(
    ops: FileOps,
    root: Path,
    index: int,
    signer: SessionSigner,
    clock: Clock,
    left: tuple[str, ...] | None = None,
    known: Mapping[str, SealedHead] = MappingProxyType({}),
) -> Iterator[Recovered]:
    """Close the recordings that recorder `index` left open.  `left` lists them where the recorder may have opened others since.

    `known`: the heads that control knows, by recording.
    A recording that cannot be closed is logged and left for the next start.
    """
    for recording in marked(root, index) if left is None else left:
        try:
            opened, vault = read_mark(root, index, recording), Vault(root, ops)
            head = known.get(recording)
            done = recover_one(ops, vault, recording, signer, clock, opened, head) if is_recording_id(recording) else None
        except OSError as error:
            logger.error("recording %s cannot be recovered now: %s", recording, error.strerror)
            continue
        mark_closed(ops, root, index, recording)
        if done is not None:
            yield done


def left_behind(root: Path, run_dir: Path, count: int) -> list[int]:
    """Return the recorders from number `count` on that left recordings open and do not run any more.

    A recorder that still answers on its socket closes its recordings itself, once no control is connected to it.
    """
    found = (int(path.name[5:]) for path in root.glob("open-*") if path.name[5:].isdecimal() and any(path.iterdir()))
    return sorted(index for index in found if index >= count and not _answers(run_dir / f"recorder-{index}.sock"))


def _answers(path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.settimeout(1.0)
            probe.connect(str(path))
        except OSError:
            return False
    return True


def recover_one(
    ops: FileOps,
    vault: Vault,
    recording: str,
    signer: SessionSigner,
    clock: Clock,
    opened: ClockReading | None = None,
    known: SealedHead | None = None,
) -> Recovered | None:
    """Close one recording; return None where nothing of it is there, and nothing of it was known.  Raises OSError.

    `opened`: the clock reading of its opening; `known`: the last head that control knows.  A folder without a whole record and
    without media, of which nothing was known, holds nothing: it is removed.  A chain that is closed already is only described.
    """
    folder = vault.folder(recording)
    if not folder.is_dir() and known is None:
        return None
    data = (folder / CHAIN).read_bytes() if (folder / CHAIN).exists() else b""
    sizes = _sizes(vault, recording) if folder.is_dir() else {}
    found = examine(
        data, sizes, lambda link: vault.read_stored(recording, link.segment, link.offset, link.stored_length), known
    )
    torn = found.torn
    if found.nothing:
        vault.erase(recording)
        return None
    if found.damage or found.missing:
        what = ", ".join(filter(None, (found.damage, found.missing and f"missing at its end: {found.missing}")))
        logger.error("recording %s was damaged before its recorder died, at %s: nothing of it is cut", recording, what)
    if not found.leave and not torn.closed:
        media = 0 if found.uncut else _cut_segments(ops, vault, recording, torn, sizes)
        record = _closing(data, found, signer, _dated(data, torn, read_clocks(clock), opened), media)
        _close_chain(ops, folder / CHAIN, torn, record)
        ops.fsync_dir(folder)
        data = (folder / CHAIN).read_bytes()
    return _describe(recording, data[: torn.chain_length] if found.leave else data, found)


def _sizes(vault: Vault, recording: str) -> dict[int, int]:
    return {number: (vault.folder(recording) / segment_name(number)).stat().st_size for number in vault.segments(recording)}


def _links(data: bytes) -> list[Link]:
    return [record.body for record in iterate(data) if isinstance(record.body, Link)]


def _cut_segments(ops: FileOps, vault: Vault, recording: str, torn: TornChain, sizes: dict[int, int]) -> int:
    """Cut segments back to the last link; return how many bytes were cut."""
    last = torn.last_link
    dropped = 0
    for number, left in surplus(torn, sizes):
        path = vault.folder(recording) / segment_name(number)
        dropped += left
        if last is None or number > last.segment:
            ops.unlink(path)
        else:
            _cut(ops, path, sizes[number] - left)
    return dropped


def _cut(ops: FileOps, path: Path, size: int) -> None:
    descriptor = ops.open_append(path)
    try:
        ops.truncate(descriptor, size)
        ops.fsync(descriptor)
    finally:
        ops.close(descriptor)


def _dated(data: bytes, torn: TornChain, now: ClockReading, opened: ClockReading | None) -> tuple[int, bool]:
    """Return the time (UTC ns) of a recovery, and whether it is suspect."""
    last = torn.last_link
    even_ns = opened.unstepped_utc_ns(now) if opened is not None else None
    stepped = even_ns is not None and abs(even_ns - now.utc_ns) >= STEP_NS
    at_ns = even_ns if even_ns is not None and stepped else now.utc_ns
    if last is not None:
        least_ns, suspect = last.arrival_end_ns, last.clock_suspect
    else:
        start = next(iterate(data[: torn.chain_length])).body
        least_ns, suspect = start.started_ns if isinstance(start, Start) else 0, False
    return max(at_ns, least_ns), suspect or stepped or at_ns < least_ns


def _closing(data: bytes, found: Findings, signer: SessionSigner, dated: tuple[int, bool], media: int) -> bytes:
    at_ns, suspect = dated
    damage = DAMAGED_CAUSE + found.damage if found.damage else ""
    missing = TAIL_CAUSE + found.missing if found.missing else ""
    return recover(
        found.torn,
        signer,
        cause="the recorder's process died" + damage + missing + (SUSPECT_CAUSE if suspect else ""),
        recovered_ns=at_ns,
        dropped_chain_bytes=len(data) - found.torn.chain_length,
        dropped_media_bytes=media,
    )


def _close_chain(ops: FileOps, path: Path, torn: TornChain, record: bytes) -> None:
    _cut(ops, path, torn.chain_length)
    file = AppendFile(ops, path)
    try:
        file.append(record)
        file.sync()
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _describe(recording: str, data: bytes, found: Findings) -> Recovered:
    if not data:
        return Recovered(recording, "damaged", (), 0, 0, NO_DIGEST, 0, 0, 0, found.damage, found.missing)
    torn = survey(data)
    segments: dict[int, list[Link]] = {}
    for link in _links(data):
        segments.setdefault(link.segment, []).append(link)
    links = [link for its in segments.values() for link in its]
    span = Span()
    for link in links:
        span.add(link.tracks)
    return Recovered(
        recording=recording,
        reason="damaged" if found.damage or found.missing else _reason(data),
        segments=tuple(_sealed(recording, number, its, torn.head) for number, its in segments.items()),
        links=torn.links,
        gaps=torn.gaps,
        head=torn.head,
        end_ns=links[-1].arrival_end_ns if links else 0,
        duration_ns=span.length_ns,
        stored_bytes=sum(link.stored_length for link in links),
        damage=found.damage,
        missing=found.missing,
    )


def _reason(data: bytes) -> str:
    ends = [record.body.reason.value for record in iterate(data) if isinstance(record.body, End)]
    return ends[0] if ends else "interrupted"


def _sealed(recording: str, number: int, links: list[Link], head: bytes) -> SegmentEnded:
    return SegmentEnded(
        recording=recording,
        segment=number,
        first_link=links[0].fragment,
        last_link=links[-1].fragment,
        start_ns=links[0].arrival_start_ns,
        end_ns=max(link.arrival_end_ns for link in links),
        stored_bytes=sum(link.stored_length for link in links),
        head=head,
    )
