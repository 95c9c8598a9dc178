"""`relay check --repair` mends safe disagreements, enters each, and leaves the rest named."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, delete

from relay.archive.check import Check
from relay.archive.holds import HoldRequest
from relay.archive.repair import Repair
from relay.base.errors import Kind, TheirError
from relay.evidence.chain import iterate
from relay.evidence.records import Cause, Gap
from relay.people.sign_ins import CONSOLE
from relay.policy.retention import due_ns
from relay.store.catalogue import View
from relay.store.journal import Entry, Operation
from relay.store.keyring import Keyring
from relay.store.tables import gaps, interventions, recordings, segments
from relay.store.vault import CHAIN, Vault
from tests.support.services import COMMANDER, House, seal


def _repair(house: House) -> Repair:
    check = Check(
        house.catalogue, house.journal, house.vault, house.keyring, house.clock,
        viewing_now=house.playbacks.open_views, believed_ns=house.retention.believed_ns,
    )  # fmt: skip
    return Repair(
        check, house.catalogue, house.journal, house.authorizer, house.vault, house.keyring, house.accounts.camera,
        house.recordings, house.retention, house.clock, house.counters,
    )  # fmt: skip


def _pass_the_term(house: House) -> None:
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9 + 60)


async def _begun(house: House, *, gaps: bool = False) -> tuple[str, Callable[[], None]]:
    """Begin a recording whose facts never reach the catalogue; the second value seals it."""
    await house.enrolment.enrol(CONSOLE, "cam-1", "Patrouille 1", "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel 17")
    plan, key = await house.recordings.begin(camera, its.intervention, trigger="bouton", threat="personnes")
    gap = Gap(plan.started_ns + 1_000_000_000, 500_000_000, None, Cause.RADIO) if gaps else None
    return plan.recording, lambda: seal(house, plan, key, 3, gap) and None


async def _closed_unheard(house: House) -> str:
    """Control died between the recorder's end and the row."""
    recording, write = await _begun(house)
    write()
    house.clock.advance(120)
    return recording


async def _gap_lost(house: House) -> str:
    """A closed recording whose gap's fact was dropped on its way."""
    recording, write = await _begun(house, gaps=True)
    write()
    house.clock.advance(120)
    real = house.catalogue.recordings.add_gap

    async def dropped(*_fact: object) -> None: ...

    object.__setattr__(house.catalogue.recordings, "add_gap", dropped)
    await _repair(house).run(CONSOLE)
    object.__setattr__(house.catalogue.recordings, "add_gap", real)
    assert await house.catalogue.recordings.gaps(recording) == []
    return recording


async def _never_opened(house: House) -> str:
    recording, _ = await _begun(house)
    house.clock.advance(120)
    return recording


async def _erasure_died(house: House, recording: str) -> None:
    """The entry stands; the process died before anything else."""
    _pass_the_term(house)
    await house.journal.append(
        Entry(Operation.EFFACEMENT, "relay", "system", motive="terme", object_type="recording", object_id=recording)
    )


async def _only_entered(house: House) -> str:
    recording = await house.record()
    await _erasure_died(house, recording)
    return recording


async def _tombstone_with_its_rest(house: House) -> str:
    recording = await house.record()
    await _erasure_died(house, recording)
    await house.catalogue.recordings.update(recording, {"state": "erased", "erased_ns": house.clock.utc_ns()})
    return recording


async def _row_lost(house: House) -> str:
    """A closed recording whose segment's fact was dropped on its way."""
    recording, write = await _begun(house)
    write()
    house.clock.advance(120)
    real = house.catalogue.recordings.add_segment

    async def dropped(_row: object) -> None: ...

    object.__setattr__(house.catalogue.recordings, "add_segment", dropped)
    await _repair(house).run(CONSOLE)
    object.__setattr__(house.catalogue.recordings, "add_segment", real)
    return recording


async def _view_forgotten(house: House) -> str:
    recording = await house.record()
    view = await house.fresh_playbacks().open(COMMANDER, recording, "procédure 12")  # of a control that died since
    house.clock.advance(120)
    return view.view


async def _forget_row(house: House, recording: str) -> None:
    """Delete the row with its segments and gaps, as the restoring of an older backup does."""

    def work(connection: Connection) -> None:
        for table in (segments, gaps, recordings):
            connection.execute(delete(table).where(table.c.recording == recording))

    await house.database.write(work)


async def _orphan(house: House) -> str:
    recording = await house.record()
    await _forget_row(house, recording)
    return recording


async def _orphan_with_its_intervention(house: House) -> str:
    recording = await house.record()
    its = (await house.catalogue.recordings.get(recording)).intervention
    await _forget_row(house, recording)
    await house.database.write(lambda c: c.execute(delete(interventions).where(interventions.c.intervention == its)))
    return recording


