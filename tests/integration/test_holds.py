"""A hold from its request to its end, over HTTP; the test moves the clock by months (RET-02)."""

import contextlib
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.base.clock import ManualClock
from relay.policy.retention import due_ns
from relay.store.backup import restore, take
from tests.support.control_line import Line, Page, control_line
from tests.support.requisition import PROCEDURE, REQUISITION
from tests.support.services import seal

HOLD = {
    "procedure_type": "judiciaire",
    "procedure_no": PROCEDURE,
    "authority": "Parquet de Rennes",
    "requested_by": "OPJ Bernard",
}
TERM = "2026-02-01"
WHY = {"motive": "l'instruction est close"}


@contextlib.asynccontextmanager
async def _post(data: Path, clock: ManualClock) -> AsyncIterator[Line]:
    async with control_line(data, clock=clock) as line:
        line.control.context.exports._derive = None  # what is sealed here is no media: there is nothing to play
        yield line


def _go_to(clock: ManualClock, day: str, seconds: float = 0) -> None:
    clock.advance((due_ns(date.fromisoformat(day)) - clock.utc_ns()) / 1e9 + seconds)


async def _record(line: Line) -> str:
    """Make a closed recording as camera, recorder and control would."""
    services = line.control.context
    camera = await services.enrolment.camera("pm-1")
    its = await services.interventions.open_by_camera("pm-1", "Rixe", "appel 17")
    plan, key = await services.recordings.begin(camera, its.intervention, trigger="bouton", threat="personnes")
    sealed, closed = seal(line.control.stores, plan, key, 3)
    await services.recordings.segment_sealed(sealed)
    await services.recordings.closed(closed)
    await services.interventions.close_system(its.intervention, "over")
    return plan.recording


async def _hand_over(carl: Page, recording: str) -> None:
    status, made = await carl.call("POST", f"/api/recordings/{recording}/exports", REQUISITION)
    assert status == 201, made
    async with carl.http.get(carl.url + made["file"]) as response:
        assert response.status == 200
        await response.read()


async def _held(line: Line, carl: Page) -> tuple[str, str]:
    recording = await _record(line)
    await _hand_over(carl, recording)
    status, made = await carl.call("POST", f"/api/recordings/{recording}/holds", HOLD)
    assert status == 201, made
    return recording, made["hold"]


async def _gauges(line: Line) -> dict[str, float]:
    async with aiohttp.ClientSession() as http, http.get(f"{line.url}/metrics") as response:
        lines = [text for text in (await response.text()).splitlines() if text.startswith("relay_holds")]
    return {text.split("{")[0].removeprefix("relay_holds_"): float(text.split()[-1]) for text in lines}


def _steps(entries: list[dict[str, Any]], recording: str) -> list[tuple[str, str, str]]:
    """Return who did what with a recording, and why, from the first hold on."""
    mine = [entry for entry in entries if entry["object_id"] == recording]
    entered = [(entry["author"], str(entry["details"].get("event") or entry["operation"]), entry["motive"]) for entry in mine]
    begun = next(index for index, (_, event, _) in enumerate(entered) if event == "hold opened")
    return entered[begun:]


async def test_a_hold_keeps_a_recording_past_its_term_until_it_is_lifted(tmp_path: Path) -> None:
    clock = ManualClock()
    async with _post(tmp_path, clock) as line:
        await line.enrol("pm-1")
        async with line.person("carl", "commander") as carl:
            other = await _record(line)
            recording, hold = await _held(line, carl)
            status, found = await carl.call("GET", f"/api/recordings/{recording}")
            assert (status, found["held"], found["expires_on"]) == (200, True, TERM)
        _go_to(clock, TERM)
        assert (await line.control.retention.sweep()).erased == (other,)
        assert await _gauges(line) == {"open": 1, "review_overdue": 0, "lost": 0}
        _go_to(clock, "2026-02-02")
        await line.control.retention.sweep()
        assert await _gauges(line) == {"open": 1, "review_overdue": 1, "lost": 0}
        async with line.person("carl", "commander") as carl, line.person("aude", "auditor") as aude:
            status, found = await aude.call("GET", "/api/holds")
            (shown,) = found["holds"]
            assert {name: shown[name] for name in HOLD} == HOLD
            assert (shown["review_on"], shown["overdue"], shown["opened_by"]) == (TERM, True, "carl")
            status, found = await carl.call("POST", f"/api/holds/{hold}/review", {"motive": "l'instruction continue"})
            assert (status, found["review_on"], found["overdue"]) == (200, "2026-03-02", False)
            assert (await _gauges(line))["review_overdue"] == 0
            status, found = await carl.call("POST", f"/api/holds/{hold}/lift", WHY)
            assert (status, found["lifted_by"]) == (200, "carl")
            assert (await aude.call("GET", "/api/holds"))[1] == {"holds": []}
            assert (await carl.call("POST", f"/api/holds/{hold}/lift", WHY))[0] == 409
            swept = await line.control.retention.sweep()
            assert (swept.erased, swept.late) == ((recording,), 0)
            assert (await carl.call("GET", f"/api/recordings/{recording}"))[1]["state"] == "erased"
            assert (await carl.call("POST", f"/api/recordings/{recording}/holds", HOLD))[0] == 409
        assert _steps(await line.entries(), recording) == [
            ("carl", "hold opened", f"judiciaire {PROCEDURE}"),
            ("carl", "hold reviewed", "l'instruction continue"),
            ("carl", "hold lifted", WHY["motive"]),
            ("carl", "refus", ""),
            ("relay", "effacement", "terme"),
            ("carl", "refus", ""),
        ]
        assert await line.control.context.check.run() == []


