"""Interventions: every stream, view and recording belongs to one; each person joins with a motive of their own (JRN-02).

Owns: which person has joined which intervention, and with which motive.  Must never know: packets, HTTP, how a view is stopped.

API: `await open(person, label, motive)`, `await join(person, id, motive)`, `await close(person, id)`,
`await list_open(person)`, `await open_by_camera(camera, label, reason)` (the bearer's button: no person has joined yet),
`await motive_of(person, id) -> str` (raises INCOMPLETE: 422, no picture), `await close_system(id, reason)`;
`on_changed.append(callback())`, `on_closed.append(callback(intervention))`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from relay.base.clock import SECOND_NS, Clock
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.base.ids import new_id
from relay.people.authorize import Authorizer
from relay.policy.access import Facts
from relay.policy.motives import check_motive
from relay.policy.roles import Action, Person
from relay.policy.texts import clean_text, trimmed_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_to_completion
from relay.store.catalogue import Catalogue, Intervention, Participant
from relay.store.journal import Entry, Journal, Operation

MAX_LABEL_BYTES = 200
SPARE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Joined:
    """An intervention as one person sees it; `motive` None where that person has not joined."""

    intervention: Intervention
    motive: str | None


class Interventions:
    """All interventions."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        clock: Clock,
        *,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the disk."""
        self._deadline = deadline
        self._catalogue = catalogue
        self._catalogue_in_time = catalogue.within(deadline)
        self._journal = journal
        self._clock = clock
        self._authorizer = authorizer
        self.on_changed: list[Callable[[], None]] = []
        self.on_closed: list[Callable[[str], None]] = []

    async def open(self, person: Person, label: str, motive: str | None) -> Intervention:
        """Open an intervention, which the person joins with the motive.  Raises TheirError INCOMPLETE, INVALID, FORBIDDEN."""
        await self._authorizer.require(person, Action.OPEN_INTERVENTION)
        reason = await self._check_motive(person, Action.OPEN_INTERVENTION, motive, "")
        now_ns = self._clock.utc_ns()
        made = Intervention(new_id(now_ns), clean_text(label, "label", max_bytes=MAX_LABEL_BYTES), person.user, now_ns)
        await self._enter(person, made.intervention, "intervention opened", reason)
        await run_to_completion(self._add(made, Participant(made.intervention, person.user, reason, now_ns)), self._deadline)
        return made

    async def open_by_camera(self, camera: str, label: str, reason: str, *, deadline: Deadline = NO_DEADLINE) -> Intervention:
        """Open an intervention for a transmission that the bearer started (REC-02, LIV-01); nobody has joined it yet.

        `deadline`: that of the camera's request; none for a press, which is entered in the background.
        """
        now_ns = self._clock.utc_ns()
        made = Intervention(new_id(now_ns), trimmed_text(label, max_bytes=MAX_LABEL_BYTES), f"camera:{camera}", now_ns)
        details = {"event": "intervention opened by its camera"}
        await self._journal.append(
            Entry(
                Operation.COLLECTE,
                camera,
                "camera",
                motive=trimmed_text(reason),
                object_type="intervention",
                object_id=made.intervention,
                details=details,
            ),
            deadline=deadline,
        )
        await run_to_completion(self._add(made, None), deadline)
        return made

    async def join(self, person: Person, intervention: str, motive: str | None) -> Joined:
        """Join with a motive; joining again replaces it.  Raises TheirError CONFLICT (closed), INCOMPLETE (no motive)."""
        found = await self._authorized(person, Action.JOIN_INTERVENTION, intervention)
        reason = await self._check_motive(person, Action.JOIN_INTERVENTION, motive, intervention)
        await self._enter(person, intervention, "intervention joined", reason)
        await run_to_completion(
            self._join(Participant(intervention, person.user, reason, self._clock.utc_ns())), self._deadline
        )
        return Joined(found.intervention, reason)

    async def close(self, person: Person, intervention: str) -> None:
        """Close an intervention that the person has joined; its transmissions and views end (LIV-07)."""
        found = await self._authorized(person, Action.CLOSE_INTERVENTION, intervention)
        await self._enter(person, intervention, "intervention closed", found.motive or "")
        await run_to_completion(self._finish(intervention, person.user), self._deadline)

    async def close_system(self, intervention: str, reason: str) -> None:
        """Close an intervention on the relay's own account, with a reason for the journal."""
        details = {"event": "intervention closed", "reason": reason}
        await self._journal.append(
            Entry(Operation.SYSTEME, "relay", "system", object_type="intervention", object_id=intervention, details=details)
        )
        await self._finish(intervention, "relay")

    async def close_abandoned(self, busy: Callable[[], Collection[str]], *, spare_seconds: float = SPARE_SECONDS) -> None:
        """Close the interventions that a camera opened and nobody joined, but for the `busy` ones, which have a camera.

        `busy` is asked before each is closed, and a new one is spared for a while: its camera is just connecting.
        """
        before_ns = self._clock.utc_ns() - int(spare_seconds * SECOND_NS)
        for intervention in await self._catalogue.interventions.unattended(before_ns):
            if intervention not in busy():
                await self.close_system(intervention, "its last transmission ended and no person joined")

    async def list_open(self, person: Person) -> list[Joined]:
        """Return open interventions, newest first, each with the person's own motive."""
        await self._authorizer.require(person, Action.LIST_INTERVENTIONS)
        mine = await self._catalogue_in_time.interventions.participations(person.user)
        return [Joined(row, mine.get(row.intervention)) for row in await self._catalogue_in_time.interventions.list_open()]

    async def get(self, intervention: str) -> Intervention:
        """Return an intervention, open or closed.  Raises TheirError(NOT_FOUND)."""
        return await self._catalogue_in_time.interventions.get(intervention)

    async def motive_of(self, person: Person, intervention: str | None) -> str:
        """Return the person's motive for an open intervention.  Raises TheirError(INCOMPLETE) without one: no picture."""
        found = await self._catalogue_in_time.interventions.participant(intervention, person.user) if intervention else None
        if found is None:
            raise TheirError(
                Kind.INCOMPLETE,
                "open or join an intervention with a motive first (JRN-02)",
                code=Code.INTERVENTION_REQUIRED,
                facts={"rule": "JRN-02"},
            )
        if (await self._catalogue_in_time.interventions.get(found.intervention)).closed_ns is not None:
            raise TheirError(
                Kind.INCOMPLETE, "this intervention is closed (LIV-07)", code=Code.INTERVENTION_CLOSED, facts={"rule": "LIV-07"}
            )
        return found.motive

    async def facts(self, person: Person, intervention: str) -> Facts:
        """Return what policy knows of an act of this person in an intervention; an unknown one leaves its facts unknown."""
        return _facts(await self._find(person, intervention))

    async def _find(self, person: Person, intervention: str) -> Joined | None:
        try:
            found = await self._catalogue_in_time.interventions.get(intervention)
        except TheirError:
            return None
        mine = await self._catalogue_in_time.interventions.participant(intervention, person.user)
        return Joined(found, None if mine is None else mine.motive)

    async def _authorized(self, person: Person, action: Action, intervention: str) -> Joined:
        """Return the intervention as the person sees it, where policy allows the act; raises TheirError as policy says."""
        found = await self._find(person, intervention)
        facts = _facts(found)
        await self._authorizer.require(person, action, facts, object_type="intervention", object_id=intervention[:32])
        if found is None:  # policy refuses this already; the type checker does not know it
            raise TheirError(Kind.NOT_FOUND, "no such intervention", code=Code.INTERVENTION_NOT_FOUND)
        return found

    async def _add(self, made: Intervention, participant: Participant | None) -> None:
        await self._catalogue.interventions.add(made, participant)
        self._notify_changed()

    async def _join(self, participant: Participant) -> None:
        await self._catalogue.interventions.join(participant)
        self._notify_changed()

    async def _finish(self, intervention: str, by: str) -> None:
        await self._catalogue.interventions.close(intervention, by, self._clock.utc_ns())
        for callback in self.on_closed:
            callback(intervention)
        self._notify_changed()

    async def _check_motive(self, person: Person, action: Action, motive: str | None, intervention: str) -> str:
        try:
            return check_motive(motive)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, action, error, object_type="intervention", object_id=intervention
            ) from None

    def _notify_changed(self) -> None:
        for callback in self.on_changed:
            callback()

    async def _enter(self, person: Person, intervention: str, event: str, motive: str) -> None:
        await self._journal.append(
            Entry(
                Operation.MODIFICATION,
                person.user,
                person.role.value,
                motive=motive,
                object_type="intervention",
                object_id=intervention,
                details={"event": event},
            ),
            deadline=self._deadline,
        )


def _facts(found: Joined | None) -> Facts:
    if found is None:
        return Facts()
    return Facts(intervention_open=found.intervention.closed_ns is None, joined=found.motive is not None, motive=found.motive)
