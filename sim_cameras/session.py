"""What any publication is, whether it films or replays.

Owns the shape and the rule of silence.  Must never know how media is made.
"""

import time
from typing import Protocol

from sim_cameras import webrtc

_SILENCE = 4.0
_SILENCE_WITHOUT_REPORTS = 15.0
"""aioice asks for consent every 5 s +- 20 %: two missed answers."""


class PublishFailed(Exception):
    """The session was accepted but no connection came of it."""


class Session(Protocol):
    """One publication: open it, play it, close it."""

    wire: webrtc.Wire | None

    async def open(self) -> None:
        """Publish; raises WhipRefused, aiohttp.ClientError or PublishFailed, and then is closed."""
        ...

    async def play(self) -> str:
        """Send until the session is lost; return why it ended."""
        ...

    async def close(self, *, goodbye: bool) -> None:
        """End the session.  With `goodbye` the relay is told (DELETE): this is the end, and its recording ends with it.

        Without, as after a loss, the session is only forgotten: the next one goes on where this one broke off.
        """
        ...

    def stats(self) -> dict[str, int]:
        """Return what the other side asked for so far: keyframes_asked, nacked, reports."""
        ...


def gone(heard_at: float, reports_heard: int) -> bool:
    """Say whether the other side is gone: no datagram for 4 s although it sent reports, which come about once a second."""
    return time.monotonic() - heard_at > (_SILENCE if reports_heard else _SILENCE_WITHOUT_REPORTS)
