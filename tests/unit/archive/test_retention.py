"""Recordings erase themselves at their term, in the order of I5, and finish after a crash at any step."""

import asyncio
from datetime import date, datetime, timedelta

import pytest

from relay.archive import retention
from relay.archive.retention import Retention
from relay.base.errors import Kind, OurError, TheirError
from relay.channel.messages import RecordingClosed
from relay.policy.retention import due_ns
from relay.store.keyring import Keyring
from relay.store.vault import Vault
from tests.support.services import COMMANDER, DAY, House

NS = 1_000_000_000
TERM = date(2026, 2, 1)


def _go_to(house: House, day: date, seconds: float = 0) -> None:
    house.clock.advance((due_ns(day) - house.clock.utc_ns()) / 1e9 + seconds)


async def test_nothing_goes_before_the_paris_day_of_its_term_and_everything_on_it(house: House) -> None:
    recording = await house.record()
    _go_to(house, TERM, -1)
    assert (await house.retention.sweep()).erased == ()
    _go_to(house, TERM)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0)
    assert not house.vault.folder(recording).exists()
    assert house.keyring.recordings() == {}
    assert "2026-02-01" not in house.keyring.days()
    row = await house.catalogue.recordings.get(recording)
    assert (row.state, row.bearer, row.late_seconds) == ("erased", None, 0)
    assert "effacement/None" in await house.events()


@pytest.mark.parametrize("step", [3600, 40 * DAY, 20_000 * DAY])
async def test_a_clock_that_is_stepped_ahead_erases_nothing_early(house: House, step: float) -> None:
    recording = await house.record()
    _go_to(house, TERM, -1800)
    await house.retention.sweep()
    house.clock.step_utc(step)
    swept = await house.retention.sweep()
    assert (swept.erased, house.keyring.recordings()) == ((), {recording: TERM.isoformat()})
    assert house.counters.values["erasures_clock_doubted"] == 1
    house.clock.advance(1801)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0), "it goes when its term has really come"


async def test_a_clock_that_is_put_right_again_is_believed_at_once(house: House) -> None:
    recording = await house.record()
    _go_to(house, TERM, -1800)
    house.clock.step_utc(3600)
    assert (await house.retention.sweep()).erased == ()
    house.clock.step_utc(-3600)
    house.clock.advance(1800)
    assert (await house.retention.sweep()).erased == (recording,)


async def test_a_clock_that_was_behind_is_believed_after_a_day(house: House) -> None:
    recording = await house.record()
    house.clock.step_utc(400 * DAY)
    assert (await house.retention.sweep()).erased == ()
    house.clock.advance(DAY + 1)
    assert (await house.retention.sweep()).erased == (recording,)


async def test_a_clock_that_is_stepped_back_erases_an_hour_later_and_still_on_the_day(house: House) -> None:
    recording = await house.record()
    _go_to(house, TERM, 60)
    house.clock.step_utc(-3600)
    assert (await house.retention.sweep()).erased == ()
    house.clock.advance(3600)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0)


@pytest.mark.parametrize(
    ("begun", "term", "hours"),
    [
        ("2026-02-28T23:30+01:00", "2026-03-28", 24),
        ("2026-02-28T12:00+01:00", "2026-03-28", 24),
        ("2026-03-01T00:30+01:00", "2026-04-01", 24),
        ("2026-03-28T23:59+01:00", "2026-04-28", 24),
        ("2026-03-29T03:00+02:00", "2026-04-29", 24),
        ("2026-02-28T23:59:59+01:00", "2026-03-28", 24),
        ("2026-09-25T00:00+02:00", "2026-10-25", 25),
        ("2026-10-25T02:30+02:00", "2026-11-25", 24),
        ("2026-10-25T02:30+01:00", "2026-11-25", 24),
        ("2026-03-01T12:00+01:00", "2026-04-01", 24),
        ("2027-02-28T12:00+01:00", "2027-03-28", 23),
    ],
)
async def test_across_summer_time_a_recording_goes_within_its_civil_day_in_paris(
    house: House, begun: str, term: str, hours: int
) -> None:
    begun_ns = int(datetime.fromisoformat(begun).timestamp()) * NS
    house.clock.advance((begun_ns - house.clock.utc_ns()) / NS)
    recording, day = await house.record(), date.fromisoformat(term)
    assert due_ns(day + timedelta(days=1)) - due_ns(day) == hours * 3600 * NS
    _go_to(house, day, -1)
    assert (await house.retention.sweep()).erased == ()
    _go_to(house, day, hours * 3600 - 1)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.late) == ((recording,), 0)


