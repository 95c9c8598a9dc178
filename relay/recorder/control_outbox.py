"""Messages of a recorder to control, kept while no control is connected.

Owns: which connections are control's, and the messages that wait for one.  Must never know: what a
message says, recordings.
"""

from collections import deque

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.channel.framing import Connection
from relay.channel.messages import Message

MAX_WAITING = 4096

declare(recorder_facts_lost="messages for control dropped because none was connected")


class ControlOutbox:
    """Posts to every connected control.  Without one, the last `MAX_WAITING` messages wait for the next."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._controls: list[Connection] = []
        self._connected_at = clock.monotonic()
        self._waiting: deque[Message] = deque(maxlen=MAX_WAITING)

    def heard_from(self, connection: Connection) -> None:
        """Take note that this connection asked something: it is control's.  A new one gets the messages that wait."""
        self._connected_at = self._clock.monotonic()
        if connection not in self._controls:
            self._controls.append(connection)
            waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
            for message in waiting:
                self.post(message)

    def post(self, message: Message) -> None:
        """Post to every control; keep the message where none is connected."""
        taken = [connection.post(message) for connection in self._controls if not connection.closed]
        if not any(taken):
            if len(self._waiting) == MAX_WAITING:
                self._counters.count("recorder_facts_lost")
            self._waiting.append(message)

    def connected(self) -> bool:
        """Forget closed connections; return whether one is left."""
        self._controls = [connection for connection in self._controls if not connection.closed]
        if self._controls:
            self._connected_at = self._clock.monotonic()
        return bool(self._controls)

    def post_now(self, message: Message) -> None:
        """Post a message that is of no use later."""
        for connection in self._controls:
            connection.post(message)

    @property
    def seconds_alone(self) -> float:
        """For how long no control has been connected, as `connected` and `heard_from` last saw it."""
        return self._clock.monotonic() - self._connected_at
