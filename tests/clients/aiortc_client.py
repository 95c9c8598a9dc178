"""aiortc as camera and as viewer, in a process of its own; speaks as `libdatachannel.mjs` does.

Owns: one peer connection of stock aiortc.  Must never know: the relay's inside.  aiortc skips 127.0.0.1 when it gathers
addresses; the simulated cameras' hook for that is used.
"""

import asyncio
import contextlib
import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import aiortc
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import Packet, VideoFrame

from sim_cameras import webrtc
from tests.clients.film import digest_of, units_of


async def publish(url: str, film: str) -> None:
    """Publish a file without decoding it, until it or the standard input ends."""
    lines = await _standard_input()
    headers = {"Authorization": "Bearer " + (await lines.readline()).decode().strip()}
    peer = _new_peer()
    for track, kind in ((_Replayed("audio", film), "audio/opus"), (_Replayed("video", film), "video/H264")):
        peer.addTrack(track)
        (transceiver,) = (each for each in peer.getTransceivers() if each.kind == track.kind)
        codecs = aiortc.RTCRtpSender.getCapabilities(track.kind).codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == kind])
        transceiver.direction = "sendonly"
    await peer.setLocalDescription(await peer.createOffer())
    async with aiohttp.ClientSession(headers=headers) as http:
        posting = http.post(url, data=peer.localDescription.sdp, headers={"Content-Type": "application/sdp"})
        async with posting as response:
            answer, location = await response.text(), response.headers.get("Location", "")
            _say(status=response.status, answer=answer)
        if response.status == 201:
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await lines.read()
            async with http.delete(urljoin(url, location)) as response:
                _say(deleted=response.status)
    await peer.close()


async def watch(pictures: str, sounds: str) -> None:
    """Watch until the standard input ends; `pictures` gets the digest of each picture, a line each; no sound is kept."""
    lines = await _standard_input()
    peer, seen = _new_peer(), Path(pictures)
    tasks: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: tasks.append(asyncio.create_task(_take(track, seen))))
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    _say(offer=peer.localDescription.sdp)
    answer = json.loads(await lines.readline())["answer"]
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await lines.read()
    await peer.close()
    await asyncio.gather(*tasks)


class _Replayed(aiortc.MediaStreamTrack):
    """One kind of a film's units, in their time."""

    def __init__(self, kind: str, film: str) -> None:
        super().__init__()
        self.kind = kind
        self._units = (unit for unit in units_of(Path(film)) if unit.kind == kind)
        self._start: float | None = None

    async def recv(self) -> Any:
        """Return the next unit when it is due; raises MediaStreamError at the film's end."""
        unit = next(self._units, None)
        if unit is None:
            raise MediaStreamError
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        await asyncio.sleep(max(0.0, self._start + unit.ms / 1000 - now))
        packet: Any = Packet(unit.data)
        packet.pts, packet.time_base = unit.ms, Fraction(1, 1000)
        return packet


async def _take(track: Any, seen: Path) -> None:
    with seen.open("a") as out, contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            if isinstance(frame, VideoFrame):
                out.write(digest_of(frame.to_ndarray(format="yuv420p").tobytes()) + "\n")


def _new_peer() -> RTCPeerConnection:
    webrtc.gather_only("127.0.0.1")
    peer = webrtc.new_peer()
    peer.on("connectionstatechange", lambda: _say(state=peer.connectionState))
    return peer


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say(version=f"aiortc {aiortc.__version__}")
    asyncio.run({"publish": publish, "watch": watch}[sys.argv[1]](*sys.argv[2:]))
