"""What control and a recorder say to each other once they are connected: what is open, what was left open, what is known of it.

Owns: these messages.  Must never know: how a recording is recovered, the database.
"""

from relay.channel.message import Message


class RecordingHeld(Message, frozen=True):
    """A recording that a recorder holds open."""

    recording: str
    camera: str
    links: int
    head: bytes
    tapped: bool


class RecorderInventory(Message, frozen=True):
    """Everything that a control which just started must know."""

    recordings: tuple[RecordingHeld, ...]
    left: tuple[str, ...] = ()
    """Recordings that a dead recorder left open; they are recovered once control has said `RecoverLeft`."""


class KnownHead(Message, frozen=True):
    """How far the chain of a recording was durable, as control knows it.  `records` and `stored_bytes`: 0 where not known."""

    recording: str
    head: bytes
    records: int
    links: int
    stored_bytes: int
    until_ns: int
    """Arrival (UTC) of the last packet in it."""


class RecoverLeft(Message, frozen=True):
    """Recover the recordings that a dead recorder left open (`RecorderInventory.left`).  Answered by `Done` at once.

    A chain that does not reach its known head was cut short: it is damaged.
    """

    known: tuple[KnownHead, ...]
