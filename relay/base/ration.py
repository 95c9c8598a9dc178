"""How often an error of one kind is written in full: the first few, then one line a minute with a count.

Owns: the arithmetic.  Must never know: log records, files; any clock except the `now` it is given.
"""

from dataclasses import dataclass

FULL = 3
"""Errors of one kind that are written in full, before the rest of the minute is only counted."""
WINDOW_SECONDS = 60.0
MAX_KINDS = 256
OTHER = "other kinds"
"""Beyond `MAX_KINDS` kinds at once, all further ones count as this one."""


@dataclass(slots=True)
class _Window:
    since: float
    written: int = 0
    left_out: int = 0


class Ration:
    """Kinds of errors and how many of each came; a kind that did not come for a minute begins anew."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._next_due = 0.0

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, kind: str, now: float) -> bool:
        """Return whether an error of this kind is written in full; otherwise it is counted."""
        if kind not in self._windows and len(self._windows) >= MAX_KINDS:
            kind = OTHER
        window = self._windows.setdefault(kind, _Window(now))
        if window.written < FULL:
            window.written += 1
            return True
        window.left_out += 1
        return False

    def due(self, now: float) -> list[tuple[str, int]]:
        """Return, once a minute, the kinds of which some were left out, and how many."""
        if now < self._next_due:
            return []
        self._next_due = now + 1.0
        found = []
        for kind, window in list(self._windows.items()):
            if now - window.since < WINDOW_SECONDS:
                continue
            if window.left_out:
                found.append((kind, window.left_out))
                window.since, window.left_out = now, 0
            else:
                del self._windows[kind]
        return found
