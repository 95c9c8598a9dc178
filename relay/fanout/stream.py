"""One SSRC of a camera: a layer of its picture, or its sound.

Owns: the order in which packets came, reception statistics, what a viewer may start from.
Must never know: legs, when RTCP is sent, sockets.

A datagram passes through this file on its way to the viewers.  What lies beside the way has files of its own: the schedule of
repair (`repair`), keyframe requests (`keyframes`), the map of RTP time to our clock (`clocks`).
"""

from bisect import insort
from collections.abc import Callable
from operator import attrgetter

from relay.base.serials import unwrap
from relay.fanout.cached_packets import PACKET_BYTES, CachedPackets
from relay.fanout.clocks import CameraClock, TrackClock
from relay.fanout.inspection import Inspection
from relay.fanout.joined import JoinedUnits
from relay.fanout.keyframes import KeyframeFeedback, KeyframeRequester
from relay.fanout.markers import Markers
from relay.fanout.repair import RepairSchedule
from relay.fanout.tracks import TrackSpec
from relay.rtp import h264
from relay.rtp.burst import MAX_BURST_PACKETS, MediaPacket
from relay.rtp.h264 import FU_A, SLICE
from relay.rtp.header import RtpHeader
from relay.rtp.parameter_sets import ParameterSets, offered_sets
from relay.rtp.picture_ends import PictureEnds
from relay.rtp.recovery import I_SLICE_FIRST_BYTES
from relay.rtp.rtcp import ReportBlock, SenderReport, ns_from_ntp

MAX_PENDING = 2048
"""Packets that may wait to be taken."""
HOLD_SECONDS = 0.001
"""Seconds that packets may wait for the rest of their picture, because a whole picture costs a leg little more than one packet.
Encoders send a picture within less time.  The wait is short, because it is lost time where a radio spreads the picture."""
MAX_GAP = 1000
"""A jump further than this (either way) is a restart of the sender, not a loss (RFC 3550 A.1, MAX_DROPOUT)."""
MAX_CACHE_BYTES = 5 << 19
MAX_CACHE_SECONDS = 4.0
TAIL = 8
"""Packets that are looked at for the last slice of a picture."""
_index = attrgetter("index")


