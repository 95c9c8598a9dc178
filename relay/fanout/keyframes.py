"""Asking a camera for a keyframe (RFC 4585 PLI and SLI, RFC 5104 FIR).

Owns: when a request is sent and repeated.  Must never know: which viewer wants a picture.

Twenty viewers that join cost one request.  A camera is asked in the words that it agreed to.  Where one brings no answer, the
others take turns.  A camera that never answers keeps working: viewers begin at the next IDR, or at the next recovery point,
that it sends on its own.
"""

from collections.abc import Sequence
from enum import Enum

from relay.base.counters import declare

declare(
    keyframe_asked="keyframe requests sent to cameras",
    keyframe_unanswered="keyframe requests repeated because no IDR came",
)


class KeyframeFeedback(Enum):
    """What to send to the camera now."""

    NOTHING = "nothing"
    PLI = "pli"
    FIR = "fir"
    SLI = "sli"


MIN_PAUSE_SECONDS = 0.5
"""Seconds between two requests that viewers can cause."""
FIRST_RETRY_SECONDS = 0.4
MAX_RETRY_SECONDS = 5.0
_DOUBLINGS = 4
"""From the first pause to the longest; the exponent stays there however long a camera sends no keyframe."""
SAME_WORDS = 2
"""Requests in the same words before the others take turns: some cameras know FIR only, whatever they agreed to."""
ALWAYS = (KeyframeFeedback.PLI, KeyframeFeedback.FIR)
"""Tried in the end even where the camera agreed to neither."""


class KeyframeRequester:
    """Coalesces wishes for a keyframe into few requests, and repeats those that were not answered."""

    def __init__(self, agreed: Sequence[KeyframeFeedback] = ()) -> None:
        """`agreed`: what the camera's offer has, the best first."""
        self._words = tuple(dict.fromkeys((*agreed, *ALWAYS)))
        self._wanted = False
        self._asked_at: float | None = None
        self._due = 0.0
        self._tries = 0
        self.unanswered = 0

    def want(self, now: float) -> None:
        """Somebody needs a keyframe."""
        if self._wanted:
            return
        self._wanted = True
        self._tries = 0
        self._due = now if self._asked_at is None else max(now, self._asked_at + MIN_PAUSE_SECONDS)

    def seen(self, now: float) -> None:
        """A keyframe began to arrive."""
        self._wanted = False
        self._tries = 0

    def poll(self, now: float) -> KeyframeFeedback:
        """Return what to send now; call after `want` and on every tick."""
        if not self._wanted or now < self._due:
            return KeyframeFeedback.NOTHING
        self.unanswered += self._tries > 0
        self._tries += 1
        self._asked_at = now
        self._due = now + min(
            MAX_RETRY_SECONDS, max(MIN_PAUSE_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(self._tries - 1, _DOUBLINGS))
        )
        return self._words[max(0, self._tries - SAME_WORDS) % len(self._words)]
