"""A recording that was closed is opened, cut and closed again, by somebody who holds the folder of a stopped relay."""

from datetime import date

import pytest
from sqlalchemy import delete, insert, select, update

from relay.archive.check import Check, Disagreement
from relay.base.clock import SECOND_NS
from relay.channel.messages import RecordingClosed
from relay.evidence.chain import iterate, recover, survey
from relay.evidence.seal import new_session
from relay.policy.retention import due_ns
from relay.store import tables
from relay.store.vault import CHAIN
from tests.support.services import House
from tests.unit.archive.test_heads import heads


async def disagreements(house: House) -> dict[str, Disagreement]:
    found = await Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock).run()
    return {one.kind: one for one in found}


async def cut_and_recovered(house: House, recording: str, keep: int) -> RecordingClosed:
    """Cut the chain to `keep` records, forget what the catalogue knows beyond, and have the relay's own recovery sign it."""
    path = house.vault.folder(recording) / CHAIN
    data = path.read_bytes()
    short = data[: list(iterate(data))[keep].position]
    table = tables.segments
    await house.database.write(lambda c: c.execute(delete(table).where(table.c.recording == recording)))
    now_ns = house.clock.utc_ns()
    life = {"not_before_ns": now_ns - SECOND_NS, "not_after_ns": now_ns + SECOND_NS}
    signer = new_session(house.keyring.signer, role="recorder", index=0, **life)
    counts = {"dropped_chain_bytes": 0, "dropped_media_bytes": 0}
    path.write_bytes(short + recover(survey(short), signer, cause="died", recovered_ns=now_ns, **counts))
    torn = survey(path.read_bytes())
    return RecordingClosed(recording, "interrupted", torn.links, torn.head, now_ns, True, torn.gaps, 0, 0)


async def test_a_second_end_in_the_journal_is_named(house: House) -> None:
    recording = await house.record(seconds=8)
    await house.recordings.closed(await cut_and_recovered(house, recording, 4))
    found = await disagreements(house)
    assert not found["closed_twice"].safe
    assert found["closed_twice"].object_id == recording


async def test_an_end_that_is_reported_twice_is_no_second_end(house: House) -> None:
    recording = await house.record()
    row = await house.catalogue.recordings.get(recording)
    assert row.head is not None
    await house.recordings.closed(RecordingClosed(recording, "stopped", row.links, row.head, row.ended_ns or 0, False, 0, 0, 0))
    assert await disagreements(house) == {}


async def test_a_row_without_a_head_does_not_hide_another_end(house: House) -> None:
    """Who has a session key can sign another end; who has the database can take the head out of the row."""
    recording = await house.record(seconds=8)
    await cut_and_recovered(house, recording, 4)
    await house.catalogue.recordings.update(recording, {"head": None})
    assert "no_close_entry" in await disagreements(house)


@pytest.mark.parametrize("ended", [True, False])
async def test_an_open_row_of_a_recording_that_the_journal_closed_is_not_mended(house: House, ended: bool) -> None:
    recording = await house.record(seconds=8)
    await cut_and_recovered(house, recording, 4)
    if not ended:
        path = house.vault.folder(recording) / CHAIN
        data = path.read_bytes()
        path.write_bytes(data[: list(iterate(data))[-1].position])
    await house.catalogue.recordings.update(recording, {"state": "open", "head": None})
    house.clock.advance(200)
    found = await disagreements(house)
    assert not found["reopened"].safe
    assert "open_but_closed" not in found


async def test_an_end_that_was_entered_before_its_row_was_closed_is_still_safe_to_mend(house: House) -> None:
    recording = await house.record()
    await house.catalogue.recordings.update(recording, {"state": "open", "head": None})
    house.clock.advance(200)
    found = await disagreements(house)
    assert set(found) == {"open_but_closed"}
    assert found["open_but_closed"].safe


# --- rows of heads, hidden behind an erasure ------------------------------------------------------------------------------


async def two(house: House) -> tuple[str, str]:
    """A recording that is erased in February, and one that stays; each has an entered head."""
    due, stays = await house.record(), await house.record("cam-2", seconds=8)
    await house.catalogue.recordings.update(stays, {"expires_on": "2027-02-01"})
    house.keyring.rewrap(stays, "2027-02-01")
    await house.recordings.heads.enter(0, [heads(house, due)[1]])
    await house.recordings.heads.enter(0, [heads(house, stays)[6]])
    return due, stays


async def sweep(house: House) -> None:
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9)
    await house.retention.sweep()


async def test_rows_that_are_passed_off_as_those_of_an_erased_recording_are_missed(house: House) -> None:
    due, stays = await two(house)
    table = tables.heads
    await house.database.write(lambda c: c.execute(update(table).where(table.c.recording == stays).values(recording=due)))
    await sweep(house)
    assert "heads_missing" in await disagreements(house)


async def test_rows_of_an_erased_recording_that_come_back_do_not_stand_for_others(house: House) -> None:
    due, stays = await two(house)
    rows, entries = tables.heads, tables.head_entries

    kept = await house.database.read(
        lambda c: [dict(r._mapping) for r in c.execute(select(rows).where(rows.c.recording == due))]
    )
    (entry,) = [row["entry"] for row in kept]
    leaves = await house.database.read(
        lambda c: [dict(r._mapping) for r in c.execute(select(entries).where(entries.c.entry == entry))]
    )
    await sweep(house)
    await house.database.write(lambda c: c.execute(insert(entries).values(leaves)))
    await house.database.write(lambda c: c.execute(insert(rows).values(kept)))
    await house.database.write(lambda c: c.execute(delete(rows).where(rows.c.recording == stays)))
    assert "heads_missing" in await disagreements(house)


async def test_an_erasure_that_is_not_finished_misses_nothing(house: House) -> None:
    _, stays = await two(house)
    await sweep(house)
    assert await disagreements(house) == {}
    assert len(await house.catalogue.heads.of(stays)) == 1
