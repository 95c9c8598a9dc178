"""A hold keeps a recording past its term for a procedure that received it, and for nothing else (RET-02)."""

import threading
from dataclasses import replace
from datetime import date

import pytest

from relay.archive.check import Check
from relay.archive.holds import MAX_OPEN, HoldRequest
from relay.base.errors import Kind, OurError, TheirError
from relay.policy.retention import due_ns
from relay.policy.roles import Person, Role
from relay.runtime.deadlines import Deadline
from tests.support.services import AUDITOR, COMMANDER, DAY, OPERATOR, House

TERM = date(2026, 2, 1)
ASKED = HoldRequest("judiciaire", "PV 12/2026", "Parquet de Rennes", "OPJ B.")
WHY = "l'instruction est close"


def _go_to(house: House, day: date, seconds: float = 0) -> None:
    house.clock.advance((due_ns(day) - house.clock.utc_ns()) / 1e9 + seconds)


async def _handed_over(house: House, procedure_no: str = ASKED.procedure_no, *, whole: bool = True) -> str:
    """Make a recording of which an extraction was handed over."""
    recording = await house.record()
    await house.hand_over(recording, procedure_no, whole=whole)
    return recording


async def _kinds(house: House) -> set[str]:
    return {item.kind for item in await Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock).run()}


async def test_a_held_recording_outlives_its_term_and_goes_once_lifted(house: House) -> None:
    recording, other = await _handed_over(house), await house.record()
    held = await house.retention.holds.open(COMMANDER, recording, ASKED)
    _go_to(house, TERM)
    assert (await house.retention.sweep()).erased == (other,)
    assert len(house.keyring.recording_key(recording)) == 32
    assert "2026-02-01" not in house.keyring.days()
    assert await _kinds(house) == set()
    await house.retention.holds.lift(COMMANDER, held.hold.hold, WHY)
    assert (await house.retention.sweep()).erased == (recording,)
    assert house.keyring.recordings() == {}
    assert [event for event in await house.events() if "hold" in event] == [
        "modification/hold opened",
        "modification/hold lifted",
    ]


async def test_a_held_recording_erased_within_a_day_of_its_lifting_is_in_time_and_later_is_late(house: House) -> None:
    first, second = await _handed_over(house), await _handed_over(house)
    holds = [await house.retention.holds.open(COMMANDER, recording, ASKED) for recording in (first, second)]
    _go_to(house, TERM, 40 * DAY)
    await house.retention.holds.lift(COMMANDER, holds[0].hold.hold, WHY)
    house.clock.advance(DAY - 1)
    assert await _kinds(house) == set()
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((first,), 0)
    leaves = await house.journal.read(limit=1000)
    causes = [leaf.body["details"] for leaf in leaves if leaf.body is not None and leaf.body["operation"] == "effacement"]
    assert [(said["cause"], said["late_seconds"]) for said in causes if isinstance(said, dict)] == [("hold lifted", 0)]
    await house.retention.holds.lift(COMMANDER, holds[1].hold.hold, WHY)
    house.clock.advance(DAY + 7)
    assert await _kinds(house) == {"late"}
    assert (await house.retention.sweep()).late == 1
    assert (await house.catalogue.recordings.get(second)).late_seconds == 7


async def test_a_hold_lifted_before_the_term_leaves_the_recording_to_its_own_day(house: House) -> None:
    recording = await _handed_over(house)
    held = await house.retention.holds.open(COMMANDER, recording, ASKED)
    assert house.keyring.expires_on(recording) == "2027-01-01"
    await house.retention.holds.lift(COMMANDER, held.hold.hold, WHY)
    assert house.keyring.expires_on(recording) == TERM.isoformat()
    assert await _kinds(house) == set()
    _go_to(house, TERM)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0)


async def test_a_recording_goes_when_its_last_hold_is_lifted(house: House) -> None:
    recording = await _handed_over(house)
    await house.hand_over(recording, "D 7/2026")
    first = await house.retention.holds.open(COMMANDER, recording, ASKED)
    second = await house.retention.holds.open(COMMANDER, recording, replace(ASKED, procedure_no="D 7/2026"))
    await house.retention.holds.lift(COMMANDER, first.hold.hold, WHY)
    _go_to(house, TERM)
    assert (await house.retention.sweep()).held == 1
    await house.retention.holds.lift(COMMANDER, second.hold.hold, WHY)
    assert (await house.retention.sweep()).erased == (recording,)


