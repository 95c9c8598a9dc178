"""A slot: what it begins with, what it leaves out for a slow viewer, what it reports."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from relay.base.counters import Counters
from relay.fanout.clocks import CameraClock
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.limit import QualityLevel
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket
from relay.rtp.rtcp import ReportBlock
from relay.transport.port import Peer, Port
from relay.worker.leg_sender import LegSender
from relay.worker.slot import Slot

VIDEO = TrackSpec("video", "0", 96, 90_000)
AUDIO = TrackSpec("audio", "1", 111, 48_000)


class Recording(LegSender):
    """A sender that keeps what would be sealed."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg, cast(Port, SimpleNamespace(send_layout=lambda *_: 0)), Counters(), self)
        self.sent: list[bytes] = []
        self.replayed: list[bytes] = []
        self.firsts = 0

    def send(self, burst: Burst, now: float) -> None:
        """Take a burst."""
        self.sent += [media.payload for media in burst.packets]
        super().send(burst, now)

    def replay(self, bursts: Sequence[Burst], now: float) -> None:
        """Take what a leg begins with."""
        self.replayed += [media.payload for burst in bursts for media in burst.packets]

    def on_first_packet(self, sender: LegSender, now: float) -> None:
        """Count."""
        self.firsts += 1

    def on_backlog(self) -> None:
        """Not of interest here."""


def connected(sender: LegSender) -> None:
    """Let a peer's handshake be done that seals and sends nothing."""
    srtp = SimpleNamespace(overhead=16, seal_layout=lambda *_: None)
    sender.connect(cast(Peer, SimpleNamespace(srtp=srtp)))


@pytest.fixture
def sender() -> Recording:
    made = Recording(Leg(LegSpec(7, 90_000, HeaderTemplate(96)), 0, 0, 0))
    connected(made)
    return made


@pytest.fixture
def slot(sender: Recording) -> Slot:
    made = Slot(0, sender)
    made.assign("cam", "view", "high", 1e9)
    return made


def stream(*packets: MediaPacket) -> Stream:
    """A picture's stream that has received packets."""
    made = Stream(1, "", VIDEO, CameraClock())
    for media in packets:
        made.cache.add(media)
    return made


def packet(index: int, **flags: bool) -> MediaPacket:
    """One picture in one packet, which carries its number."""
    return MediaPacket(index, 3000 * index, True, b"%d" % index, 0.0, **flags)


def test_a_slot_begins_with_what_is_cached_and_goes_on_live(slot: Slot, sender: Recording) -> None:
    source = stream(packet(1, keyframe=True), packet(2), packet(3))
    slot.sender.deliver(source, Burst([packet(3)]), 1.0)
    slot.sender.deliver(source, Burst([packet(4)]), 1.1)
    assert sender.replayed == [b"1", b"2", b"3"]
    assert sender.sent == [b"4"]


def test_without_a_keyframe_it_waits_and_asks_for_one(slot: Slot, sender: Recording) -> None:
    source = stream(packet(1))
    slot.sender.deliver(source, Burst([packet(1)]), 1.0)
    assert sender.replayed == []
    assert source.keyframes.poll(1.0).value == "pli"


def test_sound_begins_with_its_newest_packet(slot: Slot, sender: Recording) -> None:
    slot.sender.deliver(Stream(2, "", AUDIO, CameraClock()), Burst([packet(1), packet(2)]), 1.0)
    assert sender.replayed == [b"2"]


def test_nothing_is_given_to_a_viewer_that_is_not_connected(slot: Slot, sender: Recording) -> None:
    sender.disconnect()
    slot.sender.deliver(stream(packet(1, keyframe=True)), Burst([packet(1)]), 1.0)
    assert (sender.replayed, slot.stream, sender.leg.running) == ([], None, False)


