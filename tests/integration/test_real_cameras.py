"""Chromium and FFmpeg as cameras, against stock aiortc: the test clients themselves are held by tests."""

import asyncio
import base64
from pathlib import Path

import numpy as np
import pytest

from sim_cameras import timecode
from tests.support.aiortc_whip import Endpoint
from tests.support.chromium import chromium
from tests.support.ffmpeg_whip import ffmpeg_whip

pytestmark = pytest.mark.e2e


async def test_chromium_publishes_its_fake_device() -> None:
    async with Endpoint("secret").serving() as endpoint, chromium() as browser:
        viewer = await browser.viewer(endpoint.url)
        posted = await viewer.publish("cam", f"{endpoint.url}/whip/cam1", "secret", waitForCandidates=True)
        assert posted.status == 201
        await viewer.connected("cam")
        received = await endpoint.sessions.get()
        async with asyncio.timeout(120):
            assert (await received.pictures.get())[1:] == (640, 360)
            await received.sounds.get()
        assert await viewer.close("cam", token="secret") == 200


async def test_ffmpeg_publishes_and_takes_its_session_down(tmp_path: Path) -> None:
    async with Endpoint("secret").serving() as endpoint:
        async with ffmpeg_whip(f"{endpoint.url}/whip/cam1", "secret", tmp_path):
            async with asyncio.timeout(120):
                received = await endpoint.sessions.get()
                codes = [(await received.pictures.get())[0] for _ in range(10)]
                await received.sounds.get()
        assert codes == sorted(code for code in codes if code is not None)
        async with asyncio.timeout(120):
            await received.closed.wait()


async def test_the_page_reads_the_same_time_code() -> None:
    async with Endpoint("secret").serving() as endpoint, chromium() as browser:
        page = (await browser.viewer(endpoint.url)).page
        for width in (128, 320, 640):
            luma = np.full((timecode.height(width), width), 90, np.uint8)
            timecode.draw(luma, 1_795_000_123_456)
            rgba = np.repeat(luma[:, :, None], 4, axis=2).ravel()
            read = "([text, width]) => peers.readCode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), width)"
            assert await page.evaluate(read, [_base64(rgba), width]) == 1_795_000_123_456
            rgba[: len(rgba) // 2] = 128
            assert await page.evaluate(read, [_base64(rgba), width]) is None


def _base64(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return base64.b64encode(array.tobytes()).decode()