Damage = Callable[[House], Awaitable[str]]


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (_closed_unheard, {"open_but_closed"}),
        (_never_opened, {"open_without_folder"}),
        (_only_entered, {"erasure_unfinished"}),
        (_tombstone_with_its_rest, {"erased_but_there", "erased_but_readable"}),
        (_row_lost, {"segment_without_row"}),
        (_gap_lost, {"gap_without_row"}),
        (_view_forgotten, {"view_left_open"}),
        (_orphan, {"folder_without_row"}),
        (_orphan_with_its_intervention, {"folder_without_row"}),
    ],
)
async def test_what_is_safe_is_mended_entered_and_agrees_afterwards(house: House, damage: Damage, kinds: set[str]) -> None:
    name = await damage(house)
    found = await _repair(house).run(CONSOLE)
    assert {item.kind for item in found.mended} == kinds
    assert found.left == ()
    entries = [leaf.body for leaf in await house.journal.read(limit=1000) if leaf.body is not None]
    repaired = [entry for entry in entries if dict(entry["details"]).get("event") == "repaired"]  # type: ignore[call-overload]
    mine = {dict(entry["details"])["kind"] for entry in repaired if entry["object_id"] == name}  # type: ignore[call-overload]
    assert kinds <= mine
    assert (await _repair(house).run(CONSOLE)).mended == ()


async def test_a_row_made_from_the_chain_is_the_one_of_a_recorders_reports(house: House) -> None:
    second = await house.record("cam-2")
    recording = await _closed_unheard(house)
    await _repair(house).run(CONSOLE)
    mended, other = await house.catalogue.recordings.get(recording), await house.catalogue.recordings.get(second)
    for column in ("state", "reason", "links", "gaps", "duration_ns", "stored_bytes", "recovered"):
        assert getattr(mended, column) == getattr(other, column), column
    assert mended.ended_ns is not None
    segments = [await house.catalogue.recordings.segments(name) for name in (recording, second)]
    assert [(row.segment, row.first_link, row.last_link, row.stored_bytes) for row in segments[0]] == [
        (row.segment, row.first_link, row.last_link, row.stored_bytes) for row in segments[1]
    ]


async def test_a_row_made_again_is_the_one_that_was_lost_and_its_recording_plays(house: House) -> None:
    recording = await house.record()
    row = await house.catalogue.recordings.get(recording)
    await _forget_row(house, recording)
    await _repair(house).run(CONSOLE)
    assert await house.catalogue.recordings.get(recording) == row
    assert [(its.segment, its.first_link, its.last_link) for its in await house.catalogue.recordings.segments(recording)] == [
        (0, 0, 3)
    ]
    await house.playbacks.open(COMMANDER, recording, "procédure 12")


async def _key_gone(house: House, recording: str) -> None:
    house.keyring.destroy_recording(recording)


async def _key_of_an_earlier_day(house: House, recording: str) -> None:
    house.keyring.rewrap(recording, "2026-01-20")


async def _key_damaged(house: House, recording: str) -> None:
    (path,) = (house.root / "keys" / "wrapped").glob(f"*/{recording}.key")
    path.write_bytes(path.read_bytes()[::-1])


async def _no_end(house: House, recording: str) -> None:
    path = house.vault.folder(recording) / CHAIN
    records = list(iterate(path.read_bytes()))
    path.write_bytes(path.read_bytes()[: records[-1].position])


async def _erased_says_the_journal(house: House, recording: str) -> None:
    await house.journal.append(
        Entry(Operation.EFFACEMENT, "relay", "system", motive="terme", object_type="recording", object_id=recording)
    )


async def _other_end_says_the_journal(house: House, recording: str) -> None:
    details: dict[str, str | int | bool | None] = {"event": "recording closed", "head": "00" * 32}
    await house.journal.append(
        Entry(Operation.SYSTEME, "relay", "system", object_type="recording", object_id=recording, details=details)
    )


async def _of_another_relay(house: House, recording: str) -> None:
    plan, key = await house.recordings.begin(
        await house.enrolment.camera("cam-1"), (await house.interventions.open_by_camera("cam-1", "Rixe", "x")).intervention,
        trigger="bouton", threat="personnes",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        other = replace(house, keyring=Keyring(Path(folder) / "keys"), vault=Vault(Path(folder)))
        seal(other, msgspec.structs.replace(plan, recording=recording), key, 3)
        shutil.copy(Path(folder) / recording / CHAIN, house.vault.folder(recording) / CHAIN)
    await _forget_row(house, plan.recording)
    house.keyring.destroy_recording(plan.recording)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_key_gone, "its key is gone"),
        (_key_of_an_earlier_day, "its term is not known"),
        (_key_damaged, "its key does not open"),
        (_no_end, "its chain has no end yet"),
        (_erased_says_the_journal, "the journal says that it was erased"),
        (_other_end_says_the_journal, "the journal knows another end"),
        (_of_another_relay, "not signed under a key of this relay"),
    ],
)
async def test_no_row_is_invented(house: House, damage: Callable[[House, str], Awaitable[None]], says: str) -> None:
    recording = await _orphan(house)
    await damage(house, recording)
    found = await _repair(house).run(CONSOLE)
    assert found.mended == ()
    (left,) = [item for item in found.left if item.kind == "folder_without_row"]
    assert (left.object_id, left.safe) == (recording, False)
    assert says in left.detail
    with pytest.raises(TheirError):
        await house.catalogue.recordings.get(recording)


