"""Decide, and where the answer is no, enter the refusal in the journal before saying so (I3, LAW.md T8).

Owns: nothing but that order.  Must never know: HTTP.
"""

from relay.base.clock import Clock
from relay.base.errors import TheirError
from relay.policy.access import Facts, decide
from relay.policy.roles import Action, Person
from relay.store.journal import Journal


class Authorizer:
    """The one way a service asks whether a person may."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def require(
        self, person: Person, action: Action, facts: Facts | None = None, *, object_type: str = "", object_id: str = ""
    ) -> None:
        """Return when allowed; else journal the refusal and raise it as TheirError."""
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
        )
        raise decision.error()

    async def refused(
        self, person: Person, action: Action, error: TheirError, *, object_type: str, object_id: str
    ) -> TheirError:
        """Journal a refusal decided elsewhere (a missing motive, say) and return the error, to be raised."""
        await self._journal.refuse(
            person.user,
            person.role.value,
            action.value,
            error.kind.value,
            error.detail,
            object_type=object_type,
            object_id=object_id,
        )
        return error
