"""The base of all messages between processes, and the messages that every process understands.

Owns: how a message is encoded, and the answers common to all requests.  Must never know: what a
worker or a recorder does.
"""

from typing import Literal

import msgspec

from relay.base.codes import Code
from relay.base.errors import Kind


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages: an array whose first item is the message's name."""


class Done(Message, frozen=True):
    """The request was carried out and has nothing else to say."""


class Refused(Message, frozen=True):
    """The request was not carried out; nothing changed."""

    kind: Kind
    detail: str
    retry_after: float | None = None
    code: Code | None = None
    facts: dict[str, str | int] = {}


class Ping(Message, frozen=True):
    """Are you there?  Answered by `Pong`."""


class Pong(Message, frozen=True):
    """The process behind a socket says who it is."""

    role: Literal["worker", "recorder"]
    index: int
    pid: int
    started_ns: int


class Shutdown(Message, frozen=True):
    """Finish and exit: a worker closes every peer and posts `TapClose` to its recorder; a recorder closes every recording."""

    reason: str
