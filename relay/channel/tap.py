"""The tap: what a worker posts to the recorder beside it.

Owns: the messages of the tap, all of them posts; `relay.channel.messages` re-exports them.
Must never know: the order of packets, files, what a recorder makes of them.
"""

from typing import Literal, TypeAlias

from relay.channel.message import Message

MediaKind: TypeAlias = Literal["video", "audio"]


class Track(Message, frozen=True):
    """One track that was agreed with the camera; `ssrc` is None until its first packet tells its RTP stream."""

    ssrc: int | None
    kind: MediaKind
    payload_type: int
    clock_rate: int
    fmtp: str


class TapOpen(Message, frozen=True):
    """Packets of this recording will follow: all tracks that were agreed.

    Again, on the same connection, where the stream of a track became known or is another one now: the other tracks go on.
    """

    recording: str
    camera: str
    tracks: tuple[Track, ...]
    sets: tuple[bytes, ...] = ()
    """H.264 parameter sets in force, from the offer and from what the camera sent so far: it may never send them again."""


class TapPackets(Message, frozen=True):
    """Plain RTP packets (RTX already unwrapped, duplicates removed) in order of arrival.

    Each item: arrival (CLOCK_MONOTONIC nanoseconds) and the packet.
    """

    recording: str
    packets: list[tuple[int, bytes]]


class TapSender(Message, frozen=True):
    """A sender report: `ntp_ns` is the camera's wall clock (UTC ns) at `rtp`; it came at `arrival_ns` (monotonic ns)."""

    recording: str
    ssrc: int
    ntp_ns: int
    rtp: int
    arrival_ns: int
    rtt_ns: int | None


class TapLost(Message, frozen=True):
    """The bounded tap dropped packets: a gap of cause `tap_overflow`."""

    recording: str
    packets: int


class TapDropped(Message, frozen=True):
    """The worker dropped packets before its tap, because the camera sends more than a camera may: a gap of cause `recorder`.

    They came between `first_ns` and `last_ns` (CLOCK_MONOTONIC nanoseconds).
    """

    recording: str
    packets: int
    first_ns: int
    last_ns: int


class TapClose(Message, frozen=True):
    """The camera's session is over: `stopped` on purpose closes the recording, `lost` opens the 60 s window.

    `at_ns`: when it ended (CLOCK_MONOTONIC nanoseconds), where that was before now.
    """

    recording: str
    reason: Literal["stopped", "lost", "shutdown"]
    at_ns: int | None = None


TapMessage: TypeAlias = TapOpen | TapPackets | TapSender | TapLost | TapDropped | TapClose
"""Whatever a worker posts to its recorder."""
