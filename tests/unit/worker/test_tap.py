"""The tap: recordings are announced, its queue is bounded, and lost packets are reported."""

import asyncio
from pathlib import Path

from relay.base.counters import Counters
from relay.channel import messages as m
from relay.channel.framing import Connection, listen
from relay.worker.tap import Tap, TapFeed
from tests.support.passes import TAP
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
        self.tap = Tap(self.path, TAP, bound, self.counters, self.asked.append, lambda: m.Pong("worker", 0, 1, 1))

    async def listen(self) -> asyncio.Server:
        """Start the recorder."""

        async def connected(connection: Connection) -> None:
            self.connections.append(connection)

        async def nothing(_: Connection, message: m.Message) -> m.Message:
            return m.Done()

        return await listen(
            self.path,
            {"tap": TAP},
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

    side.tap = Tap(side.path, TAP, 1 << 20, side.counters, trip, lambda: m.Pong("worker", 0, 1, 1))
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: len(side.connections) == 1)
    side.connections[0].post(m.KeyframeAsk("cam", "segment"))
    await until(lambda: len(side.connections) == 2)
    assert not running.done()
    running.cancel()
    side.tap.disconnect()
    server.close()


class Congested(Side):
    """A recorder that takes nothing until `gate` is set, and a second feed beside the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gate = asyncio.Event()
        self.other = TapFeed("other", "cam-2")

    async def listen(self) -> asyncio.Server:
        async def connected(connection: Connection) -> None:
            self.connections.append(connection)
            await self.gate.wait()

        async def nothing(_: Connection, message: m.Message) -> m.Message:
            return m.Done()

        on_post = lambda _, message: self.received.append(message)  # noqa: E731
        return await listen(self.path, {"tap": TAP}, connected, on_post=on_post, on_ask=nothing, counters=self.counters)

    def send(self, feed: TapFeed, *packets: bytes) -> None:
        for packet in packets:
            self.tap.add(feed, packet, 1.5)
        self.tap.flush(feed)

    def packets(self, feed: TapFeed) -> list[bytes]:
        found = [message for message in self.received if isinstance(message, m.TapPackets)]
        return [packet for message in found if message.recording == feed.recording for _, packet in message.packets]

    async def end(self, running: asyncio.Task[None], server: asyncio.Server) -> None:
        """Close both ends; nothing of them is left."""
        self.gate.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.tap.disconnect()
        server.close()
        await server.wait_closed()
        await until(lambda: all(connection.closed for connection in self.connections))

    async def drained(self) -> None:
        """Let the recorder take everything."""
        self.gate.set()

        def empty() -> bool:
            self.tap.flush(self.feed)
            return not self.tap.waiting_bytes and not self.tap.backlog

        await until(empty)


async def test_a_flood_of_one_recording_loses_packets_of_no_other(tmp_path: Path) -> None:
    side = Congested(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed, side.other]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    side.tap.retrack(side.other, (TRACK,))
    honest = [b"%04d" % number + bytes(1000) for number in range(200)]
    for packet in honest:
        side.send(side.feed, *[bytes(1200)] * 100)
        side.send(side.other, packet)
        assert side.tap.backlog + side.tap.waiting_bytes <= (1 << 20) * 3 // 2
    assert side.other.lost == 0
    assert side.feed.lost > 0
    lost = side.feed.lost
    await side.drained()
    side.send(side.feed, b"after")
    await until(lambda: side.packets(side.feed)[-1:] == [b"after"])
    assert side.packets(side.other) == honest, "all of them, in order"
    reported = [message for message in side.received if isinstance(message, m.TapLost)]
    assert sum(message.packets for message in reported) == lost == 200 * 100 - len(side.packets(side.feed)) + 1
    assert {message.recording for message in reported} == {"recording"}
    await side.end(running, server)


async def test_other_streams_and_the_end_are_announced_behind_what_waits(tmp_path: Path) -> None:
    side = Congested(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed, side.other]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    side.tap.retrack(side.other, (TRACK,))
    for _ in range(6):
        side.send(side.feed, *[bytes(1200)] * 100)
    side.send(side.other, b"old")
    other = m.Track(2, "video", 96, 90_000, "")
    side.tap.retrack(side.other, (other,))
    side.send(side.other, b"new")
    side.tap.close(side.other, m.TapClose("other", "stopped"))
    await side.drained()
    await until(lambda: any(isinstance(message, m.TapClose) for message in side.received))
    of_other = [message for message in side.received if getattr(message, "recording", "") == "other"]
    assert of_other == [
        m.TapOpen("other", "cam-2", (TRACK,)),
        m.TapPackets("other", [(1_500_000_000, b"old")]),
        m.TapOpen("other", "cam-2", (other,)),
        m.TapPackets("other", [(1_500_000_000, b"new")]),
        m.TapClose("other", "stopped"),
    ]
    await side.end(running, server)


async def test_what_waited_for_a_recorder_that_went_away_is_counted_as_lost(tmp_path: Path) -> None:
    side = Congested(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    for _ in range(6):
        side.send(side.feed, *[bytes(1200)] * 100)
    assert side.tap.waiting_bytes
    side.tap.disconnect()
    side.tap.flush(side.feed)
    assert not side.tap.waiting_bytes
    assert side.feed.lost > 0
    await side.end(running, server)


async def test_the_recorder_hears_of_drops_before_the_next_packets_and_before_the_end(tmp_path: Path) -> None:
    side = Side(tmp_path)
    server = await side.listen()
    running = asyncio.create_task(side.tap.run(lambda: [side.feed]))
    await until(lambda: side.tap.connected)
    side.tap.retrack(side.feed, (TRACK,))
    side.tap.note_drops(side.feed, 3, 10, 20)
    side.tap.note_drops(side.feed, 4, 20, 30)
    side.add(b"one")
    side.tap.note_drops(side.feed, 5, 40, 50)
    side.tap.close(side.feed, m.TapClose("recording", "lost"))
    await until(lambda: len(side.received) == 5)
    assert side.received[1:] == [
        m.TapDropped("recording", 7, 10, 30),
        m.TapPackets("recording", [(1_500_000_000, b"one")]),
        m.TapDropped("recording", 5, 40, 50),
        m.TapClose("recording", "lost"),
    ]
    running.cancel()
    side.tap.disconnect()
    server.close()
