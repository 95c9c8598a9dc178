"""Playback: a closed recording watched under a journalled view, fragment by fragment.

Owns: the open playbacks.  Must never know: HTTP, live pictures, how a recording came to be.

API: `await open(person, recording, motive, intervention) -> Playback`, `await close(person, view)`, `playlist(person, view)`,
`await init(person, view, n) -> bytes`, `await media(person, view, n) -> AsyncIterator[bytes]`; `await tick()` closes idle ones;
`await close_left_open()` closes those that were open when control last ran.

The order (I3): policy → *playback opened* durable → row → the first byte is decrypted.  At the end: no fragment more →
*playback closed* with the segments served → row.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from relay.archive import hls
from relay.archive.grey_start import grey_before
from relay.archive.moved import move_tracks
from relay.archive.quiet import names_sound, silent_ticks, with_silence
from relay.archive.stored_facts import stored_facts
from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.base.ids import new_id
from relay.evidence.records import Link
from relay.people.authorize import Authorizer
from relay.policy.motives import check_motive
from relay.policy.roles import Action, Person
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait, run_in_background
from relay.store.catalogue import Catalogue, Recording, View
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.vault import Vault

MAX_PLAYBACKS = 64
IDLE_SECONDS = 600

declare(
    playback_views="journalled playback views opened",
    playback_bytes="plain bytes decrypted for playback",
)


@dataclass(frozen=True, slots=True)
class Playback:
    """An open, journalled playback; only `user` may read from it."""

    view: str
    recording: str
    user: str
    index: hls.Index
    opened_ns: int
    touched_ns: int
    """UTC nanoseconds of the last reading."""
    touched_mono: float
    """Monotonic seconds of the same instant: no step of the wall clock makes a playback idle."""
    served: set[int] = field(default_factory=set)
    """Segments of which at least one fragment was decrypted for it."""
    newest: list[int] = field(default_factory=list)
    """The segment that was asked for last, if any was: a player that plays on needs no new beginning in the next one."""


class Playbacks:
    """All open playbacks."""

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
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the disk."""
        self._catalogue = catalogue
        self._catalogue_in_time = catalogue.within(deadline)
        self._journal = journal
        self._authorizer = authorizer
        self._vault = vault
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._deadline = deadline
        self._open: dict[str, Playback] = {}

    async def open(self, person: Person, recording: str, motive: str | None, intervention: str | None = None) -> Playback:
        """Begin a playback: its entry is durable before any byte is decrypted (I3).

        Raises TheirError INCOMPLETE (no motive), FORBIDDEN, CONFLICT (open, or too many views), GONE (erased), NOT_FOUND.
        """
        row = await self._catalogue_in_time.recordings.get(recording)
        reason = await self._allowed(person, row, motive)
        if len(self._open) >= MAX_PLAYBACKS:
            raise TheirError(Kind.TOO_MANY, "too many playbacks are open", retry_after=30.0, code=Code.TOO_MANY_PLAYBACKS)
        index = await asyncio.to_thread(lambda: hls.index_chain(self._vault.chain(recording)))
        now_ns = self._clock.utc_ns()
        view = Playback(new_id(now_ns), recording, person.user, index, now_ns, now_ns, self._clock.monotonic())
        await self._enter_opened(person, view, reason)
        self._open[view.view] = view
        made = View(view.view, "playback", person.user, row.camera, recording, intervention, reason, now_ns, now_ns)
        try:
            await self._catalogue_in_time.views.add(made)
        except OurError:
            run_in_background(self._end(view, "not started"))
            raise
        self._counters.count("playback_views")
        return view

    async def close(self, person: Person, view: str, reason: str = "closed") -> None:
        """End the person's own playback.  Raises TheirError(NOT_FOUND) when it is over or another person's."""
        await run_and_wait(self._end(self._mine(person, view), reason), self._deadline)

    async def end_of_person(self, user: str, reason: str) -> None:
        """End every playback of a person (forced sign-out, revoked designation)."""
        for view in [view for view in self._open.values() if view.user == user]:
            await self._end(view, reason)

    async def end_of_recording(self, recording: str, reason: str) -> None:
        """End every playback of a recording about to be erased."""
        for view in [view for view in self._open.values() if view.recording == recording]:
            await self._end(view, reason)

    async def close_left_open(self) -> None:
        """Close the playbacks that were open when control last ran; which of their segments were served is unknown."""
        now_ns, reason = self._clock.utc_ns(), "the relay was restarted"
        for row in await self._catalogue.views.list_open():
            if row.kind == "playback" and row.view not in self._open and row.recording is not None:
                await self._enter_closed(row.recording, view=row.view, user=row.user, reason=reason, upper_bound=True)
                await self._catalogue.views.close(row.view, now_ns, reason, row.opened_ns, now_ns)

    def open_views(self) -> frozenset[str]:
        """Return the playbacks that are open."""
        return frozenset(self._open)

    async def tick(self) -> None:
        """Close playbacks without a reading for ten minutes; let the keyring forget keys that are no longer used."""
        self._keyring.forget_old_keys()
        limit = self._clock.monotonic() - IDLE_SECONDS
        for view in [view for view in self._open.values() if view.touched_mono < limit]:
            await self._end(view, "idle")

    def playlist(self, person: Person, view: str) -> str:
        """Return the HLS playlist of the person's own playback; its addresses are relative (`<n>.init.mp4`, `<n>.m4s`)."""
        return hls.playlist(self._touch(person, view).index.pieces)

    async def init(self, person: Person, view: str, segment: int) -> bytes:
        """Return the plain init segment of piece `segment`; TheirError(NOT_FOUND, GONE)."""
        found = self._touch(person, view)
        return await self._plain(found.recording, self._piece(found, segment).init)

    async def media(self, person: Person, view: str, segment: int) -> AsyncIterator[bytes]:
        """Return the plain fragments of piece `segment`, decrypted one by one (memory: one fragment)."""
        found = self._touch(person, view)
        piece = self._piece(found, segment)
        await asyncio.to_thread(
            self._keyring.recording_key, found.recording
        )  # a missing key is refused before the answer begins
        return self._fragments(found, piece)

    async def _fragments(self, view: Playback, piece: hls.Piece) -> AsyncIterator[bytes]:
        goes_on = view.newest == [piece.segment - 1]
        view.newest[:] = [piece.segment]
        init = await self._plain(view.recording, piece.init)
        for link in piece.fragments:
            if view.view not in self._open:
                return  # closed meanwhile: no further fragment is served
            data = await self._plain(view.recording, link)
            view.served.add(piece.segment)
            moved = move_tracks(data, link, view.index.moves)
            silent = silent_ticks(link, view.index.heard) if names_sound(init) else 0
            shown = with_silence(moved, silent) if silent else moved
            if link is piece.fragments[0] and not goes_on:
                shown = grey_before(init, moved) + shown
            yield shown

    async def _plain(self, recording: str, link: Link) -> bytes:
        def read() -> bytes:
            key = self._keyring.recording_key(recording)
            return self._vault.read_plain(recording, key, link.fragment, link.segment, link.offset, link.stored_length)

        data = await asyncio.to_thread(read)
        self._counters.count("playback_bytes", len(data))
        return data

    async def _allowed(self, person: Person, row: Recording, motive: str | None) -> str:
        """Decide a playback (ACC-03, JRN-02); return the cleaned motive."""
        try:
            reason = check_motive(motive)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, Action.PLAY_RECORDING, error, object_type="recording", object_id=row.recording
            ) from None
        its = await self._catalogue_in_time.interventions.get(row.intervention)
        facts = stored_facts(row, its, reason)
        await self._authorizer.require(person, Action.PLAY_RECORDING, facts, object_type="recording", object_id=row.recording)
        return reason

    def _mine(self, person: Person, view: str) -> Playback:
        found = self._open.get(view)
        if found is None or found.user != person.user:
            raise TheirError(Kind.NOT_FOUND, "no such playback", code=Code.PLAYBACK_NOT_FOUND)
        return found

    def _touch(self, person: Person, view: str) -> Playback:
        found = replace(self._mine(person, view), touched_ns=self._clock.utc_ns(), touched_mono=self._clock.monotonic())
        self._open[view] = found
        return found

    def _piece(self, view: Playback, segment: int) -> hls.Piece:
        for piece in view.index.pieces:
            if piece.segment == segment:
                return piece
        raise TheirError(Kind.NOT_FOUND, f"no segment {segment}", code=Code.SEGMENT_NOT_FOUND)

    async def _end(self, view: Playback, reason: str) -> None:
        # From here on nothing is served, even if the entry cannot be written.
        if self._open.pop(view.view, None) is None:
            return
        now_ns = self._clock.utc_ns()
        details = {"view": view.view, "user": view.user, "reason": reason, "segments": hls.runs(view.served)}
        await self._enter_closed(view.recording, **details)
        await self._catalogue.views.close(view.view, now_ns, reason, view.opened_ns, view.touched_ns)

    async def _enter_opened(self, person: Person, view: Playback, motive: str) -> None:
        await self._journal.append(
            Entry(
                Operation.CONSULTATION,
                person.user,
                person.role.value,
                motive=motive,
                object_type="recording",
                object_id=view.recording,
                details={"event": "playback opened", "view": view.view},
            ),
            deadline=self._deadline,
        )

    async def _enter_closed(self, recording: str, **details: str | int | bool | None) -> None:
        await self._journal.append(
            Entry(
                Operation.SYSTEME,
                "relay",
                "system",
                object_type="recording",
                object_id=recording,
                details={"event": "playback closed", **details},
            ),
            happened=True,
        )
