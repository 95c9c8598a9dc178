"""Heads of open recordings: entered, compared with chain and journal, erased with their recording."""

import os
from collections.abc import Awaitable, Callable
from datetime import date

import pytest
from sqlalchemy import delete, update

from relay.archive.check import Check, Disagreement
from relay.archive.heads import EVENT
from relay.base.errors import OurError
from relay.evidence.chain import Link, Record, iterate
from relay.evidence.heads import SealedHead, head_leaf, root_of
from relay.evidence.log import Tree, inclusion_holds
from relay.policy.retention import due_ns
from relay.store import tables
from relay.store.vault import CHAIN
from tests.support.services import House


def chain(house: House, recording: str) -> list[Record]:
    return list(iterate((house.vault.folder(recording) / CHAIN).read_bytes()))


def heads(house: House, recording: str) -> list[SealedHead]:
    """The head after each record, as a recorder reports it."""
    found, links, stored, until = [], 0, 0, 0
    for number, record in enumerate(chain(house, recording), 1):
        if isinstance(record.body, Link):
            links, stored, until = links + 1, stored + record.body.stored_length, record.body.arrival_end_ns
        found.append(SealedHead(recording, record.head, number, links, stored, until))
    return found


async def disagreements(house: House) -> list[Disagreement]:
    return await Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock).run()


async def kinds(house: House) -> set[str]:
    return {found.kind for found in await disagreements(house)}


async def entries(house: House) -> list[dict[str, object]]:
    found = []
    for leaf in await house.journal.read(limit=1000):
        details = (leaf.body or {}).get("details")
        if isinstance(details, dict) and details.get("event") == EVENT:
            found.append(details)
    return found


async def recorded(house: House) -> tuple[str, list[SealedHead]]:
    """A closed recording of which two heads were entered while it was open, beside those of another one."""
    other, recording = await house.record(), await house.record("cam-2", seconds=8)
    its = heads(house, recording)
    await house.recordings.heads.enter(0, [heads(house, other)[1], its[2]])
    await house.recordings.heads.enter(0, [its[6]])
    return recording, its


async def test_an_entry_has_the_root_of_its_heads_and_nothing_of_a_recording(house: House) -> None:
    recording, its = await recorded(house)
    first, second = await entries(house)
    assert (first["heads"], second["heads"]) == (2, 1)
    assert second["root"] == root_of([head_leaf(its[6])]).hex()
    assert recording not in repr((first, second))
    known = await house.catalogue.heads.of(recording)
    assert [row.its for row in known] == [its[2], its[6]]
    kept = (await house.catalogue.heads.entries(known[0].entry, known[0].entry))[known[0].entry]
    path = Tree(kept.leaves).inclusion(known[0].leaf)
    assert inclusion_holds(head_leaf(its[2]), known[0].leaf, 2, path, bytes.fromhex(str(first["root"])))
    assert await kinds(house) == set()


async def test_heads_of_what_is_erased_or_unknown_are_not_entered(house: House) -> None:
    recording, its = await recorded(house)
    await house.catalogue.recordings.update(recording, {"state": "erased"})
    stranger = SealedHead("f" * 32, bytes(32), 1, 0, 0, 0)
    before = house.journal.size
    await house.recordings.heads.enter(0, [its[7], stranger])
    assert house.journal.size == before
    assert await house.recordings.heads.newest([recording, stranger.recording]) == {}


async def test_heads_go_with_their_recording_and_the_roots_stay(house: House) -> None:
    recording, _ = await recorded(house)
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9)
    await house.retention.sweep()
    assert await house.catalogue.heads.of(recording) == []
    assert await house.catalogue.heads.entries(0, 1 << 60) == {}
    assert len(await entries(house)) == 2
    assert await kinds(house) == set()


async def test_an_erasure_leaves_the_heads_of_the_others_comparable(house: House) -> None:
    recording, _ = await recorded(house)
    await house.catalogue.recordings.update(recording, {"expires_on": "2027-02-01"})
    house.keyring.rewrap(recording, "2027-02-01")
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9)
    await house.retention.sweep()
    assert len(await house.catalogue.heads.of(recording)) == 2
    assert await kinds(house) == set()


