"""MediaMTX beside us: WHIP in, WHEP out, one UDP port, every other server of it off.

Owns: its configuration and the HTTP signalling of publishers and readers, over a Unix socket, because the server stands in a
network namespace.  Must never start a part of it that costs anything.

MediaMTX puts each picture together and cuts it again for each reader, into packets of at most 1188 bytes of payload.
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from scripts.benchmarks.rig import Hosts, LoadProcess

_CONFIG = """
logLevel: warn
rtsp: no
rtmp: no
hls: no
srt: no
moq: no
webrtc: yes
webrtcAddress: unix://{socket}
webrtcLocalUDPAddress: {host}:8189
webrtcIPsFromInterfaces: no
webrtcAdditionalHosts: ["{host}"]
authInternalUsers: [{{ user: any, permissions: [{{ action: publish }}, {{ action: read }}] }}]
paths: {{ all_others: {{}} }}
"""
READY_SECONDS = 10.0
"""MediaMTX lets nobody read before it has waited 2 s for every track of the offer, and the camera sends no sound."""


def installed() -> bool:
    """Return whether MediaMTX is on PATH."""
    return shutil.which("mediamtx") is not None


class MediaMtxServer:
    """One MediaMTX process on the server's host."""

    name = "mediamtx"

    def __init__(self, hosts: Hosts, load: LoadProcess) -> None:
        self.hosts, self.load = hosts, load

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    async def start(self) -> None:
        """Start MediaMTX and wait for its socket; raises RuntimeError with the end of its log."""
        self.folder = Path(tempfile.mkdtemp(prefix="mtx-"))
        path = self.folder / "http.sock"
        config = self.folder / "mediamtx.yml"
        config.write_text(_CONFIG.format(socket=path, host=self.hosts.server))
        with (self.folder / "log").open("wb") as log:
            command = self.hosts.inside(self.hosts.server_ns, "mediamtx", str(config))
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path)))
        deadline = time.monotonic() + READY_SECONDS
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MediaMTX does not start: {(self.folder / 'log').read_text()[-800:]}")
            await asyncio.sleep(0.05)

    async def _post(self, path: str, offer: str) -> str | None:
        """Return the answer to an offer, None where there is no such stream yet; raises RuntimeError."""
        headers = {"Content-Type": "application/sdp"}
        async with self.http.post(f"http://mediamtx/{path}", data=offer, headers=headers) as response:
            text = await response.text()
            if response.status == 404:
                return None
            if response.status != 201:
                raise RuntimeError(f"MediaMTX, {path}: {response.status} {text}")
            return text

    async def publish(self, camera: str, **source: Any) -> None:
        """Connect one camera by WHIP."""
        made = await self.load.ask("add_source", **source)
        answer = await self._post(f"{camera}/whip", made["offer"])
        assert answer is not None
        await self.load.connect("source", made["index"], answer)

    async def view(self, cameras: list[str]) -> int:
        """Connect one reader to a camera by WHEP; the camera sends until it may be read."""
        made = await self.load.ask("add_sink", videos=1, setup="active", audio=False)
        deadline = time.monotonic() + READY_SECONDS
        while (answer := await self._post(f"{cameras[0]}/whep", made["offer"])) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"MediaMTX never had {cameras[0]}: {(self.folder / 'log').read_text()[-800:]}")
            await self.load.ask("run", seconds=0.3, delays=False)
        await self.load.connect("sink", made["index"], answer)
        return int(made["index"])

    async def stop(self) -> None:
        """End MediaMTX."""
        await self.http.close()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        shutil.rmtree(self.folder, ignore_errors=True)
