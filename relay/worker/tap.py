"""The tap: a copy of every packet for the recorder, never at the cost of a packet on its way to viewers.

Owns: the connection to the recorder, its bound, and which recordings are announced to it.
Must never know: files, fragments, keys.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.channel.framing import Connection, connect
from relay.channel.messages import KeyframeAsk, Message, Ping, Pong, TapClose, TapLost, TapOpen, TapPackets, TapSender, Track

RETRY_SECONDS = 0.25

declare(
    tap_packets="packets handed to the recorder",
    tap_lost="packets that the recorder could not take, or that came while it was away",
)

logger = logging.getLogger(__name__)


class TapFeed:
    """A recording that this worker feeds."""

    __slots__ = ("camera", "lost", "opened", "pending", "recording", "tracks")

    def __init__(self, recording: str, camera: str) -> None:
        self.recording = recording
        self.camera = camera
        self.tracks: tuple[Track, ...] = ()
        self.opened = False
        self.lost = 0
        self.pending: list[tuple[int, bytes]] = []


class Tap:
    """Hands packets to the recorder.  Every method but `run` returns at once; `run` keeps the connection."""

    def __init__(
        self, path: Path, bound: int, counters: Counters, on_keyframe: Callable[[KeyframeAsk], None], pong: Callable[[], Pong]
    ) -> None:
        self._path = path
        self._bound = bound
        self._counters = counters
        self._on_keyframe = on_keyframe
        self._pong = pong
        self._connection: Connection | None = None

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
        """Send the packets taken since the last call, or count them as lost."""
        if not feed.pending:
            return
        pending, feed.pending = feed.pending, []
        if self._ready(feed) and self._post(TapPackets(feed.recording, pending)):
            self._counters.values["tap_packets"] += len(pending)
        else:
            feed.lost += len(pending)
            self._counters.count("tap_lost", len(pending))

    def retrack(self, feed: TapFeed, tracks: tuple[Track, ...]) -> None:
        """Announce other streams of a recording before its next packet."""
        if tracks != feed.tracks:
            self.flush(feed)
            feed.tracks = tracks
            feed.opened = False

    def sender(self, feed: TapFeed, message: TapSender) -> None:
        """Pass on a sender report."""
        if self._ready(feed):
            self._post(message)

    def close(self, feed: TapFeed, message: TapClose) -> None:
        """Send the last packets and the end of a session."""
        self.flush(feed)
        if self.connected:
            self._post(message)

    def _ready(self, feed: TapFeed) -> bool:
        if not self.connected or not feed.tracks:
            return False
        if not feed.opened:
            feed.opened = self._post(TapOpen(feed.recording, feed.camera, feed.tracks))
        if feed.opened and feed.lost and self._post(TapLost(feed.recording, feed.lost)):
            feed.lost = 0
        return feed.opened

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
                    self._path, on_post=self._on_post, on_ask=self._on_ask, counters=self._counters, bound=self._bound
                )
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for feed in feeds():
                feed.opened = False
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
