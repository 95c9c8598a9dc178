"""The command room's page with a whole relay behind it: by keyboard alone, in full screen, read by a screen reader's rules."""

import pytest

from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.relay import PASSWORD
from tests.support.room import room

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


async def test_from_the_alarm_to_the_large_picture_by_keyboard_and_full_screen_hides_no_emergency(scene: Scene) -> None:
    async with scene.person("marie") as marie, scene.simulated("cam1"), room(scene.relay.url) as page:
        await marie.sees_live("cam1")
        await page.answer("cam1", "marie", PASSWORD)
        # It was seen, and stands on the wall.
        await page.part("alarm").wait_for(state="detached")
        await page.type("f")
        await page.page.wait_for_function("document.fullscreenElement !== null")
        await page.part("camera-list").wait_for(state="hidden")
        async with scene.simulated("cam2"):
            await page.part("alarm").wait_for()
            # It may still be finding its place: what counts is that it stands on top and stays there.
            await until(lambda: page.is_on_top('[data-testid="alarm-show"]'), 90, "the alarm to stand on top")
            await page.type("a")
            await page.shows("cam2", "live")
        await page.type("f")
        await page.page.wait_for_function("document.fullscreenElement === null")
        await page.part("camera-list").wait_for()


async def test_what_a_screen_reader_needs_is_there_on_every_view(scene: Scene) -> None:
    async with scene.person("marie") as marie, scene.simulated("cam1"), room(scene.relay.url) as page:
        await page.page.goto(scene.relay.url)
        await page.part("user").wait_for()
        found = {"sign-in": await page.violations()}
        await marie.sees_live("cam1")
        await page.sign_in("marie", PASSWORD)
        await page.part("interventions").wait_for()
        found["gate"] = await page.violations()
        await page.type("a", "assistance à la patrouille", "Enter")
        await page.shows("cam1", "live")
        found["wall"] = await page.violations()
        await page.type("?")
        found["help"] = await page.violations()
        await page.type("Escape")
        await page.part("help-dialog").wait_for(state="hidden")
        await page.part("nav-recordings").click()
        await page.part("recording").first.click()
        found["recordings"] = await page.violations()
    assert not any(found.values()), found
