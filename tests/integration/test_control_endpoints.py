"""HTTP endpoints: no route is open by accident, every answer carries its headers, every caller's rate is limited."""

import asyncio
import re
import shutil
from pathlib import Path

import aiohttp
import pytest

from relay.http.app import all_routes
from relay.http.bodies import MAX_BODY, MAX_SDP, SDP
from relay.http.context import Access, Route
from relay.http.openapi import plain_path
from relay.http.schemas import Problem
from relay.people.sign_ins import CONSOLE
from relay.policy.roles import Role
from relay.protocol.page import ViewStarted
from relay.transport import sdp_offer
from tests.support.control_line import OFFER, PASSWORD, control_line

OPEN = {
    "POST /api/session",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    "GET /",
    "GET /{file}",
    "OPTIONS /whip/{camera}",
    "OPTIONS /whip/{camera}/{secret}",
    "OPTIONS /whep/{camera}",
    "OPTIONS /whep/{camera}/{secret}",
    "OPTIONS /wall",
}
"""Everything that answers anybody; adding to it is a decision, not an accident."""

MANY = {"door_burst": 100000, "sign_in_burst": 1000}


def _name(route: Route) -> str:
    return f"{route.method} {plain_path(route.path)}"


def _path(route: Route) -> str:
    return re.sub(r"\{\w+\}", "1", plain_path(route.path))


async def test_every_route_refuses_a_caller_without_credentials(tmp_path: Path) -> None:
    async with control_line(tmp_path, http=MANY) as line, aiohttp.ClientSession() as http:
        for route in all_routes():
            if route.access is Access.METRICS or _name(route) in OPEN:
                continue
            headers = {"Content-Type": SDP, "Upgrade": "websocket", "Connection": "Upgrade"} if route.status == 101 else {}
            async with http.request(route.method, line.url + _path(route), headers=headers) as response:
                # A secret in the path is its own credential: a wrong one names nothing.
                wanted = {404, 415} if route.access is Access.SECRET else {401}
                assert response.status in wanted, (_name(route), response.status)


async def test_what_is_open_is_exactly_what_is_listed() -> None:
    assert {_name(route) for route in all_routes() if route.access is Access.ANYONE} == OPEN


@pytest.mark.parametrize("credentials", [{"Authorization": "Bearer x"}, {"Cookie": "relay_session=x"}])
async def test_wrong_credentials_open_nothing_either(tmp_path: Path, credentials: dict[str, str]) -> None:
    async with control_line(tmp_path, http=MANY) as line, aiohttp.ClientSession() as http:
        await line.enrol("pm-1")
        for route in all_routes():
            if route.access in {Access.METRICS, Access.ANYONE, Access.SECRET}:
                continue
            path = _path(route).replace("/whip/1", "/whip/pm-1").replace("/whep/1", "/whep/pm-1")
            headers = {**credentials, "Content-Type": SDP}
            async with http.request(route.method, line.url + path, headers=headers, data=OFFER) as response:
                assert response.status == 401, (_name(route), response.status)


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_an_unsafe_request_needs_the_csrf_header_and_our_origin(tmp_path: Path, role: str) -> None:
    async with control_line(tmp_path, http=MANY) as line, line.person("ada", role) as ada:
        for route in all_routes():
            if route.access is not Access.SIGNED_IN or route.method == "GET":
                continue
            status, found = await ada.call(route.method, _path(route), {}, **{"X-CSRF": "0" * 64})
            assert status == 403, _name(route)
            assert "X-CSRF" in found["detail"]
            status, found = await ada.call(route.method, _path(route), {}, Origin="https://elsewhere.example")
            assert status == 403, _name(route)
            assert "Origin" in found["detail"]


