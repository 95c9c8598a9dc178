"""A second opinion: a WHIP endpoint and live socket made of stock aiortc, which decodes what a camera sends."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import msgpack
from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from sim_cameras import timecode, webrtc


@dataclasses.dataclass
class Received:
    """What one session delivered."""

    peer: RTCPeerConnection
    camera: str
    pictures: asyncio.Queue[tuple[int | None, int, int]] = dataclasses.field(default_factory=asyncio.Queue)
    """(time code, width, height) of each decoded picture."""
    sounds: asyncio.Queue[Any] = dataclasses.field(default_factory=asyncio.Queue)
    closed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = dataclasses.field(default_factory=list)

    async def ask_keyframe(self) -> None:
        """Send a PLI."""
        for receiver in self.peer.getReceivers():
            if receiver.track.kind == "video":
                private: Any = receiver
                for ssrc in list(private._RTCRtpReceiver__active_ssrc):
                    await private._send_rtcp_pli(ssrc)


class Endpoint:
    """POST/DELETE /whip/{camera} and /live/camera; refusals can be queued."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.url = ""
        self.sessions: asyncio.Queue[Received] = asyncio.Queue()
        self.refusals: list[web.Response] = []
        self.posts = 0
        self.answer_after_seconds = 0.0
        """How long an answer is held back while its session already sends ICE checks."""
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sockets: list[web.WebSocketResponse] = []
        self._live: dict[str, Received] = {}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Endpoint"]:
        """Serve on a free port of 127.0.0.1."""
        app = web.Application()
        app.router.add_post("/whip/{camera}", self._post)
        app.router.add_delete("/session/{id}", self._delete)
        app.router.add_get("/live/camera", self._socket)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        webrtc.gather_only("127.0.0.1")
        try:
            yield self
        finally:
            for received in list(self._live.values()):
                await self.close_session(received)
            await runner.cleanup()

    async def say(self, message: dict[str, Any]) -> None:
        """Send a message to the newest camera socket."""
        await self.sockets[-1].send_bytes(msgpack.packb(message))

    async def _post(self, request: web.Request) -> web.Response:
        self.posts += 1
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.refusals:
            return self.refusals.pop(0)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        received = Received(peer, request.match_info["camera"])
        peer.on("track", lambda track: received.tasks.append(asyncio.create_task(_drain(track, received))))
        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        name = str(len(self._live))
        self._live[name] = received
        self.sessions.put_nowait(received)
        await asyncio.sleep(self.answer_after_seconds)
        headers = {"Location": f"/session/{name}", "ETag": '"1"'}
        return web.Response(status=201, content_type="application/sdp", text=peer.localDescription.sdp, headers=headers)

    async def _delete(self, request: web.Request) -> web.Response:
        await self.close_session(self._live[request.match_info["id"]])
        return web.Response()

    async def close_session(self, received: Received) -> None:
        """End a session as a server that dies does: the camera gets no answer about it."""
        received.closed.set()
        await received.peer.close()
        for task in received.tasks:
            task.cancel()
        await asyncio.gather(*received.tasks, return_exceptions=True)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_bytes(msgpack.packb({"t": "welcome", "camera": "cam1", "label": "", "whip": "/whip/cam1"}))
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await self._hear(socket, msgpack.unpackb(message.data))
        return socket

    async def _hear(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["t"] == "time":
            await socket.send_bytes(msgpack.packb({"t": "time", "server_ns": time.time_ns(), "echo": message["echo"]}))
        else:
            self.heard.put_nowait(message)


async def _drain(track: Any, received: Received) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            if track.kind == "video":
                luma = frame.to_ndarray(format="gray")
                received.pictures.put_nowait((timecode.read(luma), frame.width, frame.height))
            else:
                received.sounds.put_nowait(frame)
