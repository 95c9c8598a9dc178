"""RTP packets of one track become samples: H.264 access units or Opus packets, or a hole.  Never a stall.

What this file owns: order, depacketising (RFC 6184, RFC 7587), noticing what is missing.  What it must never know: wall time,
files, the other track.  A malformed packet is counted and treated as lost; an access unit that lacks a packet is dropped whole,
and what lies between the good samples on either side of it is one `Hole`.
"""

from typing import NamedTuple

from relay.base.errors import TheirError
from relay.base.serials import Unwrapper
from relay.record.reorder import Delivered, Reorder
from relay.rtp import header as rtp
from relay.rtp import opus
from relay.rtp.h264 import AUD, IDR, PPS, SLICE, SPS, units

MAX_UNIT_BYTES = 8 << 20
"""An access unit beyond this is dropped: no camera we accept makes one."""


class Sample(NamedTuple):
    """One access unit (each NAL unit behind its length in 4 bytes, ISO/IEC 14496-15) or one Opus packet."""

    timestamp: int
    """RTP timestamp, unwrapped."""
    arrival: int
    """Monotonic nanoseconds at which its first packet came."""
    data: bytes
    keyframe: bool
    duration: int
    """In ticks where the packet itself says it (Opus), else 0."""
    sps: bytes | None
    pps: bytes | None


class Hole(NamedTuple):
    """Between two samples something is missing; both ends are samples that came whole."""

    before: Sample | None
    after: Sample
    packets: int


Event = Sample | Hole


class _Packet(NamedTuple):
    header: rtp.RtpHeader
    packet: bytes
    arrival: int


class _Track:
    """What both kinds share: the window, the unwrapped clock, and holes between good samples."""

    def __init__(self, window_ns: int) -> None:
        self._reorder: Reorder[_Packet] = Reorder(window_ns)
        self._clock = Unwrapper(32)
        self._last: Sample | None = None
        self._lost = 0
        self.malformed = 0

    @property
    def late(self) -> int:
        """Packets that came too late or twice."""
        return self._reorder.late

    def push(self, packet: bytes, arrival: int, now: int) -> list[Event]:
        """Take one plain RTP packet; times in monotonic nanoseconds.  Return what became complete, in order."""
        try:
            header = rtp.parse(packet)
        except TheirError:
            self.malformed += 1
            return []
        return self._take(self._reorder.push(header.sequence, _Packet(header, packet, arrival), now))

    def advance(self, now: int) -> list[Event]:
        """Let time pass; return what became complete."""
        return self._take(self._reorder.advance(now))

    def flush(self) -> list[Event]:
        """Give out everything that waits; the unfinished rest is lost."""
        return self._take(self._reorder.flush())

    def deadline(self) -> int | None:
        """Return when `advance` will have something to do."""
        return self._reorder.deadline()

    def _take(self, delivered: list[Delivered[_Packet]]) -> list[Event]:
        out: list[Event] = []
        for lost, item in delivered:
            if lost:
                self._lost += lost
                self._interrupted()
            try:
                self._depacketise(item, bool(lost), out)
            except TheirError:
                self.malformed += 1
                self._lost += 1
                self._interrupted()
        return out

    def _complete(self, sample: Sample, out: list[Event]) -> None:
        if self._lost:
            out.append(Hole(self._last, sample, self._lost))
            self._lost = 0
        out.append(sample)
        self._last = sample

    def _interrupted(self) -> None:
        """Packets are missing here."""

    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        raise NotImplementedError


class OpusTrack(_Track):
    """Opus: every packet is a sample; silence that the encoder does not send (DTX) is no hole."""

    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        payload = item.header.payload(item.packet)
        if not payload:
            return
        duration = opus.samples(payload)
        timestamp = self._clock.extend(item.header.timestamp)
        self._complete(Sample(timestamp, item.arrival, payload, True, duration, None, None), out)


class H264Track(_Track):
    """H.264 of packetization-mode 1: an access unit ends with the marker bit or with the next timestamp."""

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._timestamp: int | None = None
        self._arrival = 0
        self._units: list[bytes] = []
        self._pieces: list[bytes] | None = None
        self._bytes = 0
        self._damaged = False
        self._sps: bytes | None = None
        self._pps: bytes | None = None
        self._keyframe = False
        self._ended = True

    def flush(self) -> list[Event]:
        """Give out everything that waits, the last access unit included where nothing of it is known to be missing."""
        out = super().flush()
        self._finish(out)
        return out

    def _interrupted(self) -> None:
        if not self._ended:
            self._damaged = True
        self._pieces = None

    def _depacketise(self, item: _Packet, after_loss: bool, out: list[Event]) -> None:
        header = item.header
        payload = header.payload(item.packet)
        if not payload:
            return
        if header.timestamp != self._timestamp or self._ended:
            self._finish(out)
            self._begin(header.timestamp, item.arrival)
            self._damaged = after_loss and not _begins_picture(payload)
        self._add(payload)
        if header.marker:
            self._finish(out)

    def _begin(self, timestamp: int, arrival: int) -> None:
        self._timestamp, self._arrival, self._ended = timestamp, arrival, False
        self._units, self._pieces, self._bytes = [], None, 0
        self._sps = self._pps = None
        self._keyframe = False

    def _add(self, payload: bytes) -> None:
        for kind, _, start, end, data in units(payload):
            self._bytes += len(data)
            if self._bytes > MAX_UNIT_BYTES:
                self._damaged = True
            elif start and end:
                self._unit(kind, data)
            elif start:
                self._pieces = [data]
            elif self._pieces is None:
                self._damaged = True
            else:
                self._pieces.append(data)
            if end and not start and self._pieces is not None:
                self._unit(kind, b"".join(self._pieces))
                self._pieces = None

    def _unit(self, kind: int, data: bytes) -> None:
        if kind == IDR:
            self._keyframe = True
        elif kind == SPS:
            self._sps = data
        elif kind == PPS:
            self._pps = data
        self._units.append(len(data).to_bytes(4, "big"))
        self._units.append(data)

    def _finish(self, out: list[Event]) -> None:
        if self._ended:
            return
        self._ended = True
        if self._damaged or self._pieces is not None:
            self._lost = self._lost or 1
            self._pieces = None
        elif self._units and self._timestamp is not None:
            sample = Sample(
                self._clock.extend(self._timestamp),
                self._arrival,
                b"".join(self._units),
                self._keyframe,
                0,
                self._sps,
                self._pps,
            )
            self._complete(sample, out)
        self._units = []


def _begins_picture(payload: bytes) -> bool:
    """Tell whether a payload can be the first of its access unit (H.264 §7.4.1.2.3): AUD, parameter sets, SEI, or macroblock
    0."""
    unit = units(payload)[0]
    if unit.kind in (SLICE, IDR):
        return unit.start and len(unit.data) > 1 and bool(unit.data[1] & 0x80)
    return unit.start and 6 <= unit.kind <= AUD
