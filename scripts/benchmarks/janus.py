"""Debian's Janus beside us: VideoRoom, ICE-lite, asked over its Unix-socket transport.

Owns: its configuration and the signalling of publishers and subscribers.  Must never load a plugin that costs anything.
"""

import asyncio
import itertools
import json
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from scripts.benchmarks.rig import Hosts, LoadProcess

_CONFIG = """
general: {{ debug_level = 2, session_timeout = 0, configs_folder = "{folder}", plugins_folder = "{lib}/plugins",
  transports_folder = "{lib}/transports", events_folder = "{lib}/events", loggers_folder = "{lib}/loggers" }}
nat: {{ ice_lite = false, full_trickle = false, ice_enforce_list = "{subnet}" }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "libjanus_http.so,libjanus_websockets.so,libjanus_rabbitmq.so,libjanus_mqtt.so,libjanus_nanomsg.so" }}
"""
STARTS = 5
_OTHERS = "audiobridge echotest recordplay sip nosip streaming textroom videocall voicemail lua duktape"
_ROOM = 'room-1: { description = "b", publishers = 300, bitrate = 0, fir_freq = 0, audiocodec = "opus", videocodec = "h264" }\n'


def installed() -> bool:
    """Return whether Janus is on PATH."""
    return shutil.which("janus") is not None


class JanusServer:
    """One Janus process on the server's host."""

    name = "janus"

    def __init__(self, hosts: Hosts, load: LoadProcess) -> None:
        self.hosts, self.load = hosts, load
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1000)
        self.numbers = itertools.count(1)
        self.sock: socket.socket | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    async def start(self) -> None:
        """Start Janus and open a session."""
        self.folder = Path(tempfile.mkdtemp(prefix="janus-"))
        library = next(path for path in Path("/usr/lib").glob("*/janus") if path.is_dir())
        plugins = ",".join(f"libjanus_{name}.so" for name in _OTHERS.split())
        subnet = self.hosts.server.rsplit(".", 1)[0] + "."
        (self.folder / "janus.jcfg").write_text(_CONFIG.format(folder=self.folder, lib=library, plugins=plugins, subnet=subnet))
        path = self.folder / "api.sock"
        (self.folder / "janus.transport.pfunix.jcfg").write_text(
            f'general: {{ enabled = true, json = "compact", path = "{path}", type = "SOCK_SEQPACKET" }}\n'
            "admin: { admin_enabled = false }\n"
        )
        (self.folder / "janus.plugin.videoroom.jcfg").write_text(_ROOM)
        self.sock = await self._launched(path)
        asyncio.get_running_loop().add_reader(self.sock, self._read)
        self.session = (await self._ask({"janus": "create"}))["data"]["id"]

    async def _launched(self, path: Path) -> socket.socket:
        """Start the process: one start in eight of Janus 1.1.2 finds none of its transports and ends at once."""
        command = self.hosts.inside(
            self.hosts.server_ns, "janus", "-F", str(self.folder), "-C", str(self.folder / "janus.jcfg")
        )
        for _ in range(STARTS):
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log)
            sock = await self._connect(str(path))
            if sock is not None:
                return sock
            self.process.kill()
            self.process.wait()
        raise RuntimeError(f"Janus does not answer: {(self.folder / 'log').read_text()[-800:]}")

    async def _connect(self, path: str) -> socket.socket | None:
        for _ in range(100):
            if self.process.poll() is not None:
                return None
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                sock.connect(path)
            except OSError:
                sock.close()
                await asyncio.sleep(0.05)
                continue
            sock.setblocking(False)
            return sock
        return None

    def _read(self) -> None:
        assert self.sock
        data = self.sock.recv(1 << 17)
        if data:
            self.events.put_nowait(json.loads(data))

    async def _ask(self, request: dict[str, Any], wants: str = "success") -> dict[str, Any]:
        transaction = f"{next(self.numbers)}-{secrets.token_hex(4)}"
        assert self.sock
        self.sock.send(json.dumps({**request, "transaction": transaction}).encode())
        async with asyncio.timeout(10):
            while True:
                event = await self.events.get()
                if event.get("transaction") != transaction or event["janus"] == "ack":
                    continue
                if event["janus"] == "error" or "error" in event.get("plugindata", {}).get("data", {}):
                    raise RuntimeError(f"Janus: {event}")
                if event["janus"] == wants:
                    return event

    async def _attach(self) -> int:
        request = {"janus": "attach", "session_id": self.session, "plugin": "janus.plugin.videoroom"}
        return int((await self._ask(request))["data"]["id"])

    async def _message(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        request = {"janus": "message", "session_id": self.session, "handle_id": handle, "body": body}
        return await self._ask({**request, **({"jsep": jsep} if jsep else {})}, wants="event")

    async def publish(self, camera: str, **source: Any) -> None:
        """Connect one camera as a publisher of room 1."""
        made = await self.load.ask("add_source", **source)
        handle = await self._attach()
        body = {"request": "joinandconfigure", "room": 1, "ptype": "publisher", "display": camera}
        event = await self._message(handle, body, {"type": "offer", "sdp": made["offer"]})
        self.feed = event["plugindata"]["data"]["id"]
        await self.load.connect("source", made["index"], event["jsep"]["sdp"])

    async def view(self, cameras: list[str]) -> int:
        """Connect one subscriber to the last published camera."""
        handle = await self._attach()
        made = await self.load.ask("add_sink", videos=len(cameras), setup="active", audio=False, controlling=False)
        body = {"request": "join", "room": 1, "ptype": "subscriber", "streams": [{"feed": self.feed, "mid": "0"}]}
        event = await self._message(handle, body)
        await self._message(handle, {"request": "start"}, {"type": "answer", "sdp": made["offer"]})
        await self.load.connect("sink", made["index"], event["jsep"]["sdp"])
        return int(made["index"])

    async def stop(self) -> None:
        """End Janus."""
        if self.sock is not None:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        shutil.rmtree(self.folder, ignore_errors=True)
