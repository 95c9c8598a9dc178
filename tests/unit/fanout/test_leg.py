"""A leg: what it rewrites, and that it never gives the same index twice (I10), whatever its sources do."""

import struct
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.fanout.leg import MAX_BACK, MAX_MISSING_RANGES, REPLAY_STEP, Leg, LegSpec
from relay.rtp import header as rtp
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket, Part, bursts

TEMPLATE = HeaderTemplate(100, b"1", mid_id=3)
SPEC = LegSpec(ssrc=7, clock_rate=90_000, template=TEMPLATE, rtx_ssrc=8, rtx_payload_type=101)


class Running:
    """A leg whose bursts are turned into the packets that would be sealed."""

    def __init__(self, spec: LegSpec = SPEC, first: int = 1000) -> None:
        self.leg = Leg(spec, first, 5_000, 2000)

    def start(self, replay: list[MediaPacket], now: float) -> list[Part]:
        """Begin with a source."""
        return [part for burst in self.leg.start(replay, now) for part in self._parts(burst, now)]

    def forward(self, batch: list[MediaPacket], now: float) -> list[Part]:
        """Send a batch."""
        admitted = [self.leg.admit(burst, now) for burst in bursts(batch)]
        return [part for burst in admitted if burst is not None for part in self._parts(burst, now)]

    def thin(self, batch: list[MediaPacket], wanted: Callable[[MediaPacket], bool], *, alone: bool = False) -> list[Part]:
        """Send what is wanted of a batch."""
        parts: list[Part] = []
        for one in bursts(batch):
            burst = self.leg.thin(one, wanted, 0.0, alone=alone)
            if burst is not None:  # sealed at once, as a worker does: the next burst may shift the leg
                parts += self._parts(burst, 0.0)
        return parts

    def resend(self, sequences: list[int], now: float) -> list[Part]:
        """Answer a NACK."""
        return self.leg.resend(sequences, now)

    def stop(self) -> None:
        """Take the source away."""
        self.leg.stop()

    def _parts(self, burst: Burst, now: float) -> list[Part]:
        """Do what an SRTP session does with a layout, but for the cipher."""
        layout = burst.layout((self.leg.spec.template, 16), now)
        parts = []
        for index, timestamp, at, header, payload, _ in layout.items:
            own = index + self.leg.shift
            time = (timestamp + self.leg.timestamp_shift) & 0xFFFFFFFF
            rtp.patch(layout.buffer, at - 2, own & 0xFFFF, time, self.leg.spec.ssrc)
            parts.append((bytes(header), payload, own))
        return parts


def leg(spec: LegSpec = SPEC, first: int = 1000) -> Running:
    """A fresh leg."""
    return Running(spec, first)


def picture(index: int, timestamp: int, at: float = 0.0) -> MediaPacket:
    """One packet of a picture."""
    return MediaPacket(index, timestamp, True, b"picture %d" % index, at)


def headers(parts: list[Part]) -> list[rtp.RtpHeader]:
    """The headers of parts."""
    return [rtp.parse(header + payload) for header, payload, _ in parts]


def test_a_leg_speaks_with_its_own_ssrc_type_and_sequence() -> None:
    parts = leg().start([picture(70_000, 9)], 1.0)
    (header,) = headers(parts)
    assert (header.ssrc, header.payload_type, header.sequence, header.marker) == (7, 100, 1000, True)
    assert parts[0][1:] == (b"picture 70000", 1000)


def test_sequence_and_index_go_on_over_the_wrap() -> None:
    running = leg(first=0x7FFF)
    running.start([picture(10, 0)], 0.0)
    parts = running.forward([picture(index, 0) for index in range(11, 40_000)], 0.0)
    assert [part[2] for part in parts] == list(range(0x8000, 0x8000 + len(parts)))
    assert all(header.sequence == part[2] & 0xFFFF for header, part in zip(headers(parts), parts, strict=True))


def test_a_switch_of_camera_leaves_no_gap_and_time_goes_on_with_our_clock() -> None:
    running = leg()
    first = running.start([picture(10, 4_000_000_000)], 1.0)
    running.stop()
    second = running.start([picture(99_999, 17)], 3.0)
    assert second[0][2] == first[0][2] + 1
    elapsed = (headers(second)[0].timestamp - headers(first)[0].timestamp) & 0xFFFFFFFF
    assert elapsed == 2 * 90_000


