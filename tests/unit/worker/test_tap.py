"""The tap: recordings are announced, its queue is bounded, and lost packets are reported."""

import asyncio
from pathlib import Path

from relay.base.counters import Counters
from relay.channel import messages as m
from relay.channel.framing import Connection, listen
from relay.worker.tap import Tap, TapFeed
from tests.support.ports import until

TRACK = m.Track(1, "video", 96, 90_000, "")


class Side:
    """A tap, and the recorder at its other end."""

    def __init__(self, folder: Path, bound: int = 1 << 20) -> None:
        self.path = folder / "recorder-0.sock"
        self.counters = Counters()
        self.asked: list[m.KeyframeAsk] = []
        self.received: list[m.Message] = []
        self.connections: list[Connection] = []
        self.feed = TapFeed("recording", "cam")
        self.tap = Tap(self.path, bound, self.counters, self.asked.append, lambda: m.Pong("worker", 0, 1, 1))

    async def listen(self) -> asyncio.Server:
        """Start the recorder."""

        async def connected(connection: Connection) -> None:
            self.connections.append(connection)

        async def nothing(_: Connection, message: m.Message) -> m.Message:
            return m.Done()

        return await listen(
            self.path,
            connected,
            on_post=lambda _, message: self.received.append(message),
            on_ask=nothing,
            counters=self.counters,
        )

    def add(self, *packets: bytes) -> None:
        """Let packets pass."""
        for packet in packets:
            self.tap.add(self.feed, packet, 1.5)
        self.tap.flush(self.feed)


async def test_a_recording_is_announced_before_its_first_packet(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one", b"two")
    await until(lambda: len(side.received) == 2)
    assert side.received == [
        m.TapOpen("recording", "cam", (TRACK,)),
        m.TapPackets("recording", [(1_500_000_000, b"one"), (1_500_000_000, b"two")]),
    ]
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_packets_that_came_while_the_recorder_was_away_are_reported_as_lost_when_it_is_back(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.tap.retrack(side.feed, (TRACK,))
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    side.add(b"one", b"two")
    server = await side.listen()
    await until(lambda: side.tap.connected)
    side.add(b"three")
    await until(lambda: len(side.received) == 3)
    assert [type(message) for message in side.received] == [m.TapOpen, m.TapLost, m.TapPackets]
    assert side.received[1] == m.TapLost("recording", 2)
    assert side.counters.values["tap_lost"] == 2
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_recordings_are_announced_again_to_a_recorder_that_came_back(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    side.add(b"one")
    await until(lambda: len(side.received) == 2)
    side.connections[-1].close()
    await until(lambda: len(side.connections) == 2)
    await until(lambda: side.tap.connected)
    side.add(b"two")
    await until(lambda: len(side.received) == 4)
    assert isinstance(side.received[2], m.TapOpen)
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_a_recorder_that_does_not_read_costs_packets_and_never_time(tmp_path: Path) -> None:
    side = Side(tmp_path, bound=100_000)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    for _ in range(3000):
        side.add(bytes(1000))
    assert side.tap.backlog < 300_000
    lost = side.counters.values["tap_lost"]
    assert 0 < lost < 3000
    await until(lambda: side.tap.backlog == 0)
    side.add(b"last")
    await until(lambda: m.TapPackets("recording", [(1_500_000_000, b"last")]) in side.received)
    assert m.TapLost("recording", lost) in side.received
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_the_recorders_wish_for_a_keyframe_is_passed_on(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.connections)
    side.connections[-1].post(m.KeyframeAsk("cam", "segment"))
    await until(lambda: side.asked)
    assert side.asked == [m.KeyframeAsk("cam", "segment")]
    running.cancel()
    side.tap.disconnect()
    server.close()


async def test_a_bug_in_taking_what_the_recorder_says_costs_the_connection_and_not_the_tap(tmp_path: Path) -> None:
    side = Side(tmp_path)

    def trip(_: m.KeyframeAsk) -> None:
        raise ZeroDivisionError

    side.tap = Tap(side.path, 1 << 20, side.counters, trip, lambda: m.Pong("worker", 0, 1, 1))
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: len(side.connections) == 1)
    side.connections[0].post(m.KeyframeAsk("cam", "segment"))
    await until(lambda: len(side.connections) == 2)
    assert not running.done()
    running.cancel()
    side.tap.disconnect()
    server.close()
