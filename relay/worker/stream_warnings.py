"""What a camera's encoder does that spoils live pictures, for the page and the log.

Owns: how long a warning stands, and that the log has each once a session.  Must never know: packets, control, what the recorder
makes of them.
"""

import logging
from collections.abc import Iterable

from relay.channel.messages import StreamWarning
from relay.fanout.stream import Stream

WARNED_SECONDS = 10.0
"""How long a warning stands after its cause was seen last."""
B_FRAMES = (
    "camera %s sends B-frames: it is recorded whole, but live pictures may stutter. Turn them off in its encoder"
    " (x264: bframes=0 or tune=zerolatency; elsewhere: profile Baseline, or GOP without B-frames)"
)

logger = logging.getLogger(__name__)


class StreamWarnings:
    """The warnings of one publish session."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._is_logged = False

    def of(self, streams: Iterable[Stream], now: float) -> tuple[StreamWarning, ...]:
        """Return the warnings that stand."""
        marks = [stream.pictures.reordered_at for stream in streams]
        if not any(at is not None and now - at < WARNED_SECONDS for at in marks):
            return ()
        if not self._is_logged:
            self._is_logged = True
            logger.warning(B_FRAMES, self._camera)
        return ("b_frames",)