async def test_the_newest_known_head_is_that_of_a_row_of_either_kind(house: House) -> None:
    recording, its = await recorded(house)
    (segment,) = await house.catalogue.recordings.segments(recording)
    newest = await house.recordings.heads.newest([recording, "f" * 32])
    assert newest == {recording: SealedHead(recording, segment.head, 0, segment.last_link + 1, 0, segment.end_ns)}
    await house.recordings.heads.enter(0, [its[-1]])
    assert await house.recordings.heads.newest([recording]) == {recording: its[-1]}


# --- a forger with the disk, and with the database ------------------------------------------------------------------------

Forge = Callable[[House, str], Awaitable[None]]


async def cut_chain(house: House, recording: str) -> None:
    os.truncate(house.vault.folder(recording) / CHAIN, chain(house, recording)[4].position)


async def cut_chain_and_segment_row(house: House, recording: str) -> None:
    await cut_chain(house, recording)
    table = tables.segments
    await house.database.write(lambda c: c.execute(delete(table).where(table.c.recording == recording)))


async def delete_rows(house: House, recording: str) -> None:
    table = tables.heads
    await house.database.write(lambda c: c.execute(delete(table).where(table.c.recording == recording)))


async def delete_rows_and_entry(house: House, recording: str) -> None:
    entry = (await house.catalogue.heads.of(recording))[-1].entry
    await delete_rows(house, recording)
    table = tables.head_entries
    await house.database.write(lambda c: c.execute(delete(table).where(table.c.entry == entry)))


async def change_row(house: House, recording: str) -> None:
    """The row says now what the shortened chain has."""
    short, table = heads(house, recording)[1], tables.heads
    values = {"head": short.head, "records": short.records, "links": short.links, "stored_bytes": short.stored_bytes}
    await house.database.write(lambda c: c.execute(update(table).where(table.c.recording == recording).values(**values)))


async def change_row_and_leaf(house: House, recording: str) -> None:
    await change_row(house, recording)
    row = (await house.catalogue.heads.of(recording))[-1]
    table = tables.head_entries
    leaf = head_leaf(row.its)
    await house.database.write(lambda c: c.execute(update(table).where(table.c.entry == row.entry).values(leaves=leaf)))


async def change_counts(house: House, recording: str) -> None:
    table = tables.heads
    await house.database.write(lambda c: c.execute(update(table).where(table.c.recording == recording).values(stored_bytes=1)))


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (cut_chain, {"chain_open", "damaged"}),
        (cut_chain_and_segment_row, {"chain_open", "damaged", "segment_without_row"}),
        (delete_rows, {"heads_missing"}),
        (delete_rows_and_entry, {"heads_missing"}),
        (change_row, {"heads_altered"}),
        (change_row_and_leaf, {"heads_altered"}),
        (change_counts, {"heads_altered", "head_row_differs"}),
    ],
)
async def test_what_a_forger_changes_is_named(house: House, forge: Forge, found: set[str]) -> None:
    recording, _ = await recorded(house)
    await forge(house, recording)
    assert await kinds(house) == found


async def test_a_shortened_chain_is_named_with_the_missing_seconds(house: House) -> None:
    recording, its = await recorded(house)
    await house.recordings.heads.enter(0, [its[8]])
    await cut_chain_and_segment_row(house, recording)
    (found,) = [one for one in await disagreements(house) if one.kind == "damaged"]
    assert found.object_id == recording
    assert found.detail == "cut short: 5 records, 5 fragments, 5.0 s that had been sealed are missing"
    assert not found.safe


async def test_an_open_recording_whose_folder_is_gone_is_not_safe_to_forget(house: House) -> None:
    recording, _ = await recorded(house)
    house.vault.erase(recording)
    table = tables.segments
    await house.database.write(lambda c: c.execute(delete(table).where(table.c.recording == recording)))
    await house.catalogue.recordings.update(recording, {"state": "open", "links": 0})
    house.clock.advance(61)
    (found,) = await disagreements(house)
    assert (found.kind, found.safe) == ("open_without_folder", False)
    assert "cut short" in found.detail


async def test_a_disk_that_refuses_enters_neither_root_nor_rows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await house.record()

    async def refuse(*_: object, **__: object) -> None:
        raise OurError("no room")

    monkeypatch.setattr(house.database, "write", refuse)
    with pytest.raises(OurError):
        await house.recordings.heads.enter(0, heads(house, recording)[:1])
    monkeypatch.undo()
    assert await house.catalogue.heads.of(recording) == []
    assert await entries(house) == []
