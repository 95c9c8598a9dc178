"""A WHIP client (RFC 9725): offer in, session out.

Owns: the HTTP exchange.  Must never know: media, or what made the offer.
"""

import dataclasses
from urllib.parse import urljoin

import aiohttp

_ACCEPTED = 201


@dataclasses.dataclass(frozen=True)
class WhipSession:
    """A publication that the server accepted."""

    url: str
    etag: str | None
    answer: str


class WhipRefused(Exception):
    """The server refused the offer.  `retry_after` is in seconds, None if the server gave none."""

    def __init__(self, status: int, detail: str, retry_after: float | None) -> None:
        super().__init__(f"{status} {detail}".strip())
        self.status = status
        self.retry_after = retry_after

    @property
    def final(self) -> bool:
        """Whether a repeated request would be refused again (a bad token, an unknown camera, an invalid offer)."""
        return 400 <= self.status < 500 and self.status not in (408, 409, 425, 429)


class WhipClient:
    """Opens and closes sessions at one endpoint with one Bearer token."""

    def __init__(self, http: aiohttp.ClientSession, endpoint: str, token: str) -> None:
        self._http = http
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {token}"}

    async def open(self, offer: str) -> WhipSession:
        """POST the offer; raises WhipRefused, or aiohttp.ClientError where the server cannot be reached."""
        headers = self._headers | {"Content-Type": "application/sdp"}
        async with self._http.post(self._endpoint, data=offer.encode(), headers=headers) as response:
            body = (await response.content.read(65_536)).decode(errors="replace")
            if response.status != _ACCEPTED:
                raise WhipRefused(response.status, body[:300], _seconds(response.headers.get("Retry-After")))
            location = response.headers.get("Location")
            if location is None:
                raise WhipRefused(502, "201 without a Location", None)
            return WhipSession(urljoin(str(response.url), location), response.headers.get("ETag"), body)

    async def close(self, session: WhipSession) -> None:
        """DELETE the session; does nothing if the session or the server is already gone."""
        try:
            async with self._http.delete(session.url, headers=self._headers):
                pass
        except (aiohttp.ClientError, TimeoutError):
            pass


def _seconds(header: str | None) -> float | None:
    """Return a Retry-After of the delay form; the date form counts as none."""
    return float(header) if header is not None and header.isdigit() else None
