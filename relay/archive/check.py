"""`relay check`: do vault, catalogue, keys and journal agree?  Every disagreement is named.

Owns: the comparison, and which disagreements are safe to mend (`relay.archive.repair` mends).  Must never know: HTTP.

`await Check(...).run(progress) -> list[Disagreement]`: reads rows, folder names, chains, wrapped keys and journal entries;
media is read by `relay verify` only.  A chain is read once, in pieces; only the numbers of segments and gaps without a row are
kept in memory.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date

from relay.archive.chain_facts import ChainFacts
from relay.archive.holds import is_lost
from relay.archive.known_heads import HeadEntries, ReachedHeads
from relay.archive.orphans import read_orphan
from relay.base.clock import SECOND_NS, Clock
from relay.base.errors import RelayError
from relay.evidence.chain import Gap, Record, stream
from relay.policy.retention import is_due, journal_purge_ns, lateness_seconds
from relay.store.catalogue import Catalogue, Recording, RecordingFilter, Segment
from relay.store.day_keys import is_day
from relay.store.journal import Journal, Leaf
from relay.store.keyring import Keyring
from relay.store.vault import Vault

PAGE_ROWS = 500
HEAD_LEAVES = 100
"""Leaves of the journal whose heads are compared at once."""
SETTLED_NS = 60 * SECOND_NS
"""A younger difference is no disagreement yet: facts may be on their way from recorder to catalogue."""

_UNDESTROYED = (
    "a {} that was followed is still in the token, which refused to destroy it: tried again at each start (OPERATING.md)"
)

_DAMAGED = "altered or missing on disk before its recorder died, nothing of it was cut: see `relay verify` and its entry (I1)"

Progress = Callable[[str, int, int], None]
"""Called with the kind of objects under comparison, how many are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`kind` for programs, `detail` for people; `safe`: mending it touches no media and destroys nothing."""

    kind: str
    object_id: str
    detail: str
    safe: bool = False


@dataclass(frozen=True, slots=True)
class _JournalFacts:
    """The facts of the journal, by object."""

    begun: frozenset[str]
    closed: dict[str, str]
    """By recording, the head of the first end that was entered."""
    again: frozenset[str]
    """Recordings with another end entered after the first."""
    erased: frozenset[str]
    unopened: frozenset[str]
    views: frozenset[str]
    heads: HeadEntries


def _nothing() -> AbstractSet[str]:
    return frozenset()


class Check:
    """Compares vault, catalogue, keys and journal; never waits under a deadline."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        vault: Vault,
        keyring: Keyring,
        clock: Clock,
        *,
        recording_now: Callable[[], AbstractSet[str]] = _nothing,
        viewing_now: Callable[[], AbstractSet[str]] = _nothing,
        believed_ns: Callable[[], int] | None = None,
    ) -> None:
        """`recording_now` and `viewing_now`: recordings and views that this control knows to be open; `believed_ns`: UTC by
        which terms are judged (RET-01), the wall clock's where none is given."""
        self.under_way: tuple[str, int, int] | None = None
        """Progress of the running comparison: kind of objects, how many are done, how many there are; None where none runs."""
        self._recording_now = recording_now
        self._viewing_now = viewing_now
        self._catalogue = catalogue
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._clock = clock
        self._believed_ns = believed_ns or clock.utc_ns

    async def run(self, progress: Progress | None = None) -> list[Disagreement]:
        """Compare; raises OurError when the database cannot be read."""

        def report(what: str, done: int, total: int) -> None:
            self.under_way = what, done, total
            if progress is not None:
                progress(what, done, total)

        try:
            return await self._compare(report)
        finally:
            self.under_way = None

    async def _compare(self, report: Progress) -> list[Disagreement]:
        rows = await self._rows()
        entries = await self._entries(report)
        folders = set(await asyncio.to_thread(self._vault.recordings))
        keys = await asyncio.to_thread(self._keyring.recordings)
        held, lifted = await self._catalogue.holds.held(), await self._catalogue.holds.lifted()
        found = _keys_without_row(rows, keys) + _missing_recordings(rows.keys() | folders, entries)
        for name in sorted(folders - rows.keys()):
            found.append(await asyncio.to_thread(self._orphan, name, entries))
        for done, row in enumerate(rows.values()):
            report("recordings", done, len(rows))
            folder, is_held, now_ns = row.recording in folders, row.recording in held, self._clock.utc_ns()
            key_day = keys.get(row.recording)
            if not is_day(row.expires_on):
                found.append(Disagreement("term_unreadable", row.recording, "the day of its term is none: it is never erased"))
                continue
            if is_lost(row, key_day, held | lifted.keys()) and row.state != "erased":
                found.append(
                    Disagreement("hold_lost", row.recording, f"its key is under {key_day} for a hold without a row (RET-02)")
                )
            else:
                found += _term(row, key_day, is_held, lifted.get(row.recording), now_ns)
            found += _row(row, folder, key_day)
            found += _erasure(row, folder, row.recording in keys, is_held, entries, self._believed_ns())
            if journal_purge_ns(row.started_ns) > now_ns:
                found += _against_journal(row, entries)
            if row.state == "closed" and folder:
                found += await self._closed(row)
            elif row.state == "open" and self._settled(row):
                reached = ReachedHeads(
                    await self._catalogue.recordings.segments(row.recording), await self._catalogue.heads.of(row.recording)
                )
                found += await asyncio.to_thread(self._open, row, folder, reached, entries.closed.get(row.recording))
        found += _heads(entries.heads) + await self._views(entries)
        foreign = await asyncio.to_thread(self._keyring.foreign_entries)
        found += [Disagreement("key_folder_strange", name, "stands among the keys' days and is none") for name in foreign]
        broken = await asyncio.to_thread(self._keyring.broken)
        found += [Disagreement("key_broken", name, detail) for name, detail in broken.items()]
        left = await asyncio.to_thread(self._keyring.undestroyed)
        return found + [Disagreement("key_left", name, _UNDESTROYED.format(what)) for name, what in left.items()]

    async def _rows(self) -> dict[str, Recording]:
        rows: dict[str, Recording] = {}
        before: str | None = None
        while page := await self._catalogue.recordings.find(RecordingFilter(before=before, limit=PAGE_ROWS)):
            rows.update((row.recording, row) for row in page)
            before = page[-1].recording
        return rows

    async def _entries(self, report: Progress) -> _JournalFacts:
        begun: set[str] = set()
        erased: set[str] = set()
        unopened: set[str] = set()
        views: set[str] = set()
        closed: dict[str, str] = {}
        again: set[str] = set()
        heads = HeadEntries()
        after = -1
        while leaves := await self._journal.read(after, 1000):
            after = leaves[-1].leaf
            await self._compare_heads(leaves, heads)
            report("journal", after + 1, self._journal.size)
            for leaf in leaves:
                body = leaf.body or {}
                details = body.get("details")
                event = details.get("event") if isinstance(details, dict) else None
                if isinstance(details, dict) and isinstance(details.get("view"), str):
                    views.add(details["view"])
                name = str(body.get("object_id"))
                if event == "recording begun":
                    begun.add(name)
                elif event == "recording closed" and isinstance(details, dict):
                    if closed.setdefault(name, str(details.get("head"))) != str(details.get("head")):
                        again.add(name)
                elif event == "recording not opened":
                    unopened.add(name)
                elif body.get("operation") == "effacement" and body.get("object_type") == "recording":
                    erased.add(name)
        its = frozenset(begun), closed, frozenset(again), frozenset(erased), frozenset(unopened), frozenset(views)
        return _JournalFacts(*its, heads)

    async def _compare_heads(self, leaves: Sequence[Leaf], found: HeadEntries) -> None:
        """Compare entries of heads with their rows: few at a time, because each may have hundreds, and in a thread."""
        for at in range(0, len(leaves), HEAD_LEAVES):
            some = leaves[at : at + HEAD_LEAVES]
            kept = await self._catalogue.heads.entries(some[0].leaf, some[-1].leaf)
            await asyncio.to_thread(found.take, some, kept)

    async def _views(self, entries: _JournalFacts) -> list[Disagreement]:
        found: list[Disagreement] = []
        before_ns = self._clock.utc_ns() - SETTLED_NS
        for view in await self._catalogue.views.list_open():
            if view.view not in entries.views:
                detail = f"a view by {view.user} has no entry in the journal (LIV-06)"
                found.append(Disagreement("view_without_entry", view.view, detail))
            elif view.view not in self._viewing_now() and max(view.opened_ns, view.leased_ns) < before_ns:
                detail = f"a view by {view.user} is open in the catalogue and nobody is shown anything"
                found.append(Disagreement("view_left_open", view.view, detail, safe=True))
        return found

    def _settled(self, row: Recording) -> bool:
        """Return whether no recorder holds an open recording any more."""
        return row.recording not in self._recording_now() and row.started_ns < self._clock.utc_ns() - SETTLED_NS

    def _open(self, row: Recording, folder: bool, reached: ReachedHeads, closed: str | None) -> list[Disagreement]:
        """Compare an open row that no recorder holds; `reached`: the heads that are known of it; `closed`: its entered end."""
        name = row.recording
        if not folder:
            detail = "open in the catalogue, nobody records it and nothing of it is in the vault"
            detail += f"; {reached.lost(None)}" if reached.any else ""
            return [Disagreement("open_without_folder", name, detail, safe=not reached.any)]
        facts = ChainFacts(name, on_record=reached.take)
        try:
            end = facts.read(self._records(name))
        except RelayError:
            end = None
        found = _chain(name, facts, reached)
        if closed is not None and closed != facts.head.hex():
            detail = "open in the catalogue, and the journal knows an end of it that its chain does not have: it was cut (I1)"
            return [Disagreement("reopened", name, detail), *found]
        if end is None:
            detail = "open, nobody records it, and its chain has no end: its recorder recovers it at its next start"
            return [Disagreement("left_open", name, detail), *found]
        if end.end_ns > self._clock.utc_ns() - SETTLED_NS:
            return found
        return [Disagreement("open_but_closed", name, "open in the catalogue, closed in the vault", safe=True), *found]

    def _records(self, recording: str) -> Iterator[Record]:
        return stream(self._vault.chain(recording))

    def _orphan(self, name: str, entries: _JournalFacts) -> Disagreement:
        """Compare a folder without a row: it is safe to mend where every field of the row is known."""
        detail = "a recording's folder is not in the catalogue"
        if name in entries.erased:
            return Disagreement("folder_without_row", name, f"{detail}, and the journal says that it was erased (RET-01)")
        try:
            found = read_orphan(self._vault, self._keyring, name)
        except RelayError as error:
            return Disagreement("folder_without_row", name, f"{detail}, and no row can be made: {error.detail}")
        if name in entries.again or entries.closed.get(name, found.end.head.hex()) != found.end.head.hex():
            return Disagreement("folder_without_row", name, f"{detail}, and the journal knows another end of it")
        return Disagreement("folder_without_row", name, f"{detail}; its start, end, key and term are known", safe=True)

    async def _closed(self, row: Recording) -> list[Disagreement]:
        rows = await self._catalogue.recordings.segments(row.recording)
        reached = ReachedHeads(rows, await self._catalogue.heads.of(row.recording))
        segments = {segment.segment for segment in rows}
        gaps = {start_ns for start_ns, _, _ in await self._catalogue.recordings.gaps(row.recording)}
        return await asyncio.to_thread(self._against_disk, row, segments, gaps, reached)

    def _against_disk(self, row: Recording, segments: set[int], gaps: set[int], reached: ReachedHeads) -> list[Disagreement]:
        """Compare a closed recording's rows (numbers of segments, starts of gaps, heads) with its chain and its files."""
        name = row.recording
        on_disk = set(self._vault.segments(name)) if row.original == "relay" else segments
        linked: set[int] = set()
        missing: set[int] = set()

        def segment(its: Segment) -> None:
            if its.segment in on_disk - segments:
                linked.add(its.segment)

        def gap(its: Gap) -> None:
            if its.start_ns not in gaps:
                missing.add(its.start_ns)

        facts = ChainFacts(name, segment, gap, reached.take)
        try:
            end = facts.read(self._records(name))
        except RelayError as error:
            return [Disagreement("chain_unreadable", name, error.detail)]
        found: list[Disagreement] = []
        if end is None:
            found.append(Disagreement("chain_open", name, "closed in the catalogue, without a signed end on disk"))
        elif row.head is not None and end.head != row.head:
            found.append(Disagreement("head_differs", name, "the chain on disk is not the one that was closed"))
        if end is not None and end.reason == "damaged" != row.reason:
            found.append(Disagreement("damaged", name, _DAMAGED))
        found += _chain(name, facts, reached)
        found += _segments(name, segments, on_disk, linked)
        if missing:
            detail = f"{len(missing)} signed gaps have no row (I2)"
            found.append(Disagreement("gap_without_row", name, detail, safe=True))
        return found


