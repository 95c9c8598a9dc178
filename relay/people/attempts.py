"""Failed sign-ins, remembered in memory, so that the next ones have to wait (SEC-01).

Owns: the failures of each name and of each source, bounded.  Must never know: passwords, which names exist.
"""

from collections import OrderedDict
from typing import Any

from relay.policy.lockout import Failures, Limits, Tried, failed, tried, wait_seconds

MAX_TRACKED = 10_000
"""Names, and sources, that are remembered; the oldest are forgotten."""


class Attempts:
    """The failed sign-ins of this process; times are steady UTC ns."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._names: OrderedDict[str, Failures] = OrderedDict()
        self._sources: OrderedDict[str, Tried] = OrderedDict()

    def wait_seconds(self, user: str, source: str, now_ns: int) -> float:
        """Return how long the next attempt for this name from this source must still wait; 0 when it may be made now."""
        limits = self._limits
        of_source = wait_seconds(self._sources.get(source, Tried()).failures, now_ns, limits, limits.free_names)
        return max(wait_seconds(self._names.get(user, Failures()), now_ns, limits), of_source)

    def failed(self, user: str, source: str, now_ns: int) -> None:
        """Count a failure against the name and against the source."""
        self._names[user] = failed(self._names.get(user, Failures()), now_ns, self._limits)
        self._sources[source] = tried(self._sources.get(source, Tried()), user, now_ns, self._limits)
        _keep_newest(self._names, user)
        _keep_newest(self._sources, source)

    def succeeded(self, user: str, source: str) -> None:
        """Forget the failures of the name and of the source.

        People work at the source: one typo a shift of different people must not lock the room.
        """
        self._names.pop(user, None)
        self._sources.pop(source, None)


def _keep_newest(tracked: OrderedDict[str, Any], key: str) -> None:
    tracked.move_to_end(key)
    while len(tracked) > MAX_TRACKED:
        tracked.popitem(last=False)
