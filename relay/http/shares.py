"""What one sign-in and one person may have open at once: live sockets, downloads.

Owns: the counts.  Must never know: what is open.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.people.sign_ins import SignedIn

LIVE_PER_SIGN_IN = 16
"""Windows of the page in one browser."""
LIVE_PER_PERSON = 32
DOWNLOADS_PER_SIGN_IN = 12
"""Pieces of recordings and archives that are being sent: a player asks for one or two at a time."""
DOWNLOADS_PER_PERSON = 24
RETRY_SECONDS = 5.0

declare(shares_refused="live sockets and downloads refused because one sign-in or person had too many open")


class Shares:
    """Counts of one kind of thing.  Only what is open is remembered."""

    def __init__(self, per_sign_in: int, per_person: int, counters: Counters) -> None:
        self._per_sign_in = per_sign_in
        self._per_person = per_person
        self._counters = counters
        self._open: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def taken(self, found: SignedIn) -> Iterator[None]:
        """Hold one share while the body runs; raises TheirError TOO_MANY where all are taken."""
        keys = (("sign-in", found.sign_in), ("person", found.person.user))
        for key, most in zip(keys, (self._per_sign_in, self._per_person), strict=True):
            if self._open[key] >= most:
                self._counters.count("shares_refused")
                raise TheirError(
                    Kind.TOO_MANY,
                    f"this {key[0]} already has {most} of these open: close one first",
                    code=Code.TOO_MANY_OPEN,
                    retry_after=RETRY_SECONDS,
                )
        self._open.update(keys)
        try:
            yield
        finally:
            self._open.subtract(keys)
            for key in keys:
                if not self._open[key]:
                    del self._open[key]