@pytest.mark.parametrize("missing", ["procedure_type", "procedure_no", "authority", "requested_by"])
async def test_a_hold_without_its_procedure_is_refused(house: House, missing: str) -> None:
    recording = await _handed_over(house)
    with pytest.raises(TheirError) as refused:
        await house.retention.holds.open(COMMANDER, recording, replace(ASKED, **{missing: " "}))
    assert refused.value.kind is Kind.INCOMPLETE
    assert (await house.events())[-1] == "refus/hold_recording"


async def test_only_what_was_handed_over_for_the_procedure_is_held(house: House) -> None:
    nothing, elsewhere = await house.record(), await _handed_over(house, "PV 13/2026")
    ready = await _handed_over(house, whole=False)
    for recording in (nothing, elsewhere, ready):
        with pytest.raises(TheirError, match="hand it over first") as refused:
            await house.retention.holds.open(COMMANDER, recording, ASKED)
        assert refused.value.kind is Kind.CONFLICT
        assert (await house.events())[-1] == "refus/hold_recording"
    assert (await house.retention.holds.of_recording(COMMANDER, elsewhere)).procedures == ("PV 13/2026",)


async def test_a_hold_comes_before_the_term_and_from_a_commander(house: House) -> None:
    recording = await _handed_over(house)
    for person in (OPERATOR, AUDITOR):
        with pytest.raises(TheirError, match="ACC-04"):
            await house.retention.holds.open(person, recording, ASKED)
    _go_to(house, TERM)
    with pytest.raises(TheirError, match="RET-02"):
        await house.retention.holds.open(COMMANDER, recording, ASKED)
    await house.retention.sweep()
    with pytest.raises(TheirError, match="RET-01"):
        await house.retention.holds.open(COMMANDER, recording, ASKED)


async def test_a_clock_that_is_stepped_ahead_refuses_no_hold(house: House) -> None:
    recording = await _handed_over(house)
    _go_to(house, TERM, -1800)
    await house.retention.sweep()
    house.clock.step_utc(3600)
    await house.retention.holds.open(COMMANDER, recording, ASKED)
    house.clock.advance(1801)
    assert (await house.retention.sweep()).erased == ()


async def test_a_recording_is_held_once_for_a_procedure_and_for_a_bounded_number(house: House) -> None:
    recording = await _handed_over(house)
    await house.retention.holds.open(COMMANDER, recording, ASKED)
    with pytest.raises(TheirError, match="already"):
        await house.retention.holds.open(COMMANDER, recording, ASKED)
    for number in range(MAX_OPEN):
        await house.hand_over(recording, f"PV {number}")
    for number in range(MAX_OPEN - 1):
        await house.retention.holds.open(COMMANDER, recording, replace(ASKED, procedure_no=f"PV {number}"))
    with pytest.raises(TheirError, match="too many"):
        await house.retention.holds.open(COMMANDER, recording, replace(ASKED, procedure_no=f"PV {MAX_OPEN - 1}"))


async def test_lifting_and_reviewing_need_a_motive_and_a_hold_that_is_open(house: House) -> None:
    recording = await _handed_over(house)
    name = (await house.retention.holds.open(COMMANDER, recording, ASKED)).hold.hold
    for act in (house.retention.holds.lift, house.retention.holds.review):
        for motive in (None, " ", "ok"):
            with pytest.raises(TheirError) as refused:
                await act(COMMANDER, name, motive)
            assert refused.value.kind is Kind.INCOMPLETE
            assert (await house.events())[-1] == "refus/hold_recording"
        with pytest.raises(TheirError, match="ACC-04"):
            await act(AUDITOR, name, WHY)
    await house.retention.holds.lift(COMMANDER, name, WHY)
    for act in (house.retention.holds.lift, house.retention.holds.review):
        with pytest.raises(TheirError, match="lifted already"):
            await act(COMMANDER, name, WHY)
    with pytest.raises(TheirError) as refused:
        await house.retention.holds.lift(COMMANDER, "0" * 32, WHY)
    assert refused.value.kind is Kind.NOT_FOUND


async def test_a_review_that_nobody_makes_is_overdue_until_it_is_made(house: House) -> None:
    recording = await _handed_over(house)
    held = await house.retention.holds.open(COMMANDER, recording, ASKED)
    assert (held.hold.review_on, held.overdue) == ("2026-02-01", False)
    _go_to(house, date(2026, 2, 1), DAY - 1)
    await house.retention.sweep()
    assert (house.retention.holds.open_now, house.retention.holds.overdue_now) == (1, 0)
    house.clock.advance(1)
    await house.retention.sweep()
    assert (house.retention.holds.open_now, house.retention.holds.overdue_now) == (1, 1)
    assert [found.overdue for found in await house.retention.holds.list_open(AUDITOR)] == [True]
    reviewed = await house.retention.holds.review(COMMANDER, held.hold.hold, "l'instruction continue")
    assert (reviewed.hold.review_on, reviewed.overdue, house.retention.holds.overdue_now) == ("2026-03-02", False, 0)
    assert [found.hold for found in await house.retention.holds.list_open(COMMANDER)] == [reviewed.hold]


