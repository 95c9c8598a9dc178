"""One camera as the relay receives it: its streams, and the RTCP that it is sent.

Owns: which SSRC is which layer (RFC 8843 §9.2, RFC 8853), when RTCP is sent to the camera.
Must never know: viewers, sockets, the recorder.
"""

from collections.abc import Callable
from typing import NamedTuple

from relay.base.allowance import Allowance
from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.fanout.clocks import CameraClock
from relay.fanout.feedback import ReceiveLimit, TransportFeedback
from relay.fanout.keyframes import KeyframeFeedback
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp import rtcp

REPORT_SECONDS = 1.0
UNSTAMPED_BELIEVED = 50
"""Packets without a transport-wide number after which an agreed one is not waited for any more."""
MAX_REPAIR_STREAMS = 16
STREAMS_BURST = 8
STREAMS_PER_SECOND = 0.5
"""Streams that a camera may begin: three layers and one sound, twice; then one restart every 2 s.  Each makes the recorder look
at its tracks anew."""
REPORTS_BURST = 40
REPORTS_PER_SECOND = 10.0
"""Sender reports that are believed; encoders send one every few seconds per stream.  Each goes to the recorder."""

declare(
    inbound_packets="media packets accepted from cameras",
    inbound_duplicates="media packets received twice or too late",
    inbound_malformed="packets of cameras that could not be read",
    inbound_unknown="packets of cameras that belong to no agreed stream",
    inbound_paced="packets of cameras dropped because a camera begins streams, or sends reports, faster than any encoder",
    inbound_overrun="packets of cameras that reached no viewer because the worker could not follow (counted once a second)",
    keyframe_cache_overrun="keyframe caches dropped because the camera sent no IDR for 4 s or 2.5 MB (counted once a second)",
    inbound_recovered="packets of cameras that came after they had been asked for again (counted once a second)",
    markers_corrected="markers and timestamps of pictures put right on the way to viewers (counted once a second)",
    nack_sent="packets asked for again at cameras",
)


class SenderFact(NamedTuple):
    """A sender report of the camera, for the recorder."""

    ssrc: int
    ntp_ns: int
    rtp: int
    arrival: float


def _forget(stream: Stream, packet: bytes, now: float) -> None:
    """Take a packet of a source that is closed."""


