"""Unwrapped recording keys, kept for 30 s: a playback asks the token once, not once for each fragment.

Owns: how many keys are kept, for how long, and forgetting them.  Must never know: files, tokens, terms.

An entry says "these wrapped bytes open to this key".  The caller has just read the wrapped bytes from disk: so no key is
given for bytes that are gone, and a damaged or replaced file is unwrapped again.  Day keys are not kept: one would open every
recording of its day.  Thread-safe; no call blocks.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_HELD = 32
"""More recordings than are played, extracted and verified at once on a busy day.  The oldest key goes first."""
LIFE_SECONDS = 30.0
"""A key is forgotten this long after it was unwrapped, however often it is used: then a missing token is noticed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    wrapped: tuple[bytes, ...]
    key: bytearray
    until: float


class KeyCache:
    """Up to `MAX_HELD` unwrapped keys by recording."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._erasures = 0

    def __len__(self) -> int:
        """Return how many keys are in memory."""
        return len(self._entries)

    def mark(self) -> int:
        """Return the argument `mark` of `keep`; the caller takes it before it reads the wrapped bytes."""
        return self._erasures

    def get(self, recording: str, wrapped: tuple[bytes, ...]) -> bytes | None:
        """Return the key to which these bytes opened, None where that is not known (any more)."""
        self.forget_old()
        with self._lock:
            found = self._entries.get(recording)
            return bytes(found.key) if found is not None and found.wrapped == wrapped else None

    def keep(self, recording: str, wrapped: tuple[bytes, ...], key: bytearray, mark: int) -> None:
        """Take `key` over, and overwrite it with zeros when it is forgotten.

        A key is not kept where any was forgotten since `mark`: its bytes may have been read before an erasure.
        """
        with self._lock:
            if mark != self._erasures:
                return
            self._drop(recording)
            while len(self._entries) >= MAX_HELD:
                self._drop(next(iter(self._entries)))
            self._entries[recording] = _Entry(wrapped, key, self._monotonic() + LIFE_SECONDS)

    def forget(self, recording: str) -> None:
        """Forget a recording's key, also one that is being unwrapped at this moment."""
        with self._lock:
            self._erasures += 1
            self._drop(recording)

    def forget_all(self) -> None:
        """Forget every key, also those that are being unwrapped at this moment."""
        with self._lock:
            self._erasures += 1
            for recording in list(self._entries):
                self._drop(recording)

    def forget_old(self) -> None:
        """Forget keys whose time is over; to be called every 30 s, because a key that is no longer used must go too."""
        with self._lock:
            now = self._monotonic()
            for recording in [name for name, entry in self._entries.items() if entry.until <= now]:
                self._drop(recording)

    def _drop(self, recording: str) -> None:
        found = self._entries.pop(recording, None)
        if found is not None:
            found.key[:] = bytes(len(found.key))  # copies that were given out live as long as one fragment takes