@pytest.mark.parametrize("role", ["operator", "auditor", "administrator"])
async def test_nobody_but_a_commander_opens_or_lifts_and_the_refusal_is_entered(tmp_path: Path, role: str) -> None:
    async with (
        _post(tmp_path, ManualClock()) as line,
        line.person("carl", "commander") as carl,
        line.person("eve", role) as eve,
    ):
        await line.enrol("pm-1")
        recording, hold = await _held(line, carl)
        for path, body in ((f"/api/recordings/{recording}/holds", HOLD), (f"/api/holds/{hold}/lift", WHY)):
            status, found = await eve.call("POST", path, body)
            assert (status, "ACC-04" in found["detail"]) == (403, True)
            last = (await line.entries())[-1]
            assert (last["author"], last["operation"], last["object_id"]) == ("eve", "refus", recording)
        statuses = {(await eve.call("GET", path))[0] for path in ("/api/holds", f"/api/recordings/{recording}/holds")}
        assert statuses == {200 if role == "auditor" else 403}


async def test_a_hold_without_a_field_or_a_handover_is_refused_by_kind(tmp_path: Path) -> None:
    async with _post(tmp_path, ManualClock()) as line, line.person("carl", "commander") as carl:
        await line.enrol("pm-1")
        recording = await _record(line)
        path = f"/api/recordings/{recording}/holds"
        for body, status in (
            (HOLD, 409),
            ({**HOLD, "authority": " "}, 422),
            ({**HOLD, "procedure_type": "pédagogique"}, 422),
            ({name: HOLD[name] for name in HOLD if name != "requested_by"}, 422),
            ({**HOLD, "procedure_no": "x" * 201}, 400),
            ({**HOLD, "for_ever": True}, 400),
        ):
            assert (await carl.call("POST", path, body))[0] == status, body
        assert (await carl.call("GET", path))[1] == {"holds": [], "procedures": [], "lost": False}
        await _hand_over(carl, recording)
        assert (await carl.call("GET", path))[1] == {"holds": [], "procedures": [PROCEDURE], "lost": False}
        assert (await carl.call("POST", f"/api/recordings/{'0' * 32}/holds", HOLD))[0] == 404
        assert (await carl.call("POST", f"/api/holds/{'0' * 32}/lift", WHY))[0] == 404
        status, made = await carl.call("POST", path, HOLD)
        for motive in ({}, {"motive": " "}, {"motive": "test"}):
            assert (await carl.call("POST", f"/api/holds/{made['hold']}/lift", motive))[0] == 422


@pytest.mark.parametrize("backed_up", ["with the hold", "before the hold"])
async def test_what_was_held_is_still_there_after_a_restore(tmp_path: Path, backed_up: str) -> None:
    data, clock = tmp_path / "data", ManualClock()
    before, after = tmp_path / "before.tar", tmp_path / "after.tar"
    async with _post(data, clock) as line:
        await line.enrol("pm-1")
        async with line.person("carl", "commander") as carl:
            recording = await _record(line)
            await _hand_over(carl, recording)
            await line.control.stores.journal.checkpoint()
            take(data, data / "relay.db", before, clock.utc_ns())
            assert (await carl.call("POST", f"/api/recordings/{recording}/holds", HOLD))[0] == 201
        await line.control.stores.journal.checkpoint()
        take(data, data / "relay.db", after, clock.utc_ns())
    # The database is damaged, the disk with vault and keys is not.
    for path in data.glob("relay.db*"):
        path.unlink()
    restored = restore(after if backed_up == "with the hold" else before, data, None, accept_loss=True)
    assert (restored.lost > 1) is (backed_up == "before the hold"), "one entry is the stop's"
    _go_to(clock, TERM, 3600)
    async with _post(data, clock) as line:
        assert (await line.control.retention.sweep()).erased == ()
        kinds = [item.kind for item in await line.control.context.check.run()]
        async with line.person("carl", "commander") as carl:
            listed = (await carl.call("GET", "/api/holds"))[1]["holds"]
            if backed_up == "before the hold":
                assert (kinds, listed, (await _gauges(line))["lost"]) == (["hold_lost"], [], 1)
                of_it = f"/api/recordings/{recording}/holds"
                assert (await carl.call("GET", of_it))[1]["lost"]
                status, made = await carl.call("POST", of_it, HOLD)
                assert status == 201, made
                assert not (await carl.call("GET", of_it))[1]["lost"]
                listed = [made]
            else:
                assert kinds == []
            assert (await carl.call("POST", f"/api/holds/{listed[0]['hold']}/lift", WHY))[0] == 200
        swept = await line.control.retention.sweep()
        assert (swept.erased, swept.late) == ((recording,), 0)
        assert await line.control.context.check.run() == []