def _chain(name: str, facts: ChainFacts, reached: ReachedHeads) -> list[Disagreement]:
    """Compare a chain that was read with the heads that are known of it."""
    lost = reached.lost(facts)
    found = [Disagreement("damaged", name, lost)] if lost else []
    return found + [Disagreement("head_row_differs", name, detail) for detail in reached.differences]


def _heads(entries: HeadEntries) -> list[Disagreement]:
    found = [Disagreement("heads_altered", f"entry {entry}", detail) for entry, detail in entries.altered]
    if entries.missing:
        detail = f"{entries.missing} heads that the journal counts have no row, and no erasure explains it"
        found.append(Disagreement("heads_missing", "catalogue", detail))
    return found


def _segments(name: str, rows: set[int], on_disk: set[int], linked: set[int]) -> list[Disagreement]:
    found = [
        Disagreement("segment_missing", name, f"segment {number} has a row and no file") for number in sorted(rows - on_disk)
    ]
    for number in sorted(on_disk - rows):
        if number in linked:
            detail = f"segment {number} is in the chain and has no row"
            found.append(Disagreement("segment_without_row", name, detail, safe=True))
        else:
            found.append(Disagreement("segment_not_linked", name, f"segment {number} has a file that no link names"))
    return found


def _erasure(row: Recording, folder: bool, key: bool, held: bool, entries: _JournalFacts, now_ns: int) -> list[Disagreement]:
    """Find an erasure that stopped half-way: safe to finish only where its entry exists and the term is over (I5)."""
    name = row.recording
    known = name in entries.erased and not held and is_due(date.fromisoformat(row.expires_on), now_ns)
    if row.state != "erased":
        detail = "its erasure is in the journal and was not finished (RET-01)"
        return [Disagreement("erasure_unfinished", name, detail, safe=known)] if name in entries.erased else []
    found: list[Disagreement] = []
    if folder:
        found.append(Disagreement("erased_but_there", name, "erased, but its folder is still there (RET-01)", safe=known))
    if key:
        found.append(Disagreement("erased_but_readable", name, "erased, but its key is still there (I5)", safe=known))
    return found


