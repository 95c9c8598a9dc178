"""One recording on its way to disk: encrypt, hash, link, sign, append.  Used by the vault thread only.

Owns: the order of the steps of one job, and resuming them where a write failed.  Must never know: queues, sockets, MP4.

A fragment is encrypted once; after a failed write the same bytes are written again, and nothing is encrypted again (I10).  Its
link is signed once its bytes are in the segment.  A record that could not be appended is appended before anything else.
"""

import contextlib
from dataclasses import replace
from pathlib import Path

from relay.base.clip import clip
from relay.channel.messages import Plan
from relay.evidence.chain import ChainWriter, Correction, Gap, Link, Original, Start
from relay.evidence.records import MAX_SEGMENT, MAX_TEXT
from relay.evidence.seal import TAG, SessionSigner, encrypt_fragment, sha256
from relay.evidence.span import Span
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, GapSealed, Progress, RecordingEnded, SegmentEnded, VaultEvent
from relay.store.vault import FileOps, RecordingWriter

__all__ = ["Exhausted", "SealedRecording", "start_of"]


def start_of(plan: Plan, previous_head: bytes | None, signer: SessionSigner) -> Start:
    """Return the body of the signed start for a plan; it names the previous recording only where that one's head is known."""
    return Start(
        recording=plan.recording,
        camera=plan.camera,
        label=plan.camera_label,
        regime=plan.regime,
        service=plan.service,
        original=Original(plan.original),
        bearer=plan.bearer,
        intervention=plan.intervention,
        trigger=plan.trigger,
        threat=plan.threat,
        expires_on=plan.expires_on,
        previous_recording=plan.previous if previous_head is not None else None,
        previous_head=previous_head,
        started_ns=plan.started_ns,
        certificate=signer.certificate,
    )


class Exhausted(ValueError):
    """No number is left in this recording: it has to end."""


class _Segment:
    """Counts of the segment that is being written."""

    def __init__(self, number: int, first_link: int, start_ns: int) -> None:
        self.number = number
        self.first_link = first_link
        self.start_ns = start_ns
        self.end_ns = start_ns
        self.bytes = 0


