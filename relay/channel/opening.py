"""What control asks of a worker for a camera's or viewer's offer, and for a PATCH of it.

Owns: these three messages.  Must never know: SDP's syntax, sockets, policy.
"""

from relay.channel.message import Message


class PublishOpen(Message, frozen=True):
    """Accept a camera's SDP offer (WHIP); without `sound` (VID-01) its audio is answered inactive, and dropped where it comes.

    Answered by `Answer` or `Refused`.  `recording`: what the tap feeds; None: nothing.  While `is_recording_open` is False no
    recorder has opened it: packets wait, bounded, no viewer is shown any (LIV-02), and the worker posts `RecordingWanted` when
    the first authenticated media packet came.  `RecordingSwitch` ends the wait.
    """

    session: str
    camera: str
    offer: str
    live_audio: bool
    recording: str | None
    silence_after: float
    """Seconds without an authenticated packet after which the camera is declared lost."""
    sound: bool = True
    is_recording_open: bool = True
    hosts: tuple[str, ...] = ()
    """Addresses of ours for candidates, the best first; () those of the worker's configuration."""


class ViewerOpen(Message, frozen=True):
    """Accept a viewer's SDP offer (WHEP or wall): every video m-line is a slot, one audio m-line at most.

    Answered by `Answer`.  No media flows before a `SlotAssign`.  A WHEP player has one slot.
    """

    session: str
    offer: str
    hosts: tuple[str, ...] = ()
    """As in `PublishOpen`."""


class PeerPatch(Message, frozen=True):
    """Trickle or ICE restart (RFC 8840 fragment).  Answered by `Patched` or `Refused`."""

    session: str
    fragment: str
    restart: bool
    hosts: tuple[str, ...] = ()
    """As in `PublishOpen`, for a restart."""