async def test_a_row_made_again_whose_key_shows_a_hold_is_kept_past_its_term(house: House) -> None:
    recording = await _orphan(house)
    house.keyring.rewrap(recording, "2027-01-01")
    found = await _repair(house).run(CONSOLE)
    assert [item.kind for item in found.mended] == ["folder_without_row"]
    assert [item.kind for item in found.left] == ["hold_lost"]
    _pass_the_term(house)
    assert (await house.retention.sweep()).erased == ()
    assert len(house.keyring.recording_key(recording)) == 32


async def test_a_row_made_again_after_its_term_is_erased_by_the_next_sweep(house: House) -> None:
    recording = await _orphan(house)
    _pass_the_term(house)
    await _repair(house).run(CONSOLE)
    assert (await house.retention.sweep()).erased == (recording,)
    assert not house.vault.folder(recording).exists()


async def test_a_finished_erasure_leaves_neither_key_nor_folder(house: House) -> None:
    recording = await _tombstone_with_its_rest(house)
    await _repair(house).run(CONSOLE)
    assert not house.vault.folder(recording).exists()
    assert recording not in house.keyring.recordings()


async def test_a_tombstone_without_its_entry_destroys_nothing(house: House) -> None:
    recording = await house.record()
    _pass_the_term(house)
    await house.catalogue.recordings.update(recording, {"state": "erased"})
    found = await _repair(house).run(CONSOLE)
    assert found.mended == ()
    assert {item.kind for item in found.left} == {"erased_but_there", "erased_but_readable", "no_erase_entry"}
    assert house.vault.folder(recording).exists()
    assert len(house.keyring.recording_key(recording)) == 32


async def test_an_erasure_entered_before_its_term_or_under_a_hold_is_not_finished(house: House) -> None:
    recording = await house.record()
    await house.hand_over(recording, "1")
    await house.retention.holds.open(COMMANDER, recording, HoldRequest("judiciaire", "1", "TJ", "OPJ"))
    early = await house.record()
    for name in (recording, early):
        await house.journal.append(
            Entry(Operation.EFFACEMENT, "relay", "system", motive="terme", object_type="recording", object_id=name)
        )
    assert (await _repair(house).run(CONSOLE)).mended == ()
    for name in (recording, early):
        assert len(house.keyring.recording_key(name)) == 32
        with pytest.raises(TheirError, match="held, or not due"):
            await house.retention.finish_erasure(name)


async def test_an_entered_erasure_is_not_finished_by_a_clock_that_was_stepped_ahead(house: House) -> None:
    recording = await house.record()
    await house.journal.append(
        Entry(Operation.EFFACEMENT, "relay", "system", motive="terme", object_type="recording", object_id=recording)
    )
    house.clock.step_utc(40 * 86_400)
    assert (await _repair(house).run(CONSOLE)).mended == ()
    assert "modification/repaired" not in await house.events()
    assert len(house.keyring.recording_key(recording)) == 32


async def test_what_is_late_is_left_to_the_sweep_and_media_is_never_touched(house: House) -> None:
    recording = await house.record()
    stray = house.vault.folder(recording) / "00007.seg"
    stray.write_bytes(b"x")
    before = {path.name: path.read_bytes() for path in house.vault.folder(recording).iterdir()}
    _pass_the_term(house)
    house.clock.advance(2 * 86_400)
    found = await _repair(house).run(CONSOLE)
    assert found.mended == ()
    assert {item.kind for item in found.left} == {"segment_not_linked", "late"}
    assert {path.name: path.read_bytes() for path in house.vault.folder(recording).iterdir()} == before


async def test_what_is_under_way_is_no_disagreement(house: House) -> None:
    recording, write = await _begun(house)
    write()
    now = house.clock.utc_ns()
    await house.catalogue.views.add(View("v" * 32, "live", "eve", "cam-1", None, None, "x", now, now))
    await house.journal.append(
        Entry(Operation.CONSULTATION, "eve", "operator", motive="x", details={"event": "view opened", "view": "v" * 32})
    )
    assert await _repair(house).run(CONSOLE) == await _repair(house).run(CONSOLE)
    assert (await house.catalogue.recordings.get(recording)).state == "open"


async def test_only_administrators_repair(house: House) -> None:
    with pytest.raises(TheirError) as refused:
        await _repair(house).run(COMMANDER)
    assert refused.value.kind is Kind.FORBIDDEN
