"""What workers tap, handed to the recording it belongs to; keyframe requests go back on the same connection.

Owns: which connection feeds which recording.  Must never know: how a recording is made, control, files.
"""

import asyncio
import contextlib

from relay.base.counters import Counters, declare
from relay.channel import messages
from relay.channel.framing import Connection
from relay.channel.messages import Message
from relay.recorder.live_recordings import LiveRecordings
from relay.recorder.recording import Recording

MAX_UNHELD = 256
LAST_PACKETS_SECONDS = 0.5
"""How long the order to end a recording waits for the packets that its worker posted before it ended the session."""

declare(recorder_taps_unknown="tap messages for a recording that is not open")


class TapReceiver:
    """Feeds the open recordings of a recorder; used by the loop only."""

    def __init__(self, recordings: LiveRecordings, counters: Counters) -> None:
        self._recordings = recordings
        self._counters = counters
        self._taps: dict[str, Connection] = {}
        self._unheld: set[str] = set()
        """Recordings that are tapped but not open, since the last report."""
        self._awaited: dict[str, asyncio.Event] = {}
        """Recordings whose end was ordered: set once no connection feeds them any more."""

    def packets(self, message: messages.TapPackets) -> None:
        """Take packets: nearly every message of a tap is this."""
        recording = self._recordings.get(message.recording)
        if recording is None:
            self._not_open(message.recording)
            return
        recording.packets(message, self._recordings.now())
        self._request_keyframe(recording)

    def message(self, connection: Connection, message: Message) -> None:
        """Take any other message that names a recording."""
        named = getattr(message, "recording", None)
        recording = self._recordings.get(named) if isinstance(named, str) else None
        if recording is None:
            self._not_open(named if isinstance(message, messages.TapOpen) else None)
        elif isinstance(message, messages.TapOpen):
            if self._taps.get(message.recording) is not connection:
                recording.lost(self._recordings.now())  # the worker behind another connection knows nothing of the one before
            self._taps[message.recording] = connection
            recording.open(message, self._recordings.now())
            self._request_keyframe(recording)
        elif isinstance(message, messages.TapSender):
            recording.sender(message)
        elif isinstance(message, messages.TapLost):
            recording.overflow(message.packets)
        elif isinstance(message, messages.TapDropped):
            recording.dropped(message)
        elif isinstance(message, messages.TapClose):
            self._close(recording, message)
        elif isinstance(message, messages.RecordMeta):
            recording.meta(message)

    def advance(self, recording: Recording, now: int) -> None:
        """Let time pass for one recording (`now` in monotonic nanoseconds); a closed connection is a lost camera."""
        name = recording.plan.recording
        tap = self._taps.get(name)
        if tap is not None and tap.closed:
            self._leave(name)
            recording.lost(now)
        recording.advance(now)
        self._request_keyframe(recording)

    def forget_ended(self) -> None:
        """Forget the connections of recordings that are not open any more."""
        for name in [name for name in self._taps if self._recordings.get(name) is None]:
            self._leave(name)

    def is_tapped(self, recording: str) -> bool:
        """Return whether a connection feeds this recording."""
        return recording in self._taps

    async def wait_for_last_packets(self, recording: str) -> None:
        """Wait until the worker has ended the session of a recording, for `LAST_PACKETS_SECONDS` at most.

        Control asks the worker first, but the worker's last packets come over another connection than control's order.
        """
        if not self.is_tapped(recording):
            return
        ended = self._awaited.setdefault(recording, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_PACKETS_SECONDS):
                await ended.wait()
        self._awaited.pop(recording, None)

    def take_unheld(self) -> tuple[str, ...]:
        """Return the recordings that were tapped but are not open, since the last call."""
        unheld, self._unheld = tuple(sorted(self._unheld)), set()
        return unheld

    def _close(self, recording: Recording, message: messages.TapClose) -> None:
        self._leave(message.recording)
        if message.reason == "stopped":
            self._recordings.stop(recording, message.at_ns)
        else:
            recording.lost(self._recordings.now())

    def _leave(self, recording: str) -> None:
        self._taps.pop(recording, None)
        awaited = self._awaited.get(recording)
        if awaited is not None:
            awaited.set()

    def _not_open(self, recording: str | None) -> None:
        """Count a tap into a recording that is not open; the next report names it, because nothing of it is kept."""
        self._counters.count("recorder_taps_unknown")
        if recording is not None and len(self._unheld) < MAX_UNHELD:
            self._unheld.add(recording)

    def _request_keyframe(self, recording: Recording) -> None:
        """Ask the camera for a keyframe where the recording wants one."""
        if recording.keyframe_wanted is None:
            return
        tap = self._taps.get(recording.plan.recording)
        if tap is not None and not tap.closed:
            tap.post(messages.KeyframeAsk(recording.plan.camera, recording.keyframe_wanted))
        recording.keyframe_wanted = None
