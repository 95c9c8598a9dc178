"""`relay check`: do vault, catalogue, keys and journal say the same?  Every disagreement is named.

Owns: the comparison.  Must never know: how to mend (media is never touched), HTTP.

`await Check(...).run(progress) -> list[Disagreement]`: reads rows, folder names, chains' last heads and journal entries;
no media byte is read, that is `relay verify`.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from relay.base.clock import Clock, paris_day
from relay.base.errors import RelayError
from relay.evidence.chain import End, Recovery, iterate
from relay.policy.retention import journal_purge_ns
from relay.store.catalogue import Catalogue, Filter, Recording, Segment
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.vault import Vault

PAGE = 500

Progress = Callable[[str, int, int], None]
"""Called with what is being looked at, how many are done, how many there are."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`kind` for programs, `detail` for people; `safe`: mending it touches no media and destroys nothing."""

    kind: str
    object_id: str
    detail: str
    safe: bool = False


@dataclass(frozen=True, slots=True)
class _Entries:
    """What the journal says, by object."""

    begun: frozenset[str]
    closed: dict[str, str]
    erased: frozenset[str]
    views: frozenset[str]


class Check:
    """One comparison of everything."""

    def __init__(self, catalogue: Catalogue, journal: Journal, vault: Vault, keyring: Keyring, clock: Clock) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._clock = clock

    async def run(self, progress: Progress | None = None) -> list[Disagreement]:
        """Compare; raises OurError when the database cannot be read."""
        tell = progress or (lambda what, done, total: None)
        rows = await self._rows()
        entries = await self._entries()
        folders = set(await asyncio.to_thread(self._vault.recordings))
        keys = await asyncio.to_thread(self._keyring.recordings)
        held = await self._catalogue.held()
        found = _strangers(rows, folders, keys)
        for done, row in enumerate(rows.values()):
            tell("recordings", done, len(rows))
            found += _row(row, row.recording in folders, keys.get(row.recording), row.recording in held, self._clock.utc_ns())
            if journal_purge_ns(row.started_ns) > self._clock.utc_ns():
                found += _against_journal(row, entries)
            if row.recording in folders and row.state == "closed":
                segments = await self._catalogue.segments(row.recording) if row.original == "relay" else []
                found += await asyncio.to_thread(self._against_disk, row, segments)
        found += await self._views(entries)
        broken = await asyncio.to_thread(self._keyring.broken)
        return found + [Disagreement("key_broken", name, detail) for name, detail in broken.items()]

    async def _rows(self) -> dict[str, Recording]:
        rows: dict[str, Recording] = {}
        before: str | None = None
        while page := await self._catalogue.list_recordings(Filter(before=before, limit=PAGE)):
            rows.update((row.recording, row) for row in page)
            before = page[-1].recording
        return rows

    async def _entries(self) -> _Entries:
        begun: set[str] = set()
        erased: set[str] = set()
        views: set[str] = set()
        closed: dict[str, str] = {}
        after = -1
        while leaves := await self._journal.read(after, 1000):
            after = leaves[-1].leaf
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
                    closed[name] = str(details.get("head"))
                elif body.get("operation") == "effacement":
                    erased.add(name)
        return _Entries(frozenset(begun), closed, frozenset(erased), frozenset(views))

    async def _views(self, entries: _Entries) -> list[Disagreement]:
        return [
            Disagreement("view_without_entry", view.view, f"a view by {view.user} has no entry in the journal (LIV-06)")
            for view in await self._catalogue.open_views()
            if view.view not in entries.views
        ]

    def _against_disk(self, row: Recording, segments: list[Segment]) -> list[Disagreement]:
        """Compare a closed recording's row with its chain and the sizes of its files."""
        try:
            records = list(iterate(b"".join(self._vault.chain(row.recording))))
        except RelayError as error:
            return [Disagreement("chain_unreadable", row.recording, error.detail)]
        found: list[Disagreement] = []
        if not records or not isinstance(records[-1].body, End | Recovery):
            found.append(Disagreement("chain_open", row.recording, "closed in the catalogue, without a signed end on disk"))
        elif row.head is not None and records[-1].head != row.head:
            found.append(Disagreement("head_differs", row.recording, "the chain on disk is not the one that was closed"))
        on_disk = set(self._vault.segments(row.recording))
        for segment in segments:
            if segment.segment not in on_disk:
                found.append(Disagreement("segment_missing", row.recording, f"segment {segment.segment} has a row and no file"))
        for number in sorted(on_disk - {segment.segment for segment in segments}):
            detail = f"segment {number} has a file and no row"
            found.append(Disagreement("segment_without_row", row.recording, detail, safe=True))
        return found


def _strangers(rows: dict[str, Recording], folders: Iterable[str], keys: dict[str, str]) -> list[Disagreement]:
    found = [
        Disagreement("folder_without_row", name, "a recording's folder is not in the catalogue")
        for name in sorted(set(folders) - rows.keys())
    ]
    return found + [
        Disagreement("key_without_row", name, "a recording's key is not in the catalogue")
        for name in sorted(keys.keys() - rows)
    ]


def _row(row: Recording, folder: bool, key_day: str | None, held: bool, now_ns: int) -> list[Disagreement]:
    name = row.recording
    found: list[Disagreement] = []
    if row.state == "erased":
        if folder:
            found.append(Disagreement("erased_but_there", name, "erased, but its folder is still there (RET-01)"))
        if key_day is not None:
            found.append(Disagreement("erased_but_readable", name, "erased, but its key is still there (I5)"))
        return found
    if not folder and row.links:
        found.append(Disagreement("folder_missing", name, "in the catalogue with fragments, without a folder"))
    if key_day is None:
        found.append(Disagreement("key_missing", name, "not erased, but its key is gone: it can no longer be opened"))
    elif key_day != row.expires_on and not held:
        found.append(Disagreement("key_day", name, f"its key expires on {key_day}, its row on {row.expires_on}"))
    if not held and date.fromisoformat(row.expires_on) < paris_day(now_ns):
        found.append(Disagreement("late", name, f"should have been erased on {row.expires_on} (RET-01)", safe=True))
    return found


def _against_journal(row: Recording, entries: _Entries) -> list[Disagreement]:
    name = row.recording
    found: list[Disagreement] = []
    if name not in entries.begun:
        found.append(Disagreement("no_begin_entry", name, "the journal does not know when it began (JRN-01)"))
    if row.state == "erased" and name not in entries.erased:
        found.append(Disagreement("no_erase_entry", name, "erased without an entry in the journal (JRN-01)"))
    if row.state == "closed" and row.head is not None and entries.closed.get(name) != row.head.hex():
        found.append(Disagreement("no_close_entry", name, "the journal knows another end, or none"))
    return found
