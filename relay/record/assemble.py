"""RTP packets of one track become samples (H.264 access units or Opus packets) and gaps.  Nothing waits without a bound.

Owns: order, depacketising (RFC 6184, RFC 7587), noticing gaps.  Must never know: wall time, files, the
other track.

A malformed packet is counted and treated as lost.  An access unit that lacks a packet is dropped whole.  The time between the
two whole samples before and after it is one `TrackGap`.
"""

import struct
from abc import ABC, abstractmethod
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.base.serials import Unwrapper
from relay.record.reorder import Delivered, Reorder
from relay.rtp import header as rtp
from relay.rtp import opus
from relay.rtp.h264 import AUD, FU_A, IDR, PPS, SLICE, SPS, units
from relay.rtp.parameter_sets import ParameterSets, Sets

MAX_UNIT_BYTES = 8 << 20
"""A longer access unit is dropped.  No camera that the relay accepts makes one."""
MAX_PIECES = 16_384
"""Packets of one fragmented unit, and units in one access unit: a byte in a packet of its own takes more memory than a byte."""


IDLE_NS = 800_000_000
"""An access unit of which nothing came for so long ends, where its camera sets no marker bit.  It is less than the second by
which arrival times may go back in the chain (FORMAT.md §7.4)."""


class Sample(NamedTuple):
    """One access unit (each NAL unit behind its length in 4 bytes, ISO/IEC 14496-15) or one Opus packet."""

    timestamp: int
    """RTP timestamp, unwrapped."""
    arrival: int
    """Monotonic nanoseconds at which its first packet came; where its packets took more than `IDLE_NS`, a later one of them."""
    data: bytes
    keyframe: bool
    duration: int
    """In ticks where the packet itself states it (Opus), else 0."""
    sets: Sets | None = None
    """With a keyframe: the parameter sets in force, whenever they came; its own SPS is the first one."""


class TrackGap(NamedTuple):
    """Packets were lost between two samples; both samples came whole.  `before` is None at the beginning of a track."""

    before: Sample | None
    after: Sample
    packets: int
    broken: int = 0
    """How many of them did come, and broke the rules of their codec or a bound of this module."""


Event = Sample | TrackGap


_Packet = tuple[int, bool, bytes, int]
"""RTP timestamp, marker, payload, arrival: a packet that is in order needs no sequence number any more."""

_fixed = struct.Struct(">BBHI").unpack_from


def _split(packet: bytes) -> tuple[int, _Packet]:
    """Return sequence number and `_Packet` without arrival.  Plain headers are parsed here: this runs for every packet."""
    if len(packet) > rtp.FIXED + 4 and packet[0] & 0xEF == 0x80:
        first, second, sequence, timestamp = _fixed(packet)
        start = rtp.FIXED if first == 0x80 else rtp.FIXED + 4 + 4 * int.from_bytes(packet[14:16], "big")
        if start <= len(packet):
            return sequence, (timestamp, second > 127, packet[start:], 0)
    header = rtp.parse(packet)
    return header.sequence, (header.timestamp, header.marker, header.payload(packet), 0)


