"""Requests that a proxy passes on: whom they count for, what they open, and which headers their answers carry."""

from pathlib import Path

import aiohttp
import pytest

from relay.http.app import all_routes
from tests.support.control_line import PASSWORD, control_line

PROXY = {"trusted_proxies": ("127.0.0.1",)}
PUBLIC = "https://relay.example"


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "Via"])
async def test_metrics_are_not_opened_by_the_address_of_a_proxy(tmp_path: Path, header: str) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        async with http.get(f"{line.url}/metrics", headers={header: "for=127.0.0.1"}) as response:
            assert response.status == 401
        async with http.get(f"{line.url}/readyz", headers={header: "for=127.0.0.1"}) as response:
            assert await response.json() == {"ok": True, "parts": {}}
        async with http.get(f"{line.url}/metrics") as response:
            assert response.status == 200
        async with http.get(f"{line.url}/readyz") as response:
            assert (await response.json())["parts"]


@pytest.mark.parametrize("proxied", [PROXY, {"public_origin": PUBLIC}])
async def test_a_proxy_that_says_nothing_opens_no_metrics_and_a_token_does(tmp_path: Path, proxied: dict[str, object]) -> None:
    token = tmp_path / "token"
    token.write_text("a-long-token-for-prometheus\n")
    async with control_line(tmp_path, http={**proxied, "metrics_token_file": token}) as line, aiohttp.ClientSession() as http:
        for given, status in ((None, 401), ("wrong", 401), ("\xff", 401), (token.read_text().strip(), 200)):
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            async with http.get(f"{line.url}/metrics", headers=headers) as response:
                assert response.status == status, given


async def test_fourteen_people_behind_one_proxy_change_shift_at_once(tmp_path: Path) -> None:
    async with control_line(tmp_path, http=PROXY) as line, aiohttp.ClientSession() as http, line.person("olga", "operator"):
        for number in range(14):
            headers = {"X-Forwarded-For": f"10.9.8.7, 198.51.100.{number}"}
            body = {"user": "olga", "password": PASSWORD}
            async with http.post(f"{line.url}/api/session", json=body, headers=headers) as response:
                assert response.status == 200, number


@pytest.mark.parametrize(
    ("http", "headers", "secure"),
    [
        ({}, {"X-Forwarded-Proto": "https"}, False),
        (PROXY, {"X-Forwarded-Proto": "https"}, True),
        (PROXY, {"Forwarded": "for=192.0.2.1;proto=https"}, True),
        (PROXY, {}, False),
        ({"public_origin": PUBLIC}, {}, True),
    ],
)
async def test_cookies_are_secure_and_hsts_is_sent_where_the_browser_came_over_https(
    tmp_path: Path, http: dict[str, object], headers: dict[str, str], secure: bool
) -> None:
    async with control_line(tmp_path, http=http) as line, line.person("olga", "operator"), aiohttp.ClientSession() as client:
        body = {"user": "olga", "password": PASSWORD}
        async with client.post(f"{line.url}/api/session", json=body, headers=headers) as response:
            assert response.status == 200
            assert all(("Secure" in cookie) == secure for cookie in response.headers.getall("Set-Cookie"))
            assert ("Strict-Transport-Security" in response.headers) == secure


async def test_the_origin_that_a_trusted_proxy_names_is_ours_and_anybody_elses_word_is_not(tmp_path: Path) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "relay.example", "Origin": PUBLIC}
    for http, status in ((PROXY, 200), ({}, 403)):
        async with (
            control_line(tmp_path, http=http) as line,
            line.person("olga", "operator"),
            aiohttp.ClientSession() as client,
        ):
            body = {"user": "olga", "password": PASSWORD}
            async with client.post(f"{line.url}/api/session", json=body, headers=headers) as response:
                assert response.status == status


async def test_a_page_of_an_allowed_origin_reads_refusals_too(tmp_path: Path) -> None:
    other = "https://wall.example"
    limits = {"allowed_origins": (other,), "door_burst": 1, "door_rate": 0.001}
    async with control_line(tmp_path, http=limits) as line, aiohttp.ClientSession() as http:
        for status in (401, 429):
            async with http.post(f"{line.url}/whip/pm-1", headers={"Origin": other}) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == other
                assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        async with http.put(f"{line.url}/whep/pm-1", headers={"Origin": other}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (405, other)
        async with http.post(f"{line.url}/whip/pm-1", headers={"Origin": "https://evil.example"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_head_answers_wherever_get_does(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("aude", "auditor") as aude:
        for route in all_routes():
            if route.method == "GET" and route.status != 101 and "{" not in route.path:
                async with aude.http.get(line.url + route.path) as got, aude.http.head(line.url + route.path) as head:
                    assert (head.status, await head.read()) == (got.status, b""), route.path
                    assert head.content_type == got.content_type


async def test_a_live_socket_carries_our_headers_and_no_version(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga, line.page(olga) as socket:
        headers = socket.raw._response.headers
        assert (headers["Server"], headers["X-Content-Type-Options"]) == ("relay", "nosniff")
