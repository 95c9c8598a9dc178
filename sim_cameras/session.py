"""The interface of a publication, whether it films or replays.

Owns: that interface, and the rule after how long a silence the other side is gone.  Must never know: how media is made.
"""

import time
from typing import Protocol

from sim_cameras import webrtc

_SILENCE_SECONDS = 4.0
_SILENCE_WITHOUT_REPORTS_SECONDS = 15.0
"""Seconds.  aioice asks for consent every 5 s ± 20 %: two answers are missing by then."""


class PublishFailed(Exception):
    """The relay accepted the session, but no connection was made."""


class Session(Protocol):
    """One publication: open it, play it, close it."""

    wire: webrtc.Wire | None

    async def open(self) -> None:
        """Publish; raises WhipRefused, aiohttp.ClientError or PublishFailed, and the session is then closed."""
        ...

    async def play(self) -> str:
        """Send until the session is lost; return why it ended."""
        ...

    async def close(self, *, goodbye: bool) -> None:
        """End the session.  With `goodbye` send DELETE, which also ends its recording.

        Without it, as after a loss, only drop the session: the next session continues the same recording.
        """
        ...

    def stats(self) -> dict[str, int]:
        """Return counts of the feedback so far: keyframes_asked, nacked, reports."""
        ...


def gone(heard_at: float, reports_heard: int) -> bool:
    """Return whether the other side is gone: no datagram for 4 s although it sent reports, which come about once a second."""
    return time.monotonic() - heard_at > (_SILENCE_SECONDS if reports_heard else _SILENCE_WITHOUT_REPORTS_SECONDS)
