"""What one camera can make its worker tell the recorder: streams that change again and again, floods of sender reports."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.channel import messages as m
from relay.fanout.source import REPORTS_BURST, REPORTS_PER_SECOND
from relay.fanout.stream import Stream
from relay.rtp import rtcp
from relay.transport.sdp_types import Codec, Extensions, MediaIn, PublisherAnswer, Remote
from relay.worker.camera_peer import RETRACK_BURST, CameraEvents, CameraPeer
from relay.worker.tap import Tap, TapFeed
from tests.support.rtp_source import rtp

SLICE = b"\x41\x80" + bytes(20)


class Told(Tap):
    """A tap that notes what it is told; nobody is connected to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "none.sock", bytes(32), 1 << 20, Counters(), lambda _: None, lambda: m.Pong("worker", 0, 1, 1)
        )
        self.streams: list[tuple[m.Track, ...]] = []
        self.reports: list[m.TapSender] = []

    def retrack(self, feed: TapFeed, tracks: tuple[m.Track, ...]) -> None:
        if tracks != feed.tracks:
            self.streams.append(tracks)
        super().retrack(feed, tracks)

    def sender(self, feed: TapFeed, message: m.TapSender) -> None:
        self.reports.append(message)


def media(kind: str, payload_type: int) -> MediaIn:
    codec = Codec(payload_type, "H264" if kind == "video" else "opus", 90_000, 1, "", frozenset(), None)
    return MediaIn("video" if kind == "video" else "audio", kind[0], codec, Extensions(), (), {}, (), None)


def _feed(peer: CameraPeer, recording: str, is_open: bool) -> TapFeed:
    return TapFeed(recording, peer.camera)


@pytest.fixture
async def camera(tmp_path: Path) -> tuple[CameraPeer, Told, ManualClock]:
    clock, tap, loop = ManualClock(), Told(tmp_path), asyncio.get_running_loop()
    events = CameraEvents(lambda *_: None, lambda *_: None, lambda *_: None, loop.call_later, _feed)
    answer = PublisherAnswer("", Remote("u", "p", (), "active"), media("video", 96), media("audio", 111))
    request = m.PublishOpen("session", "cam", "", True, "recording", 5.0)
    return CameraPeer(request, answer, clock, Counters(), tap, events, 8_000_000), tap, clock


async def test_a_camera_that_changes_its_stream_with_every_packet_is_announced_once_a_second(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, tap, clock = camera
    seconds = 10
    for number in range(1000 * seconds):
        packet = rtp(96, number & 0xFFFF, number * 90, 1000 + number, True, SLICE)
        peer.source.receive(packet, clock.monotonic())
        clock.advance(0.001)
    assert 2 <= len(tap.streams) <= RETRACK_BURST + seconds + 1


async def test_a_camera_whose_layers_change_places_again_and_again_is_announced_once_a_second(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, tap, clock = camera
    peer.source.receive(rtp(96, 1, 0, 1, True, SLICE), clock.monotonic())
    (first,) = peer.source.layers.values()
    second = peer.source.layers["b"] = Stream(2, "b", first.spec, peer.source.clock)
    seconds = 10
    for number in range(40 * seconds):
        first.received_at = second.received_at = clock.monotonic()
        first.pictures.width, second.pictures.width = (640, 1280) if number % 2 else (1280, 640)
        first.pictures.height = second.pictures.height = 480
        peer.tick(clock.monotonic())
        clock.advance(0.025)
    assert seconds // 2 <= len(tap.streams) <= RETRACK_BURST + seconds + 1


async def test_picture_and_sound_are_announced_at_once(camera: tuple[CameraPeer, Told, ManualClock]) -> None:
    peer, tap, clock = camera
    peer.source.receive(rtp(96, 1, 0, 1, True, SLICE), clock.monotonic())
    peer.source.receive(rtp(111, 1, 0, 2, True, b"\xf8" + bytes(9)), clock.monotonic())
    assert [track.ssrc for track in tap.streams[-1]] == [1, 2]


async def test_the_recorder_learns_at_the_first_packet_which_other_track_was_agreed(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, tap, clock = camera
    peer.source.receive(rtp(111, 1, 0, 2, True, b"\xf8" + bytes(9)), clock.monotonic())
    assert [(track.kind, track.ssrc) for track in tap.streams[0]] == [("video", None), ("audio", 2)]


async def test_a_flood_of_sender_reports_reaches_the_recorder_at_a_bounded_rate(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, tap, clock = camera
    assert peer.peer is None
    peer.source.receive(rtp(96, 1, 0, 1, True, SLICE), clock.monotonic())
    for number in range(5000):
        report = rtcp.build_sender_report(rtcp.SenderReport(1, (number + 1) << 32, number, 1, 1, ()))
        peer.on_rtcp(None, report, clock.monotonic())  # type: ignore[arg-type]
        clock.advance(0.001)
    assert 10 <= len(tap.reports) <= REPORTS_BURST + REPORTS_PER_SECOND * 5 + 1


async def test_packets_that_are_dropped_before_the_tap_are_told_to_it_with_their_time(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, _, clock = camera
    assert peer.feed is not None
    peer.tick(clock.monotonic())
    since = clock.monotonic()
    peer.peer = SimpleNamespace(paced=7, connected=False)  # type: ignore[assignment]
    clock.advance(0.025)
    peer.tick(clock.monotonic())
    assert peer.feed.drops == m.TapDropped("recording", 7, int(since * 1e9), int(clock.monotonic() * 1e9))
    clock.advance(0.025)
    peer.tick(clock.monotonic())
    assert peer.feed.drops.packets == 7, "told once"


async def test_every_packet_of_streams_that_begin_too_fast_is_tapped_or_told_as_dropped(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    peer, _, clock = camera
    assert peer.feed is not None
    for number in range(500):
        peer.source.receive(rtp(96, number, number * 90, 1000 + number, True, SLICE), clock.monotonic())
        clock.advance(0.001)
    peer.tick(clock.monotonic())
    assert peer.feed.drops is not None
    assert len(peer.feed.pending) + peer.feed.lost + peer.feed.drops.packets == 500


async def test_another_recording_gets_the_parameter_sets_that_came_before_it(
    camera: tuple[CameraPeer, Told, ManualClock],
) -> None:
    """A camera may send them once: the recorder that begins an hour later must know them."""
    peer, tap, clock = camera
    sps, pps = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8"), b"\x68\xce\x3c\x80"
    for number, payload in enumerate((sps, pps, SLICE)):
        peer.source.receive(rtp(96, number, 0, 1, payload is SLICE, payload), clock.monotonic())
    assert peer.feed is not None
    assert peer.feed.sets is not None
    assert peer.feed.sets.units == (sps, pps)
    following = TapFeed("another", "cam")
    peer.feed_next(following)
    assert following.sets is not None
    assert following.sets.units == (sps, pps)
    assert following.tracks == tap.streams[-1]
