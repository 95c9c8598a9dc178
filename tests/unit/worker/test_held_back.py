"""Packets wait for the signed start of their recording: the first ones, in order, and not without end."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from relay.base.counters import Counters
from relay.channel import messages as m
from relay.worker import held_back
from relay.worker.held_back import HeldBack, WaitingRoom
from relay.worker.tap import TapFeed
from tests.support.ports import until
from tests.unit.worker.test_tap import TRACK, Side

SOUND = m.Track(2, "audio", 111, 48_000, "")
SECOND = 1_000_000_000


def _nobody() -> None:
    """Nobody wants to know that the first packet came."""


def _waiting(capacity: int = held_back.MAX_BYTES_IN_ALL) -> tuple[HeldBack, WaitingRoom, Counters]:
    counters = Counters()
    room = WaitingRoom(counters, capacity)
    return HeldBack(room, _nobody), room, counters


def test_what_waited_comes_out_in_order_with_the_tracks_it_came_under() -> None:
    waiting, _, counters = _waiting()
    waiting.take((TRACK,), [(1, b"one")])
    waiting.take((TRACK,), [(2, b"two")])
    waiting.take((TRACK, SOUND), [(3, b"three")])
    assert list(waiting.release()) == [((TRACK,), [(1, b"one"), (2, b"two")]), ((TRACK, SOUND), [(3, b"three")])]
    assert (waiting.since, waiting.lost, counters.values["tap_held_back"]) == (1, 0, 3)


def test_a_packet_that_comes_too_late_after_the_first_is_lost_and_so_are_all_after_it() -> None:
    waiting, _, counters = _waiting()
    late = int(held_back.MAX_SECONDS * SECOND) + 2
    waiting.take((TRACK,), [(1, b"one"), (late, b"two")])
    waiting.take((TRACK,), [(2, b"again in time")])
    assert [packets for _, packets in waiting.release()] == [[(1, b"one")]]
    assert waiting.lost == counters.values["tap_held_back_lost"] == 2


def test_a_camera_that_leaves_gives_its_room_back() -> None:
    waiting, room, counters = _waiting()
    before = room.left
    waiting.take((TRACK,), [(1, b"one")])
    assert room.left < before
    waiting.drop()
    assert room.left == before
    assert counters.values["tap_held_back_lost"] == 1


@given(st.lists(st.integers(0, 3000), max_size=80), st.integers(0, 50_000))
def test_no_more_than_the_room_holds_is_kept_and_nothing_is_lost_silently(sizes: list[int], capacity: int) -> None:
    waiting, room, _ = _waiting(capacity)
    for at, size in enumerate(sizes):
        waiting.take((TRACK,), [(at, bytes(size))])
    assert 0 <= room.left <= capacity
    kept = [packet for _, packets in waiting.release() for packet in packets]
    assert room.left == capacity
    assert sum(len(packet) for _, packet in kept) <= capacity
    assert len(kept) + waiting.lost == len(sizes)
    assert [arrival for arrival, _ in kept] == list(range(len(kept))), "the first ones, without a hole"


async def test_the_recorder_gets_what_waited_before_what_comes_and_hears_what_was_lost(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    waiting = HeldBack(side.tap.room, _nobody)
    side.feed = TapFeed("reserved", "cam", waiting)
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one")
    side.tap.sender(side.feed, m.TapSender("reserved", 1, 2, 3, 4, None))
    side.tap.retrack(side.feed, (TRACK, SOUND))
    side.add(b"two")
    waiting.lost = 3
    assert side.received == []
    side.tap.begin(side.feed, "recording")
    side.add(b"three")
    await until(lambda: len(side.received) == 7)
    at = 1_500_000_000
    assert side.received == [
        m.TapOpen("recording", "cam", (TRACK,)),
        m.TapPackets("recording", [(at, b"one")]),
        m.TapOpen("recording", "cam", (TRACK, SOUND)),
        m.TapPackets("recording", [(at, b"two")]),
        m.TapSender("recording", 1, 2, 3, 4, None),
        m.TapLost("recording", 3),
        m.TapPackets("recording", [(at, b"three")]),
    ]
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_what_waited_goes_on_waiting_while_the_recorder_is_not_connected(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.feed = TapFeed("reserved", "cam", HeldBack(side.tap.room, _nobody))
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one")
    side.tap.begin(side.feed, "recording")
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    server = await side.listen()
    await until(lambda: side.tap.connected)
    side.tap.flush(side.feed)
    await until(lambda: len(side.received) == 2)
    assert side.received[1] == m.TapPackets("recording", [(1_500_000_000, b"one")])
    assert side.counters.values["tap_lost"] == 0
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_what_waited_for_a_camera_that_left_reaches_its_recording_and_then_its_end(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: []))
    await until(lambda: side.tap.connected)
    side.feed = TapFeed("reserved", "cam", HeldBack(side.tap.room, _nobody))
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one")
    side.tap.close(side.feed, m.TapClose("reserved", "lost"))
    assert side.received == []
    side.tap.begin(side.feed, "recording")
    await until(lambda: len(side.received) == 3)
    assert side.received[1:] == [m.TapPackets("recording", [(1_500_000_000, b"one")]), m.TapClose("recording", "lost")]
    assert side.counters.values["tap_held_back_lost"] == 0
    running.cancel()
    side.tap.disconnect()
    server.close()


def test_a_recording_that_takes_the_place_of_another_gives_the_room_of_what_waited_back_and_says_what_was_lost(
    tmp_path: Path,
) -> None:
    side = Side(tmp_path)
    room = side.tap.room.left
    side.feed = TapFeed("first", "cam", HeldBack(side.tap.room, _nobody))
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one")
    side.tap.begin(side.feed, "first")  # it is open, but the recorder is away
    side.tap.add(side.feed, b"two", 1.5)
    later = TapFeed("second", "cam")
    side.tap.switch(side.feed, later)
    assert side.tap.room.left == room
    assert (later.tracks, later.lost) == ((TRACK,), 2)
    assert side.counters.values["tap_held_back_lost"] == 2
