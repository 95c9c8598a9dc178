"""The tap: what a worker posts to the recorder beside it.

Owns: the messages of the tap, all of them posts; `relay.channel.messages` re-exports them.
Must never know: the order of packets, files, what a recorder makes of them.
"""

from typing import Literal

from relay.channel.message import Message


class Track(Message, frozen=True):
    """One RTP stream of the tap."""

    ssrc: int
    kind: Literal["video", "audio"]
    payload_type: int
    clock_rate: int
    fmtp: str


class TapOpen(Message, frozen=True):
    """Packets of this recording will follow; again after a reconnection, with new SSRCs."""

    recording: str
    camera: str
    tracks: tuple[Track, ...]


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


class TapClose(Message, frozen=True):
    """The camera's session is over: `stopped` on purpose closes the recording, `lost` opens the 60 s window."""

    recording: str
    reason: Literal["stopped", "lost", "shutdown"]
