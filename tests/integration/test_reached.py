"""The worker is told at which addresses a camera that asked in this way may reach it."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.channel import messages as m
from relay.http.bodies import FRAGMENT
from tests.support.control_line import OFFER, control_line

PUBLIC = "5.39.0.5"
NAT: dict[str, Any] = {"workers": {"advertise": [PUBLIC]}}
PROXIED: dict[str, Any] = {"http": {"trusted_proxies": ["127.0.0.1"]}, "workers": {"host": "10.0.0.5"}}
BOTH: dict[str, Any] = PROXIED | {"workers": {"host": "10.0.0.5", "advertise": [PUBLIC]}}


@pytest.mark.parametrize(
    ("settings", "headers", "hosts"),
    [
        ({}, {}, ("127.0.0.1",)),
        ({}, {"Host": "relay.example:8443"}, ("127.0.0.1",)),
        ({}, {"Host": "192.0.2.9:8443"}, ("192.0.2.9", "127.0.0.1")),
        ({}, {"Host": "[2001:db8::9]:8443"}, ("2001:db8::9", "127.0.0.1")),
        (NAT, {}, ("127.0.0.1", PUBLIC)),
        (PROXIED, {"X-Forwarded-For": "8.8.8.8"}, ("10.0.0.5",)),
        (PROXIED, {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Host": "192.0.2.9"}, ("192.0.2.9", "10.0.0.5")),
        (BOTH, {"X-Forwarded-For": "8.8.8.8"}, (PUBLIC, "10.0.0.5")),
        ({}, {"X-Forwarded-For": "8.8.8.8", "Host": "192.0.2.9"}, ("127.0.0.1",)),
    ],
    ids=[
        "loopback", "a name", "an address before a NAT", "one of IPv6", "NAT, from this machine", "a proxy",
        "a proxy that names the host", "NAT and a proxy", "a proxy that the settings do not name",
    ],
)  # fmt: skip
async def test_a_camera_is_told_where_it_can_reach_the_worker(
    tmp_path: Path, settings: dict[str, Any], headers: dict[str, str], hosts: tuple[str, ...]
) -> None:
    async with control_line(tmp_path, **settings) as line, aiohttp.ClientSession() as http:
        sent = {"Authorization": f"Bearer {await line.enrol('pm-1')}", "Content-Type": "application/sdp"} | headers
        response = await http.post(f"{line.url}/whip/pm-1", data=OFFER, headers=sent)
        assert response.status == 201
        assert line.worker.all(m.PublishOpen)[0].hosts == hosts
        restart = {"Content-Type": FRAGMENT, "If-Match": "*"}
        fragment = "a=ice-ufrag:next\r\na=ice-pwd:" + "n" * 24 + "\r\n"
        await http.patch(line.url + response.headers["Location"], data=fragment, headers=sent | restart)
        assert line.worker.all(m.PeerPatch)[0].hosts == hosts
