"""Recordings: begun, sealed, closed, listed.

Owns: rows about recordings (I1: a row comes after its link is on disk).  Must never know: packets, how a recording is played.

API for callers:
* `await begin(camera, intervention, trigger=, threat=, ...) -> (Plan, key)`: journal entry and row, then the key; then the
  caller sends `RecordOpen(plan, key)`; `await abandoned(recording, reason)` when the recorder refused.
* `await segment_sealed(msg)`, `await gap_seen(msg)`, `await closed(msg)`: the facts that recorders report.
* `await list(person, filter)`, `await get(person, id) -> Detail`.
Playback is `playback`, the verdict `verification`, extraction `exports`, the end of a recording's life `retention` and `holds`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from msgspec.structs import replace

from relay.archive.heads import Heads
from relay.base.clip import clip
from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, TheirError
from relay.base.ids import new_id
from relay.channel.messages import GapSeen, Plan, RecordingClosed, SegmentSealed
from relay.evidence.records import MAX_TEXT, MAX_THREAT
from relay.people.authorize import Authorizer
from relay.policy.access import Facts, in_scope
from relay.policy.motives import check_threat
from relay.policy.regimes import rules_of
from relay.policy.retention import expires_on
from relay.policy.roles import Action, Person
from relay.policy.texts import clean_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_in_background, wait_within
from relay.store.accounts import Camera
from relay.store.catalogue import Catalogue, Recording, RecordingFilter, Segment, inserting
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring

declare(
    recordings_damaged="recordings whose recovery found bytes altered or missing on disk; none of their bytes were cut",
    recorder_facts_unknown="segments or ends reported for a recording that the catalogue does not know",
)


@dataclass(frozen=True, slots=True)
class Detail:
    """A recording with its segments and gaps (start ns, length ns, cause)."""

    recording: Recording
    segments: tuple[Segment, ...]
    gaps: tuple[tuple[int, int, str], ...]
    held: bool


class Recordings:
    """The life of recordings in journal and catalogue, from the order to record to the signed end."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        keyring: Keyring,
        clock: Clock,
        counters: Counters,
        *,
        prefect_days: int | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`prefect_days`: the shorter term of videoprotection in the prefect's act (VID-04).

        `deadline`: how long a request waits for the disk.  `begin` has it always, because the camera's next offer waits for it.
        """
        self._deadline = deadline
        self._catalogue = catalogue
        self._catalogue_in_time = catalogue.within(deadline)
        self._journal = journal
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._prefect_days = prefect_days
        self._authorizer = authorizer
        self.heads = Heads(catalogue, journal)
        self.on_damaged: list[Callable[[str], None]] = []
        """Called with the camera of a recording that its recorder found damaged."""

    # --- the life of a recording -------------------------------------------------------------------------------------------

    def check(self, camera: Camera, trigger: str, threat: str) -> None:
        """Raise TheirError where policy would refuse the recording: no trigger (REC-02), no declared threat (LIV-01)."""
        self._plan(camera, "", clean_text(trigger, "trigger"), threat, None, None)

    async def begin(
        self,
        camera: Camera,
        intervention: str,
        *,
        trigger: str,
        threat: str,
        bearer: str | None = None,
        previous: str | None = None,
        recording: str | None = None,
        started_ns: int | None = None,
        recorder: int | None = None,
    ) -> tuple[Plan, bytes]:
        """Prepare a recording: journal entry and row in one transaction, then its key on disk.

        Return the plan and the key for `RecordOpen`.  `recording`: its id, where one was reserved; `started_ns`: when its
        first packet came (UTC), now where none has; `recorder`: number of the recorder that will hold it.
        REC-02: a trigger and an intervention are required; LIV-01: a threat where the regime asks for one.
        """
        plan = self._plan(camera, intervention, clean_text(trigger, "trigger"), threat, bearer, previous, started_ns)
        if recording is not None:
            plan = replace(plan, recording=recording)
        try:
            await self._enter_begin(plan, camera.commune, recorder)
            making = asyncio.to_thread(self._keyring.create_recording_key, plan.recording, plan.expires_on)
            return plan, await wait_within(making, self._deadline)
        except asyncio.CancelledError:
            # The relay stops, or the camera hung up: without this entry `relay check` would miss a recording for ever.
            run_in_background(self.abandoned(plan.recording, "the request was cancelled"))
            raise
        except OurError as error:
            run_in_background(self.abandoned(plan.recording, error.detail))
            raise

    async def _enter_begin(self, plan: Plan, commune: str, recorder: int | None) -> None:
        details: dict[str, str | int | bool | None] = {
            "event": "recording begun",
            "intervention": plan.intervention,
            "threat": plan.threat,
            "previous": plan.previous,
            "expires_on": plan.expires_on,
        }
        entry = Entry(
            Operation.COLLECTE, plan.camera, "camera", motive=plan.trigger, object_type="recording", object_id=plan.recording,
            details=details,
        )  # fmt: skip
        await self._journal.append(entry, beside=inserting(_row(plan, commune, recorder)), deadline=self._deadline)

    async def abandon_unopened(self, before_ns: int, known: Callable[[str], bool]) -> None:
        """Close the rows of recordings that were begun before `before_ns` (UTC) and never opened: control died meanwhile.

        `known`: whether a recorder holds a recording or anything of it is in the vault.
        """
        for row in await self._catalogue.recordings.find(RecordingFilter(state="open", to_ns=before_ns, limit=500)):
            if not row.links and not known(row.recording):
                await self.abandoned(row.recording, "control ended before a recorder opened it")

    def _plan(
        self,
        camera: Camera,
        intervention: str,
        trigger: str,
        threat: str,
        bearer: str | None,
        previous: str | None,
        started_ns: int | None = None,
    ) -> Plan:
        if rules_of(camera.regime).threat_required:
            threat = check_threat(threat).value
        now_ns = self._clock.utc_ns() if started_ns is None else started_ns
        return Plan(
            recording=new_id(now_ns),
            camera=camera.camera,
            camera_label=clip(camera.label, MAX_TEXT),
            regime=camera.regime,
            service=clip(camera.service, MAX_TEXT),
            original=cast(Literal["relay", "camera"], camera.original),
            bearer=clip(bearer, MAX_TEXT) if bearer is not None else None,
            intervention=intervention,
            trigger=clip(trigger, MAX_TEXT),
            threat=clip(threat, MAX_THREAT),
            expires_on=expires_on(camera.regime, now_ns, self._prefect_days).isoformat(),
            previous=previous,
            started_ns=now_ns,
        )

    async def abandoned(self, recording: str, reason: str) -> None:
        """Close the row of a recording that was prepared and never opened; its key is destroyed at its term at the latest."""
        await self._system(recording, "recording not opened", reason=reason)
        values = {"state": "closed", "reason": "refused", "ended_ns": self._clock.utc_ns()}
        await self._catalogue.recordings.close(recording, values)

    async def row(self, recording: str) -> Recording:
        """Return the row of a recording, for control itself; raises TheirError NOT_FOUND, OurError."""
        return await self._catalogue.recordings.get(recording)

    async def segment_sealed(self, sealed: SegmentSealed) -> None:
        """Add the row of a sealed segment, whose links are on disk (I1).  Unknown recordings are counted; nothing is raised."""
        row = Segment(
            sealed.recording,
            sealed.segment,
            sealed.first_link,
            sealed.last_link,
            sealed.start_ns,
            sealed.end_ns,
            sealed.stored_bytes,
            sealed.head,
        )
        try:
            await self._catalogue.recordings.add_segment(row)
        except TheirError:
            self._counters.count("recorder_facts_unknown")

    async def gap_seen(self, gap: GapSeen) -> None:
        """Add the row of a signed gap (I2)."""
        try:
            await self._catalogue.recordings.add_gap(gap.recording, gap.start_ns, gap.length_ns, gap.cause)
        except TheirError:
            self._counters.count("recorder_facts_unknown")

    async def closed(self, end: RecordingClosed) -> None:
        """Enter a signed end or recovery, which is on disk, with its head; then close the row.

        The head in the journal proves later that this end, and no shorter one, existed.
        """
        await self._system(
            end.recording,
            "recording closed",
            reason=end.reason,
            head=end.head.hex(),
            links=end.links,
            gaps=end.gaps,
            recovered=end.recovered,
            **({"damage": end.damage} if end.damage else {}),
        )
        values = {
            "state": "closed",
            "reason": end.reason,
            "links": end.links,
            "head": end.head,
            "ended_ns": end.end_ns,
            "recovered": end.recovered,
            "gaps": end.gaps,
            "duration_ns": end.duration_ns,
            "stored_bytes": end.stored_bytes,
        }
        if not await self._catalogue.recordings.close(end.recording, values):
            self._counters.count("recorder_facts_unknown")
        elif end.reason == "damaged":
            await self._damaged(end.recording)

    async def _damaged(self, recording: str) -> None:
        """Raise an alarm: the bytes on disk are not the sealed ones.  Somebody must look now, not at the trial."""
        self._counters.count("recordings_damaged")
        row = await self._catalogue.recordings.get(recording)
        for listener in self.on_damaged:
            listener(row.camera)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def list(self, person: Person, wanted: RecordingFilter | None = None) -> "list[Recording]":
        """Return recordings in the person's scope (VID-03), newest first; metadata only (REC-10)."""
        await self._authorizer.require(person, Action.LIST_RECORDINGS)
        found = await self._catalogue_in_time.recordings.find(wanted or RecordingFilter())
        return [row for row in found if in_scope(person, row)]

    async def get(self, person: Person, recording: str) -> Detail:
        """Return a recording with its segments and gaps.  Raises TheirError NOT_FOUND, FORBIDDEN."""
        row = await self._catalogue_in_time.recordings.get(recording)
        facts = Facts().of(row)
        await self._authorizer.require(person, Action.LIST_RECORDINGS, facts, object_type="recording", object_id=recording)
        segments = await self._catalogue_in_time.recordings.segments(recording)
        gaps = await self._catalogue_in_time.recordings.gaps(recording)
        return Detail(row, tuple(segments), tuple(gaps), recording in await self._catalogue_in_time.holds.held())

    async def _system(self, recording: str, event: str, **details: str | int | bool | None) -> None:
        await self._journal.append(
            Entry(
                Operation.SYSTEME,
                "relay",
                "system",
                object_type="recording",
                object_id=recording,
                details={"event": event, **details},
            ),
            happened=True,
        )


def _row(plan: Plan, commune: str, recorder: int | None) -> Recording:
    return Recording(
        recording=plan.recording,
        camera=plan.camera,
        camera_label=plan.camera_label,
        regime=plan.regime,
        service=plan.service,
        commune=commune,
        original=plan.original,
        bearer=plan.bearer,
        intervention=plan.intervention,
        trigger=plan.trigger,
        threat=plan.threat,
        previous=plan.previous,
        started_ns=plan.started_ns,
        ended_ns=None,
        expires_on=plan.expires_on,
        state="open",
        reason=None,
        recovered=False,
        links=0,
        gaps=0,
        duration_ns=0,
        stored_bytes=0,
        head=None,
        erased_ns=None,
        late_seconds=None,
        recorder=recorder,
    )
