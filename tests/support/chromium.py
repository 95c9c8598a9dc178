"""The system's Chromium as a real camera and a real viewer, driven by playwright.

Owns the browser process of a test.  Must never know the relay's inside: it speaks WHIP and WHEP from a page.
"""

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

_SCRIPT = Path(__file__).with_name("peer.js").read_text(encoding="utf-8")
_TELLING = (
    "packetsReceived",
    "packetsLost",
    "nackCount",
    "pliCount",
    "framesReceived",
    "framesDecoded",
    "framesDropped",
    "keyFramesDecoded",
    "freezeCount",
    "totalFreezesDuration",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-renderer-backgrounding",
    "--no-first-run",
)


def executable() -> str:
    """Return the path of the installed Chromium or Chrome; raises FileNotFoundError that names what is missing."""
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise FileNotFoundError(f"none of {', '.join(_NAMES)} is installed")


@dataclasses.dataclass(frozen=True)
class Posted:
    """The answer to a WHIP or WHEP offer."""

    status: int
    location: str | None
    etag: str | None
    retry_after: str | None
    body: str


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture that was on the screen: the time code in it (None: unreadable) and when it was shown (ms since epoch)."""

    code: int | None
    at: float


class Viewer:
    """One page of Chromium with any number of named peers in it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def publish(self, name: str, url: str, token: str, **options: Any) -> Posted:
        """Publish the fake device by WHIP.  Options: width, height, fps, audio, encodings, ports, waitForCandidates."""
        return _posted(await self._call("publish", name, {"url": url, "token": token, **options}))

    async def watch(self, name: str, url: str, **options: Any) -> Posted:
        """Watch by WHEP.  Options: token, headers, audio, slots, ports, codes (read time codes)."""
        return _posted(await self._call("watch", name, {"url": url, **options}))

    async def state(self, name: str) -> str:
        """Return the peer connection's state."""
        return str(await self._call("state", name))

    async def connected(self, name: str, seconds: float = 90) -> None:
        """Wait until connected; raises TimeoutError."""
        await until(lambda: self._is(name, "connected"), seconds, f"{name} to connect")

    async def stats(self, name: str) -> list[dict[str, Any]]:
        """Return every report of getStats."""
        return list(await self._call("stats", name))

    async def report(self, name: str, kind: str, media: str) -> dict[str, Any]:
        """Return the report of one type (`inbound-rtp`, say) and media kind; empty where there is none."""
        found = [each for each in await self.stats(name) if each["type"] == kind and each.get("kind") == media]
        return max(found, key=lambda each: each.get("packetsReceived", each.get("packetsSent", 0)), default={})

    async def shown(self, name: str) -> list[Shown]:
        """Return the pictures shown since the last call."""
        return [Shown(each["code"], each["at"]) for each in await self._call("codes", name)]

    async def sees(self, name: str, count: int = 5, seconds: float = 90) -> list[int]:
        """Wait until `count` pictures with a readable time code were shown; return their codes; raises TimeoutError."""
        codes: list[int] = []

        async def enough() -> bool:
            codes.extend(each.code for each in await self.shown(name) if each.code is not None)
            return len(codes) >= count

        await until(enough, seconds, f"{name} to show {count} pictures")
        return codes

    async def sees_since(self, name: str, since_ms: float, seconds: float = 90) -> list[int]:
        """Wait for a picture taken (by its code) after `since_ms`; return the codes seen meanwhile; raises TimeoutError."""
        codes: list[int] = []

        async def taken_since() -> bool:
            codes.extend(each.code for each in await self.shown(name) if each.code is not None)
            return max(codes, default=0) > since_ms

        await until(taken_since, seconds, f"{name} to show a picture taken later")
        return codes

    async def stands_still(self, name: str, quiet_seconds: float = 3, seconds: float = 90) -> list[int]:
        """Wait until no new picture was shown for `quiet_seconds`; return the codes seen meanwhile; raises TimeoutError."""
        codes: list[int] = []
        loop = asyncio.get_running_loop()
        newest_at = loop.time()

        async def quiet() -> bool:
            nonlocal newest_at
            shown = await self.shown(name)
            if shown:
                newest_at = loop.time()
                codes.extend(each.code for each in shown if each.code is not None)
            return loop.time() >= newest_at + quiet_seconds

        await until(quiet, seconds, f"{name} to stand still")
        return codes

    async def frames(self, name: str, count: int = 5, seconds: float = 90) -> None:
        """Wait until `count` pictures were decoded, with or without time code; raises TimeoutError."""

        async def enough() -> bool:
            return int((await self.report(name, "inbound-rtp", "video")).get("framesDecoded", 0)) >= count

        try:
            await until(enough, seconds, f"{name} to decode {count} pictures")
        except TimeoutError as error:
            report = await self.report(name, "inbound-rtp", "video")
            raise TimeoutError(f"{error}: { ({key: report.get(key) for key in _TELLING}) }") from None

    async def close(self, name: str, **options: Any) -> int | None:
        """DELETE the session and close the peer; return the status of the DELETE.  Options: token, headers."""
        status = await self._call("close", name, options)
        return None if status is None else int(status)

    async def _is(self, name: str, state: str) -> bool:
        return await self.state(name) == state

    async def _call(self, function: str, *arguments: Any) -> Any:
        return await self.page.evaluate(f"(given) => peers.{function}(...given)", list(arguments))


class Chromium:
    """A running browser."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def viewer(self, origin: str, cookies: list[dict[str, Any]] | None = None) -> Viewer:
        """Open a page of its own profile on `origin` (so that its requests are same-origin), with these cookies."""
        context: BrowserContext = await self._browser.new_context(bypass_csp=True, ignore_https_errors=True)
        if cookies:
            await context.add_cookies(cookies)  # type: ignore[arg-type]
        page = await context.new_page()
        # A blank page of our own on that origin: the relay's pages may (and do) forbid themselves camera and microphone.
        await page.route(f"{origin}/blank", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        await page.goto(f"{origin}/blank")
        await page.evaluate(_SCRIPT)
        return Viewer(page)


@contextlib.asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Chromium]:
    """Run the system's Chromium, headless and offline."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=[*FLAGS, *flags])
        try:
            yield Chromium(browser)
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def page_at(url: str) -> AsyncIterator[Page]:
    """Run a browser with one page that shows an address, until the block ends."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=[*FLAGS])
        try:
            page = await browser.new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def until(condition: Any, seconds: float, what: str) -> None:
    """Poll an async condition until it holds; raises TimeoutError that says what was waited for."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - a browser cannot set our events
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"waited {seconds:g} s for {what}") from None


def _posted(result: dict[str, Any]) -> Posted:
    return Posted(result["status"], result["location"], result["etag"], result["retryAfter"], result["body"])
