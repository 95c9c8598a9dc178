"""Cameras that close their connection, on a whole relay: before DELETE, without DELETE; and a relay that ends in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from sim_cameras import webrtc
from tests.support.ports import until
from tests.support.relay import RelayUnderTest
from tests.support.worker_line import FPS, LoopTrack, film

FILM = film()
GOODBYE_SECONDS = 5.0
"""How long a camera that closed its connection may take to come back."""


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    webrtc.gather_only("127.0.0.1")
    yield
    aioice.ice.get_host_addresses = before


class Camera:
    """A camera as a page in a browser is one: WHIP, and no live socket."""

    def __init__(self, relay: RelayUnderTest, token: str, http: aiohttp.ClientSession) -> None:
        self._relay = relay
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}
        self.peer: RTCPeerConnection = webrtc.new_peer()
        self._location = ""

    async def publish(self) -> None:
        """Publish, and wait until connected."""
        peer = self.peer
        track = LoopTrack("video", FILM, 1 / FPS, 90_000)
        peer.addTrack(track)
        await peer.setLocalDescription(await peer.createOffer())
        headers = self._headers | {"Content-Type": "application/sdp"}
        offer = peer.localDescription.sdp
        async with self._http.post(f"{self._relay.url}/whip/pm-1", data=offer, headers=headers) as response:
            assert response.status == 201, await response.text()
            self._location = response.headers["Location"]
            await peer.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
        await until(lambda: peer.connectionState == "connected")

    async def delete(self) -> int:
        """Send DELETE; return the status."""
        async with self._http.delete(self._relay.url + self._location, headers=self._headers) as response:
            return response.status


@contextlib.asynccontextmanager
async def _filming(relay: RelayUnderTest, token: str, recordings: int) -> AsyncIterator[Camera]:
    """A camera whose recording is the last one of so many, and has grown."""
    async with aiohttp.ClientSession() as http:
        camera = Camera(relay, token, http)
        await camera.publish()
        await until(lambda: len(list((relay.data / "vault").glob("*/chain"))) == recordings, 60)
        await relay.sealed(relay.recordings()[-1])
        yield camera
        await camera.peer.close()


@pytest.mark.timeout(300)
async def test_a_connection_that_is_closed_is_a_stop_and_no_loss(tmp_path: Path) -> None:
    relay = RelayUnderTest(tmp_path / "data")
    relay.init()
    try:
        await relay.start()
        token = relay.enrol("pm-1")
        async with _filming(relay, token, 1) as camera:
            await camera.peer.close()
            assert await camera.delete() == 200
            assert await camera.delete() == 404
        async with _filming(relay, token, 2) as camera:
            await camera.peer.close()
            await asyncio.sleep(GOODBYE_SECONDS + 2)
            assert await camera.delete() == 200, "it had ended, and that is what the camera wants"
        async with _filming(relay, token, 3) as camera:
            assert await relay.stop() == 0
            await until(lambda: camera.peer.connectionState == "closed")
        verdicts = [relay.verify(folder)[1] for folder in relay.recordings()]
        assert [verdict["completeness"] for verdict in verdicts] == ["complete"] * 3, "no gap stands for a goodbye"
        assert [verdict["closed"]["reason"] for verdict in verdicts] == ["stopped", "stopped", "shutdown"]
        assert [verdict["closed"]["author"] for verdict in verdicts] == ["pm-1", "pm-1", None]
    finally:
        await relay.discard()