class SealedRecording:
    """The chain and the segments of one open recording."""

    def __init__(self, ops: FileOps, root: Path, start: Start, key: bytes, signer: SessionSigner) -> None:
        """Make the folder and append the signed start; raises OSError, and ValueError before anything is written."""
        self.recording = start.recording
        self._key = key
        self._stores_media = start.original is Original.RELAY
        self._chain = ChainWriter(signer, start)
        self._unwritten: list[bytes] = [self._chain.start()]
        """Records that are signed but not yet in the file; every method appends them before it does anything else."""
        self._events: list[VaultEvent] = []
        self._open_gap: GapJob | None = None
        """The run of dropped fragments that still grows: one gap, signed before anything that follows it."""
        self._init: FragmentJob | None = None
        """An init segment that was dropped: it is stored before the next fragment of its segment."""
        self._segment: _Segment | None = None
        self._stored: bytes | None = None
        self._started_ns = start.started_ns
        self._until_ns = start.started_ns
        self._span = Span()
        self._spent = 0
        """Every number below this one has been given to the cipher."""
        self.dirty = True
        self._files = RecordingWriter(ops, root / start.recording)
        try:
            self._append_unwritten()
        except OSError:
            self._files.close()
            raise

    @property
    def committed(self) -> bool:
        """A fragment is encrypted but not stored: its number is spent, so it must be stored before any other (I10)."""
        return self._stored is not None

    def media(self, job: FragmentJob) -> None:
        """Store one fragment and link it.

        Raises OSError where it is not stored yet: the same call with the same job goes on where it failed.  Once the link is
        signed the job is done, even where the link itself is not in the file yet.  Raises ValueError, before a number is
        spent, where the fragment cannot be sealed, and `Exhausted` where no later fragment can be sealed either.
        """
        self.sign_open_gap()
        self._append_unwritten()
        init, self._init = self._init, None
        if init is not None and init.segment == job.segment and not job.init:
            self._init = init  # until it is stored
            self._store(replace(init, start_ns=job.start_ns))
            self._init = None
        self._store(job)

    def _store(self, job: FragmentJob) -> None:
        link = self._link_of(job)
        if self._stored is None:
            self._check(link)
        if self._stores_media:
            if self._stored is None:
                self._spent = link.fragment + 1
                self._stored = encrypt_fragment(self._key, self.recording, link.fragment, job.plain)
            stored = self._stored or b""
            offset = self._files.append_stored(job.segment, stored)
            self._stored = None
            link = replace(link, offset=offset, stored_digest=sha256(stored))
        self._account(link)
        self._append(self._chain.link(link))

    def _check(self, link: Link) -> None:
        """Raise ValueError where a link cannot be signed, so that no number is spent for it (I10)."""
        if link.segment > MAX_SEGMENT:
            raise Exhausted("no segment number is left")
        if link.fragment < self._spent:
            raise Exhausted(f"number {link.fragment} is spent")
        self._chain.check(link)

    def _link_of(self, job: FragmentJob) -> Link:
        """Return the link of the next fragment, without the digest of its stored bytes."""
        return Link(
            fragment=self._chain.links,
            segment=job.segment,
            init=job.init,
            offset=self._files.next_offset(job.segment) if self._stores_media else 0,
            plain_length=len(job.plain),
            stored_length=len(job.plain) + TAG if self._stores_media else 0,
            plain_digest=sha256(job.plain),
            stored_digest=sha256(b""),
            tracks=job.tracks,
            arrival_start_ns=job.start_ns,
            arrival_length_ns=job.length_ns,
            clocks=job.clocks,
            clock_suspect=job.suspect,
            metadata=job.metadata,
        )

    def gap(self, job: GapJob) -> None:
        """Sign a gap, or open or extend one for dropped fragments, which is signed later for all of them; raises OSError."""
        if self._open_gap is not None and self._open_gap.extend(job):
            return
        self.sign_open_gap()
        self._append_unwritten()
        if job.fragments:
            self._open_gap = replace(job)
        else:
            self._sign_gap(job)

    @property
    def has_open_gap(self) -> bool:
        """Whether dropped fragments are in no signed gap yet."""
        return self._open_gap is not None

    def sign_open_gap(self) -> None:
        """Sign the gap of the fragments dropped so far; later ones begin another gap.  Never raises OSError."""
        gap, self._open_gap = self._open_gap, None
        if gap is not None:
            self._init = gap.init or self._init
            gap.detail = f"{gap.detail} ({gap.fragments} fragments)"
            self._sign_gap(gap)

    def _sign_gap(self, job: GapJob) -> None:
        self._events.append(GapSealed(job))
        gap = Gap(job.start_ns, max(job.length_ns, 0), job.track, job.cause, clip(job.detail, MAX_TEXT))
        self._append(self._chain.gap(gap))

    def correct(self, correction: Correction) -> None:
        """Sign by how much the tracks are to be moved where the recording is played.  Raises OSError before it is signed."""
        self._append_unwritten()
        self._append(self._chain.correction(correction))

    def renew(self, signer: SessionSigner) -> None:
        """Sign with another session key from here on; nothing happens where that key signs already.  Raises OSError."""
        self._append_unwritten()
        if not self._chain.closed and self._chain.signer is not signer:
            self._append(self._chain.rollover(signer))

    def finish(self, job: EndJob) -> None:
        """Sign the end.  Raises OSError; a repeated call only appends the records that are not in the file yet."""
        self.sign_open_gap()
        self._append_unwritten()
        if self._chain.closed:
            return
        self._close_segment()
        chain = self._chain
        author = clip(job.author, MAX_TEXT) if job.author is not None else None
        record = chain.end(job.reason, author, job.end_ns)
        self._events.append(
            RecordingEnded(
                recording=self.recording,
                reason=job.reason,
                links=chain.links,
                gaps=chain.gaps,
                head=chain.head,
                end_ns=job.end_ns,
                stored_bytes=chain.stored_bytes,
                duration_ns=self._span.length_ns,
            )
        )
        self._append(record)

    def sync(self) -> list[VaultEvent]:
        """Make everything durable; return the events that are true now.  Raises OSError."""
        self._append_unwritten()
        self._files.sync()
        self.dirty = False
        events, self._events = self._events, []
        chain = self._chain
        progress = Progress(
            self.recording, chain.links, chain.gaps, chain.stored_bytes, self._until_ns, chain.head, chain.records
        )
        return [*events, progress]

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _append(self, record: bytes) -> None:
        self._unwritten.append(record)
        self.dirty = True
        with contextlib.suppress(OSError):
            self._append_unwritten()

    def _append_unwritten(self) -> None:
        while self._unwritten:
            self._files.append_chain(self._unwritten[0])
            del self._unwritten[0]

    def _account(self, link: Link) -> None:
        if self._segment is None or self._segment.number != link.segment:
            self._close_segment()
            self._segment = _Segment(link.segment, link.fragment, link.arrival_start_ns)
        self._segment.bytes += link.stored_length
        self._segment.end_ns = self._until_ns = max(self._until_ns, link.arrival_end_ns)
        self._span.add(link.tracks)

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._events.append(
                SegmentEnded(
                    self.recording,
                    segment.number,
                    segment.first_link,
                    self._chain.links - 1,
                    segment.start_ns,
                    segment.end_ns,
                    segment.bytes,
                    self._chain.head,
                )
            )