async def test_a_live_socket_opened_by_another_sites_page_is_refused(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await olga.http.ws_connect(f"{line.url}/live", origin="https://elsewhere.example")
        assert refused.value.status == 403


async def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        for path, status in (("/healthz", 200), ("/api/cameras", 401), ("/no/such/thing", 404), ("/nothing.js", 404)):
            async with http.get(line.url + path) as response:
                assert response.status == status
                assert "default-src 'self'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["X-Frame-Options"] == "DENY"
                if status >= 400:
                    assert response.content_type == "application/problem+json"
                    found = await response.json()
                    assert set(found) == {"type", "title", "status", "detail", "code"}
                    assert (found["status"], found["type"]) == (status, f"urn:bodycam-relay:problem:{found['code']}")
                    assert Problem.model_validate(found).title == response.reason


async def test_a_problem_carries_its_code_and_the_values_that_a_translation_needs(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        status, found = await olga.call(
            "POST", "/api/interventions", {"label": "x" * 4000, "motive": "vol à main armée en cours"}
        )
        assert (status, found["code"], found["field"], found["max"]) == (400, "text_too_long", "label", 200)
        status, found = await olga.call("POST", "/api/interventions", {"label": "Rixe", "colour": "blue"})
        assert (status, found["code"]) == (400, "body_invalid")
        status, found = await olga.call("POST", "/api/interventions", {"label": "rue Nationale", "motive": "test"})
        assert (status, found["code"], found["rule"]) == (422, "motive_too_vague", "JRN-02: R241-5, R241-14")
        status, found = await olga.call("GET", "/api/users")
        assert (status, found["code"], found["role"]) == (403, "role_not_allowed", "operator")
        status, found = await olga.call("PUT", "/api/session")
        assert (status, found["code"], found["title"]) == (405, "method_not_allowed", "Method Not Allowed")


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator"), aiohttp.ClientSession() as http:
        body = {"user": "olga", "password": PASSWORD}
        async with http.post(f"{line.url}/api/session", json=body) as response:
            cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", OFFER, 415),
        (SDP, "", 400),
        (SDP, " \r\n", 400),
        (SDP, b"\xff\xfe", 400),
        (SDP, "v" * (MAX_SDP + 1), 413),
    ],
)
async def test_what_is_no_offer_never_reaches_a_worker(
    tmp_path: Path, content_type: str, body: str | bytes, status: int
) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        token = await line.enrol("pm-1")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        async with http.post(f"{line.url}/whip/pm-1", data=body, headers=headers) as response:
            assert response.status == status
        assert line.worker.received[1:] == [] or all(type(m).__name__ == "InventoryAsk" for m in line.worker.received)


async def test_an_offer_of_all_that_a_browser_knows_times_sixteen_reaches_the_worker(tmp_path: Path) -> None:
    """80 KB and more; the HTTP limit lets through no more than the parser takes."""
    assert MAX_SDP == sdp_offer.MAX_BYTES
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        padding = "a=fmtp:96 packetization-mode=1;profile-level-id=42001f\r\n" * 2000
        assert (await line.publish("pm-1", OFFER + padding)).status == 201


async def test_json_is_bounded_more_closely(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        status, _ = await olga.call("POST", "/api/interventions", {"label": "x" * MAX_BODY, "motive": "demo"})
        assert status == 413


async def test_a_cameras_token_learns_nothing_about_other_cameras(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        token = await line.enrol("pm-1")
        await line.enrol("pm-2")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": SDP}
        for camera, status in (("pm-2", 403), ("pm-3", 403), ("PM%201", 403)):
            async with http.post(f"{line.url}/whip/{camera}", data=OFFER, headers=headers) as response:
                assert response.status == status, camera


async def test_an_endpoint_asked_too_often_answers_429_with_a_time(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path, http={"door_burst": 3, "door_rate": 0.01}) as line,
        aiohttp.ClientSession() as http,
    ):
        statuses = []
        for _ in range(5):
            async with http.delete(f"{line.url}/whep/pm-1/x") as response:
                statuses.append(response.status)
                retry = response.headers.get("Retry-After")
        assert statuses == [404, 404, 404, 429, 429]
        assert retry is not None
        assert int(retry) > 1


async def test_strangers_at_its_address_use_up_no_allowance_of_a_camera_or_of_a_person(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path, http={"door_burst": 3, "door_rate": 1e-6}) as line,
        line.person("olga", "operator") as olga,
        aiohttp.ClientSession() as http,
    ):
        right = {"Authorization": f"Bearer {await line.enrol('pm-1')}"}
        wrong = {"Authorization": "Bearer guessed"}

        async def end(headers: dict[str, str]) -> int:
            async with http.delete(f"{line.url}/whip/pm-1/x", headers=headers) as response:
                return response.status

        assert await end(right) == 404, "no such session, but the token is right"
        await olga.call("GET", "/api/session")
        assert [await end(wrong) for _ in range(4)] == [401, 401, 429, 429]
        assert [await end(right) for _ in range(4)] == [404, 404, 404, 429], "an allowance of its own"
        assert (await olga.call("DELETE", "/whep/pm-1/x"))[0] == 404


