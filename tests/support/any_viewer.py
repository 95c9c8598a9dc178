"""The law of every late viewer: from a keyframe on it gets each picture of the source, whole, with markers where pictures end.

Owns: the fan-out of one made stream to one leg, and the viewer's reading of it (RFC 6184 §5.1), which trusts markers as
Chromium does.  Must never know: how the fan-out reads H.264.  The judge is FFmpeg.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from relay.base.counters import Counters
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.source import Source
from relay.fanout.stream import Stream as Inbound
from relay.fanout.tracks import TrackSpec
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket, bursts
from tests.support.camera_streams import SLICES, START, Stream, shown_in
from tests.support.rtp_source import VIDEO_SSRC

TICK = 0.005


@dataclass(frozen=True)
class Viewed:
    """What a viewer that came at some time got: digests of the pictures that FFmpeg shows of it, and false markers."""

    pictures: tuple[str, ...]
    markers: tuple[str, ...]


@dataclass(frozen=True)
class _Got:
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


def track(stream: Stream) -> TrackSpec:
    """Return the video track as it was agreed with the camera."""
    fmtp = f"packetization-mode={stream.habits.mode};profile-level-id=42e01f"
    if stream.habits.sets == "offer":
        fmtp += ";sprop-parameter-sets=" + ",".join(base64.b64encode(unit).decode() for unit in stream.parameter_sets)
    return TrackSpec("video", "0", 102, 90_000, fmtp, ssrcs=(VIDEO_SSRC,), nack=True, pli=True)


def viewed(stream: Stream, since: float) -> Viewed:
    """Have a viewer come `since` seconds after the camera began."""
    source = Source((track(stream),), 1, Counters(), 10_000_000, lambda _stream, _packet, _now: None)
    leg = Leg(LegSpec(ssrc=7, clock_rate=90_000, template=HeaderTemplate(100, b"1", mid_id=3)), 1000, 5000, 2000)
    got: list[_Got] = []
    inbound: Inbound | None = None
    waiting = list(stream.packets)
    now = 0.0
    while waiting or (inbound is not None and inbound.pending):
        now += TICK
        while waiting and waiting[0].at <= now:
            inbound = source.receive(waiting.pop(0).packet, now) or inbound
        if inbound is None or (waiting and inbound.gathering(now) > 0):
            continue
        batch = inbound.take()
        if leg.running:
            got += [each for burst in bursts(batch) for each in _sent(leg, leg.admit(burst, now))]
        elif now >= since and (replay := inbound.cache.replay()):
            got += [each for burst in leg.start(replay, now) for each in _sent(leg, burst)]
    got.sort(key=lambda each: each.sequence)
    return Viewed(shown_in(START + START.join(_units(got))) if got else (), tuple(_false_markers(got)))


def _sent(leg: Leg, burst: Burst | None) -> list[_Got]:
    return [] if burst is None else [_got(leg, media) for media in burst.packets]


def _got(leg: Leg, media: MediaPacket) -> _Got:
    return _Got(media.index + leg.shift, media.timestamp + leg.timestamp_shift & 0xFFFFFFFF, media.marker, media.payload)


def _units(packets: Sequence[_Got]) -> list[bytes]:
    """Return the NAL units of these packets in order; a fragment without its beginning is left out."""
    out: list[bytes] = []
    fragment: bytearray | None = None
    for packet in packets:
        payload = packet.payload
        kind = payload[0] & 31
        if kind == 28:
            if payload[1] & 0x80:
                fragment = bytearray((payload[0] & 0xE0 | payload[1] & 31,))
            if fragment is not None:
                fragment += payload[2:]
                if payload[1] & 0x40:
                    out.append(bytes(fragment))
                    fragment = None
        elif kind == 24:
            at = 1
            while at + 2 < len(payload):
                length = int.from_bytes(payload[at : at + 2], "big")
                out.append(payload[at + 2 : at + 2 + length])
                at += 2 + length
        elif 1 <= kind <= 23:
            out.append(payload)
    return out


def _has_slice(packet: _Got) -> bool:
    """Return whether a packet carries a slice, or a part of one."""
    kind, rest = packet.payload[0] & 31, packet.payload[1:2]
    return kind in SLICES or (kind == 28 and rest[0] & 31 in SLICES) or (kind == 24 and packet.payload[3] & 31 in SLICES)


def _false_markers(packets: Sequence[_Got]) -> list[str]:
    """Return where a marker stands inside a picture, or a picture that another follows ends without one.

    Parameter sets behind the marker, of the same time, are some cameras' way of sending those of the next picture.
    """
    out = []
    for one, following in zip(packets, packets[1:], strict=False):
        if following.sequence != one.sequence + 1:
            continue
        ends = one.timestamp != following.timestamp
        if one.marker and not ends and _has_slice(following):
            out.append(f"packet {one.sequence}: a marker inside a picture")
        if ends and not one.marker and _has_slice(one):
            out.append(f"packet {one.sequence}: a picture ends without a marker")
    return out


def faults(stream: Stream, found: Viewed, since: float) -> list[str]:
    """Return what breaks the law."""
    in_order = sorted(stream.pictures, key=lambda each: each.number)
    expected = [stream.shown[picture.number] for picture in in_order]
    strange = [digest for digest in found.pictures if digest not in expected]
    places = [expected.index(digest) for digest in found.pictures if digest in expected]
    out = list(found.markers[:3]) if not stream.lost else []
    if places != sorted(places):
        out.append("pictures in another order")
    if stream.lost:
        return out
    if strange and not stream.habits.refresh:
        out.append(f"{len(strange)} pictures are not the source's")
    keys = [picture for picture in stream.pictures if picture.key and picture.at <= since] or list(stream.pictures[:1])
    due = [each.number for each in in_order if each.number >= keys[-1].number and each.at >= since + TICK]
    if missing := [number for number in due if stream.shown[number] not in found.pictures]:
        out.append(f"{len(missing)} of {len(due)} pictures are missing, the first is {missing[0]}")
    return out