def _keys_without_row(rows: dict[str, Recording], keys: dict[str, str]) -> list[Disagreement]:
    return [
        Disagreement("key_without_row", name, "a recording's key is not in the catalogue")
        for name in sorted(keys.keys() - rows)
    ]


def _missing_recordings(there: AbstractSet[str], entries: _JournalFacts) -> list[Disagreement]:
    """Find recordings that the journal knows and nothing else: somebody deleted row, folder and key."""
    found = []
    for name in sorted((entries.begun | entries.closed.keys()) - there - entries.erased - entries.unopened):
        known = "closed" if name in entries.closed else "begun"
        detail = f"{known} in the journal, never erased by it, and in neither catalogue nor vault"
        found.append(Disagreement("recording_missing", name, detail))
    return found


def _row(row: Recording, folder: bool, key_day: str | None) -> list[Disagreement]:
    name = row.recording
    found: list[Disagreement] = []
    if row.state == "erased":
        return found
    if row.reason == "damaged":
        found.append(Disagreement("damaged", name, _DAMAGED))
    if not folder and row.links:
        found.append(Disagreement("folder_missing", name, "in the catalogue with fragments, without a folder"))
    never_opened = row.reason == "refused" and not row.links and not folder
    if key_day is None and not never_opened:
        found.append(Disagreement("key_missing", name, "not erased, but its key is gone: it can no longer be opened"))
    return found


