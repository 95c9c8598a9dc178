"""The way of one datagram through the worker: which modules it enters between the camera's socket and the viewer's.

The way is measured, not described: a real worker with real sockets, one camera and one viewer connected by DTLS, and a profile
of the interpreter from the moment the datagram has been read to the moment the viewer's datagram is handed to the kernel.
A module counts where a function of it written in Python is entered.  The tap to the recorder stands beside the way and is left
out.  `relay/DESIGN.md` cites this list.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from relay.channel import messages as m
from relay.rtp import rtcp
from tests.support.plain_peer import PlainPeer
from tests.support.worker_line import Line

BESIDE_THE_WAY = {"relay.worker.tap"}
MAX_MODULES = 12
WAY = [
    "relay.fanout.leg",
    "relay.fanout.source",
    "relay.fanout.stream",
    "relay.rtp.burst",
    "relay.rtp.header",
    "relay.transport.peer",
    "relay.transport.port",
    "relay.transport.send",
    "relay.transport.srtp",
    "relay.worker.camera_peer",
    "relay.worker.fan",
    "relay.worker.leg_sender",
]
SPS = bytes.fromhex("6742c01f8c8d40a00b742000000300200000078c18d4")
KEYFRAME = b"\x65\x88" + bytes(600)
PICTURE = b"\x41\x9a" + bytes(600)
LAST_FRAGMENT = b"\x5c\x41" + bytes(600)


class Way:
    """What was entered, from the read of a datagram to the first write."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.done = False
        self._entered = False

    def on_event(self, frame: FrameType, event: str, called: Any) -> None:
        """Take an event of `sys.setprofile`."""
        if event == "c_call":
            self._entered |= called.__name__ == "recvfrom"
            self.done |= self._entered and called.__name__ in ("sendto", "sendmsg")
        elif event == "call" and self._entered and not self.done:
            module = frame.f_globals["__name__"]
            if module.startswith("relay.") and module not in BESIDE_THE_WAY:
                self.modules.add(module)


@contextlib.contextmanager
def profiled() -> Iterator[Way]:
    """Watch what the interpreter enters."""
    way, before = Way(), sys.getprofile()
    sys.setprofile(way.on_event)
    try:
        yield way
    finally:
        sys.setprofile(before)


async def watched(line: Line) -> tuple[PlainPeer, PlainPeer]:
    """Return a camera that streams and a viewer that has begun to get its picture; both send what Chromium sends."""
    camera, viewer = PlainPeer("chromium_camera.sdp"), PlainPeer("chromium_viewer.sdp")
    await camera.connect((await line.publish("cam", camera.offer)).sdp)
    await viewer.connect((await line.ask(m.ViewerOpen("wall", viewer.offer))).sdp)
    await line.assign("wall", 0, "cam", "view")
    camera.send(100, 3000, SPS, marker=False)
    camera.send(101, 3000, KEYFRAME, marker=True)
    report = rtcp.SenderReport(1111, rtcp.ntp_from_ns(time.time_ns()), 3000, 2, 1000, ())
    camera.sock.send(camera.srtp.seal_rtcp(rtcp.build_sender_report(report) + rtcp.build_sdes(1111, "cam")))
    await media(viewer, 2)
    return camera, viewer


async def media(viewer: PlainPeer, count: int) -> None:
    """Wait until so many packets of media have come."""
    async with asyncio.timeout(10):
        while count > 0:
            count -= sum(not 192 <= datagram[1] <= 223 for datagram in viewer.received() if datagram[0] >= 128)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("payload", [PICTURE, LAST_FRAGMENT], ids=["a picture in one datagram", "the last piece of a picture"])
async def test_a_datagram_enters_few_modules_on_its_way(tmp_path: Path, payload: bytes) -> None:
    async with Line(tmp_path).serving() as line:
        camera, viewer = await watched(line)
        camera.send(102, 6000, payload, marker=True)
        await media(viewer, 1)
        with profiled() as way:
            camera.send(103, 9000, payload, marker=True)
            await media(viewer, 1)
        camera.close()
        viewer.close()
    assert way.done
    assert sorted(way.modules) == WAY
    assert len(way.modules) <= MAX_MODULES
