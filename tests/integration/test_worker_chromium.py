"""Chromium as camera and as viewer of a worker: what browsers really make of our packets."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.channel import messages as m
from relay.rtp import header as rtp
from tests.support.camera_streams import Habits, Stream, made
from tests.support.chromium import Viewer, chromium, until
from tests.support.plain_peer import PlainPeer
from tests.support.worker_endpoints import endpoints
from tests.support.worker_line import Line, camera, film

pytestmark = pytest.mark.e2e

FILM = film(4, width=640, height=360)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with Line(tmp_path).serving() as serving:
        yield serving


async def _width(page: Viewer, name: str) -> int:
    return int((await page.report(name, "inbound-rtp", "video")).get("frameWidth", 0))


async def test_chromium_shows_picture_and_sound_in_step_and_freezes_nothing(line: Line) -> None:
    async with camera(line, "cam", FILM, sound=True), endpoints(line) as origin, chromium() as browser:
        page = await browser.viewer(origin)
        await page.watch("me", f"{origin}/whep/me")
        await page.connected("me")
        await line.assign("me", 0, "cam", "view-1")
        await line.ask(m.AudioAssign("me", 0))
        await page.frames("me", 120)
        video: dict[str, Any] = await page.report("me", "inbound-rtp", "video")
        sound: dict[str, Any] = await page.report("me", "inbound-rtp", "audio")
        assert video["packetsLost"] == 0
        assert video["pliCount"] == 0
        assert sound["packetsReceived"] > 50
        slot = line.worker.viewers.by_session["me"].slots[0]
        assert slot.feedback.rtt is not None
        assert slot.feedback.rtt < 5  # seconds: how quick this machine is, is not the question
        apart = abs(video["estimatedPlayoutTimestamp"] - sound["estimatedPlayoutTimestamp"])
        assert apart < 500


async def test_chromium_shows_what_was_cached_of_a_camera_that_answers_no_request(line: Line) -> None:
    async with camera(line, "cam", film(4, key_every=100)) as filming, endpoints(line) as origin, chromium() as browser:
        filming.answers_keyframes = False
        page = await browser.viewer(origin)
        await page.watch("me", f"{origin}/whep/me")
        await page.connected("me")
        await line.assign("me", 0, "cam", "view-1")
        await page.frames("me", 10)


async def test_layers_of_a_browser_are_chosen_by_the_size_of_the_tile(line: Line) -> None:
    encodings = [{"rid": "l", "scaleResolutionDownBy": 4}, {"rid": "h"}]
    async with endpoints(line) as origin, chromium() as browser:
        filming = await browser.viewer(origin)
        watching = await browser.viewer(origin)
        await filming.publish("cam", f"{origin}/whip/cam", "", width=640, height=480, encodings=encodings)
        await filming.connected("cam")
        await watching.watch("me", f"{origin}/whep/me")
        await watching.connected("me")
        await line.assign("me", 0, "cam", "view-1")

        async def is_large() -> bool:
            return await _width(watching, "me") == 640

        async def is_small() -> bool:
            return 0 < await _width(watching, "me") < 640

        await until(is_large, 60, "the large layer")
        line.control.post(m.SlotLayer("me", 0, "low"))
        await until(is_small, 45, "the small layer")
        line.control.post(m.SlotLayer("me", 0, "high"))
        await until(is_large, 45, "the large layer again")
        tapped = line.recorder.of(m.TapOpen)[-1]
        sizes = {
            stream.ssrc: stream.pictures.width for stream in line.worker.publishers.by_camera["cam"].source.layers.values()
        }
        assert sizes[tapped.tracks[0].ssrc] == 640


HABITS = {
    "a marker on each of four slices": Habits(slices=4, markers="slice"),
    "no marker at all": Habits(slices=2, markers="none", delimiters=True),
    "sets and IDR in one unit with start codes": Habits(sets="joined"),
    "B-frames that no other picture needs": Habits(b_frames=1),
}


async def _film(peer: PlainPeer, stream: Stream, stop: asyncio.Event) -> None:
    """Send a made stream again and again, in its time."""
    begun, sequence, turns = time.monotonic(), 100, 0
    while not stop.is_set():
        for timed in stream.packets:
            wait = begun + turns * stream.habits.seconds + timed.at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            header = rtp.parse(timed.packet)
            stamp = header.timestamp + round(turns * stream.habits.seconds * 90_000) & 0xFFFFFFFF
            peer.send(sequence, stamp, header.payload(timed.packet), marker=header.marker)
            sequence += 1
        turns += 1


@pytest.mark.parametrize("kind", HABITS)
async def test_chromium_shows_cameras_whose_packets_it_would_not_understand(line: Line, kind: str) -> None:
    stream, stop = made(replace(HABITS[kind], seconds=2.0)), asyncio.Event()
    filming = PlainPeer("chromium_camera.sdp")
    await filming.connect((await line.publish("cam", filming.offer)).sdp)
    sending = asyncio.create_task(_film(filming, stream, stop))
    try:
        async with endpoints(line) as origin, chromium() as browser:
            page = await browser.viewer(origin)
            await page.watch("me", f"{origin}/whep/me")
            await page.connected("me")
            await line.assign("me", 0, "cam", "view-1")
            await page.frames("me", 90)
            video = await page.report("me", "inbound-rtp", "video")
        assert video["frameWidth"] == stream.habits.width
        if not stream.habits.b_frames:
            assert video["framesDecoded"] > 0.9 * video["framesReceived"]
            assert video["pliCount"] == 0
    finally:
        stop.set()
        await sending
        filming.close()