def _term(row: Recording, key_day: str | None, held: bool, lifted_ns: int | None, now_ns: int) -> list[Disagreement]:
    """Find a term that differs between key and row, or that is over; a hold, or one lifted within a day, explains both."""
    name = row.recording
    found: list[Disagreement] = []
    if row.state == "erased" or held:
        return found
    if key_day not in {None, row.expires_on} and lifted_ns is None:
        found.append(Disagreement("key_day", name, f"its key expires on {key_day}, its row on {row.expires_on}"))
    if lateness_seconds(date.fromisoformat(row.expires_on), now_ns, lifted_ns):
        found.append(Disagreement("late", name, f"should have been erased on {row.expires_on}: the next sweep does (RET-01)"))
    return found


def _against_journal(row: Recording, entries: _JournalFacts) -> list[Disagreement]:
    name = row.recording
    found: list[Disagreement] = []
    if name not in entries.begun:
        found.append(Disagreement("no_begin_entry", name, "the journal does not know when it began (JRN-01)"))
    if row.state == "erased" and name not in entries.erased:
        found.append(Disagreement("no_erase_entry", name, "erased without an entry in the journal (JRN-01)"))
    if name in entries.again:
        detail = "the journal knows two ends of it: it was closed, and later cut or replaced, and closed again (I1)"
        found.append(Disagreement("closed_twice", name, detail))
    elif row.state == "closed" and entries.closed.get(name) != (None if row.head is None else row.head.hex()):
        found.append(Disagreement("no_close_entry", name, "the journal knows another end, or none"))
    return found
