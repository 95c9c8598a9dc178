"""A viewer that keeps to the letter of RFC 6184: a picture is what comes up to a marker under one timestamp.

Owns: the way of a camera's packets through source and leg as the worker makes them go, on a clock of its own, and what the
viewer makes of them.  Must never know: sockets, keys.  FFmpeg decodes what it assembled.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from relay.base.counters import Counters
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.single_units import SingleUnits
from relay.fanout.source import Source
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp.burst import Burst, HeaderTemplate, bursts
from relay.rtp.h264 import FU_A, IDR, STAP_A
from tests.support.camera_streams import START
from tests.support.rtp_source import Timed

CHUNK = 0.0005
"""Packets that come within so long are read in one drain."""


@dataclass(frozen=True)
class Sent:
    """A packet as the viewer gets it."""

    at: float
    index: int
    """Its sequence number, unwrapped."""
    timestamp: int
    marker: bool
    payload: bytes


@dataclass
class Watched:
    """What reached the viewer, and the counters of the relay."""

    packets: list[Sent] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    stream: Stream | None = None
    units: SingleUnits | None = None

    def pictures(self) -> Iterator[list[bytes]]:
        """Yield the units of each picture: the packets of one timestamp that follow one another, the last with a marker."""
        picture: list[Sent] = []
        for sent in sorted(self.packets, key=lambda sent: sent.index):
            if picture and (sent.timestamp != picture[0].timestamp or sent.index != picture[-1].index + 1):
                picture = []
            picture.append(sent)
            if sent.marker:
                units = list(_units(packet.payload for packet in picture))
                picture = []
                if units:
                    yield units

    def film(self) -> bytes:
        """Return the byte stream (Annex B) from the first picture with an IDR on, told by the types of its units."""
        begun = itertools.dropwhile(lambda units: not any(unit[0] & 31 == IDR for unit in units), self.pictures())
        return b"".join(START + unit for units in begun for unit in units)


def _units(payloads: Iterable[bytes]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 31
        if kind == STAP_A:
            at = 1
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                yield payload[at + 2 : at + 2 + size]
                at += 2 + size
        elif kind != FU_A:
            yield payload
        else:
            pieces = [bytes((payload[0] & 0xE0 | payload[1] & 31,))] if payload[1] & 0x80 else pieces
            pieces.append(payload[2:])
            if payload[1] & 0x40:
                yield b"".join(pieces)


def watch(
    packets: list[Timed], *, since: float = 0.0, spec: TrackSpec | None = None, units: SingleUnits | None = None
) -> Watched:
    """Send a camera's packets through the relay's cores to a viewer that comes at `since` seconds; with `units` in mode 0."""
    watched = Watched(units=units)
    video = spec or TrackSpec("video", "0", 102, 90_000, nack=True)
    source = Source((video,), 7, watched.counters, 8_000_000, lambda stream, packet, now: None)
    leg = Leg(LegSpec(9, 90_000, HeaderTemplate(102)), 1, 1, 1)
    waiting: list[float] = []
    drains = itertools.groupby(packets, lambda timed: int(timed.at / CHUNK))
    for _, drain in drains:
        came = list(drain)
        for timed in came:
            watched.stream = source.receive(timed.packet, 10 + timed.at) or watched.stream
        now = 10 + came[-1].at
        while waiting and waiting[0] <= now:
            _serve(watched, leg, heapq.heappop(waiting), since, waiting, waited=True)
        _serve(watched, leg, now, since, waiting)
    while waiting:
        _serve(watched, leg, heapq.heappop(waiting), since, waiting, waited=True)
    source.poll(100.0)
    return watched


def _serve(watched: Watched, leg: Leg, now: float, since: float, waiting: list[float], *, waited: bool = False) -> None:
    """As `CameraPeer._serve`."""
    stream = watched.stream
    if stream is None:
        return
    pause = 0.0 if waited and not stream.markers.are_wrong else stream.gathering(now)
    if not pause:
        batch = stream.take()
        if now - 10 >= since and batch:
            if not leg.running:
                replay = stream.replay() if watched.units is None else watched.units.take(stream.replay())
                _send(watched, leg, leg.start(replay, now) if replay else [], now)
            for burst in bursts(batch if watched.units is None else watched.units.take(batch)):
                admitted = leg.admit(burst, now)
                _send(watched, leg, [admitted] if admitted is not None else [], now)
        pause = max(0.001, stream.gathering(now)) if stream.pending else 0.0
    if pause:
        heapq.heappush(waiting, now + pause)


def _send(watched: Watched, leg: Leg, admitted: Iterable[Burst], now: float) -> None:
    for burst in admitted:
        for media in burst.packets:
            timestamp = media.timestamp + leg.timestamp_shift & 0xFFFFFFFF
            if media.payload:
                watched.packets.append(Sent(now, media.index + leg.shift, timestamp, media.marker, media.payload))
