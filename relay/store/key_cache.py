"""Recording keys that were unwrapped a moment ago: a playback asks a token once, not once a fragment.

What this file owns: how many are held, for how long, and forgetting.  What it must never know: files, tokens, terms.

An entry says "these wrapped bytes open to this key".  Whoever asks has just read the wrapped bytes from disk, so nothing is
answered for what is not there any more; a damaged or replaced file is unwrapped anew.  Recording keys are held, not day keys: a
day key would open every recording of its day.  Thread-safe; nothing here blocks.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_HELD = 32
"""More than are played, extracted and verified at once on a busy day; the one unwrapped first goes first."""
LIFE = 30.0
"""Seconds since it was unwrapped, however often it is used: a token that was pulled out is missed after that."""


@dataclass(frozen=True, slots=True)
class _Opened:
    wrapped: tuple[bytes, ...]
    key: bytearray
    until: float


class KeyCache:
    """A small memory of unwrapped keys."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._one = threading.Lock()
        self._held: dict[str, _Opened] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        """Return how many keys are in memory."""
        return len(self._held)

    def mark(self) -> int:
        """Return what `keep` wants to be told: taken before the wrapped bytes are read."""
        return self._forgotten

    def get(self, recording: str, wrapped: tuple[bytes, ...]) -> bytes | None:
        """Return the key to which these bytes opened, None where that is not known (any more)."""
        self.forget_old()
        with self._one:
            found = self._held.get(recording)
            return bytes(found.key) if found is not None and found.wrapped == wrapped else None

    def keep(self, recording: str, wrapped: tuple[bytes, ...], key: bytes, mark: int) -> None:
        """Hold a key, unless something was forgotten since `mark`: then its bytes may be of before an erasure."""
        with self._one:
            if mark != self._forgotten:
                return
            self._drop(recording)
            while len(self._held) >= MAX_HELD:
                self._drop(next(iter(self._held)))
            self._held[recording] = _Opened(wrapped, bytearray(key), self._monotonic() + LIFE)

    def forget(self, recording: str) -> None:
        """Forget a recording's key, also one that is being unwrapped at this moment."""
        with self._one:
            self._forgotten += 1
            self._drop(recording)

    def forget_all(self) -> None:
        """Forget everything, also what is being unwrapped at this moment."""
        with self._one:
            self._forgotten += 1
            for recording in list(self._held):
                self._drop(recording)

    def forget_old(self) -> None:
        """Forget what has had its time; call every half minute, because what nobody asks for must go too."""
        with self._one:
            now = self._monotonic()
            for recording in [name for name, opened in self._held.items() if opened.until <= now]:
                self._drop(recording)

    def _drop(self, recording: str) -> None:
        found = self._held.pop(recording, None)
        if found is not None:
            found.key[:] = bytes(len(found.key))  # ours at least; copies given out live as long as a fragment takes
