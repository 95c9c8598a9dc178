"""The messages of `/live/camera`, between the relay and a camera.

Owns: their names, fields and units, and what a camera may get wrong without losing a press.
Must never know: sockets, the parts of the relay that make or take them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgpack
import msgspec

from relay.base.errors import TheirError
from relay.protocol import wire
from relay.protocol.wire import Message

Number: TypeAlias = int | float
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=128)]
"""A text that the relay made itself, or that comes back to the camera: a longer one refuses the message."""

# --- relay to camera --------------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The first message on each socket."""

    protocol: int
    """Version of this protocol."""
    camera: str
    """Name of the camera that the token belongs to."""
    label: str
    """Its name for people."""
    whip: str
    """Path to publish to (WHIP, RFC 9725), on the same host."""


class Pressed(Message, frozen=True, tag="pressed"):
    """The answer to `press`: the alarm is shown to the command room.  It does not wait for the disk."""


class StreamRequest(Message, frozen=True, tag="request"):
    """A person asks for the picture.  Answer with `accept` or `decline` within 120 s."""

    request: str
    """Id, for the answer."""
    from_role: str
    """Role of that person: `operator` or `commander`."""
    reason: str
    """Why, in the person's own words; at most 200 characters."""


class Watched(Message, frozen=True, tag="watched"):
    """How many people watch; follows `welcome`, then at each change.  The camera may show it to its bearer (REC-05)."""

    by: int
    """Views that are open."""


class Stop(Message, frozen=True, tag="stop"):
    """End the publication now, and do not begin it again without a new press or request."""

    reason: str
    """Why, in English."""


class Republish(Message, frozen=True, tag="republish"):
    """The publish session was lost through no fault of the camera: publish again.  The press or request still stands."""

    reason: str
    """Why, in English."""


class ServerTime(Message, frozen=True, tag="time"):
    """The relay's clock: a question where `echo` is null (every 10 s), else the answer to the camera's `time`."""

    server_ns: int
    """The relay's clock now, UTC in nanoseconds since 1970."""
    echo: Number | str | None
    """`echo` of the camera's question; null where the relay asks."""


ToCamera: TypeAlias = Welcome | Pressed | StreamRequest | Watched | Stop | Republish | ServerTime

# --- camera to relay --------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """A greeting; optional and not answered."""

    firmware: str = ""
    """Name and version of the camera's software."""


class Beat(Message, frozen=True, tag="beat"):
    """How the camera is and where; every 5 s.  Position and battery are sealed with the recording, at most every 5 s."""

    battery: float | None = None
    """Charge of the battery in percent, 0 to 100."""
    lat: float | None = None
    """Latitude in degrees (WGS 84), -90 to 90."""
    lon: float | None = None
    """Longitude in degrees (WGS 84), -180 to 180."""
    accuracy_m: float | None = None
    """Radius in metres around the position, 0 to 1 000 000; null counts as 0."""
    utc_ns: Number | None = None
    """The camera's clock now, UTC in nanoseconds since 1970; not used yet."""


class Press(Message, frozen=True, tag="press"):
    """The bearer pressed the button.  Answered by `pressed`.  Send it again after each reconnection while it stands.

    Nothing that is wrong with `threat` or `reason` costs the press.
    """

    threat: str | None = None
    """Who or what is in danger: `agents`, `biens` (property) or `personnes`; anything else counts as `agents`."""
    reason: str | None = None
    """Why, in the bearer's words; the relay keeps the first 200 characters."""


class Release(Message, frozen=True, tag="release"):
    """The press no longer stands."""


class Accept(Message, frozen=True, tag="accept"):
    """The bearer accepts a request; the camera then publishes."""

    request: Name
    """`request` of the request."""


class Decline(Message, frozen=True, tag="decline"):
    """The bearer declines a request."""

    request: Name
    """`request` of the request."""


class CameraTime(Message, frozen=True, tag="time"):
    """A question for the relay's clock where `utc_ns` is null; else the answer to the relay's question."""

    echo: Number | Name | None = None
    """In a question: anything (a text of at most 128 characters), comes back in the answer.  In an answer: `server_ns` of the
    relay's question."""
    utc_ns: Number | None = None
    """In an answer: the camera's clock, UTC in nanoseconds since 1970."""


FromCamera: TypeAlias = Hello | Beat | Press | Release | Accept | Decline | CameraTime

_DECODER: msgspec.msgpack.Decoder[FromCamera] = msgspec.msgpack.Decoder(FromCamera)


def read(data: bytes) -> FromCamera:
    """Return the message that a camera sent; raises TheirError(INVALID).  A map whose `t` is `press` is always a press."""
    try:
        return wire.decode(data, _DECODER)
    except TheirError:
        press = _press_in(data)
        if press is None:
            raise
        return press


def _press_in(data: bytes) -> Press | None:
    """Return the press in a map whose other fields break the contract; None for everything else."""
    try:
        found = msgpack.unpackb(
            data, max_map_len=64, max_array_len=64, max_str_len=wire.MAX_BYTES, unicode_errors="replace", strict_map_key=False
        )
    except (ValueError, TypeError):
        return None
    if not isinstance(found, Mapping) or found.get("t") != "press":
        return None
    return Press(_text(found.get("threat")), _text(found.get("reason")))


def _text(value: Any) -> str | None:
    # Not `str` of everything: that of a deeply nested list is an error of its own.
    return str(value) if isinstance(value, str | int | float) else None
