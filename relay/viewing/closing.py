"""The ends of live views on their way into the journal.

What this file owns: that each end is entered once, however long the disk takes.  What it must never know: walls, workers, HTTP.
"""

from collections.abc import Coroutine
from typing import Any

from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.base.errors import RelayError
from relay.store.catalogue import Catalogue
from relay.store.journal import Entry, Journal, Operation
from relay.viewing.sessions import LiveView, ViewEnd


class Closing:
    """Views that are over and not yet entered as closed."""

    def __init__(self, catalogue: Catalogue, journal: Journal, clock: Clock, counters: Counters) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._clock = clock
        self._counters = counters
        self._unentered: dict[str, ViewEnd] = {}
        self._entering: set[str] = set()

    def known(self) -> frozenset[str]:
        """Return the views whose end waits for the disk."""
        return frozenset(self._unentered)

    def enter(self, leave: ViewEnd) -> Coroutine[Any, Any, None]:
        """Note the end of a view at once, and return the work of entering it, to be awaited by nobody in a hurry.

        Raises OurError where the disk refuses: `again` gives the work once more.
        """
        self._unentered[leave.view] = leave
        self._entering.add(leave.view)
        return self._enter(leave)

    def again(self) -> list[Coroutine[Any, Any, None]]:
        """Return the work that the disk refused."""
        return [self.enter(leave) for view, leave in tuple(self._unentered.items()) if view not in self._entering]

    async def _enter(self, leave: ViewEnd) -> None:
        details: dict[str, str | int | bool | None] = {
            "event": "view closed", "view": leave.view, "first_ns": leave.first_ns, "last_ns": leave.last_ns,
            "reason": leave.reason, "viewer": leave.user,
        }  # fmt: skip
        if leave.bound:
            details["upper_bound"] = True
        entry = Entry(Operation.SYSTEME, "relay", "system", object_type="camera", object_id=leave.camera, details=details)
        try:
            await self._journal.append(entry, happened=True)
            del self._unentered[leave.view]
        finally:
            self._entering.discard(leave.view)
        await self._catalogue.close_view(leave.view, self._clock.utc_ns(), leave.reason, leave.first_ns, leave.last_ns)
        self._counters.count("views_closed")


def never_began(watching: LiveView, error: RelayError) -> ViewEnd:
    """Return the end of a view that was entered and never began."""
    return ViewEnd(watching.view, watching.user, watching.camera, None, None, f"not started: {error.detail}")
