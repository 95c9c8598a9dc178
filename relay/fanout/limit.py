"""A viewer that cannot keep up is sent less, never later.

Owns: the ladder (all, without droppable frames, the small layer, keyframes only) and when a leg moves on it.
Must never know: packets, sockets.

It obeys the viewer's own estimate (REMB) and the loss in its receiver reports.  It is no congestion controller of its own.
"""

from collections.abc import Sequence
from enum import IntEnum


class QualityLevel(IntEnum):
    """How much of a stream a leg sends, from everything to almost nothing."""

    ALL = 0
    NO_DROPPABLE = 1
    SMALL = 2
    KEYFRAMES = 3


LOSS_TOO_HIGH = 0.10
LOSS_FINE = 0.02
TOO_NARROW = 0.8
"""A REMB below this share of the bitrate sent means that the network is too narrow; Chromium's starts low and grows fast."""
ROOM = 1.3
"""A REMB this many times the bitrate sent leaves room for a step up."""
COMPLAINTS_BEFORE_DOWN = 3
"""Updates in a row (one a second) that report loss or a low limit, before a step down."""
FIRST_REST_SECONDS = 5.0
MAX_REST_SECONDS = 60.0
"""Pause between a step down and the next try up; it doubles each time the try fails."""


class Load:
    """One leg of a viewer: its level, its cost, and the levels that would change anything."""

    __slots__ = ("droppable", "kbps", "layered", "loss", "level")

    def __init__(self, level: QualityLevel, kbps: float, loss: float, *, droppable: bool, layered: bool) -> None:
        self.level = level
        self.kbps = kbps
        self.loss = loss
        self.droppable = droppable
        """The stream has frames that no other frame refers to."""
        self.layered = layered
        """The camera sends a small layer as well."""

    def lower(self) -> QualityLevel | None:
        """The next level down that changes anything."""
        if self.level < QualityLevel.NO_DROPPABLE and self.droppable:
            return QualityLevel.NO_DROPPABLE
        if self.level < QualityLevel.SMALL and self.layered:
            return QualityLevel.SMALL
        return QualityLevel.KEYFRAMES if self.level < QualityLevel.KEYFRAMES else None

    def higher(self) -> QualityLevel:
        """The next level up that changes anything."""
        if self.level > QualityLevel.SMALL and self.layered:
            return QualityLevel.SMALL
        if self.level > QualityLevel.NO_DROPPABLE and self.droppable:
            return QualityLevel.NO_DROPPABLE
        return QualityLevel.ALL


class ViewerLimit:
    """One viewer's ladder; `update` once a second."""

    def __init__(self) -> None:
        self._complaints = 0
        self._rest = FIRST_REST_SECONDS
        self._up_at = 0.0
        self._tried_at: float | None = None

    def update(self, remb: int | None, loads: Sequence[Load], now: float) -> tuple[int, QualityLevel] | None:
        """Return which leg moves to which level, or None.

        `remb` is the viewer's limit for all legs together in bit/s, None where it never sent one.
        """
        sent = sum(load.kbps for load in loads) * 1000
        loss = max((load.loss for load in loads), default=0.0)
        narrow = remb is not None and sent > 0 and remb < TOO_NARROW * sent
        self._complaints = self._complaints + 1 if narrow or loss > LOSS_TOO_HIGH else 0
        if self._complaints >= COMPLAINTS_BEFORE_DOWN:
            self._complaints = 0
            return self._down(loads, now)
        if not self._complaints and loss < LOSS_FINE and now >= self._up_at and (remb is None or remb > ROOM * sent):
            return self._up(loads, now)
        return None

    def _down(self, loads: Sequence[Load], now: float) -> tuple[int, QualityLevel] | None:
        """The leg that costs most gives way first."""
        if self._tried_at is not None and now - self._tried_at < 2 * FIRST_REST_SECONDS:
            self._rest = min(MAX_REST_SECONDS, 2 * self._rest)
        self._tried_at = None
        self._up_at = now + self._rest
        for index in sorted(range(len(loads)), key=lambda index: -loads[index].kbps):
            level = loads[index].lower()
            if level is not None:
                return index, level
        return None

    def _up(self, loads: Sequence[Load], now: float) -> tuple[int, QualityLevel] | None:
        """The leg that lost most comes back first."""
        limited = [index for index, load in enumerate(loads) if load.level > QualityLevel.ALL]
        if not limited:
            self._rest = FIRST_REST_SECONDS
            return None
        self._tried_at = now
        self._up_at = now + self._rest
        index = max(limited, key=lambda index: loads[index].level)
        return index, loads[index].higher()