async def test_a_known_browser_signs_in_while_others_at_its_address_try_the_same_name(tmp_path: Path) -> None:
    limits = {"door_burst": 12, "door_rate": 1e-6, "sign_in_burst": 3, "sign_in_rate": 1e-6}
    async with (
        control_line(tmp_path, http=limits) as line,
        line.person("olga", "operator"),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        aiohttp.ClientSession() as http,
    ):

        async def sign_in(client: aiohttp.ClientSession, password: str) -> int:
            async with client.post(f"{line.url}/api/session", json={"user": "olga", "password": password}) as response:
                return response.status

        assert await sign_in(browser, PASSWORD) == 200
        while await sign_in(http, "a wrong guess") != 429:
            pass
        assert await sign_in(browser, PASSWORD) == 200, "by name"
        for _ in range(12):
            last = await sign_in(http, "a wrong guess")
        assert last == 429
        assert await sign_in(browser, PASSWORD) == 200, "at the door"


async def test_sign_in_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path, http={"sign_in_burst": 2, "sign_in_rate": 0.01}) as line,
        aiohttp.ClientSession() as http,
    ):
        statuses = []
        for attempt in range(4):
            body = {"user": "nobody", "password": f"x-{attempt}"}
            async with http.post(f"{line.url}/api/session", json=body) as response:
                statuses.append(response.status)
        assert statuses == [401, 401, 429, 429]


