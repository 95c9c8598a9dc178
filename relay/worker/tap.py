"""The tap: a copy of every packet for the recorder, never at the cost of a packet on its way to viewers.

Owns: the connection to the recorder, its bound, whose packets go next, and which recordings are announced to it.  Must never
know: files, fragments, keys.

Packets are posted at once while less than a quarter of the bound waits in the connection.  Beyond it the recordings take
turns, a handful of packets (one `flush`) each.  What waits for its turn is bounded, too: where it exceeds the bound, the
recording that has most waiting loses all of that, because it sends more than the others.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.channel.framing import Connection, connect
from relay.channel.messages import (
    KeyframeAsk,
    Message,
    Ping,
    Pong,
    TapClose,
    TapDropped,
    TapLost,
    TapOpen,
    TapPackets,
    TapSender,
    Track,
)
from relay.rtp.parameter_sets import ParameterSets
from relay.worker.held_back import HeldBack, WaitingRoom

RETRY_SECONDS = 0.25
MAX_POSTED = 128
"""Packets of one message, where many waited."""

declare(
    tap_packets="packets handed to the recorder",
    tap_lost="packets that the recorder could not take, or that came while it was away",
)

logger = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    """Packets that wait for their turn, the streams that they are of, and their bytes."""

    tracks: tuple[Track, ...]
    packets: list[tuple[int, bytes]]
    size: int


class TapFeed:
    """A recording that this worker feeds."""

    __slots__ = (
        "announced",
        "camera",
        "drops",
        "end",
        "held_back",
        "is_open",
        "lost",
        "pending",
        "recording",
        "sets",
        "tracks",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, recording: str, camera: str, held_back: HeldBack | None = None) -> None:
        """`held_back`: where packets wait, for a recording that no recorder has opened yet."""
        self.recording = recording
        self.held_back = held_back
        self.is_open = held_back is None
        """Whether the recording's signed start is durable; before, no viewer is shown anything (LIV-02)."""
        self.camera = camera
        self.tracks: tuple[Track, ...] = ()
        self.sets: ParameterSets | None = None
        """The camera's parameter sets in force."""
        self.announced: tuple[Track, ...] | None = None
        """The streams that the recorder knows; None before any."""
        self.lost = 0
        self.drops: TapDropped | None = None
        """Packets that were dropped before the tap, and of which the recorder does not know yet."""
        self.end: TapClose | None = None
        """The end of its session, which came while its packets were held back."""
        self.pending: list[tuple[int, bytes]] = []
        """Packets since the last `flush`."""
        self.waiting: deque[_Waiting] = deque()
        """Packets that wait for their turn."""
        self.waiting_bytes = 0


