"""How soon a camera may begin another recording.

Owns: the pause of each camera.  Must never know: why a recording begins, HTTP, asyncio.

Each new recording costs keys, files and journal entries, whoever asked for it.  A second press is free; a camera that goes on
beginning recordings waits 1, 2, 4 and then 5 s before each.  Every `RECOVERY_SECONDS` without a new one take one step back.  A
recording that is continued is not new, and one that the relay itself caused does not count.
"""

from dataclasses import dataclass

FREE = 2
"""New recordings in a row without a pause."""
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 5.0
RECOVERY_SECONDS = 15.0
MAX_STEPS = FREE + 3.0
"""Steps of the longest pause: a camera is back at no pause a few minutes after the worst it can do."""
MAX_CAMERAS = 4096


@dataclass(slots=True)
class _Pace:
    steps: float
    """New recordings that count, less what time took back."""
    at: float
    """Monotonic seconds of the last one."""


class RecordingPace:
    """The pace of every camera, all times in monotonic seconds; beyond `MAX_CAMERAS` the oldest are forgotten."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}
        self._forgiven: dict[str, None] = {}

    def __len__(self) -> int:
        """Return of how many cameras something is kept."""
        return len(self._paces.keys() | self._forgiven.keys())

    def pause(self, camera: str, now: float) -> float:
        """Return in how many seconds the camera may begin a new recording, 0 for now."""
        pace = self._paces.get(camera)
        if pace is None or camera in self._forgiven:
            return 0.0
        over = round(pace.steps) - FREE
        length = 0.0 if over < 0 else min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**over)
        return min(length, max(0.0, pace.at + length - now))

    def begun(self, camera: str, now: float) -> None:
        """A new recording of the camera began."""
        if self._forgiven.pop(camera, False) is None:
            return
        pace = self._paces.pop(camera, None)
        steps = 0.0 if pace is None else self._recovered(pace, now)
        self._paces[camera] = _Pace(min(MAX_STEPS, steps + 1), now)
        _cut(self._paces)

    def forgive(self, camera: str) -> None:
        """The relay itself ended the camera's transmission: its next recording waits for nothing and does not count."""
        self._forgiven.pop(camera, None)
        self._forgiven[camera] = None
        _cut(self._forgiven)

    @staticmethod
    def _recovered(pace: _Pace, now: float) -> float:
        return max(0.0, pace.steps - max(0.0, now - pace.at) / RECOVERY_SECONDS)


def _cut(table: dict[str, _Pace] | dict[str, None]) -> None:
    while len(table) > MAX_CAMERAS:
        del table[next(iter(table))]
