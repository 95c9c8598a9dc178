"""Simulated cameras against a WHIP endpoint of stock aiortc on the loopback."""

import asyncio
import contextlib
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from typer.testing import CliRunner

from sim_cameras.cli import app
from sim_cameras.clip import film_video, record_audio
from sim_cameras.device import Camera, Habits, Publisher
from sim_cameras.impair import Network
from sim_cameras.publish import Publication
from sim_cameras.replay import Projector, Reel, ReplaySession
from sim_cameras.source import Film
from sim_cameras.whip import WhipClient
from tests.support.aiortc_whip import Endpoint, Received
from tests.support.ports import until

SMALL = Film("cam1", 320, 180, 15, 200_000)


@contextlib.asynccontextmanager
async def one_camera(endpoint: Endpoint, network: Network | None = None, **habits: object) -> AsyncIterator[Camera]:
    """A camera that films."""
    with ThreadPoolExecutor(1) as executor:
        films = lambda whip, network, seed: Publication(whip, SMALL, executor, network, seed)  # noqa: E731
        async with some_camera(endpoint, films, network, **habits) as camera:
            yield camera


@contextlib.asynccontextmanager
async def one_replay(endpoint: Endpoint, network: Network | None = None) -> AsyncIterator[Camera]:
    """A camera that sends a clip."""
    reel, projector = Reel((film_video(SMALL, 2.0),), record_audio(1, 2.0)), Projector()
    projecting = asyncio.create_task(projector.run())
    replays = lambda whip, network, seed: ReplaySession(whip, reel, projector, network, seed)  # noqa: E731
    try:
        async with some_camera(endpoint, replays, network) as camera:
            yield camera
    finally:
        projecting.cancel()


@contextlib.asynccontextmanager
async def some_camera(
    endpoint: Endpoint, publisher: Publisher, network: Network | None, **habits: object
) -> AsyncIterator[Camera]:
    wanted = {"camera": "cam1", "token": endpoint.token, "relay": endpoint.url, "network": network or Network()}
    async with aiohttp.ClientSession() as http:
        camera = Camera(Habits(**(wanted | habits)), http, publisher)  # type: ignore[arg-type]
        task = asyncio.create_task(camera.run())
        try:
            yield camera
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint("secret").serving() as serving:
        yield serving


async def codes(received: Received, count: int) -> list[int | None]:
    async with asyncio.timeout(120):
        return [(await received.pictures.get())[0] for _ in range(count)]


async def keyframe_asked(camera: Camera, received: Received) -> None:
    """Send a PLI and wait until the camera heard it."""
    await received.ask_keyframe()
    await until(lambda: camera.session is not None and camera.session.stats()["keyframes_asked"] >= 1)


async def loses_a_packet_of_the_picture(camera: Camera, received: Received) -> None:
    """Lose the next H.264 packet, whichever it is, and wait until it was asked for again.

    A share of losses would claim less: how many datagrams of the picture a run meets depends on the machine.
    """
    assert camera.session is not None
    assert camera.session.wire is not None
    kinds = {int(kind) for kind in re.findall(r"a=rtpmap:(\d+) H264/", received.peer.localDescription.sdp)}
    up = camera.session.wire.links[0]
    deliver = up.send
    lost: list[bytes] = []

    def send(datagram: tuple[bytes, object], size: int) -> None:
        data = datagram[0]
        if not lost and data[0] >> 6 == 2 and data[1] & 0x7F in kinds:
            lost.append(data)
        else:
            deliver(datagram, size)

    up.send = send  # type: ignore[method-assign]
    before = camera.session.stats()["nacked"]
    await until(lambda: camera.session is not None and camera.session.stats()["nacked"] > before)
    assert len(lost) == 1