def test_a_replay_carries_compressed_timestamps_and_live_packets_follow_on() -> None:
    running = leg()
    replay = [picture(index, 3000 * index) for index in range(10, 40)]
    stamps = [header.timestamp for header in headers(running.start(replay, 1.0))]
    assert [after - before for before, after in zip(stamps, stamps[1:], strict=False)] == [REPLAY_STEP] * 29
    (live,) = headers(running.forward([picture(40, 3000 * 40)], 1.03))
    assert live.timestamp - stamps[-1] == 3000


def test_a_late_packet_of_a_replayed_picture_has_that_pictures_timestamp() -> None:
    running = leg()
    stamps = [h.timestamp for h in headers(running.start([picture(10, 0), picture(12, 3000), picture(13, 6000)], 1.0))]
    (late,) = headers(running.forward([picture(11, 3000)], 1.1))
    assert late.timestamp == stamps[1]


def test_a_gap_left_by_the_camera_stays_open_and_is_filled_once() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    assert [part[2] for part in running.forward([picture(13, 0)], 0.0)] == [1003]
    assert [part[2] for part in running.forward([picture(11, 0)], 0.1)] == [1001]
    assert running.forward([picture(11, 0)], 0.2) == []
    assert running.forward([picture(13, 0)], 0.2) == []


def test_packets_from_before_the_start_are_not_sent() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    assert running.forward([picture(9, 0)], 0.0) == []


def test_packets_left_out_on_purpose_leave_no_gap() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    assert running.thin([picture(11, 3000), picture(12, 3000)], lambda media: False) == []
    parts = running.forward([picture(13, 6000)], 0.1)
    assert [part[2] for part in parts] == [1001]
    assert headers(parts)[0].timestamp - 5_000 - REPLAY_STEP == 6000


def test_a_stopped_leg_sends_and_resends_nothing() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    running.stop()
    assert running.forward([picture(11, 0)], 0.0) == []
    assert running.resend([1000], 0.0) == []


def test_a_nack_is_answered_by_rtx() -> None:
    running = leg()
    (sent,) = running.start([picture(10, 0)], 0.0)
    (repair,) = running.resend([1000], 0.1)
    packet = repair[0] + repair[1]
    header = rtp.parse(packet)
    assert (header.ssrc, header.payload_type, header.sequence) == (8, 101, 2000)
    assert rtp.unwrap_rtx(packet, header, 7, 100) == sent[0] + sent[1]


def test_a_nack_for_what_was_never_sent_is_not_answered() -> None:
    running = leg()
    running.start([picture(10, 0), picture(12, 0)], 0.0)
    assert running.resend([1001, 1003, 999, 40_000], 0.1) == []


def test_a_leg_without_rtx_leaves_resending_to_the_sealed_bytes() -> None:
    running = leg(LegSpec(7, 90_000, TEMPLATE))
    running.start([picture(10, 0)], 0.0)
    assert running.resend([1000], 0.1) == []


def test_extensions_are_those_of_the_viewer() -> None:
    template = HeaderTemplate(100, b"slot", mid_id=4, abs_send_time_id=2, playout_delay_id=6, playout_delay=b"\0\0\x28")
    (part,) = leg(LegSpec(7, 90_000, template)).start([picture(10, 0)], 2.5)
    packet = part[0] + part[1]
    header = rtp.parse(packet)
    assert rtp.extension(packet, header, 4) == b"slot"
    assert rtp.extension(packet, header, 2) == struct.pack(">I", int(2.5 * 2**18))[1:]
    assert rtp.extension(packet, header, 6) == (40).to_bytes(3, "big")
    bare = leg(LegSpec(7, 90_000, HeaderTemplate(100))).start([picture(1, 0)], 0.0)
    assert headers(bare)[0].extension_profile == 0