async def test_holds_are_listed_to_commander_and_auditor_of_the_service_the_next_review_first(house: House) -> None:
    first = await _handed_over(house)
    await house.retention.holds.open(COMMANDER, first, ASKED)
    house.clock.advance(2 * DAY)
    second = await _handed_over(house)
    lifted = await house.retention.holds.open(COMMANDER, second, ASKED)
    for person in (COMMANDER, AUDITOR):
        assert [found.recording.recording for found in await house.retention.holds.list_open(person)] == [first, second]
    await house.retention.holds.lift(COMMANDER, lifted.hold.hold, WHY)
    assert [found.recording.recording for found in await house.retention.holds.list_open(AUDITOR)] == [first]
    assert [found.hold.released_by for found in (await house.retention.holds.of_recording(AUDITOR, second)).holds] == ["carl"]
    assert await house.retention.holds.list_open(Person("cora", "Cora", Role.COMMANDER, "another service")) == []
    for asked in (house.retention.holds.list_open(OPERATOR), house.retention.holds.of_recording(OPERATOR, first)):
        with pytest.raises(TheirError, match="list holds"):
            await asked


async def test_a_hold_that_the_catalogue_has_forgotten_keeps_the_recording_until_somebody_looks(house: House) -> None:
    recording, other = await _handed_over(house), await house.record()
    await house.retention.holds.open(COMMANDER, recording, ASKED)
    # A backup from before the hold, and before the extraction: neither stands in the catalogue any more.
    await house.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM holds"))
    await house.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM exports"))
    assert await _kinds(house) == {"hold_lost"}
    for months in (0, 13):
        _go_to(house, TERM, months * 31 * DAY)
        swept = await house.retention.sweep()
        assert (swept.erased, house.retention.status().holds_lost) == (() if months else (other,), 1)
        assert await _kinds(house) == {"hold_lost"}
    again = await house.retention.holds.open(COMMANDER, recording, ASKED)
    assert (await house.retention.sweep()).held == 1
    assert house.retention.status().holds_lost == 0
    await house.retention.holds.lift(COMMANDER, again.hold.hold, WHY)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0)


async def test_a_hold_whose_row_the_disk_refused_keeps_the_recording_nevertheless(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await _handed_over(house)

    def refuse(*_: object) -> None:
        raise OurError("database: disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.catalogue.holds), "add", refuse)
        with pytest.raises(OurError):
            await house.retention.holds.open(COMMANDER, recording, ASKED)
    _go_to(house, TERM)
    assert (await house.retention.sweep()).erased == ()
    assert house.retention.status().holds_lost == 1


async def test_on_a_frozen_disk_requests_about_holds_do_not_wait_for_the_sweep(house: House) -> None:
    recording = await _handed_over(house)
    holds = house.retention.holds
    held = await holds.open(COMMANDER, recording, ASKED)
    before = await house.events()
    holds._deadline = Deadline(0.05)
    async with holds._changing:  # the sweep waits for the disk
        for request in (
            holds.open(COMMANDER, recording, replace(ASKED, procedure_no="PV 13")),
            holds.review(COMMANDER, held.hold.hold, WHY),
            holds.lift(COMMANDER, held.hold.hold, WHY),
        ):
            with pytest.raises(OurError, match="does not answer"):
                await request
    assert await house.events() == before


async def test_a_hold_that_was_entered_is_kept_although_its_request_was_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await _handed_over(house)
    holds, answers, rewrap = house.retention.holds, threading.Event(), house.keyring.rewrap

    def frozen(*arguments: str) -> None:
        answers.wait(60)
        rewrap(*arguments)

    monkeypatch.setattr(house.keyring, "rewrap", frozen)
    holds._deadline = Deadline(0.2)
    with pytest.raises(OurError, match="does not answer"):
        await holds.open(COMMANDER, recording, ASKED)
    assert holds._changing.locked(), "the sweep must not erase meanwhile"
    answers.set()
    _go_to(house, TERM)
    assert (await house.retention.sweep()).erased == ()
    assert [hold.recording for hold, _ in await house.catalogue.holds.list_open(10)] == [recording]
