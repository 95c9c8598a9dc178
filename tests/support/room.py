"""The command room's page in Chromium, as a person has it before them: by keyboard, by what it shows and by what it believes.

Owns one page of a test.  Must never know the relay's inside.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, async_playwright

from tests.support.chromium import FLAGS, executable, until

AXE = Path(__file__).parents[2] / "command_room_ui/node_modules/axe-core/axe.min.js"
PAGE_SECONDS = 90
"""How long a page may take to show what a test waits for: long, because only a failing test waits to the end."""
_ON_TOP = """(selector) => {
  const deep = (root) => root.querySelector(selector)
    ?? [...root.querySelectorAll("*")].map((each) => each.shadowRoot && deep(each.shadowRoot)).find(Boolean) ?? null;
  const wanted = deep(document);
  if (wanted === null) return false;
  const box = wanted.getBoundingClientRect();
  let found = null;
  for (let root = document; root !== null && root !== undefined; root = found?.shadowRoot) {
    const next = root.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (next === null || next === found) break;
    found = next;
  }
  return found !== null && (wanted === found || wanted.contains(found));
}"""


class Room:
    """One page of the command room."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def part(self, name: str) -> Locator:
        """Return what carries this `data-testid`."""
        return self.page.locator(f'[data-testid="{name}"]')

    async def sign_in(self, user: str, password: str) -> None:
        """Sign in with the keyboard alone: the cursor stands in the first field."""
        await self.page.goto(self.url)
        await self.part("user").wait_for()
        await self.type(user, "Tab", password, "Enter")
        await self.part("who").wait_for()

    async def answer(self, camera: str, user: str, password: str) -> None:
        """Sign in, answer the one alarm with a motive, and see the camera's picture; raises TimeoutError."""
        await self.sign_in(user, password)
        await self.part("alarm").wait_for()
        await self.part("interventions").wait_for()
        await self.type("a", "assistance à la patrouille", "Enter")
        await self.shows(camera, "live")

    async def type(self, *words: str) -> None:
        """Type words; `Tab`, `Enter`, `Escape` and single keys are pressed."""
        for word in words:
            if word in ("Tab", "Enter", "Escape") or len(word) == 1:
                await self.page.keyboard.press(word)
            else:
                await self.page.keyboard.insert_text(word)

    async def tile(self, camera: str) -> dict[str, Any] | None:
        """Return what the page believes of the tile on which a camera stands."""
        tiles: list[dict[str, Any]] = await self.page.evaluate("window.__relay?.tiles() ?? []")
        return next((tile for tile in tiles if tile["camera"] == camera), None)

    async def shows(self, camera: str, kind: str, seconds: float = 120) -> None:
        """Wait until a camera's tile is `live`, `frozen`, `waiting`, …; raises TimeoutError."""

        async def so() -> bool:
            tile = await self.tile(camera)
            return tile is not None and tile["kind"] == kind

        try:
            await until(so, seconds, f"the tile of {camera} to be {kind}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it is {await self.tile(camera)}") from None

    async def is_on_top(self, selector: str) -> bool:
        """Return whether the middle of an element is really what is seen there, full screen or not."""
        return bool(await self.page.evaluate(_ON_TOP, selector))

    async def violations(self) -> list[str]:
        """Return what axe-core finds wrong with what is shown: rule, impact, first place."""
        await self.page.add_script_tag(path=AXE)
        found = await self.page.evaluate("axe.run()")
        assert len(found["passes"]) >= 10, "axe-core saw hardly anything"
        return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:160]}" for each in found["violations"]]


@contextlib.asynccontextmanager
async def room(url: str, language: str = "fr-FR") -> AsyncIterator[Room]:
    """Open a Chromium of its own with the page's window of 1366 × 768, the smallest screen of a command post."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=[*FLAGS])
        try:
            context = await browser.new_context(viewport={"width": 1366, "height": 768}, locale=language, bypass_csp=True)
            context.set_default_timeout(PAGE_SECONDS * 1000)
            yield Room(await context.new_page(), url)
        finally:
            await browser.close()