async def test_pressing_the_button_brings_picture_and_sound(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        async with asyncio.timeout(120):
            await received.sounds.get()
        seen = await codes(received, 20)
    now = time.time_ns() // 1_000_000
    times = [code for code in seen if code is not None]
    assert len(times) >= 19
    assert times == sorted(times)
    assert now - 60_000 < times[0] <= times[-1] <= now


async def test_releasing_the_button_deletes_the_session(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        await codes(received, 1)
        camera.release()
        async with asyncio.timeout(120):
            await received.closed.wait()


async def test_a_keyframe_request_is_answered(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        await codes(received, 5)
        await keyframe_asked(camera, received)
        await codes(received, 10)


async def test_losses_are_repaired_by_retransmission(endpoint: Endpoint) -> None:
    async with one_camera(endpoint, Network(delay=0.01)) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        await codes(received, 5)
        await loses_a_packet_of_the_picture(camera, received)
        await codes(received, 10)


async def test_an_occupied_server_is_asked_again_after_its_retry_after(endpoint: Endpoint) -> None:
    endpoint.refusals = [web.Response(status=409, headers={"Retry-After": "1"}), web.Response(status=503)]
    async with one_camera(endpoint) as camera:
        camera.press()
        started = time.monotonic()
        await codes(await endpoint.sessions.get(), 1)
        assert time.monotonic() - started >= 1
    assert endpoint.posts == 3


async def test_a_refused_token_is_not_tried_again(endpoint: Endpoint) -> None:
    async with one_camera(endpoint, token="wrong", live=False) as camera:
        camera.press()
        async with asyncio.timeout(120):
            await camera.gave_up.wait()
    assert endpoint.posts == 1


async def test_a_request_wakes_an_idle_camera(endpoint: Endpoint) -> None:
    async with one_camera(endpoint):
        heard = [await endpoint.heard.get(), await endpoint.heard.get()]
        assert {message["t"] for message in heard} == {"hello", "beat"}
        await endpoint.say({"t": "request", "request": "r1", "from_role": "operator", "reason": "look"})
        assert await endpoint.heard.get() == {"t": "accept", "request": "r1"}
        await codes(await endpoint.sessions.get(), 1)


async def test_a_bearer_may_decline(endpoint: Endpoint) -> None:
    async with one_camera(endpoint, accepts=False):
        await endpoint.heard.get(), await endpoint.heard.get()
        await endpoint.say({"t": "request", "request": "r1", "from_role": "operator", "reason": "look"})
        assert await endpoint.heard.get() == {"t": "decline", "request": "r1"}
    assert endpoint.posts == 0


async def test_a_camera_whose_session_dies_comes_back(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        first = await endpoint.sessions.get()
        await codes(first, 1)
        await endpoint.close_session(first)
        await codes(await endpoint.sessions.get(), 1)
        assert camera.publications == 2


async def test_a_replay_is_decoded_and_loops(endpoint: Endpoint) -> None:
    async with one_replay(endpoint) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        seen = await codes(received, 40)
        async with asyncio.timeout(120):
            await received.sounds.get()
    assert None not in seen
    assert seen[:30] == sorted(code for code in seen[:30] if code is not None)
    assert min(code for code in seen[20:] if code is not None) == 0


async def test_a_replay_answers_keyframe_requests_and_losses(endpoint: Endpoint) -> None:
    async with one_replay(endpoint, Network(delay=0.01)) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        await codes(received, 5)
        await keyframe_asked(camera, received)
        await loses_a_packet_of_the_picture(camera, received)
        await codes(received, 10)


async def test_replays_connect_to_a_server_whose_checks_come_before_its_answer(endpoint: Endpoint) -> None:
    endpoint.answer_after_seconds = 0.5
    reel, projector = Reel((film_video(SMALL, 0.2),)), Projector()
    async with aiohttp.ClientSession() as http:
        whip = WhipClient(http, f"{endpoint.url}/whip/cam1", endpoint.token)
        sessions = [ReplaySession(whip, reel, projector, Network(), seed) for seed in range(8)]
        try:
            await asyncio.gather(*(session.open() for session in sessions))
        finally:
            await asyncio.gather(*(session.close(goodbye=True) for session in sessions))


async def test_a_replay_is_taken_down_on_release(endpoint: Endpoint) -> None:
    async with one_replay(endpoint) as camera:
        camera.press()
        received = await endpoint.sessions.get()
        await codes(received, 1)
        camera.release()
        async with asyncio.timeout(120):
            await received.closed.wait()


async def test_the_relay_knows_the_reason_before_it_gets_the_picture(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press("personnes", "shouting")
        await endpoint.sessions.get()
        heard = [endpoint.heard.get_nowait() for _ in range(endpoint.heard.qsize())]
    assert {"t": "press", "threat": "personnes", "reason": "shouting"} in heard


async def test_a_camera_publishes_again_when_it_is_asked_to(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        first = await endpoint.sessions.get()
        await codes(first, 1)
        await endpoint.say({"t": "republish", "reason": "worker died"})
        await codes(await endpoint.sessions.get(), 1)
        # A DELETE would say that the picture ends on purpose, and end its recording.
        assert not first.closed.is_set()


async def test_both_clocks_learn_of_each_other(endpoint: Endpoint) -> None:
    async with one_camera(endpoint) as camera:
        camera.press()
        await endpoint.sessions.get()
        clock = camera.live.clock
        await until(lambda: clock.offset_ns is not None)
    assert clock.offset_ns is not None
    assert abs(clock.offset_ns) <= clock.uncertainty_ns + 1_000_000


@pytest.mark.parametrize("mode", [("film", "--fps", "10"), ("replay", "--layers", "1")])
async def test_the_command_runs_a_fleet_and_ends_it_cleanly(endpoint: Endpoint, tmp_path: Path, mode: tuple[str, ...]) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("cam1 secret\ncam2 secret\ncam3 secret\n")
    arguments = (*mode, "--url", endpoint.url, "--tokens", str(tokens), "--cameras", "2", "--size", "320x180")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sim_cameras", *arguments)
    sessions: list[Received] = []

    def playing() -> set[str]:
        """Return the cameras of which three pictures came; a camera whose connection failed has another session."""
        while not endpoint.sessions.empty():
            sessions.append(endpoint.sessions.get_nowait())
        return {received.camera for received in sessions if received.pictures.qsize() >= 3}

    await until(lambda: len(playing()) == 2, 120)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    assert playing() == {"cam1", "cam2"}
    assert all(received.closed.is_set() for received in sessions)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--cameras", "9"), "1 cameras, 9 wanted"),
        (("--footage", "cam1=/nowhere.mp4"), "nowhere"),
        (("--footage", "cam1"), "CAMERA=FILE"),
        (("--size", "7x7"), "even"),
        (("--loss", "2"), "0..1"),
        (("--script", "/nowhere.toml"), "nowhere"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    (tmp_path / "tokens").write_text("cam1 secret\n")
    result = CliRunner().invoke(app, ["--tokens", str(tmp_path / "tokens"), *arguments])
    assert result.exit_code == 2
    assert why in " ".join(result.output.replace("\u2502", "").split())