async def test_options_says_what_may_be_posted_and_cors_is_for_named_origins_only(tmp_path: Path) -> None:
    http_settings = {"allowed_origins": ("https://viewer.example",), "ice_servers": ("stun:stun.example:3478",)}
    async with control_line(tmp_path, http=http_settings) as line, aiohttp.ClientSession() as http:
        await line.enrol("pm-1")
        async with http.options(f"{line.url}/whip/pm-1", headers={"Access-Control-Request-Method": "POST"}) as response:
            assert response.status == 204
            assert response.headers["Accept-Post"] == SDP
            assert "Access-Control-Allow-Origin" not in response.headers
        for origin, allowed in (("https://viewer.example", True), ("https://other.example", False)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
            async with http.options(f"{line.url}/whep/pm-1/x", headers=headers) as response:
                assert (response.headers.get("Access-Control-Allow-Origin") == origin) is allowed
                assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
        answer = await line.publish("pm-1")
        assert answer.headers["Link"] == '<stun:stun.example:3478>; rel="ice-server"'
        assert answer.headers["Content-Type"] == SDP


async def test_the_page_is_served_from_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    ui = tmp_path / "ui"
    (ui / "assets").mkdir(parents=True)
    (ui / "index.html").write_text("<!doctype html>page")
    (ui / "assets" / "app-123.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (ui / "out.txt").symlink_to(tmp_path / "secret.txt")
    async with control_line(tmp_path / "data", http={"ui_dir": ui}) as line, aiohttp.ClientSession() as http:
        async with http.get(f"{line.url}/") as response:
            assert "page" in await response.text()
            assert response.headers["Cache-Control"] == "no-cache"
        async with http.get(f"{line.url}/assets/app-123.js") as response:
            assert "immutable" in response.headers["Cache-Control"]
        for path in ("/..%2Fsecret.txt", "/%2e%2e/secret.txt", "/out.txt", "/assets/..%2f..%2fsecret.txt", "/assets"):
            async with http.get(line.url + path) as response:
                assert response.status == 404, path


async def test_metrics_name_every_process_and_readiness_follows_the_links(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        async with http.get(f"{line.url}/metrics") as response:
            text = await response.text()
            assert 'relay_http_requests_total{process="control"}' in text
        async with http.get(f"{line.url}/readyz") as response:
            assert response.status == 200
        await line.worker.stop()
        async with http.get(f"{line.url}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["parts"] == {"worker-0": False, "recorder-0": True, "vault": True}


async def test_a_vault_that_cannot_be_written_is_not_ready_and_a_flood_of_questions_tries_it_seldom(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        vault = tmp_path / "vault"
        shutil.move(vault, tmp_path / "away")
        answers = []
        for _ in range(200):
            async with http.get(f"{line.url}/readyz") as response:
                answers.append((response.status, (await response.json())["parts"]["vault"]))
        assert set(answers) == {(503, False)}
        async with http.get(f"{line.url}/healthz") as response:
            assert response.status == 200


async def test_a_socket_that_takes_nothing_is_closed_and_counted_and_others_go_on(tmp_path: Path) -> None:
    async with control_line(tmp_path, http={"live_queue": 16}) as line, line.person("olga", "operator") as olga:
        live = line.control.context.live
        async with line.page(olga) as page:
            await page.hear("cameras")
            for _ in range(200):
                live.send_all(ViewStarted("v", 1))
            assert line.control.context.counters.values["live_dropped"] == 1
            while (message := await page.raw.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
            assert page.raw.close_code == 1013
        async with line.page(olga) as page:
            await page.hear("cameras")


async def test_the_journal_is_read_by_auditors_and_its_reading_is_an_entry(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("aude", "auditor") as aude,
        line.person("carl", "commander") as carl,
    ):
        assert (await carl.call("GET", "/api/journal"))[0] == 403
        status, found = await aude.call("GET", "/api/journal?limit=1000")
        assert status == 200
        last = found["leaves"][-1]["body"]
        assert (last["author"], last["operation"]) == ("aude", "consultation")
        status, proof = await aude.call("GET", "/api/journal/proof?leaf=1")
        assert status == 200
        assert proof["checkpoint"] == (await aude.call("GET", "/api/journal/checkpoint"))[1]["note"] or proof["path"]
        for query in ("?after=x", "?limit=0", "?limit=1001"):
            assert (await aude.call("GET", "/api/journal" + query))[0] == 400


async def test_a_room_behind_one_address_changes_shift_at_once(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, aiohttp.ClientSession() as http:
        designations = line.control.context.designations
        for number in range(14):
            await designations.add(CONSOLE, f"op-{number}", "Op", "operator", password=PASSWORD, must_change=False)

        async def sign_in(number: int) -> int:
            body = {"user": f"op-{number}", "password": PASSWORD}
            async with http.post(f"{line.url}/api/session", json=body) as response:
                return response.status

        assert await asyncio.gather(*map(sign_in, range(14))) == [200] * 14


async def test_a_browser_that_signed_in_before_gets_in_while_others_lock_its_name(tmp_path: Path) -> None:
    trusting = {"trusted_proxies": ("127.0.0.1",), "sign_in_burst": 1000}
    async with control_line(tmp_path, http=trusting) as line, line.person("olga", "operator") as olga:
        jar = {cookie.key: cookie for cookie in olga.http.cookie_jar}
        known = jar["relay_known_browser"]
        assert (known["path"], known["httponly"], known["samesite"]) == ("/api/session", True, "Strict")

        async def sign_in(http: aiohttp.ClientSession, password: str, source: str) -> int:
            body, headers = {"user": "olga", "password": password}, {"X-Forwarded-For": source}
            async with http.post(f"{line.url}/api/session", json=body, headers=headers) as response:
                return response.status

        async with aiohttp.ClientSession() as stranger:
            assert [await sign_in(stranger, "wrong", f"203.0.113.{number}") for number in range(6)] == [401] * 5 + [429]
            assert await sign_in(stranger, PASSWORD, "203.0.113.99") == 429
        assert await sign_in(olga.http, PASSWORD, "203.0.113.99") == 200
