"""RTP packets of one track become samples (H.264 access units or Opus packets) and gaps.  Nothing waits without a bound.

Owns: order, Opus (RFC 7587), noticing gaps.  Pictures are made in `access_units`.  Must never know: wall time, files, the other
track.

A malformed packet is counted and treated as lost.  An access unit that lacks a packet is dropped whole.  The time between the
two whole samples before and after it is one `TrackGap`.
"""

import struct
from abc import ABC, abstractmethod
from operator import add
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.base.serials import Unwrapper
from relay.record.reorder import Delivered, Reorder
from relay.rtp import header as rtp
from relay.rtp import opus
from relay.rtp.parameter_sets import Sets


class Sample(NamedTuple):
    """One access unit (each NAL unit behind its length in 4 bytes, ISO/IEC 14496-15) or one Opus packet."""

    timestamp: int
    """RTP timestamp, unwrapped."""
    arrival: int
    """Monotonic nanoseconds at which its first packet came; where its packets took more than 0.8 s, a later one of them."""
    data: bytes
    keyframe: bool
    duration: int
    """In ticks where the packet itself states it (Opus), else 0."""
    sets: Sets | None = None
    """With a keyframe: the parameter sets in force, whenever they came; its own SPS is the first one."""
    lead: int | None = None
    """How many ticks before its timestamp it is decoded, where pictures are shown in another order (B pictures); else None."""


class TrackGap(NamedTuple):
    """Packets were lost between two samples; both samples came whole.  `before` is None at the beginning of a track."""

    before: Sample | None
    after: Sample
    packets: int
    broken: int = 0
    """How many of them did come, and broke the rules of their codec or a bound of this module."""


class Rest(NamedTuple):
    """The picture of the sample that was given out last goes on: its marker bit was wrong."""

    of: Sample
    data: bytes
    """In the form of a sample's; it goes behind the sample's."""


Event = Sample | TrackGap | Rest


class Oddities(NamedTuple):
    """What the packets of a track had that they should not have."""

    late: int = 0
    """Packets that came after they were given up as lost, or twice."""
    malformed: int = 0
    """Packets that broke the rules of RTP, H.264 or Opus; each counts as lost."""
    ignored: int = 0
    """Units that a receiver ignores (RFC 6184 §5.2), and packets without any other; none counts as lost."""
    wrong_markers: int = 0
    """Marker bits that came before the end of their picture."""

    def plus(self, other: "Oddities") -> "Oddities":
        """Return the sums."""
        return Oddities(*map(add, self, other))


Packet = tuple[int, bool, bytes, int]
"""RTP timestamp, marker, payload, arrival: a packet that is in order needs no sequence number any more."""

_fixed = struct.Struct(">BBHI").unpack_from


def _split(packet: bytes) -> tuple[int, Packet]:
    """Return sequence number and `Packet` without arrival.  Plain headers are parsed here: this runs for every packet."""
    if len(packet) > rtp.FIXED + 4 and packet[0] & 0xEF == 0x80:
        first, second, sequence, timestamp = _fixed(packet)
        start = rtp.FIXED if first == 0x80 else rtp.FIXED + 4 + 4 * int.from_bytes(packet[14:16], "big")
        if start <= len(packet):
            return sequence, (timestamp, second > 127, packet[start:], 0)
    header = rtp.parse(packet)
    return header.sequence, (header.timestamp, header.marker, header.payload(packet), 0)


class Track(ABC):
    """The common part of both kinds: the reorder window, the unwrapped clock, and gaps between whole samples."""

    def __init__(self, window_ns: int) -> None:
        self._reorder: Reorder[Packet] = Reorder(window_ns)
        self._clock = Unwrapper(32)
        self._last: Sample | None = None
        self._lost = 0
        self._broken = 0
        self.malformed = 0
        self.ignored = 0
        """Units that a receiver ignores (RFC 6184 §5.2), and packets without any other."""
        self.unusable = 0
        """Packets of access units that were given up already."""

    @property
    def late(self) -> int:
        """How many packets came too late or twice."""
        return self._reorder.late

    @property
    def wrong_markers(self) -> int:
        """Marker bits that came before the end of their picture."""
        return 0

    @property
    def oddities(self) -> Oddities:
        """What was odd so far."""
        return Oddities(self.late, self.malformed, self.ignored, self.wrong_markers)

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

    @property
    def is_arriving(self) -> bool:
        """Whether a sample has begun to come that may still become whole."""
        return False

    @property
    def missing(self) -> tuple[int, int]:
        """Packets that are missing since the last whole sample, and how many of these came and broke the rules."""
        return self._lost, self._broken

    def _take(self, delivered: list[Delivered[Packet]], out: list[Event]) -> None:
        for lost, item in delivered:
            if lost:
                self._lost += lost
                self._interrupted()
            self._one(item, bool(lost), out)

    def _one(self, item: Packet, after_loss: bool, out: list[Event]) -> None:
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
    def _depacketise(self, item: Packet, after_loss: bool, out: list[Event]) -> None:
        """Take the next packet in order; raises TheirError where it breaks the rules of its codec."""


class OpusTrack(Track):
    """Opus: every packet is a sample.  Silence that the encoder does not send (DTX) is no gap."""

    def _depacketise(self, item: Packet, after_loss: bool, out: list[Event]) -> None:
        ticks, _, payload, arrival = item
        if not payload:
            return
        duration = opus.samples(payload)
        timestamp = self._clock.extend(ticks)
        self._complete(Sample(timestamp, arrival, payload, True, duration), out)
