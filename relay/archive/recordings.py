"""Recordings: begun, sealed, closed, listed, watched under a journalled view.

Owns: rows about recordings (I1: a row comes after its link is on disk) and open playback views.  Must never know: packets.

API for callers:
* `await begin(camera, intervention, trigger=, threat=, bearer=, previous=) -> (Plan, key)`: journal entry, key, row; then the
  caller sends `RecordOpen(plan, key)`; `await abandoned(recording, reason)` when the recorder refused.
* `await segment_sealed(msg)`, `await gap_seen(msg)`, `await closed(msg)`: what recorders say.
* `await list(person, filter)`, `await get(person, id) -> Detail`.
* `await open_view(person, id, motive, intervention) -> PlaybackView`, `await close_view(person, view)`,
  `playlist(person, view)`, `await init(person, view, n) -> bytes`, `await media(person, view, n) -> AsyncIterator[bytes]`;
  `await tick()` closes forgotten views.
* verification is `relay.archive.verification`, extraction `relay.archive.exports`, expiry `keeping`, holds `holds` there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from relay.archive.playback import Index, Piece, index_chain, move_sound, playlist, runs
from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.base.ids import new_id
from relay.channel.messages import GapSeen, Plan, RecordingClosed, SegmentSealed
from relay.evidence.records import MAX_TEXT, MAX_THREAT, Link
from relay.evidence.wire import clip
from relay.people.authorize import Authorizer
from relay.policy.access import Facts
from relay.policy.motives import check_motive, check_threat, clean_text
from relay.policy.regimes import rules_of
from relay.policy.retention import expires_on
from relay.policy.roles import Action, Person
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait, run_in_background, wait_within
from relay.store.accounts import Camera
from relay.store.catalogue import Catalogue, Filter, Recording, Segment, View
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.vault import Vault

MAX_VIEWS = 64
IDLE_SECONDS = 600

declare(
    playback_views="journalled playback views opened",
    playback_bytes="plain bytes decrypted for playback",
    recordings_damaged="recordings found altered or missing on disk as they were recovered; nothing of them was cut",
    recorder_facts_unknown="segments or ends reported for a recording that the catalogue does not know",
)


@dataclass(frozen=True, slots=True)
class Detail:
    """A recording with its segments and gaps (start ns, length ns, cause)."""

    recording: Recording
    segments: tuple[Segment, ...]
    gaps: tuple[tuple[int, int, str], ...]
    held: bool


@dataclass(frozen=True, slots=True)
class PlaybackView:
    """An open, journalled playback; only `user` may read from it."""

    view: str
    recording: str
    user: str
    index: Index
    opened_ns: int
    touched_ns: int
    touched: float
    """Monotonic seconds of the same instant: no step of the wall clock makes a playback idle."""
    served: set[int] = field(default_factory=set)
    """Segments of which at least one fragment was decrypted for it."""


class Recordings:
    """Everything about recordings but their verdict, export and end of life."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        vault: Vault,
        keyring: Keyring,
        clock: Clock,
        counters: Counters,
        *,
        prefect_days: int | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`prefect_days`: the shorter term of videoprotection in the prefect's act (VID-04).

        `deadline`: how long a request waits for the disk, `begin` included: the camera's next offer waits for it.
        """
        self._deadline = deadline
        self._catalogue = catalogue
        self._catalogue_in_time = catalogue.within(deadline)
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._prefect_days = prefect_days
        self._authorizer = authorizer
        self._views: dict[str, PlaybackView] = {}
        self.on_damaged: list[Callable[[str], None]] = []
        """Called with the camera of a recording that its recorder found damaged."""

    # --- a recording's life -------------------------------------------------------------------------------------------

    async def begin(
        self,
        camera: Camera,
        intervention: str,
        *,
        trigger: str,
        threat: str,
        bearer: str | None = None,
        previous: str | None = None,
    ) -> tuple[Plan, bytes]:
        """Prepare a recording: entry in the journal, key on disk, row; returns what `RecordOpen` carries.

        REC-02: needs a trigger and an intervention; LIV-01: a threat where the regime asks for one.
        """
        plan = self._plan(camera, intervention, clean_text(trigger, "trigger"), threat, bearer, previous)
        await self._journal.append(
            Entry(
                Operation.COLLECTE,
                camera.camera,
                "camera",
                motive=plan.trigger,
                object_type="recording",
                object_id=plan.recording,
                details={
                    "event": "recording begun",
                    "intervention": intervention,
                    "threat": plan.threat,
                    "previous": previous,
                    "expires_on": plan.expires_on,
                },
            ),
            deadline=self._deadline,
        )
        try:
            making = asyncio.to_thread(self._keyring.create_recording_key, plan.recording, plan.expires_on)
            key = await wait_within(making, self._deadline)
            await self._catalogue_in_time.recordings.add(_row(plan, camera.commune))
        except OurError as error:
            run_in_background(self.abandoned(plan.recording, error.detail))
            raise
        return plan, key

    def _plan(
        self, camera: Camera, intervention: str, trigger: str, threat: str, bearer: str | None, previous: str | None
    ) -> Plan:
        if rules_of(camera.regime).threat_required:
            threat = check_threat(threat).value
        now_ns = self._clock.utc_ns()
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
        """Note that a recording was prepared but never opened: its row is closed, empty; its key goes at its term or before."""
        await self._system(recording, "recording not opened", reason=reason)
        values = {"state": "closed", "reason": "refused", "ended_ns": self._clock.utc_ns()}
        await self._catalogue.recordings.update(recording, values)

    async def segment_sealed(self, sealed: SegmentSealed) -> None:
        """I1: the links are on disk, so the row may appear.  Repeats and unknown recordings are counted, never raised."""
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
        """I2: a signed gap gets its row."""
        try:
            await self._catalogue.recordings.add_gap(gap.recording, gap.start_ns, gap.length_ns, gap.cause)
        except TheirError:
            self._counters.count("recorder_facts_unknown")

    async def closed(self, end: RecordingClosed) -> None:
        """The signed end, or the recovery record, is on disk: enter it with its head, then close the row.

        The head in the journal is what later proves that this end, and no shorter one, existed.
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
        if not await self._catalogue.recordings.update(end.recording, values):
            self._counters.count("recorder_facts_unknown")
        elif end.reason == "damaged":
            await self._damaged(end.recording)

    async def _damaged(self, recording: str) -> None:
        """What was on disk is not what was sealed: somebody has to look, tonight rather than at the trial."""
        self._counters.count("recordings_damaged")
        row = await self._catalogue.recordings.get(recording)
        for listener in self.on_damaged:
            listener(row.camera)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def list(self, person: Person, wanted: Filter | None = None) -> "list[Recording]":
        """Return recordings in the person's scope (VID-03), newest first; metadata only (REC-10)."""
        await self._authorizer.require(person, Action.LIST_RECORDINGS)
        found = await self._catalogue_in_time.recordings.find(wanted or Filter())
        return [row for row in found if _in_scope(person, row)]

    async def get(self, person: Person, recording: str) -> Detail:
        """Return one with its segments and gaps; TheirError(NOT_FOUND)."""
        row = await self._catalogue_in_time.recordings.get(recording)
        facts = Facts(regime=row.regime, service=row.service, commune=row.commune)
        await self._authorizer.require(person, Action.LIST_RECORDINGS, facts, object_type="recording", object_id=recording)
        segments = await self._catalogue_in_time.recordings.segments(recording)
        gaps = await self._catalogue_in_time.recordings.gaps(recording)
        return Detail(row, tuple(segments), tuple(gaps), recording in await self._catalogue_in_time.holds.held())

    async def open_view(
        self, person: Person, recording: str, motive: str | None, intervention: str | None = None
    ) -> PlaybackView:
        """Begin a playback: consultation entered and durable (I3) before anything is decrypted.

        Raises TheirError INCOMPLETE (no motive), FORBIDDEN, CONFLICT (open, or too many views), GONE (erased), NOT_FOUND.
        """
        row = await self._catalogue_in_time.recordings.get(recording)
        reason = await self._allowed(person, row, motive)
        if len(self._views) >= MAX_VIEWS:
            raise TheirError(Kind.TOO_MANY, "too many playbacks are open", retry_after=30.0, code=Code.TOO_MANY_PLAYBACKS)
        index = await asyncio.to_thread(lambda: index_chain(self._vault.chain(recording)))
        now_ns = self._clock.utc_ns()
        view = PlaybackView(new_id(now_ns), recording, person.user, index, now_ns, now_ns, self._clock.monotonic())
        await self._enter_view(person, view, reason, "playback opened")
        self._views[view.view] = view
        made = View(view.view, "playback", person.user, row.camera, recording, intervention, reason, now_ns, now_ns)
        try:
            await self._catalogue_in_time.views.add(made)
        except OurError:
            run_in_background(self._end_view(view, "not started"))
            raise
        self._counters.count("playback_views")
        return view

    async def close_view(self, person: Person, view: str, reason: str = "closed") -> None:
        """End one's own playback; TheirError(NOT_FOUND) when it is over or someone else's."""
        await run_and_wait(self._end_view(self._mine(person, view), reason), self._deadline)

    async def end_views_of(self, user: str, reason: str) -> None:
        """End every playback of a person (forced sign-out, revoked designation)."""
        for view in [view for view in self._views.values() if view.user == user]:
            await self._end_view(view, reason)

    async def end_views_of_recording(self, recording: str, reason: str) -> None:
        """End every playback of a recording about to be erased."""
        for view in [view for view in self._views.values() if view.recording == recording]:
            await self._end_view(view, reason)

    async def bury(self) -> None:
        """Close the playbacks that were open when control last ran; what of them was served is not known any more."""
        now_ns, reason = self._clock.utc_ns(), "the relay was restarted"
        for row in await self._catalogue.views.list_open():
            if row.kind == "playback" and row.view not in self._views and row.recording is not None:
                await self._system(
                    row.recording, "playback closed", view=row.view, user=row.user, reason=reason, upper_bound=True
                )
                await self._catalogue.views.close(row.view, now_ns, reason, row.opened_ns, now_ns)

    def views(self) -> frozenset[str]:
        """Return the playbacks that are open."""
        return frozenset(self._views)

    async def tick(self) -> None:
        """Close playbacks that nobody has read from for ten minutes; have keys forgotten that nobody needs any more."""
        self._keyring.forget_opened()
        limit = self._clock.monotonic() - IDLE_SECONDS
        for view in [view for view in self._views.values() if view.touched < limit]:
            await self._end_view(view, "idle")

    def playlist(self, person: Person, view: str) -> str:
        """Return the HLS playlist of one's own open view; its addresses are relative (`<n>.init.mp4`, `<n>.m4s`)."""
        return playlist(self._touch(person, view).index.pieces)

    async def init(self, person: Person, view: str, segment: int) -> bytes:
        """Return the plain init segment of piece `segment`; TheirError(NOT_FOUND, GONE)."""
        found = self._touch(person, view)
        return await self._plain(found.recording, self._piece(found, segment).init)

    async def media(self, person: Person, view: str, segment: int) -> AsyncIterator[bytes]:
        """Return the plain fragments of piece `segment`, decrypted one by one (memory: one fragment)."""
        found = self._touch(person, view)
        piece = self._piece(found, segment)
        await asyncio.to_thread(self._keyring.recording_key, found.recording)  # refused before the answer begins
        return self._fragments(found, piece)

    async def _fragments(self, view: PlaybackView, piece: Piece) -> AsyncIterator[bytes]:
        for link in piece.fragments:
            if view.view not in self._views:
                return  # closed meanwhile: not one fragment more
            data = await self._plain(view.recording, link)
            view.served.add(piece.segment)
            yield move_sound(data, link, view.index.shifts)

    async def _plain(self, recording: str, link: Link) -> bytes:
        def read() -> bytes:
            key = self._keyring.recording_key(recording)
            return self._vault.read_plain(recording, key, link.fragment, link.segment, link.offset, link.stored_length)

        data = await asyncio.to_thread(read)
        self._counters.count("playback_bytes", len(data))
        return data

    async def _allowed(self, person: Person, row: Recording, motive: str | None) -> str:
        """ACC-03, JRN-02: decide a playback; returns the cleaned motive."""
        try:
            reason = check_motive(motive)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, Action.PLAY_RECORDING, error, object_type="recording", object_id=row.recording
            ) from None
        its = await self._catalogue_in_time.interventions.get(row.intervention)
        facts = Facts(
            regime=row.regime,
            service=row.service,
            commune=row.commune,
            motive=reason,
            intervention_open=its.closed_ns is None,
            recording_closed=row.state == "closed",
            recording_erased=row.state == "erased",
            recording_here=row.original == "relay",
        )
        await self._authorizer.require(person, Action.PLAY_RECORDING, facts, object_type="recording", object_id=row.recording)
        return reason

    def _mine(self, person: Person, view: str) -> PlaybackView:
        found = self._views.get(view)
        if found is None or found.user != person.user:
            raise TheirError(Kind.NOT_FOUND, "no such playback", code=Code.PLAYBACK_NOT_FOUND)
        return found

    def _touch(self, person: Person, view: str) -> PlaybackView:
        found = replace(self._mine(person, view), touched_ns=self._clock.utc_ns(), touched=self._clock.monotonic())
        self._views[view] = found
        return found

    def _piece(self, view: PlaybackView, segment: int) -> Piece:
        for piece in view.index.pieces:
            if piece.segment == segment:
                return piece
        raise TheirError(Kind.NOT_FOUND, f"no segment {segment}", code=Code.SEGMENT_NOT_FOUND)

    async def _end_view(self, view: PlaybackView, reason: str) -> None:
        # Nothing more is served from here on, whatever happens to the entry.
        if self._views.pop(view.view, None) is None:
            return
        now_ns = self._clock.utc_ns()
        details = {"view": view.view, "user": view.user, "reason": reason, "segments": runs(view.served)}
        await self._system(view.recording, "playback closed", **details)
        await self._catalogue.views.close(view.view, now_ns, reason, view.opened_ns, view.touched_ns)

    async def _enter_view(self, person: Person, view: PlaybackView, motive: str, event: str) -> None:
        await self._journal.append(
            Entry(
                Operation.CONSULTATION,
                person.user,
                person.role.value,
                motive=motive,
                object_type="recording",
                object_id=view.recording,
                details={"event": event, "view": view.view},
            ),
            deadline=self._deadline,
        )

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


def _in_scope(person: Person, row: Recording) -> bool:
    if row.service != person.service:
        return False
    return person.communes is None or not rules_of(row.regime).commune_scoped or row.commune in person.communes


def _row(plan: Plan, commune: str) -> Recording:
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
    )
