"""The relay behind the real nginx and Caddy, configured as OPERATING.md says: page, live socket, WHIP, playback, limits."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import trustme

from relay.people.sign_ins import CONSOLE
from tests.support.control_line import OFFER, PASSWORD, Line, Page, Socket, control_line
from tests.support.proxies import KINDS, free_port, proxy
from tests.support.services import seal


@dataclass
class Behind:
    """A relay, and the address under which a proxy before it is reached."""

    line: Line
    url: str
    tls: ssl.SSLContext

    def client(self, address: str = "127.0.0.1", cookies: bool = False) -> aiohttp.ClientSession:
        """Return a client at an address of this machine."""
        connector = aiohttp.TCPConnector(ssl=self.tls, local_addr=(address, 0))
        jar = aiohttp.CookieJar(unsafe=True) if cookies else aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(connector=connector, cookie_jar=jar)

    async def sign_in(self, http: aiohttp.ClientSession, user: str = "olga", **headers: str) -> aiohttp.ClientResponse:
        """Sign in; return the answer."""
        body, origin = {"user": user, "password": PASSWORD}, {"Origin": self.url}
        return await http.post(f"{self.url}/api/session", json=body, headers={**origin, **headers})

    @contextlib.asynccontextmanager
    async def person(self, user: str) -> AsyncIterator[Page]:
        """Sign in as a browser does."""
        async with self.client(cookies=True) as http:
            response = await self.sign_in(http, user)
            assert response.status == 200, await response.text()
            yield Page(self.url, http, (await response.json())["csrf"])


@pytest.fixture(params=KINDS)
async def behind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Behind]:
    port, authority, tls = free_port(), trustme.CA(), ssl.create_default_context()
    authority.configure_trust(tls)
    url = f"https://localhost:{port}"
    settings = {"public_origin": url, "trusted_proxies": ("127.0.0.1",), "sign_in_rate": 1e-6}
    async with control_line(tmp_path / "data", http=settings) as line:
        for user, role in (("olga", "operator"), ("carl", "commander")):
            await line.control.context.designations.add(CONSOLE, user, user, role, password=PASSWORD, must_change=False)
        relay_port = int(line.url.rpartition(":")[2])
        async with proxy(request.param, tmp_path / "proxy", port, relay_port, authority):
            yield Behind(line, url, tls)


async def test_page_live_socket_and_cameras_work_and_the_address_of_the_proxy_opens_nothing(behind: Behind) -> None:
    async with behind.person("olga") as olga:
        async with olga.http.ws_connect(f"{behind.url}/live", origin=behind.url) as raw:
            await Socket(raw).hear("hello")
        status, _ = await olga.call("POST", "/api/interventions", {"label": "Rixe", "motive": "appel 17, rixe en cours"})
        assert status == 201
    token = await behind.line.enrol("pm-1")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with behind.client() as http:
        async with http.post(f"{behind.url}/whip/pm-1", data=OFFER, headers=headers) as response:
            assert response.status == 201, await response.text()
            assert response.headers["Strict-Transport-Security"]
            session = response.headers["Location"]
        async with http.delete(behind.url + session, headers=headers) as response:
            assert response.status == 200
        async with http.get(f"{behind.url}/metrics") as response:
            assert response.status == 401
        async with http.get(f"{behind.url}/readyz") as response:
            assert await response.json() == {"ok": True, "parts": {}}


async def test_limits_count_people_and_no_header_of_a_caller_makes_him_another(behind: Behind) -> None:
    for number in range(2, 16):
        async with behind.client(f"127.0.0.{number}") as http, await behind.sign_in(http) as response:
            assert response.status == 200, number
            assert all("Secure" in cookie for cookie in response.headers.getall("Set-Cookie"))
    statuses = []
    async with behind.client("127.0.0.99") as http:
        for number in range(11):
            lies = {
                "X-Forwarded-For": f"203.0.113.{number}",
                "Forwarded": f"for=203.0.113.{number}",
                "X-Real-IP": f"203.0.113.{number}",
            }
            async with await behind.sign_in(http, **lies) as response:
                statuses.append(response.status)
    assert statuses == [200] * 10 + [429]


async def test_a_recording_is_played_through_the_proxy(behind: Behind) -> None:
    services, stores = behind.line.control.context, behind.line.control.stores
    await behind.line.enrol("pm-1")
    camera = await services.enrolment.camera("pm-1")
    intervention = await services.interventions.open_by_camera("pm-1", "Rixe", "appel 17")
    plan, key = await services.recordings.begin(
        camera, intervention.intervention, trigger="bouton", threat="personnes", bearer="agent 7"
    )
    sealed, closed = seal(stores, plan, key, 3)
    await services.recordings.segment_sealed(sealed)
    await services.recordings.closed(closed)
    await services.interventions.close_system(intervention.intervention, "over")
    async with behind.person("carl") as carl:
        status, opened = await carl.call(
            "POST", f"/api/recordings/{plan.recording}/views", {"motive": "réquisition du parquet"}
        )
        assert status == 201, opened
        playlist = behind.url + opened["playlist"]
        async with carl.http.get(playlist) as response:
            assert response.status == 200
            pieces = [line for line in (await response.text()).splitlines() if line.endswith(".m4s")]
        async with carl.http.get(playlist.rpartition("/")[0] + "/" + pieces[0]) as response:
            assert (response.status, response.content_type) == (200, "video/iso.segment")
            assert len(await response.read()) > 0