class Source:
    """The streams of one camera.  `on_packet` is called with every new packet in order of arrival (the tap)."""

    def __init__(
        self,
        tracks: tuple[TrackSpec, ...],
        local_ssrc: int,
        counters: Counters,
        max_bitrate: int,
        on_packet: Callable[[Stream, bytes, float], None],
    ) -> None:
        self.clock = CameraClock()
        self.audio: Stream | None = None
        self.layers: dict[str, Stream] = {}
        """Layers by rid; "" where the camera sends only one."""
        self.tracks = tracks
        """What was agreed, whether or not a packet of it has come."""
        self._local_ssrc = local_ssrc
        self._counters = counters
        self._on_packet = on_packet
        self._streams: dict[int, Stream] = {}
        self._repairs: dict[int, Stream] = {}
        self._feedback = TransportFeedback()
        self._limit = ReceiveLimit(max_bitrate)
        self._report_at = 0.0
        self._fir = 0
        self._octets = 0
        self._recovered = 0
        self._beginnings = Allowance(STREAMS_PER_SECOND, STREAMS_BURST)
        self._sender_reports = Allowance(REPORTS_PER_SECOND, REPORTS_BURST)
        self.changed = False
        """An SSRC appeared since the last `take_change`: the recorder must know the new tracks."""
        self.paced = 0
        """Media packets that were dropped because the camera begins streams too fast."""

    def close(self) -> None:
        """Let go of `on_packet`, whose owner owns this source: without the cycle both are freed when their session ends."""
        self._on_packet = _forget

    def take_change(self) -> None:
        """The new streams are known to those who need them."""
        self.changed = False

    # --- arrival -------------------------------------------------------------------------------------------------------

    def receive(self, packet: bytes, now: float) -> Stream | None:
        """Take one plain packet; returns its stream, or None where the packet is a duplicate or of no agreed stream."""
        try:
            header = rtp.parse(packet)
            return self._receive(packet, header, now)
        except TheirError:
            self._counters.count("inbound_malformed")
            return None

    def _receive(self, packet: bytes, header: rtp.RtpHeader, now: float) -> Stream | None:
        stream = self._streams.get(header.ssrc)
        repair = False
        if stream is None:
            stream = self._repairs.get(header.ssrc)
            repair = stream is not None
        if stream is None:
            stream, repair = self._discover(packet, header, now)
        if stream is None:
            self._counters.count("inbound_unknown")
            return None
        spec = stream.spec
        if spec.transport_cc_id is not None:
            self._note_transport(spec.transport_cc_id, packet, header, now)
        if repair:
            original = rtp.unwrap_rtx(packet, header, stream.ssrc, spec.payload_type)
            if original is None:
                return None
            packet, header = original, rtp.parse(original)
        elif header.payload_type != spec.payload_type or header.size == len(packet) - header.padding:
            return self._other(stream, header, now)
        return self._accept(stream, packet, header, now, repair=repair)

    def _accept(self, stream: Stream, packet: bytes, header: rtp.RtpHeader, now: float, *, repair: bool) -> Stream | None:
        if not stream.receive(packet, header, now, repair=repair):
            self._counters.count("inbound_duplicates")
            return None
        self._counters.values["inbound_packets"] += 1
        self._on_packet(stream, packet, now)
        return stream

    def _other(self, stream: Stream, header: rtp.RtpHeader, now: float) -> Stream | None:
        """A packet of padding only (a bandwidth probe) goes on empty, for it has a number.  Other payload types are dropped."""
        if header.payload_type != stream.spec.payload_type:
            self._counters.count("inbound_unknown")
            return None
        packet = rtp.build(
            payload_type=header.payload_type,
            sequence=header.sequence,
            timestamp=header.timestamp,
            ssrc=header.ssrc,
            marker=header.marker,
        )
        return self._accept(stream, packet, rtp.parse(packet), now, repair=False)

    def _note_transport(self, identifier: int, packet: bytes, header: rtp.RtpHeader, now: float) -> None:
        value = rtp.extension(packet, header, identifier)
        if value is not None and len(value) == 2:
            self._feedback.arrived((value[0] << 8 | value[1], now))

    # --- which stream is this? -----------------------------------------------------------------------------------------

    def _discover(self, packet: bytes, header: rtp.RtpHeader, now: float) -> tuple[Stream | None, bool]:
        for spec in self.tracks:
            if header.payload_type == spec.payload_type and self._fits(spec, packet, header):
                return self._new_stream(spec, _text(packet, header, spec.rid_id), header.ssrc, now), False
            if header.payload_type == spec.rtx_payload_type and self._fits(spec, packet, header):
                return self._new_repair(spec, packet, header), True
        return None, False

    def _fits(self, spec: TrackSpec, packet: bytes, header: rtp.RtpHeader) -> bool:
        mid = _text(packet, header, spec.mid_id)
        return not mid or mid == spec.mid

    def _new_stream(self, spec: TrackSpec, rid: str, ssrc: int, now: float) -> Stream | None:
        if rid not in spec.rids:
            rid = ""
        if spec.rids and not rid:
            return None
        if not self._beginnings.take(now):
            self.paced += 1
            self._counters.count("inbound_paced")
            return None
        self._forget(self.audio if spec.kind == "audio" else self.layers.get(rid))
        stream = self._streams[ssrc] = Stream(ssrc, rid, spec, self.clock)
        self.changed = True
        if spec.kind == "audio":
            self.audio = stream
        else:
            self.layers[rid] = stream
        return stream

    def _forget(self, replaced: Stream | None) -> None:
        """The camera restarted under another SSRC: there are never more streams than layers and one sound."""
        if replaced is not None:
            del self._streams[replaced.ssrc]
            self._repairs = {ssrc: stream for ssrc, stream in self._repairs.items() if stream is not replaced}

    def _new_repair(self, spec: TrackSpec, packet: bytes, header: rtp.RtpHeader) -> Stream | None:
        announced = dict(spec.rtx).get(header.ssrc)
        rid = _text(packet, header, spec.rrid_id)
        stream = self._streams.get(announced) if announced is not None else None
        if stream is None:
            stream = self.layers.get(rid) if spec.kind == "video" else self.audio
        if stream is not None and len(self._repairs) < MAX_REPAIR_STREAMS:
            self._repairs[header.ssrc] = stream
        return stream

    # --- RTCP of the camera ------------------------------------------------------------------------------------------

    def receive_rtcp(self, compound: bytes, now: float) -> list[SenderFact]:
        """Take a compound; returns the last sender report of each known stream."""
        try:
            packets = rtcp.parse(compound).packets
        except TheirError:
            self._counters.count("inbound_malformed")
            return []
        newest = {packet.ssrc: packet for packet in packets if isinstance(packet, rtcp.SenderReport) and packet.ntp}
        known = newest.keys() & self._streams.keys()
        if not self._sender_reports.take(now, len(known)):
            self._counters.count("inbound_paced")
            return []
        return [self._note_report(self._streams[ssrc], newest[ssrc], now) for ssrc in known]

    def _note_report(self, stream: Stream, report: rtcp.SenderReport, now: float) -> SenderFact:
        ntp_ns = stream.take_sender_report(report, now)
        self.clock.add(ntp_ns / 1e9, now)
        return SenderFact(report.ssrc, ntp_ns, report.rtp, now)

    # --- RTCP to the camera----------------------------------------------------------------------------------------------

    def poll(self, now: float) -> list[bytes]:
        """Return the RTCP compounds due now: repair, keyframe requests, feedback, and once a second the reports."""
        out: list[bytes] = []
        for stream in self._streams.values():
            out += self._repair(stream, now)
            out += self._ask_keyframe(stream, now)
        first = next(iter(self._streams), None)
        if first is None:
            return []
        out += self._feedback.poll(self._local_ssrc, first, now)
        if now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            return [self._reports(now) + b"".join(out)]
        return [self._empty_report + b"".join(out)] if out else []

    @property
    def has_missing(self) -> bool:
        """Whether packets are missing that may still come."""
        return any(stream.inbound.repair.missing for stream in self._streams.values())

    @property
    def _empty_report(self) -> bytes:
        return rtcp.build_receiver_report(rtcp.ReceiverReport(self._local_ssrc, ()))

    def _repair(self, stream: Stream, now: float) -> list[bytes]:
        wanted = stream.inbound.repair.due(now)
        stream.answer_losses(now)
        if not wanted:
            return []
        self._counters.count("nack_sent", len(wanted))
        sequences = [stream.inbound.sequence(index) for index in wanted]
        return [rtcp.build_nack(self._local_ssrc, stream.ssrc, sequences)]

    def _ask_keyframe(self, stream: Stream, now: float) -> list[bytes]:
        unanswered = stream.keyframes.unanswered
        ask = stream.keyframes.poll(now)
        if ask is KeyframeFeedback.NOTHING:
            return []
        self._counters.count("keyframe_asked")
        self._counters.count("keyframe_unanswered", stream.keyframes.unanswered - unanswered)
        if ask is KeyframeFeedback.FIR:
            self._fir += 1
            return [rtcp.build_fir(self._local_ssrc, stream.ssrc, self._fir)]
        if ask is KeyframeFeedback.SLI:
            return [rtcp.build_sli(self._local_ssrc, stream.ssrc)]
        return [rtcp.build_pli(self._local_ssrc, stream.ssrc)]

    def _reports(self, now: float) -> bytes:
        blocks = []
        for stream in self._streams.values():
            block = stream.report(now)
            if block is not None:
                blocks.append(block)
        out = rtcp.build_receiver_report(rtcp.ReceiverReport(self._local_ssrc, tuple(blocks)))
        out += rtcp.build_sdes(self._local_ssrc, "relay")
        octets = sum(stream.octets for stream in self._streams.values())
        loss = max((block.fraction_lost / 256 for block in blocks), default=0.0)
        bitrate = self._limit.update(loss, 8 * (octets - self._octets))
        self._octets = octets
        recovered = sum(stream.inbound.repair.recovered for stream in self._streams.values())
        self._counters.count("inbound_recovered", max(0, recovered - self._recovered))
        self._recovered = recovered
        self._count_overruns()
        if self._is_limit_told():
            out += rtcp.build_remb(self._local_ssrc, bitrate, list(self._streams))
        return out

    def _is_limit_told(self) -> bool:
        """Whether the camera is sent a REMB: it knows REMB, and its packets carry no transport-wide numbers, agreed or not.

        An encoder that stamps its packets must never get one: libwebrtc keeps it as a limit for good.
        """
        if self._feedback.has_begun or not any(spec.remb for spec in self.tracks):
            return False
        if all(spec.transport_cc_id is None for spec in self.tracks):
            return True
        unstamped = [stream for stream in self._streams.values() if stream.spec.transport_cc_id is not None]
        return sum(stream.inbound.reception.received for stream in unstamped) >= UNSTAMPED_BELIEVED

    def _count_overruns(self) -> None:
        for stream in self._streams.values():
            self._counters.count("inbound_overrun", stream.take_overrun())
            self._counters.count("keyframe_cache_overrun", stream.cache.take_overruns())
            self._counters.count("markers_corrected", stream.markers.take_corrected())


def _text(packet: bytes, header: rtp.RtpHeader, identifier: int | None) -> str:
    value = rtp.extension(packet, header, identifier) if identifier is not None else None
    return value.decode("ascii", "replace") if value else ""