def test_a_thinned_batch_is_contiguous_and_live_packets_follow_on() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    parts = running.thin([picture(index, 3000 * index) for index in range(11, 21)], lambda media: media.index % 3 == 0)
    parts += running.forward([picture(21, 63_000), picture(22, 66_000)], 0.1)
    assert [part[2] for part in parts] == [1001, 1002, 1003, 1004, 1005]
    assert [part[1] for part in parts] == [b"picture %d" % index for index in (12, 15, 18, 21, 22)]
    stamps = [header.timestamp for header in headers(parts)]
    assert [after - stamps[0] for after in stamps] == [0, 9000, 18_000, 27_000, 30_000]


def test_what_was_thinned_is_resent_under_the_number_it_had() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    sent = running.thin([picture(index, 0) for index in range(11, 21)], lambda media: media.index % 3 == 0)
    for part in sent:
        (repair,) = running.resend([part[2]], 0.5)
        packet = repair[0] + repair[1]
        assert rtp.unwrap_rtx(packet, rtp.parse(packet), 7, 100) == part[0] + part[1]


def test_a_burst_that_a_replay_covered_already_is_sent_only_as_far_as_it_is_new() -> None:
    running = leg()
    running.start([picture(10, 0), picture(11, 0)], 0.0)
    parts = running.forward([picture(index, 0) for index in (9, 10, 11, 12, 13)], 0.1)
    assert [part[1] for part in parts] == [b"picture 12", b"picture 13"]


def test_a_packet_repaired_twice_is_sent_once_also_where_the_burst_after_its_gap_has_one_too() -> None:
    running = leg()
    running.start([picture(10, 0)], 0.0)
    running.forward([picture(12, 3000), picture(14, 3000)], 0.1)
    parts = running.forward([picture(11, 0), picture(11, 0), picture(13, 0), picture(13, 0)], 0.2)
    assert [part[1] for part in parts] == [b"picture 11", b"picture 13"]


class AnyLife(RuleBasedStateMachine):
    """Cameras come, lose, repeat and repair packets, viewers are slow and ask again: I10 holds throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.running = leg(first=0x7FF0)
        self.leg = self.running.leg
        self.sealed: set[tuple[int, int]] = set()
        self.now = 0.0
        self.next = 100
        self.absent: list[int] = []
        self.last_timestamp: int | None = None

    def _take(self, parts: list[Part]) -> None:
        for header, _, index in parts:
            key = (int.from_bytes(header[8:12], "big"), index)
            assert key not in self.sealed
            assert index & 0xFFFF == int.from_bytes(header[2:4], "big")
            assert index <= max(self.leg.high, self.leg.rtx_high)
            assert 0 <= index < 1 << 48
            self.sealed.add(key)

    @rule(first=st.integers(0, 1 << 20), count=st.integers(1, 80), pictures=st.integers(1, 8), later=st.floats(0, 100))
    def begin(self, first: int, count: int, pictures: int, later: float) -> None:
        """A camera, or another layer, is given."""
        self.now += later
        replay = [picture(first + at, at // pictures * 3000) for at in range(count)]
        self.absent = []
        parts = self.running.start(replay, self.now)
        assert len(parts) == count
        self._take(parts)
        newest = headers(parts)[-1].timestamp
        if self.last_timestamp is not None:
            assert (newest - self.last_timestamp) & 0xFFFFFFFF > 0
        self.last_timestamp = newest
        self.next = first + count

    @precondition(lambda self: self.leg.running)
    @rule(lost=st.lists(st.booleans(), min_size=1, max_size=100))
    def packets(self, lost: list[bool]) -> None:
        """A batch with losses."""
        batch = []
        for gone in lost:
            if gone:
                self.absent.append(self.next)
            else:
                batch.append(picture(self.next, self.next * 3000))
            self.next += 1
        self._take(self.running.forward(batch, self.now))

    @precondition(lambda self: self.leg.running)
    @rule(data=st.data())
    def repairs(self, data: Any) -> None:
        """Anything at all comes late or twice."""
        known = st.integers(max(0, self.next - 700), self.next - 1)
        late = data.draw(st.lists(st.one_of(known, st.sampled_from(self.absent or [0])), max_size=30))
        self._take(self.running.forward([picture(index, 0) for index in late], self.now))

    @precondition(lambda self: self.leg.running)
    @rule(kept=st.lists(st.booleans(), min_size=1, max_size=40), back=st.integers(0, 20))
    def slow_viewer(self, kept: list[bool], back: int) -> None:
        """Some of a batch, which may overlap with what was, is left out."""
        first = max(0, self.next - back)
        batch = [picture(first + at, 0) for at in range(len(kept))]
        self._take(self.running.thin(batch, lambda media: kept[media.index - first]))
        self.next = max(self.next, first + len(kept))

    @rule(back=st.lists(st.integers(0, 3000), max_size=40), later=st.floats(0, 2))
    def asked_again(self, back: list[int], later: float) -> None:
        """The viewer NACKs."""
        self.now += later
        self._take(self.leg.resend([(self.leg.high - step) & 0xFFFF for step in back], self.now))

    @rule()
    def end(self) -> None:
        """The camera is taken away."""
        self.leg.stop()

    @invariant()
    def memory_is_bounded(self) -> None:
        """Open ranges are few after any packets."""
        assert self.leg.missing_ranges <= MAX_MISSING_RANGES


AnyLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_no_index_is_ever_sealed_twice = AnyLife.TestCase


def test_a_leg_thinned_over_several_bursts_gives_each_index_once() -> None:
    running = leg()
    running.start([picture(0, 0)], 0.0)
    parts = running.thin([picture(at, 0) for at in range(1, 80)], lambda media: media.index % 33 in (31, 0))
    assert [part[2] - parts[0][2] for part in parts] == list(range(len(parts)))


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(0, 0x7FFF))
def test_sequence_numbers_have_a_gap_only_where_the_camera_had_one(kept: list[bool], first: int) -> None:
    running = leg(first=first)
    running.start([picture(0, 0)], 0.0)
    batch = [picture(at + 1, 0) for at, keep in enumerate(kept) if keep]
    parts = running.forward(batch, 0.0)
    assert [part[2] - first for part in parts] == [media.index for media in batch]


def frames(*indices: int, every: int = 2) -> list[MediaPacket]:
    """Pictures of one packet, of which every so manyth (the odd ones) no other refers to."""
    return [MediaPacket(at, 3000 * at, True, b"picture %04d" % at, 0.0, droppable=at % every == 1) for at in indices]


def is_needed(media: MediaPacket) -> bool:
    """What a slow viewer is sent."""
    return not media.droppable


def sources(parts: list[Part]) -> dict[int, int]:
    """Which packet of the camera left under which index, the leg's first as 0."""
    return {index - 1000: int(payload.split()[1]) for _, payload, index in parts}