class _Track(ABC):
    """The common part of both kinds: the reorder window, the unwrapped clock, and gaps between whole samples."""

    def __init__(self, window_ns: int) -> None:
        self._reorder: Reorder[_Packet] = Reorder(window_ns)
        self._clock = Unwrapper(32)
        self._last: Sample | None = None
        self._lost = 0
        self._broken = 0
        self.malformed = 0
        self.unusable = 0
        """Packets of access units that were given up already."""

    @property
    def late(self) -> int:
        """How many packets came too late or twice."""
        return self._reorder.late

    def push(self, packet: bytes, arrival: int, now: int) -> list[Event]:
        """Take one plain RTP packet; times in monotonic nanoseconds.  Return the events that became complete, in order."""
        try:
            sequence, (timestamp, marker, payload, _) = _split(packet)
        except TheirError:
            self.malformed += 1
            return []
        item = (timestamp, marker, payload, arrival)
        out: list[Event] = []
        if self._reorder.accept(sequence):
            self._one(item, False, out)
        else:
            self._take(self._reorder.push(sequence, item, now), out)
        return out

    def advance(self, now: int) -> list[Event]:
        """Let time pass; return the events that became complete."""
        out: list[Event] = []
        self._take(self._reorder.advance(now), out)
        return out

    def flush(self) -> list[Event]:
        """Return everything that waits; an unfinished access unit is lost."""
        out: list[Event] = []
        self._take(self._reorder.flush(), out)
        return out

    def deadline(self) -> int | None:
        """Return when `advance` has something to do (monotonic nanoseconds), None while nothing waits."""
        return self._reorder.deadline()

    def _take(self, delivered: list[Delivered[_Packet]], out: list[Event]) -> None:
        for lost, item in delivered:
            if lost:
                self._lost += lost
                self._interrupted()
            self._one(item, bool(lost), out)

    def _one(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        try:
            self._depacketise(item, after_loss, out)
        except TheirError:
            self.malformed += 1
            self._lost += 1
            self._broken += 1
            self._interrupted()

    def _complete(self, sample: Sample, out: list[Event]) -> None:
        if self._lost:
            out.append(TrackGap(self._last, sample, self._lost, self._broken))
            self._lost = self._broken = 0
        out.append(sample)
        self._last = sample

    def _interrupted(self) -> None:  # noqa: B027 - every sound packet is whole
        """Packets were lost at this place."""

    @abstractmethod
    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        """Take the next packet in order; raises TheirError where it breaks the rules of its codec."""


class OpusTrack(_Track):
    """Opus: every packet is a sample.  Silence that the encoder does not send (DTX) is no gap."""

    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        ticks, _, payload, arrival = item
        if not payload:
            return
        duration = opus.samples(payload)
        timestamp = self._clock.extend(ticks)
        self._complete(Sample(timestamp, arrival, payload, True, duration), out)


class H264Track(_Track):
    """H.264 of packetization-mode 1: an access unit ends with the marker bit or with the next timestamp."""

    def __init__(self, window_ns: int, sets: ParameterSets | None = None) -> None:
        """`sets`: those in force already, from the offer or from an earlier connection; it is kept up to date."""
        super().__init__(window_ns)
        self._timestamp: int | None = None
        self._arrival = 0
        self._touched = 0
        """Arrival of the last packet of the access unit."""
        self._timed_out = False
        """Whether the last access unit ended because nothing more of it came."""
        self._units: list[bytes] = []
        self._pieces: list[bytes] | None = None
        self._bytes = 0
        self._damaged = False
        self._sets = ParameterSets() if sets is None else sets
        self._fresh: list[bytes] = []
        """Sets that came in force since the last sample."""
        self._first_slice = b""
        self._keyframe = self._pictured = self._marks = False
        self._ended = True

    @property
    def piece_bytes(self) -> int:
        """Bytes of the fragmented unit (FU-A) that is not complete yet."""
        return sum(map(len, self._pieces or []))

    def advance(self, now: int) -> list[Event]:
        """Let time pass; return the events that became complete."""
        out = super().advance(now)
        if self._is_idle(now):
            self._timed_out = True
            self._end_unmarked(out)
        return out

    def deadline(self) -> int | None:
        """Return when `advance` has something to do (monotonic nanoseconds), None while nothing waits."""
        held = super().deadline()
        if held is not None or self._ended or self._marks:
            return held
        return self._touched + IDLE_NS

    def flush(self) -> list[Event]:
        """Return everything that waits; the last access unit only where the camera never sets the marker bit."""
        out = super().flush()
        self._end_unmarked(out)
        return out

    def _end_unmarked(self, out: list[Event]) -> None:
        """End an access unit that no marker bit ended: it is whole only where the camera never sets the bit."""
        if self._marks or self._last is None:
            self._damaged = True
        self._finish(out)

    def _is_idle(self, now: int) -> bool:
        return not self._ended and not self._marks and now - self._touched >= IDLE_NS

    def _interrupted(self) -> None:
        if not self._ended:
            self._damaged = True
        self._pieces = None

    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        timestamp, marker, payload, arrival = item
        if not payload:
            return
        if timestamp != self._timestamp or self._ended:
            if arrival - self._touched > IDLE_NS:
                self._end_unmarked(out)
            self._finish(out)
            is_rest = self._timed_out and timestamp == self._timestamp
            self._begin(timestamp, arrival)
            self._damaged = is_rest or (after_loss and not _begins_picture(payload))
        elif arrival - self._arrival > IDLE_NS:
            self._arrival = arrival
        self._touched = arrival
        if payload[0] & 31 == FU_A and len(payload) > 2 and not payload[1] & 0x80:
            self._continue(payload)
        else:
            self._add(payload)
        if marker:
            self._marks = True
            self._finish(out)

    def _begin(self, timestamp: int, arrival: int) -> None:
        self._timestamp, self._arrival, self._ended, self._timed_out = timestamp, arrival, False, False
        self._units, self._pieces, self._bytes = [], None, 0
        self._keyframe = self._pictured = False

    def _continue(self, payload: bytes) -> None:
        """Take a later piece of a fragmented unit (FU-A).  Most packets are such pieces."""
        self._bytes += len(payload)
        pieces = self._pieces
        if pieces is None or self._bytes > MAX_UNIT_BYTES or len(pieces) >= MAX_PIECES:
            self._damaged, self._pieces = True, None
            self.unusable += 1
            return
        pieces.append(payload[2:])
        if payload[1] & 0x40:
            self._pieces = None
            self._unit(payload[1] & 31, b"".join(pieces))

    def _add(self, payload: bytes) -> None:
        self._bytes += len(payload)
        for kind, _, start, end, data in units(payload):
            if start and end:
                self._unit(kind, data)
            elif start:
                self._pieces = [data]

    def _unit(self, kind: int, data: bytes) -> None:
        if self._bytes > MAX_UNIT_BYTES or len(self._units) >= 2 * MAX_PIECES:
            self._damaged, self._units = True, []
            return
        if kind <= IDR:
            if not self._pictured:
                self._pictured, self._first_slice = True, data
            self._keyframe = self._keyframe or kind == IDR
        elif kind in (SPS, PPS) and self._sets.take(data):
            self._fresh.append(data)
        self._units.append(len(data).to_bytes(4, "big"))
        self._units.append(data)

    def _finish(self, out: list[Event]) -> None:
        if self._ended:
            return
        self._ended = True
        if self._damaged or self._pieces is not None:
            if not self._lost:
                self._lost = self._broken = 1
            self._pieces = None
        elif self._pictured and self._timestamp is not None:
            self._take_fresh_sets()
            sets = (self._sets.sets(self._first_slice) or self._sets.sets()) if self._keyframe else None
            data = b"".join(self._units)
            self._complete(Sample(self._clock.extend(self._timestamp), self._arrival, data, self._keyframe, 0, sets), out)
        self._units = []

    def _take_fresh_sets(self) -> None:
        """Put sets that came alone, or in a picture that was lost, before this picture: it may be the first that uses them."""
        missing = [unit for unit in self._fresh if unit not in self._units]
        self._fresh.clear()
        if missing:
            at = 2 if self._units[1][0] & 31 == AUD else 0
            self._units[at:at] = [part for unit in missing for part in (len(unit).to_bytes(4, "big"), unit)]


def _begins_picture(payload: bytes) -> bool:
    """Return whether a payload can be the first of its access unit (H.264 §7.4.1.2.3): AUD, parameter sets, SEI, or macroblock
    0."""
    unit = units(payload)[0]
    if unit.kind in (SLICE, IDR):
        return unit.start and len(unit.data) > 1 and bool(unit.data[1] & 0x80)
    return unit.start and 6 <= unit.kind <= AUD
