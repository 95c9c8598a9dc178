"""What an attacker is given: where the relay is, and the credentials that such an attacker really has.

Owns: that, and the pace of attackers.  Must never know: what any of them does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Target:
    """One attacker's view of a relay."""

    url: str
    udp_port: int
    source: str
    """Address of 127.0.0.0/8 that the attacker comes from."""
    camera: str
    """A camera of the attacker's own, with its token."""
    token: str
    cookie: str
    """A sign-in of the attacker's own, as an operator, with its CSRF value."""
    csrf: str
    user: str
    """The name of somebody whose password is guessed."""
    watched: str
    """A live camera that this operator may watch."""
    intervention: str

    @property
    def port(self) -> int:
        """The HTTP port."""
        return int(self.url.rsplit(":", 1)[1])

    def signed_in(self) -> Mapping[str, str]:
        """Return the headers of the operator's requests."""
        return {"Cookie": f"relay_session={self.cookie}", "X-CSRF": self.csrf}

    def as_camera(self) -> Mapping[str, str]:
        """Return the headers of the camera's requests."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self) -> aiohttp.ClientSession:
        """Return an HTTP client at the attacker's address; it keeps no cookies."""
        connector = aiohttp.TCPConnector(local_addr=(self.source, 0), limit=64)
        timeout = aiohttp.ClientTimeout(total=20)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout)


async def paced(rate: float, over: asyncio.Event) -> AsyncIterator[int]:
    """Yield 0, 1, 2 … `rate` times a second on average until it is over; what is late is not made up for."""
    begun, number = time.monotonic(), 0
    while not over.is_set():
        yield number
        number += 1
        ahead = begun + number / rate - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        elif number % 50 == 0:
            await asyncio.sleep(0)
        if ahead < -1:
            begun -= ahead
