"""A hold on the page of a whole relay: extracted, handed over, kept, reviewed and lifted in Chromium, the forms by keyboard."""

from datetime import date

import pytest

from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.relay import PASSWORD, Person
from tests.support.requisition import PROCEDURE, REQUISITION
from tests.support.room import Room, room

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


async def _closed(marie: Person) -> str:
    """Return the one recording once it is closed and nobody's intervention is open."""

    async def so() -> bool:
        listed = (await marie.call("GET", "/api/recordings"))["recordings"]
        open_ones = (await marie.call("GET", "/api/interventions"))["interventions"]
        return [each["state"] for each in listed] == ["closed"] and not open_ones

    await until(so, 90, "the recording to be closed")
    return str((await marie.call("GET", "/api/recordings"))["recordings"][0]["recording"])


async def _hand_over(marie: Person, recording: str) -> None:
    made = await marie.call("POST", f"/api/recordings/{recording}/exports", REQUISITION)
    assert await marie.download(made["file"]) > 1000


async def _write(page: Room, button: str, *words: str) -> None:
    """Press a button by keyboard and write where it leads."""
    await page.part(button).focus()
    await page.type("Enter", *words)


async def test_a_recording_is_kept_for_a_procedure_and_let_go_on_the_page(scene: Scene) -> None:
    async with scene.person("marie") as marie, room(scene.relay.url) as page:
        async with scene.simulated("cam1"):
            await marie.sees_live("cam1")
        recording = await _closed(marie)
        await page.sign_in("marie", PASSWORD)
        await page.part("nav-recordings").click()
        await page.part("recording").first.click()
        await page.part("hold-refresh").wait_for()
        assert await page.part("hold-form").count() == 0, "nothing was handed over yet"
        await _hand_over(marie, recording)
        await _write(page, "hold-refresh")
        await page.part("hold-authority").focus()
        await page.type("Parquet de Rennes", "Tab", "OPJ Bernard", "Enter")
        await page.part("hold").wait_for()
        await page.part("hold").filter(has_text=PROCEDURE).wait_for()
        await page.part("recording-held").wait_for()
        await page.part("hold-list").wait_for()
        (held,) = (await marie.call("GET", "/api/holds"))["holds"]
        assert (held["recording"], held["requested_by"], held["overdue"]) == (recording, "OPJ Bernard", False)
        assert await page.violations() == []
        await _write(page, "hold-review", "l'instruction continue", "Enter")
        await page.part("hold-lift").wait_for()
        await _write(page, "hold-lift")
        day = f"{date.fromisoformat(held['expires_on']):%d/%m/%Y}"
        await page.part("hold-consequence").filter(has_text=day).wait_for()
        assert await page.violations() == []
        await page.type("Escape")
        await _write(page, "hold-lift", "l'instruction est close", "Enter")
        await page.part("recording-held").wait_for(state="detached")
        await page.part("hold-list").wait_for(state="detached")
        assert (await marie.call("GET", "/api/holds"))["holds"] == []
        # Who lifted it stays in view.
        await page.part("hold").filter(has_text="marie").wait_for()