def test_a_droppable_packet_that_comes_late_fills_the_gap_that_its_loss_left() -> None:
    running = leg()
    sent = sources(running.start(frames(0), 0.0))
    for batch in (frames(2), frames(1)):
        sent |= sources(running.thin(batch, is_needed))
    assert sent == {0: 0, 1: 1, 2: 2}


def test_a_droppable_packet_behind_a_lost_one_does_not_close_the_place_of_the_lost_one() -> None:
    running = leg()
    sent = sources(running.start(frames(0), 0.0))
    for batch in (frames(1), frames(3), frames(4), frames(2)):
        sent |= sources(running.thin(batch, is_needed))
    assert sent == {0: 0, 1: 2, 2: 4}


def test_no_gap_is_left_where_all_lost_packets_came_late() -> None:
    running = leg()
    sent = sources(running.start(frames(0), 0.0))
    late: list[MediaPacket] = []
    for media in frames(*range(1, 1001)):
        if media.index % 20 in (7, 12):
            late.append(media)
            continue
        sent |= sources(running.thin([media], is_needed))
        if late and media.index - late[0].index >= 3:
            sent |= sources(running.thin([late.pop(0)], is_needed))
    assert sorted(sent) == list(range(max(sent) + 1))
    assert [sent[index] for index in sorted(sent)] == sorted(sent.values())
    assert set(range(0, 1001, 2)) <= set(sent.values())


def test_what_a_late_packet_is_resent_for_is_that_packet() -> None:
    running = leg()
    running.start(frames(0), 0.0)
    parts = [part for batch in (frames(1), frames(3), frames(4), frames(2)) for part in running.thin(batch, is_needed)]
    for header, payload, index in parts:
        (repair,) = running.resend([index & 0xFFFF], 0.1)
        packet = repair[0] + repair[1]
        assert rtp.unwrap_rtx(packet, rtp.parse(packet), 7, 100) == header + payload


