"""A camera or a viewer without a media stack: an offer of Chromium's, a UDP socket, our own DTLS and SRTP.

Owns its socket and keys.  Must never know the relay's inside: it speaks to the worker's UDP port only, and packets are made by
hand, one by one, so that a test says exactly which datagram comes.
"""

import asyncio
import contextlib
import re
import socket
from pathlib import Path

from relay.rtp import header as rtp
from relay.transport import dtls
from relay.transport.sdp_types import Fingerprint
from relay.transport.srtp import SrtpSession
from tests.support.clients import CLIENT_IDENTITY, PWD, UFRAG, binding_request
from tests.support.ports import bound_socket

OFFERS = Path(__file__).resolve().parents[1] / "unit/transport/offers"


def offer_of(name: str, context: dtls.Context) -> str:
    """Return a kept offer with the credentials and the certificate of our test clients."""
    digest = ":".join(f"{byte:02X}" for byte in context.fingerprint.digest)
    text = (OFFERS / name).read_text()
    for pattern, value in (
        ("ice-ufrag:.*", f"ice-ufrag:{UFRAG}"),
        ("ice-pwd:.*", f"ice-pwd:{PWD}"),
        ("fingerprint:.*", f"fingerprint:sha-256 {digest}"),
    ):
        text = re.sub(pattern, value, text)
    return "\r\n".join(text.split("\n")).replace("\r\r", "\r")


class PlainPeer:
    """One peer; `offer` goes to the worker, `connect` takes its answer."""

    def __init__(self, offer: str) -> None:
        self._context = dtls.Context(CLIENT_IDENTITY)
        self.offer = offer_of(offer, self._context)
        self.sock: socket.socket = bound_socket()
        self.srtp: SrtpSession
        self.answer = ""

    async def connect(self, answer: str) -> None:
        """Check connectivity and shake hands with the worker that gave the answer."""
        self.answer = answer
        ours = dtls.Endpoint(self._context, "client", (self._fingerprint(),))
        self.sock.connect(("127.0.0.1", int(self._field(r"m=video (\d+) "))))
        self.sock.send(binding_request(f"{self._field('ice-ufrag:(.*)')}:{UFRAG}", self._field("ice-pwd:(.*)")))
        await self._reply()
        flight = ours.start(0.0)
        while ours.session is None:
            for datagram in flight:
                self.sock.send(datagram)
            flight = [out for datagram in await self._reply() for out in ours.feed(datagram, 0.0)]
        for datagram in flight:
            self.sock.send(datagram)
        self.srtp = ours.session

    def send(self, sequence: int, timestamp: int, payload: bytes, *, marker: bool, ssrc: int = 1111) -> None:
        """Send one video packet with the extensions that Chromium sends: mid and transport-wide sequence number."""
        values = {
            int(self._field(r"extmap:(\d+) urn:ietf:params:rtp-hdrext:sdes:mid")): b"0",
            int(self._field(r"extmap:(\d+) http://www.ietf.org/id/draft-holmer")): (sequence & 0xFFFF).to_bytes(2, "big"),
        }
        header = rtp.build(
            payload_type=int(self._field(r"rtpmap:(\d+) H264")),
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            marker=marker,
            extension_block=rtp.build_extensions(values),
        )
        self.sock.send(self.srtp.seal(header, payload, sequence))

    def received(self) -> list[bytes]:
        """Return the datagrams that have come since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.sock.recv(2048))
        return found

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    async def _reply(self) -> list[bytes]:
        async with asyncio.timeout(10):
            while not (found := self.received()):  # noqa: ASYNC110 - a socket that no loop reads
                await asyncio.sleep(0.005)
        return found

    def _field(self, pattern: str) -> str:
        found = re.search(pattern, self.answer)
        assert found is not None, pattern
        return found[1].strip()

    def _fingerprint(self) -> Fingerprint:
        return Fingerprint("sha-256", bytes.fromhex(self._field("fingerprint:sha-256 (.*)").replace(":", "")))
