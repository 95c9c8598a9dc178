"""Attackers who passed their handshake: a viewer or a camera of the relay that abuses its connection.

Owns: what they send.  Must never import the relay.
"""

import asyncio
import contextlib
import os
import struct
import time
from collections.abc import Callable, Mapping

from OpenSSL import SSL

from scripts.benchmarks.thin import Media, ThinPeer, parse_answer
from tests.support.hostile_target import Target, paced

CHECK_SECONDS = 2.0


class Abuser(ThinPeer):
    """A thin peer that keeps its DTLS connection."""

    tls: SSL.Connection

    def _derive(self, tls: SSL.Connection) -> None:
        self.tls = tls
        super()._derive(tls)


async def _connected(target: Target, path: str, headers: Mapping[str, str], media: list[Media]) -> Abuser:
    """Open a session and connect it; raises OSError or TimeoutError."""
    peer = Abuser(target.source, media)
    async with target.client() as http:
        headers = {**headers, "Content-Type": "application/sdp"}
        async with http.post(target.url + path, data=peer.offer(), headers=headers) as response:
            text = await response.text()
            if response.status != 201:
                raise OSError(f"{path}: {response.status} {text[:200]}")
    await asyncio.to_thread(peer.connect, parse_answer(text))
    peer.sock.setblocking(False)
    return peer


async def _viewer(target: Target) -> Abuser:
    path = f"/whep/{target.watched}?intervention={target.intervention}"
    return await _connected(target, path, target.signed_in(), [Media("video", "recvonly"), Media("audio", "recvonly")])


async def _camera(target: Target) -> Abuser:
    media = [Media("video", "sendonly", 4242), Media("audio", "sendonly", 4243)]
    return await _connected(target, f"/whip/{target.camera}", target.as_camera(), media)


async def _abuse(peer: Abuser, over: asyncio.Event, rate: float, make: Callable[[int], bytes]) -> int:
    """Send until it is over; keep the connection, and read what comes."""
    sent, checked = 0, 0.0
    async for number in paced(rate, over):
        with contextlib.suppress(OSError):
            peer.sock.sendto(make(number), peer.address)
            sent += 1
        if time.monotonic() - checked > CHECK_SECONDS:
            checked = time.monotonic()
            with contextlib.suppress(OSError):
                peer.check()
        if number % 16 == 0:
            with contextlib.suppress(OSError):
                while True:
                    peer.sock.recv(65536)
    peer.sock.close()
    return sent


async def feedback(target: Target, over: asyncio.Event) -> int:
    """A viewer's storm of NACKs for everything, PLIs and REMBs, 2000 a second."""
    peer = await _viewer(target)
    protect = peer.sealer().protect_rtcp

    def make(number: int) -> bytes:
        nacked = b"".join(struct.pack("!HH", (number * 17 + 17 * each) & 0xFFFF, 0xFFFF) for each in range(200))
        compounds = (
            struct.pack("!BBHII", 0x81, 205, 2 + len(nacked) // 4, 1, 1) + nacked,
            struct.pack("!BBHII", 0x81, 206, 2, 1, 1) * 60,
            struct.pack("!BBHII4sII", 0x8F, 206, 5, 1, 0, b"REMB", 0x01000000 | number % 64 << 18, 1),
        )
        return protect(struct.pack("!BBHI", 0x80, 201, 1, 1) + compounds[number % len(compounds)])

    return await _abuse(peer, over, 2000, make)


async def dtls_data(target: Target, over: asyncio.Event) -> int:
    """A viewer's application data over its DTLS connection, 4000 records a second."""
    peer = await _viewer(target)

    def make(_: int) -> bytes:
        peer.tls.send(bytes(1000))
        return peer.tls.bio_read(4096)

    return await _abuse(peer, over, 4000, make)


async def forged(target: Target, over: asyncio.Event) -> int:
    """Under a live camera's own address: forged SRTP, handshakes and checks, 10 000 a second."""
    peer = await _camera(target)
    kinds = [
        b"\x80\x60" + os.urandom(1000),
        b"\x16\xfe\xfd" + os.urandom(97),
        b"\x00\x01" + os.urandom(60),
        b"\x80\xc9" + os.urandom(90),
    ]
    return await _abuse(peer, over, 10_000, lambda number: kinds[number % len(kinds)])