class Tap:
    """Hands packets to the recorder.  Every method but `run` returns at once; `run` keeps the connection."""

    def __init__(
        self,
        path: Path,
        tap_pass: bytes,
        bound: int,
        counters: Counters,
        on_keyframe: Callable[[KeyframeAsk], None],
        pong: Callable[[], Pong],
    ) -> None:
        self._path = path
        self._pass = tap_pass
        self._bound = bound
        self._counters = counters
        self._on_keyframe = on_keyframe
        self._pong = pong
        self._connection: Connection | None = None
        self._turns: deque[TapFeed] = deque()
        """Feeds of which packets wait; the first has its turn."""
        self._waiting_bytes = 0
        self.room = WaitingRoom(counters)
        """Where packets wait for a recording that is not open yet."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of packets that wait for their turn."""
        return self._waiting_bytes

    @property
    def backlog(self) -> int:
        """Bytes that wait for the recorder."""
        return self._connection.backlog if self._connection is not None else 0

    @property
    def connected(self) -> bool:
        """Whether the recorder is there."""
        return self._connection is not None and not self._connection.closed

    # --- feeding -------------------------------------------------------------------------------------------------------

    def add(self, feed: TapFeed, packet: bytes, now: float) -> None:
        """Take a packet; `flush` sends it."""
        feed.pending.append((int(now * 1e9), packet))

    def flush(self, feed: TapFeed) -> None:
        """Send the packets taken since the last call, or have them wait for their turn, or count them as lost.

        Before the recording is open they are held back.
        """
        if feed.held_back is not None:
            self._hold_back(feed, feed.held_back)
        if feed.pending:
            pending, feed.pending = feed.pending, []
            if not self.connected or not feed.tracks:
                self._lose(feed, len(pending))
            elif self._turns or not self._has_room:
                self._wait(feed, pending)
            else:
                self._send(feed, feed.tracks, pending)
        if self._turns:
            self._take_turns()

    def note_drops(self, feed: TapFeed, packets: int, first: int, last: int) -> None:
        """Packets were dropped before the tap, between two instants (monotonic ns): told with the next packets or the end."""
        known = feed.drops or TapDropped(feed.recording, 0, first, last)
        feed.drops = replace(known, packets=known.packets + packets, last_ns=last)

    def retrack(self, feed: TapFeed, tracks: tuple[Track, ...]) -> None:
        """Announce other streams of a recording before its next packet."""
        if tracks != feed.tracks:
            self.flush(feed)
            feed.tracks = tracks

    def begin(self, feed: TapFeed, recording: str) -> None:
        """The signed start of a feed's recording is durable: send what waited as soon as the recorder is connected."""
        feed.recording, feed.is_open = recording, True
        self.flush(feed)
        if feed.end is not None and feed.held_back is None:
            self.close(feed, replace(feed.end, recording=recording))

    def _hold_back(self, feed: TapFeed, held: HeldBack) -> None:
        """Let packets wait; where the recording is open and the recorder connected, send all that waited, and wait no more."""
        if feed.pending:
            pending, feed.pending = feed.pending, []
            held.take(feed.tracks, pending)
        if not (feed.is_open and self.connected):
            return
        feed.held_back, newest = None, feed.tracks
        for tracks, packets in held.release():
            self.retrack(feed, tracks)
            for at in range(0, len(packets), MAX_POSTED):
                feed.pending = packets[at : at + MAX_POSTED]
                self.flush(feed)
        self.retrack(feed, newest)
        for report in held.senders:
            self.sender(feed, replace(report, recording=feed.recording))
        feed.lost += held.lost

    def sender(self, feed: TapFeed, message: TapSender) -> None:
        """Pass on a sender report."""
        if feed.held_back is not None:
            feed.held_back.senders.append(message)
        elif self.connected and feed.tracks and self._ready(feed, feed.announced or feed.tracks):
            self._post(message)

    def close(self, feed: TapFeed, message: TapClose) -> None:
        """Send the last packets and the end of a session.  While its packets are held back, the end waits with them."""
        self.flush(feed)
        if feed.held_back is not None:
            feed.end = message
            return
        while feed.waiting:
            self._send_waiting(feed)
        if feed in self._turns:
            self._turns.remove(feed)
        if self.connected:
            if feed.tracks and (feed.lost or feed.drops is not None):
                self._ready(feed, feed.announced or feed.tracks)
            self._post(message)

    def switch(self, feed: TapFeed, by: TapFeed) -> None:
        """Feed another recording from now on: send the packets taken so far; those that cannot be sent are lost to both."""
        self.flush(feed)
        by.tracks, by.sets = feed.tracks, feed.sets
        if feed.held_back is not None:
            by.lost += feed.held_back.drop()
            feed.held_back = None

    @property
    def _has_room(self) -> bool:
        return self.backlog <= self._bound // 4

    def _send(self, feed: TapFeed, tracks: tuple[Track, ...], packets: list[tuple[int, bytes]]) -> None:
        if self.connected and self._ready(feed, tracks) and self._post(TapPackets(feed.recording, packets)):
            self._counters.values["tap_packets"] += len(packets)
        else:
            self._lose(feed, len(packets))

    def _lose(self, feed: TapFeed, packets: int) -> None:
        feed.lost += packets
        self._counters.count("tap_lost", packets)

    def _wait(self, feed: TapFeed, packets: list[tuple[int, bytes]]) -> None:
        """Have packets wait; where too many bytes do, those of the feed that has most are lost."""
        if not feed.waiting:
            self._turns.append(feed)
        size = sum(len(packet) for _, packet in packets)
        feed.waiting.append(_Waiting(feed.tracks, packets, size))
        feed.waiting_bytes += size
        self._waiting_bytes += size
        if self._waiting_bytes > self._bound:
            largest = max(self._turns, key=lambda each: each.waiting_bytes)
            self._lose(largest, sum(len(each.packets) for each in largest.waiting))
            self._waiting_bytes -= largest.waiting_bytes
            largest.waiting.clear()
            largest.waiting_bytes = 0
            self._turns.remove(largest)

    def _take_turns(self) -> None:
        """Send what waits, a `flush` of each feed in turn, while there is room; a recorder that is away gets nothing."""
        while self._turns and (self._has_room or not self.connected):
            feed = self._turns.popleft()
            self._send_waiting(feed)
            if feed.waiting:
                self._turns.append(feed)

    def _send_waiting(self, feed: TapFeed) -> None:
        tracks, packets, size = feed.waiting.popleft()
        feed.waiting_bytes -= size
        self._waiting_bytes -= size
        self._send(feed, tracks, packets)

    def _ready(self, feed: TapFeed, tracks: tuple[Track, ...]) -> bool:
        if feed.announced != tracks:
            sets = feed.sets.units if feed.sets is not None else ()
            feed.announced = tracks if self._post(TapOpen(feed.recording, feed.camera, tracks, sets)) else None
        if feed.announced and feed.lost and self._post(TapLost(feed.recording, feed.lost)):
            feed.lost = 0
        if feed.announced and feed.drops is not None and self._post(replace(feed.drops, recording=feed.recording)):
            feed.drops = None
        return bool(feed.announced)

    def _post(self, message: Message) -> bool:
        return self._connection is not None and self._connection.post(message)

    # --- connection ----------------------------------------------------------------------------------------------------

    async def run(self, feeds: Callable[[], list[TapFeed]]) -> None:
        """Keep the connection until cancelled.  Every recording is announced again to a recorder that came back."""
        while True:
            if not self._path.exists():  # cheaper than a refused connection, four times a second
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                self._connection = await connect(
                    self._path,
                    self._pass,
                    on_post=self._on_post,
                    on_ask=self._on_ask,
                    counters=self._counters,
                    bound=self._bound,
                )
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for feed in feeds():
                feed.announced = None
            try:
                await self._connection.run()
            except OurError as error:
                logger.error("tap broken: %s", error.detail)
            except Exception:
                logger.exception("tap broken")  # without it nothing would be recorded any more: connect again
                self._connection.close()
            await asyncio.sleep(RETRY_SECONDS)

    def disconnect(self) -> None:
        """Close the connection; messages that were posted are still written."""
        if self._connection is not None:
            self._connection.close()

    def _on_post(self, connection: Connection, message: Message) -> None:
        if isinstance(message, KeyframeAsk):
            self._on_keyframe(message)

    async def _on_ask(self, connection: Connection, message: Message) -> Message:
        if isinstance(message, Ping):
            return self._pong()
        raise TheirError(Kind.INVALID, f"a tap answers no {type(message).__name__}")