def test_a_loss_within_a_picture_that_is_left_out_is_left_out_with_it() -> None:
    running = leg()
    running.start(frames(0), 0.0)
    picture = [MediaPacket(at, 3000, at == 9, b"picture %04d" % at, 0.0, droppable=True) for at in range(1, 10)]
    assert running.thin(picture[:3] + picture[6:], is_needed) == []
    assert sources(running.thin(frames(10), is_needed)) == {1: 10}
    assert running.thin(picture[3:6], is_needed) == []


def test_a_viewer_of_keyframes_only_sees_no_gap_for_losses_between_them() -> None:
    running = leg()
    running.start(frames(0), 0.0)
    kept = [part for at in (1, 2, 5, 6, 19, 20) for part in running.thin(frames(at), lambda m: m.index % 20 == 0, alone=True)]
    assert sources(kept) == {1: 20}
    kept = [part for at in (22, 40, 39) for part in running.thin(frames(at), lambda m: m.index % 20 == 0, alone=True)]
    assert sources(kept) == {20: 40, 19: 39}, "what was lost beside a keyframe may have been of it"


def test_a_packet_that_comes_later_than_a_receiver_takes_is_not_sent() -> None:
    running = leg()
    running.start(frames(0), 0.0)
    running.forward(frames(2, *range(3, MAX_BACK + 10)), 0.0)
    assert running.forward(frames(1), 0.0) == []


class Thinned(RuleBasedStateMachine):
    """A slow viewer behind a radio that loses and repairs: a gap in its numbers is a packet that is really missing."""

    def __init__(self) -> None:
        super().__init__()
        self.running = leg()
        self.next = 1
        self.missing: dict[int, MediaPacket] = {}
        self.sent = sources(self.running.start(frames(0), 0.0))
        self.thinned = True

    def _take(self, batch: list[MediaPacket]) -> None:
        parts = self.running.thin(batch, is_needed) if self.thinned else self.running.forward(batch, 0.0)
        fresh = sources(parts)
        assert not fresh.keys() & self.sent.keys()
        assert not set(fresh.values()) & set(self.sent.values())
        self.sent |= fresh

    @rule(pictures=st.lists(st.tuples(st.booleans(), st.lists(st.booleans(), min_size=1, max_size=4)), min_size=1, max_size=8))
    def send(self, pictures: list[tuple[bool, list[bool]]]) -> None:
        """Pictures, droppable or not, some of whose packets are lost."""
        batch = []
        for droppable, lost in pictures:
            timestamp = 3000 * self.next
            for gone in lost:
                media = MediaPacket(self.next, timestamp, False, b"picture %04d" % self.next, 0.0, droppable=droppable)
                self.next += 1
                if gone:
                    self.missing[media.index] = media
                else:
                    batch.append(media)
        if batch:
            self._take(batch)

    @rule(data=st.data())
    def recover(self, data: Any) -> None:
        """Some of what is missing, not too old, comes late and in any order."""
        young = [index for index in self.missing if index > self.next - 60]
        if young:
            chosen = data.draw(st.lists(st.sampled_from(young), min_size=1, max_size=10, unique=True))
            self._take([self.missing.pop(index) for index in chosen])

    @rule()
    def step_on_the_ladder(self) -> None:
        """The viewer keeps up again, or no longer."""
        self.thinned = not self.thinned

    @invariant()
    def the_order_is_the_cameras(self) -> None:
        """Indices rise as the camera's do."""
        ordered = [self.sent[index] for index in sorted(self.sent)]
        assert ordered == sorted(set(ordered))

    @invariant()
    def gaps_are_losses(self) -> None:
        """Between two neighbours there are no more gaps than packets missing, and one for each missing one that is needed."""
        places = sorted(self.sent)
        for before, after in zip(places, places[1:], strict=False):
            between = [m for i, m in self.missing.items() if self.sent[before] < i < self.sent[after]]
            needed = sum(is_needed(media) for media in between)
            assert needed <= after - before - 1 <= len(between)


Thinned.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_a_hole_in_what_a_slow_viewer_gets_is_a_packet_that_is_missing = Thinned.TestCase
