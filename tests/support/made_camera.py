"""A camera that sends a made stream to a whole relay, packet by packet as it was made.

Owns its peer and its WHIP session.  Must never know what a test claims.
"""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

import aiohttp

from relay.rtp import header as rtp
from tests.support.camera_streams import Stream
from tests.support.plain_peer import PlainPeer


def with_sets(offer: str, sets: Sequence[bytes]) -> str:
    """Return an offer whose H.264 payload types name these parameter sets."""
    told = ",".join(base64.b64encode(unit).decode() for unit in sets)
    return re.sub(r"(a=fmtp:\d+ [^\r\n]*profile-level-id=\w+)", rf"\1;sprop-parameter-sets={told}", offer) if sets else offer


class MadeCamera:
    """Sends the pictures of a stream in real time, from the `first` one on."""

    def __init__(self, stream: Stream, first: int = 0) -> None:
        self._begins = stream.pictures[first].at
        self._packets = [timed for timed in stream.packets if timed.at >= self._begins]
        self._peer = PlainPeer("chromium_camera.sdp")
        if stream.habits.sets == "offer":
            self._peer.offer = with_sets(self._peer.offer, stream.parameter_sets)

    @contextlib.asynccontextmanager
    async def filming(self, url: str, token: str) -> AsyncIterator[asyncio.Task[None]]:
        """Publish at a WHIP address; the task ends with the last packet.  Afterwards the session is deleted."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http:
            async with http.post(url, data=self._peer.offer, headers=headers) as response:
                assert response.status == 201, await response.text()
                session = str(response.url.join(response.url.__class__(response.headers["Location"])))
                await self._peer.connect(await response.text())
            sending = asyncio.create_task(self._send())
            try:
                yield sending
            finally:
                sending.cancel()
                await asyncio.wait([sending])
                async with http.delete(session, headers=headers) as response:
                    assert response.status == 200, await response.text()
                self._peer.close()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, timed in enumerate(self._packets, 1000):
            await asyncio.sleep(max(0.0, timed.at - self._begins - (loop.time() - began)))
            parsed = rtp.parse(timed.packet)
            self._peer.send(number, parsed.timestamp, parsed.payload(timed.packet), marker=parsed.marker)
            self._peer.received()
