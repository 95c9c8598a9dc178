"""What an operator must know of a camera's stream, for the page and the log.

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
    "camera %s sends B-frames: it is recorded whole, but live pictures may stutter, in browsers down to key pictures."
    " Turn them off in its encoder (x264: bframes=0 or tune=zerolatency; elsewhere: profile Baseline, or GOP without B-frames)"
)

logger = logging.getLogger(__name__)


class StreamWarnings:
    """The warnings of one publish session."""

    def __init__(self, camera: str, *, is_sound_declined: bool = False) -> None:
        """`is_sound_declined`: whether the camera's offer had sound that could not be taken."""
        self._camera = camera
        self._is_logged = False
        self._standing: tuple[StreamWarning, ...] = ("sound_declined",) if is_sound_declined else ()

    def of(self, streams: Iterable[Stream], now: float) -> tuple[StreamWarning, ...]:
        """Return the warnings that stand."""
        marks = [stream.pictures.reordered_at for stream in streams]
        if not any(at is not None and now - at < WARNED_SECONDS for at in marks):
            return self._standing
        if not self._is_logged:
            self._is_logged = True
            logger.warning(B_FRAMES, self._camera)
        return ("b_frames", *self._standing)
