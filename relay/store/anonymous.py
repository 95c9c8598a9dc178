"""Refusals to unidentified callers, counted in minutes so that no outsider can fill the journal (I3).

Owns: the counts of the running minute and the day's budget.  Must never know: the journal, the database; addresses stay in
memory and are given out only as a keyed hash, whose key is lost with the process (JRN-05: minimise).
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterator

from relay.base.clock import SECOND_NS

MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
SOURCES_PER_MINUTE = 16
ENTRIES_PER_DAY = 2_000
HOUR_NS = 3_600 * SECOND_NS


class AnonymousRefusals:
    """Per minute at most 16 sources plus one line for the rest; per day at most 2000 lines, then one an hour."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._minute = 0
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._others = 0
        self._ready: list[dict[str, str | int | bool | None]] = []
        self._day = 0
        self._spent = 0
        self._hour = 0
        self._over_budget = 0

    def count(self, source: str, route: str, now_ns: int) -> None:
        """Count one refusal of `source` (an address) at `route` (its name, not its path; the journal's field is `door`)."""
        self._advance_to(now_ns)
        key = (self._pseudonym(source), route)
        if key in self._counts or len(self._counts) < SOURCES_PER_MINUTE:
            self._counts[key] = self._counts.get(key, 0) + 1
        else:
            self._others += 1

    def take_due(self, now_ns: int) -> Iterator[dict[str, str | int | bool | None]]:
        """Take the details of the entries to write for the minutes that are over."""
        self._advance_to(now_ns)
        ready, self._ready = self._ready, []
        yield from ready

    def _advance_to(self, now_ns: int) -> None:
        minute = now_ns // MINUTE_NS
        if minute == self._minute:
            return
        for (source, route), count in self._counts.items():
            self._emit({"source": source, "door": route, "count": count}, count)
        if self._others:
            self._emit({"source": "others", "door": "any", "count": self._others}, self._others)
        self._counts.clear()
        self._others = 0
        if now_ns // DAY_NS != self._day:
            self._day, self._spent = now_ns // DAY_NS, 0
        self._minute = minute
        if self._over_budget and now_ns // HOUR_NS != self._hour:
            self._hour = now_ns // HOUR_NS
            self._ready.append({"source": "over budget", "door": "any", "count": self._over_budget})
            self._over_budget = 0

    def _emit(self, details: dict[str, str | int | bool | None], count: int) -> None:
        if self._spent >= ENTRIES_PER_DAY or len(self._ready) >= ENTRIES_PER_DAY:
            self._over_budget += count
            return
        self._spent += 1
        self._ready.append({"minute": self._minute, **details})

    def _pseudonym(self, source: str) -> str:
        return hashlib.blake2b(source.encode(), key=self._key, digest_size=8).hexdigest()