def test_a_slow_viewer_loses_droppable_frames_and_then_all_but_keyframes(slot: Slot, sender: Recording) -> None:
    source = stream(packet(1, keyframe=True))
    slot.sender.deliver(source, Burst([packet(1)]), 1.0)
    sender.set_level(QualityLevel.NO_DROPPABLE)
    slot.sender.deliver(source, Burst([packet(2), packet(3, droppable=True), packet(4)]), 1.1)
    sender.set_level(QualityLevel.KEYFRAMES)
    slot.sender.deliver(source, Burst([packet(5), packet(6, idr=True), packet(7)]), 1.2)
    assert sender.sent == [b"2", b"4", b"6"]
    assert (slot.layer, slot.report().limited) == ("key", True)


def test_a_viewer_that_asks_for_keyframes_because_of_b_pictures_gets_none_that_can_be_left_out(
    slot: Slot, sender: Recording
) -> None:
    source = stream(packet(1, keyframe=True))
    slot.sender.deliver(source, Burst([packet(2)]), 1.0)
    slot.note_keyframe_wish(1.0)
    slot.sender.deliver(source, Burst([packet(3, droppable=True)]), 1.1)
    source.pictures.reordered_at = 1.2
    slot.note_keyframe_wish(1.3)
    slot.sender.deliver(source, Burst([packet(4, droppable=True), packet(5)]), 1.4)
    slot.set_level(QualityLevel.ALL)
    slot.sender.deliver(source, Burst([packet(6, droppable=True), packet(7)]), 1.5)
    assert sender.sent == [b"3", b"5", b"7"]
    assert not slot.report().limited
    slot.assign("other", "view", "high", 1e9)
    assert slot.level is QualityLevel.ALL


def test_from_keyframes_only_it_begins_again_at_a_keyframe(slot: Slot, sender: Recording) -> None:
    source = stream(packet(1, keyframe=True))
    slot.sender.deliver(source, Burst([packet(1)]), 1.0)
    slot.want("key")
    slot.sender.deliver(source, Burst([packet(2)]), 1.1)
    slot.want("high")
    source.cache.add(packet(2))
    slot.sender.deliver(source, Burst([packet(2)]), 1.2)
    assert sender.replayed == [b"1", b"1", b"2"]
    assert sender.sent == []


def test_the_span_of_a_view_is_what_was_sent(slot: Slot) -> None:
    assert slot.span(10**18, 50.0) == (None, None)
    source = stream(packet(1, keyframe=True))
    slot.sender.deliver(source, Burst([packet(1)]), 1.0)
    slot.sender.deliver(source, Burst([packet(2)]), 40.0)
    slot.sender.deliver(source, Burst([packet(3)]), 45.0)
    assert slot.span(10**18, 50.0) == (10**18 - 10 * 10**9, 10**18 - 5 * 10**9)
    slot.clear()
    assert slot.span(10**18, 51.0) == (None, None)


def test_the_beginning_is_reported_once_per_view(slot: Slot, sender: Recording) -> None:
    source = stream(packet(1, keyframe=True))
    slot.sender.deliver(source, Burst([packet(1)]), 1.0)
    for index in range(2, 5):
        slot.sender.deliver(source, Burst([packet(index)]), 1.0)
    assert sender.firsts == 1


def test_the_round_trip_is_that_of_the_last_sender_report(slot: Slot) -> None:
    slot.take_report(ReportBlock(7, 64, 0, 0, 0, 0x10000, 0x8000), 0x1C000)
    assert slot.feedback.rtt == 0.25
    assert slot.feedback.loss == 0.25
    slot.take_report(ReportBlock(7, 0, 0, 0, 0, 0, 0), 0x1C000)
    assert slot.feedback.rtt == 0.25


def test_what_the_cameras_own_radio_loses_is_not_held_against_the_viewers_network(slot: Slot) -> None:
    slot.sender.begin(stream(packet(1, keyframe=True)), None, 0.0)
    assert slot.stream is not None
    slot.take_report(ReportBlock(7, 77, 0, 0, 0, 0, 0), 0)
    assert slot.load().loss == pytest.approx(0.3, abs=0.01)
    for sequence in range(100):
        if sequence % 4:
            slot.stream.inbound.accept(sequence, 0, 1.0)
    slot.stream.inbound.report(1, 0, 0)
    assert slot.load().loss == pytest.approx(0.05, abs=0.02)
    assert slot.report().loss == pytest.approx(0.3, abs=0.01), "the page gets the viewer's own figure"
