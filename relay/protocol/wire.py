"""How messages of the live protocol become bytes and come back: one MessagePack map in each binary WebSocket message.

Owns: the version, the encoding, the strictness of reading.  Must never know: sockets, what any message
does.

Field `t` of each map names the message.  Readers ignore fields that they do not know, so that a later relay or a later camera
may add some; a known field of the wrong type refuses the message.
"""

from typing import TypeVar

import msgspec

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

VERSION = 1
"""The version that `hello` and `welcome` name.  relay/protocol/LIVE.md says what may change without a new one."""

MAX_BYTES = 16 << 10
"""Bytes that one message of a page or of a camera may have."""

T = TypeVar("T")


class Message(msgspec.Struct, frozen=True, tag_field="t"):
    """Base of all messages."""


_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return a message as one MessagePack map, fields without a value included."""
    return _ENCODER.encode(message)


def decode(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Return the message that these bytes hold; raises TheirError(INVALID)."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise TheirError(Kind.INVALID, f"malformed message: {type(error).__name__}", code=Code.MESSAGE_INVALID) from error
