"""The other reference: aiortc as its documentation shows it, one camera fanned out by MediaRelay (decoded and encoded again).

Owns: a server process (run this module) and its signalling over standard streams.  Must never know: how it is measured.
"""

import asyncio
import json
import subprocess
import sys
from typing import Any

from scripts.benchmarks.rig import ROOT, Hosts, LoadProcess


class StockAiortc:
    """One process of aiortc on the server's host."""

    name = "aiortc"

    def __init__(self, hosts: Hosts, load: LoadProcess) -> None:
        self.hosts, self.load = hosts, load

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    async def start(self) -> None:
        """Start the process."""
        command = self.hosts.inside(
            self.hosts.server_ns, sys.executable, "-m", "scripts.benchmarks.stock_aiortc", self.hosts.server
        )
        self.process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    async def _ask(self, what: str, offer: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([what, offer]).encode() + b"\n")
        answer: str = json.loads(await self.process.stdout.readline())
        return answer

    async def publish(self, camera: str, **source: Any) -> None:
        """Connect one camera."""
        del camera
        made = await self.load.ask("add_source", **source)
        await self.load.connect("source", made["index"], await self._ask("publish", made["offer"]))

    async def view(self, cameras: list[str]) -> int:
        """Connect one viewer."""
        made = await self.load.ask("add_sink", videos=len(cameras), audio=False, setup="active")
        await self.load.connect("sink", made["index"], await self._ask("view", made["offer"]))
        return int(made["index"])

    async def stop(self) -> None:
        """End the process."""
        self.process.kill()
        await self.process.wait()


async def serve(address: str) -> None:
    """The server itself."""
    import aioice.ice
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaRelay

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
    relay, tracks, peers = MediaRelay(), [], []
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        what, offer = json.loads(line)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.append(peer)
        if what == "publish":
            peer.on("track", lambda track: tracks.append(track) if track.kind == "video" else None)
        else:
            peer.addTrack(relay.subscribe(tracks[0]))
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        print(json.dumps(peer.localDescription.sdp), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
