"""The ends of live views on their way into the journal.

Owns: that each end is entered once, however long the disk takes.  Must never know: viewer sessions,
workers, HTTP.
"""

from collections.abc import Coroutine
from typing import Any

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import RelayError
from relay.store.catalogue import Catalogue
from relay.store.journal import Entry, Journal, Operation
from relay.viewing.sessions import LiveView, ViewEnd

declare(views_closed="live views closed in the journal")


class ViewEndJournal:
    """Enters the ends of views; keeps each until it is entered."""

    def __init__(self, catalogue: Catalogue, journal: Journal, clock: Clock, counters: Counters) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._clock = clock
        self._counters = counters
        self._unentered: dict[str, ViewEnd] = {}
        self._entering: set[str] = set()

    def pending(self) -> frozenset[str]:
        """Return the views whose end is not in the journal yet."""
        return frozenset(self._unentered)

    def enter(self, end: ViewEnd) -> Coroutine[Any, Any, None]:
        """Keep the end of a view from now on, and return the work of entering it.

        The work raises OurError where the disk refuses; `retries` then returns it once more.
        """
        self._unentered[end.view] = end
        self._entering.add(end.view)
        return self._enter(end)

    def retries(self) -> list[Coroutine[Any, Any, None]]:
        """Return the work of entering each end that the disk refused."""
        return [self.enter(end) for view, end in tuple(self._unentered.items()) if view not in self._entering]

    async def _enter(self, end: ViewEnd) -> None:
        details: dict[str, str | int | bool | None] = {
            "event": "view closed", "view": end.view, "first_ns": end.first_ns, "last_ns": end.last_ns,
            "reason": end.reason, "viewer": end.user,
        }  # fmt: skip
        if end.upper_bound:
            details["upper_bound"] = True
        entry = Entry(Operation.SYSTEME, "relay", "system", object_type="camera", object_id=end.camera, details=details)
        try:
            await self._journal.append(entry, happened=True)
            del self._unentered[end.view]
        finally:
            self._entering.discard(end.view)
        await self._catalogue.views.close(end.view, self._clock.utc_ns(), end.reason, end.first_ns, end.last_ns)
        self._counters.count("views_closed")


def not_started(view: LiveView, error: RelayError) -> ViewEnd:
    """Return the end of a view whose beginning was entered and which never showed anything."""
    return ViewEnd(view.view, view.user, view.camera, None, None, f"not started: {error.detail}")