async def test_the_entry_stands_before_the_key_goes_and_the_key_goes_before_the_files(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await house.record()
    order: list[str] = []
    destroy, erase, append = Keyring.destroy_recording, Vault.erase, type(house.journal).append

    async def entered(journal, entry):  # type: ignore[no-untyped-def]
        order.append(f"entry {entry.operation.value}")
        return await append(journal, entry)

    monkeypatch.setattr(type(house.journal), "append", entered)

    def destroyed(ring: Keyring, name: str) -> object:
        order.append("key")
        return destroy(ring, name)

    def erased(vault: Vault, name: str) -> object:
        order.append("files")
        return erase(vault, name)

    monkeypatch.setattr(Keyring, "destroy_recording", destroyed)
    monkeypatch.setattr(Vault, "erase", erased)
    _go_to(house, TERM)
    await house.retention.sweep()
    assert order == ["entry effacement", "key", "files"]
    assert (await house.catalogue.recordings.get(recording)).state == "erased"


@pytest.mark.parametrize("dies_in", ["destroy_recording", "erase", "update"])
async def test_a_sweep_that_died_half_way_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    recording = await house.record()
    _go_to(house, TERM)
    owner = {"destroy_recording": Keyring, "erase": Vault, "update": type(house.catalogue.recordings)}[dies_in]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, dies_in, die)
        with pytest.raises(KeyboardInterrupt):
            await house.retention.sweep()
    assert (await house.retention.sweep()).erased == (recording,)
    assert not house.vault.folder(recording).exists()
    assert house.keyring.recordings() == {}


async def test_an_erasure_that_the_disk_refuses_is_counted_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await house.record()
    _go_to(house, TERM)
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "erase", _read_only)
        swept = await house.retention.sweep()
    assert (swept.erased, swept.failed) == ((), (recording,))
    assert house.retention.status().failed == 1
    assert (await house.retention.sweep()).erased == (recording,)


def _read_only(*_: object) -> None:
    raise OSError(30, "Read-only file system")


async def test_an_erasure_after_the_relay_was_off_is_late_and_says_so(house: House) -> None:
    await house.record()
    _go_to(house, TERM, 3 * DAY)
    swept = await house.retention.sweep()
    assert swept.late == 1
    assert house.counters.values["erasures_late"] == 1


async def test_an_end_that_is_reported_after_the_erasure_brings_nothing_back(house: House) -> None:
    recording = await house.record()
    row = await house.catalogue.recordings.get(recording)
    late = RecordingClosed(
        recording, "interrupted", row.links, row.head or b"", row.started_ns, True, 0, row.duration_ns, row.stored_bytes
    )
    _go_to(house, TERM)
    assert (await house.retention.sweep()).erased == (recording,)
    await house.recordings.closed(late)
    assert (await house.catalogue.recordings.get(recording)).state == "erased"
    house.clock.advance(DAY)
    assert (await house.retention.sweep()).erased == ()


async def test_playing_stops_when_the_recording_goes(house: House) -> None:
    recording = await house.record()
    view = await house.playbacks.open(COMMANDER, recording, "procédure 12")
    _go_to(house, TERM)
    await house.retention.sweep()
    with pytest.raises(TheirError):
        house.playbacks.playlist(COMMANDER, view.view)
    with pytest.raises(TheirError) as refused:
        await house.playbacks.open(COMMANDER, recording, "procédure 12")
    assert refused.value.kind is Kind.GONE


async def test_the_journal_loses_the_words_of_entries_three_years_old(house: House) -> None:
    await house.journal.checkpoint()
    old = house.journal.size
    house.clock.advance(3 * 366 * DAY)
    await house.retention.sweep()
    leaves = await house.journal.read()
    assert [leaf.body is None for leaf in leaves][:old] == [True] * old


def test_keeping_says_when_it_never_ran(house: House) -> None:
    fresh = Retention(
        house.catalogue,
        house.journal,
        house.authorizer,
        house.vault,
        house.keyring,
        house.clock,
        house.counters,
        end_views=house.playbacks.end_of_recording,
    )
    assert fresh.status().swept_ns is None


async def test_a_name_that_is_no_day_and_a_term_that_is_none_keep_nothing_else_from_going(house: House) -> None:
    bad, good = await house.record(), await house.record()
    (house.root / "keys/wrapped/lost+found").mkdir()
    await house.catalogue.recordings.update(bad, {"expires_on": "2026-01-3x"})
    _go_to(house, TERM)
    swept = await house.retention.sweep()
    assert swept.erased == (good,)
    assert house.keyring.foreign_entries() == ["lost+found"]


async def test_a_recording_that_cannot_be_erased_keeps_no_other_from_going(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await house.record(), await house.record()
    real = house.keyring.destroy_recording

    def refuse(recording: str) -> None:
        if recording == bad:
            raise OurError("damaged")
        real(recording)

    monkeypatch.setattr(house.keyring, "destroy_recording", refuse)
    _go_to(house, TERM)
    swept = await house.retention.sweep()
    assert (swept.erased, swept.failed) == ((good,), (bad,))
    house.clock.advance(7200)
    await house.retention.sweep()
    assert house.retention.seconds_since_complete() >= 7200, "supervision sees that something stays"
    monkeypatch.undo()
    assert (await house.retention.sweep()).erased == (bad,)
    assert house.retention.seconds_since_complete() == 0


async def test_after_any_failure_of_a_sweep_the_next_hours_begins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = asyncio.Event()
    failures = [ValueError("a bug"), KeyError("another")]

    async def sweep() -> None:
        if failures:
            raise failures.pop()
        swept.set()

    monkeypatch.setattr(house.retention, "sweep", sweep)
    monkeypatch.setattr(retention, "SWEEP_SECONDS", 0)
    running = asyncio.create_task(house.retention.run())
    async with asyncio.timeout(20):
        await swept.wait()
    running.cancel()
    assert house.counters.values["sweeps_failed"] == 2
