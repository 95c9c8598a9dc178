"""Decide whether a person may do something; enter a refusal in the journal before raising it (I3, LAW.md T8).

Owns: that order.  Must never know: HTTP.
"""

from relay.base.clock import Clock
from relay.base.errors import TheirError
from relay.policy.access import Facts, decide
from relay.policy.roles import Action, Person
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.journal import Journal


class Authorizer:
    """Asks policy for every service; one is wired for all of control."""

    def __init__(self, journal: Journal, clock: Clock, deadline: Deadline = NO_DEADLINE) -> None:
        self._journal = journal
        self._clock = clock
        self._deadline = deadline

    def within(self, deadline: Deadline) -> "Authorizer":
        """Return the same with another deadline: how long a refusal waits for its journal entry."""
        return Authorizer(self._journal, self._clock, deadline)

    async def require(
        self, person: Person, action: Action, facts: Facts | None = None, *, object_type: str = "", object_id: str = ""
    ) -> None:
        """Return when the action is allowed; else journal the refusal and raise it as TheirError.

        Raises OurError where the journal cannot be written or does not answer within the deadline.
        """
        facts = facts or Facts()
        decision = decide(person, action, facts, self._clock.utc_ns())
        if decision.allowed:
            return
        await self._journal.refuse(
            person.user,
            person.role.value,
            action.value,
            decision.kind.value,
            decision.detail,
            requirement=decision.requirement,
            object_type=object_type,
            object_id=object_id,
            motive=facts.motive or "",
            deadline=self._deadline,
        )
        raise decision.error()

    async def refused(
        self, person: Person, action: Action, error: TheirError, *, object_type: str, object_id: str
    ) -> TheirError:
        """Journal a refusal that the caller decided (a missing motive, for example); return the error, to be raised."""
        await self._journal.refuse(
            person.user,
            person.role.value,
            action.value,
            error.kind.value,
            error.detail,
            object_type=object_type,
            object_id=object_id,
            deadline=self._deadline,
        )
        return error