class ReceptionStatistics:
    """What a report block says of one SSRC: received, lost, jitter (RFC 3550 A.3, A.8)."""

    __slots__ = ("_clock_rate", "_jitter", "_reported", "_transit", "loss", "received")

    def __init__(self, clock_rate: int) -> None:
        self.received = 0
        self.loss = 0.0
        """Share of packets that did not come at once, between the last two reports."""
        self._clock_rate = clock_rate
        self._reported = (0, 0)
        self._transit: float | None = None
        self._jitter = 0.0

    def arrived(self, timestamp: int, now: float) -> None:
        """A packet of the primary stream came (repairs do not count as reception, RFC 4588 §4)."""
        self.received += 1
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            step = abs(transit - self._transit)
            if step < self._clock_rate * 10:
                self._jitter += (step - self._jitter) / 16
        self._transit = transit

    def restarted(self) -> None:
        """The sender restarted: its timestamps have no relation to the old ones."""
        self._transit = None

    def report(self, ssrc: int, expected: int, highest: int, last_sr: int, delay: int) -> ReportBlock:
        """Return the block for the time since the last call; `expected` packets since the beginning."""
        lost = expected - self.received
        new_expected, new_lost = expected - self._reported[0], lost - self._reported[1]
        self._reported = (expected, lost)
        fraction = min(255, 256 * new_lost // new_expected) if new_expected > 0 and new_lost > 0 else 0
        self.loss = fraction / 256
        clamped = max(-0x800000, min(0x7FFFFF, lost))
        return ReportBlock(ssrc, fraction, clamped, highest, int(self._jitter), last_sr, delay)

    @property
    def jitter(self) -> float:
        """Interarrival jitter, seconds."""
        return self._jitter / self._clock_rate


class Inbound:
    """From sequence numbers to indices that rise for ever (RFC 3550 A.1); its parts know what is missing and what came."""

    __slots__ = ("_base", "_next", "_suspect", "duplicates", "high", "reception", "repair")

    def __init__(self, clock_rate: int, *, nack: bool, rtx: bool = False) -> None:
        """`nack`: the sender takes NACKs; `rtx`: it answers them with RTX packets."""
        self.repair = RepairSchedule(nack=nack, rtx=rtx)
        self.reception = ReceptionStatistics(clock_rate)
        self.high = -1
        """Highest index accepted; -1 before the first packet."""
        self.duplicates = 0
        self._next: int | None = None
        """The sequence number that follows the highest one."""
        self._suspect: int | None = None
        self._base = 0

    def accept(self, sequence: int, timestamp: int, now: float, *, repair: bool = False) -> int | None:
        """Return the index of a packet, None where it is a duplicate, too old, or the first after a wild jump.

        `repair`: it came on the RTX stream.  Indices start at 65536 plus the first sequence number and go on rising over
        restarts of the sender.
        """
        if sequence == self._next and not repair:  # the rule, without calls
            self._next = sequence + 1 & 0xFFFF
            self._suspect = None
            self.high = index = self.high + 1
            self.reception.arrived(timestamp, now)
            return index
        return self._accept(sequence, timestamp, now, repair)

    def _accept(self, sequence: int, timestamp: int, now: float, repair: bool) -> int | None:
        index = self._index(sequence, now, repair)
        if index is None:
            return None
        if index > self.high:
            if repair:
                return None
            if index > self.high + 1:
                self.repair.pass_over(self.high + 1, index, now)
            self.high = index
        elif not self.repair.fill(index, now, repair):
            self.duplicates += 1
            return None
        if not repair:
            self.reception.arrived(timestamp, now)
        return index

    def _index(self, sequence: int, now: float, repair: bool) -> int | None:
        if self._next is None:
            if repair:
                return None
            self._base = index = sequence + 65536
            self.high = index - 1
        else:
            last = self._next - 1
            index = self.high + unwrap(sequence, last, 16) - last
            if abs(index - self.high) > MAX_GAP:
                # Browsers probe their way with repairs of packets long past: those say nothing about the sender.
                return None if repair else self._restart(sequence, now)
        if index > self.high:
            self._next = sequence + 1 & 0xFFFF
        self._suspect = None
        return index

    def _restart(self, sequence: int, now: float) -> int | None:
        """Believe in a wild jump when a second packet confirms it (RFC 3550 A.1)."""
        if self._suspect != sequence:
            self._suspect = sequence + 1 & 0xFFFF
            return None
        self._suspect = None
        self._next = sequence + 1 & 0xFFFF
        self.repair.restarted(now)
        self.reception.restarted()
        return self.high + 1

    def leave_room(self, now: float) -> int:
        """Give the newest packet the next index, so that another may go before it; returns it.  What is missing is given up."""
        if self.repair.missing:
            self.repair.restarted(now)
        self.high += 1
        self._base += 1
        return self.high

    def report(self, ssrc: int, last_sr: int, delay: int) -> ReportBlock:
        """Return the report block since the last call; `last_sr` and `delay` as RFC 3550 §6.4.1 wants them."""
        highest = self.high & 0xFFFF0000 | self._last_sequence
        return self.reception.report(ssrc, self.high - self._base + 1, highest, last_sr, delay)

    def sequence(self, index: int) -> int:
        """Return the sequence number on the wire of an index (the two differ by a constant until a sender restarts)."""
        return (self._last_sequence - self.high + index) & 0xFFFF

    @property
    def _last_sequence(self) -> int:
        return 0 if self._next is None else self._next - 1 & 0xFFFF


class KeyframeCache(CachedPackets):
    """The packets of one video stream since its last IDR; since a recovery point where none comes."""

    def add(self, media: MediaPacket) -> None:
        """Take a packet that `Inbound` accepted."""
        if (media.keyframe or not self.is_idr) and not self._begins(media) and self._start is None:
            self._remember_head(media)
            return
        self._insert(media)
        if self._bytes > MAX_CACHE_BYTES or media.arrival - self.packets[0].arrival > MAX_CACHE_SECONDS:
            self.clear()
            self._overruns += 1

    def _insert(self, media: MediaPacket) -> None:
        packets = self.packets
        if packets and media.index < packets[-1].index:
            if media.index < packets[0].index and media.timestamp != self._start:
                return
            insort(packets, media, key=_index)
        else:
            packets.append(media)
        self._bytes += len(media.payload) + PACKET_BYTES


class Pictures(Inspection):
    """What a packet carries.  Ordinary ones are read here; `cache` gets all of them."""

    __slots__ = ("_cache", "_on_doubt")

    def __init__(
        self,
        cache: KeyframeCache,
        keyframes: KeyframeRequester,
        sets: ParameterSets,
        ends: PictureEnds,
        on_torn: Callable[[MediaPacket], None],
        on_joined: Callable[[MediaPacket], None],
        on_doubt: Callable[[MediaPacket, MediaPacket], None],
    ) -> None:
        """`on_torn`, `on_joined`: see `Inspection`.

        `on_doubt`: called with the newest packet and the next one before it is taken, where a unit begins and the marker of the
        newest says otherwise than their timestamps.
        """
        super().__init__(keyframes, sets, ends, on_torn, on_joined, cache)
        self._cache = cache
        self._on_doubt = on_doubt

    def inspect(self, media: MediaPacket, now: float) -> None:
        """Mark what the packet carries.  Pieces and first slices of ordinary pictures are the rule, and read without calls."""
        payload = media.payload
        kind = payload[0] & 31
        if len(payload) > 2 and kind == FU_A:
            if payload[1] < 0x80:
                media.droppable = not payload[0] & 0x60
            elif payload[1] & 31 == SLICE and payload[2] & 0x80:
                self._take_slice(media, payload[2])
            else:
                self._check(media)
                self._inspect_units(media, now)
        elif len(payload) > 1 and kind == SLICE and payload[1] & 0x80:
            self._take_slice(media, payload[1])
        else:
            self._check(media)
            self._inspect_units(media, now)
        if media.timestamp == self._key_timestamp:
            media.idr = True
        self._cache.add(media)

    def _check(self, media: MediaPacket) -> None:
        """A unit begins: after a packet with a marker that is another picture, after one without it is the same picture."""
        packets = self._cache.packets
        if packets:
            newest, payload = packets[-1], media.payload
            if (newest.timestamp == media.timestamp) is newest.marker or (
                media.marker and payload[0] & 31 == FU_A and not payload[1] & 0x40  # the unit goes on, and so its picture
            ):
                self._on_doubt(newest, media)

    def _take_slice(self, media: MediaPacket, first_byte: int) -> None:
        """The first slice of a picture that is no IDR; `first_byte` of its slice header begins with first_mb_in_slice = 0."""
        if not media.payload[0] & 0x60:
            media.droppable = True
            self.droppable += 1
        self._check(media)
        if media.timestamp != self._slice_timestamp:
            self._slice_timestamp = media.timestamp
            self.first_slice = media
            if first_byte in h264.B_SLICE_FIRST_BYTES:
                self._take_b_slice(media.arrival)
            elif first_byte in I_SLICE_FIRST_BYTES:
                self._take_recovery(media)


def _agreed(spec: TrackSpec) -> list[KeyframeFeedback]:
    """Return the ways to ask for a keyframe that a camera agreed to."""
    ways = ((spec.pli, KeyframeFeedback.PLI), (spec.fir, KeyframeFeedback.FIR), (spec.sli, KeyframeFeedback.SLI))
    return [way for is_agreed, way in ways if is_agreed]


class Stream:
    """One SSRC; `pending` holds the packets that came since the last batch was taken."""

    def __init__(self, ssrc: int, rid: str, spec: TrackSpec, camera: CameraClock) -> None:
        self.ssrc = ssrc
        self.rid = rid
        self.spec = spec
        self._is_video = spec.kind == "video"
        self.inbound = Inbound(spec.clock_rate, nack=spec.nack, rtx=spec.rtx_payload_type is not None)
        self.clock = TrackClock(spec.clock_rate, camera)
        sets = ParameterSets(offered_sets(spec.fmtp) if spec.kind == "video" else ())
        self.cache = KeyframeCache(sets)
        self.keyframes = KeyframeRequester(_agreed(spec))
        self.markers = Markers()
        for unit in sets.units:
            self.markers.ends.learn(unit)
        ends = self.markers.ends
        self.pictures = Pictures(self.cache, self.keyframes, sets, ends, self._tear, self._join, self._doubt)
        self._joined = JoinedUnits(sets, ends)
        self._look = self._inspect = self.pictures.inspect
        """`_look` is the last step of `_inspect`, which may part units before."""
        self.pending: list[MediaPacket] = []
        self.octets = 0
        self.frames = 0
        self._overrun = 0
        self.received_at = 0.0
        """When the last packet came."""
        self._sender_report: tuple[int, float] | None = None
        """Middle 32 bits of the NTP time of the last sender report, and when it came."""
        self._losses_answered = 0
        """Packets lost for good for which a keyframe has been asked."""
        self._clock_timestamp: int | None = None

    # --- packets -------------------------------------------------------------------------------------------------------

    def receive(self, packet: bytes, header: RtpHeader, now: float, *, repair: bool = False) -> bool:
        """Take a packet; False where it is a duplicate or comes too late to matter."""
        timestamp = header.timestamp
        index = self.inbound.accept(header.sequence, timestamp, now, repair=repair)
        if index is None:
            return False
        media = MediaPacket(index, timestamp, header.marker, packet[header.size : len(packet) - header.padding], now)
        self.octets += len(packet)
        self.received_at = now
        self.frames += header.marker
        if not (self.clock.is_reported or repair) and timestamp != self._clock_timestamp:
            self._clock_timestamp = timestamp  # of a picture, the packet that came first had the shortest way
            self.clock.packet(timestamp, now)
        if self._is_video and media.payload:
            self._inspect(media, now)
        if len(self.pending) < MAX_PENDING:
            self.pending.append(media)
        else:
            self._overrun += 1
        return True

    def _join(self, media: MediaPacket) -> None:
        """The camera sends several units as one: from this packet on every one is looked at."""
        if self._inspect != self._part:
            self._inspect = self._part
            self._part_units(media, media.arrival)

    def _part(self, media: MediaPacket, now: float) -> None:
        self._part_units(media, now)
        self._look(media, now)

    def _part_units(self, media: MediaPacket, now: float) -> None:
        """Part the units of a packet; those before the last one get packets of their own before it."""
        if media.index < self.inbound.high:
            self._joined.part_late(media, self.cache.before(media))
            return
        for payload in self._joined.part(media):
            ahead = MediaPacket(media.index, media.timestamp, False, payload, now)
            media.index = self.inbound.leave_room(now)
            self._look(ahead, now)
            if len(self.pending) < MAX_PENDING:
                self.pending.append(ahead)

    def _doubt(self, newest: MediaPacket, media: MediaPacket) -> None:
        """Find out whether the stream sets its markers wrong."""
        if media.index == self.inbound.high > newest.index and not self.markers.are_wrong:
            tail = self.cache.packets[-TAIL:]
            if self.markers.doubt(newest, media, self.pictures.first_slice, tail):
                self._mistrust(media)

    def _tear(self, media: MediaPacket) -> None:
        """A slice in the middle of a picture has a timestamp of its own: it goes to the picture before it, if it is of it."""
        tail = self.cache.packets[-TAIL:]
        if self.markers.are_wrong or not tail or media.index != tail[-1].index + 1:
            return
        if self.markers.doubt(tail[-1], media, self.pictures.first_slice, tail):
            media.timestamp = tail[-1].timestamp
            self._mistrust(media)

    def _mistrust(self, media: MediaPacket) -> None:
        """From this packet on every one is looked at, and the newest is held back."""
        self._look = self._put_right
        if self._inspect != self._part:
            self._inspect = self._look
        self.frames += self.markers.decide(media)

    def _put_right(self, media: MediaPacket, now: float) -> None:
        if media.index < self.inbound.high:
            self.markers.decide_late(media, self.cache.behind(media))
        else:
            said = media.marker
            self.frames += self.markers.decide(media) - said
        self.pictures.inspect(media, now)

    def gathering(self, now: float) -> float:
        """Return for how many seconds to wait for the rest of a picture that is still coming in; 0 where there is none."""
        pending = self.pending
        if not pending or self.spec.kind != "video" or len(pending) >= MAX_BURST_PACKETS or pending[-1].marker:
            return 0.0
        if self.markers.are_wrong:
            self.frames += self.markers.release(now)
            return self.markers.wait(pending, now)
        if pending[-1].index < self.inbound.high:  # repaired: late enough already
            return 0.0
        return max(0.0, pending[0].arrival + HOLD_SECONDS - now)

    def take(self) -> list[MediaPacket]:
        """Return the packets that came since the last call; where markers are wrong, without the one that must wait."""
        pending, held = self.pending, self.markers.held
        self.pending = [] if held is None else [held]
        return pending if held is None else [media for media in pending if media is not held]

    def replay(self) -> list[MediaPacket]:
        """Return what a new viewer needs before the packets of the next `take`; empty where there is nothing to start from."""
        held, packets = self.markers.held, self.cache.replay()
        return packets if held is None else [media for media in packets if media is not held]

    def take_overrun(self) -> int:
        """Return how many packets were not kept for the legs since the last call."""
        overrun, self._overrun = self._overrun, 0
        return overrun

    # --- reports -------------------------------------------------------------------------------------------------------

    def take_sender_report(self, report: SenderReport, now: float) -> int:
        """Take a sender report of this SSRC; returns its NTP time in UTC nanoseconds."""
        ntp_ns = ns_from_ntp(report.ntp)
        self.clock.report(ntp_ns / 1e9, report.rtp)
        self._sender_report = (report.ntp >> 16 & 0xFFFFFFFF, now)
        return ntp_ns

    def report(self, now: float) -> ReportBlock | None:
        """Return the report block for the time since the last call; None before the first packet."""
        if self.inbound.high < 0:
            return None
        last_sr, came = self._sender_report or (0, now)
        return self.inbound.report(self.ssrc, last_sr, int((now - came) * 65536))

    def answer_losses(self, now: float) -> None:
        """Ask for a keyframe where packets of the picture were lost for good since the last call."""
        lost = self.inbound.repair.abandoned
        if lost > self._losses_answered:
            self._losses_answered = lost
            if self.spec.kind == "video":
                self.keyframes.want(now)
