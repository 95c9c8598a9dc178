"""Bytes that no client of ours sends, in every place of every route: a refusal, never a mistake of the relay."""

import asyncio
import gzip
import json
import re
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.http.app import all_routes
from relay.http.context import Route
from relay.http.openapi import plain_path
from tests.support.control_line import OFFER, Page, control_line

BAD = (b"\xff", b"\xed\xa0\x80", b"caf\xe9", "é\u202e".encode(), b"%ff%00")
"""Not UTF-8, a surrogate, Latin-1, signs beyond ASCII, escapes."""
MANY = {"door_burst": 1_000_000, "sign_in_burst": 1_000_000}
HEADERS = (
    "Authorization", "Cookie", "X-CSRF", "Origin", "If-Match", "Content-Type", "Host", "Forwarded", "X-Forwarded-For",
    "X-Forwarded-Proto", "X-Forwarded-Host", "Range", "If-None-Match", "If-Modified-Since", "Accept", "Upgrade", "Expect",
    "Access-Control-Request-Method", "Content-Encoding", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol",
)  # fmt: skip

SPRAYED = {"/", "/live", "/metrics", "/api/session", "/whip/{camera}", "/whep/{camera}/{secret}"}
"""Routes where all headers are tried: one of each kind of access."""


def _path(route: Route, with_bytes: bytes | None = None) -> bytes:
    """Return a route's path with each of its variables filled."""
    return re.sub(rb"\{\w+\}", lambda _: with_bytes or b"pm-1", plain_path(route.path).encode())


async def exchange(url: str, request: bytes) -> tuple[int, bytes]:
    """Send bytes on a connection of their own; return the answer's status and all of it; status 0 where it was only closed."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length and not request.startswith(b"HEAD") else b""
        return int(head.split(b" ", 2)[1]), head + body
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, b""
    finally:
        writer.close()


def _request(method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    given = {name.lower() for name, _ in headers}
    more = [(b"Host", b"relay"), (b"Content-Length", str(len(body)).encode()), (b"Connection", b"close")]
    lines = [b"%s: %s" % pair for pair in [*headers, *(pair for pair in more if pair[0].lower() not in given)]]
    return b"\r\n".join([b"%s %s HTTP/1.1" % (method.encode(), target), *lines, b"", body])


def _requests(route: Route, bad: bytes, cookie: bytes) -> list[bytes]:
    """Return requests with these bytes in path, query, each header, and the body."""
    known = [(b"Cookie", cookie), (b"Origin", b"http://relay")]
    kind = b"application/sdp" if b"/w" in _path(route) else b"application/json"
    typed = [*known, (b"Content-Type", kind)]
    found = [_request(route.method, _path(route, bad), known), _request(route.method, _path(route) + b"?a=" + bad, known)]
    fields = (b"intervention", b"limit", b"before", b"camera", b"worker", b"after", b"index", b"size")
    query = b"&".join(b"%s=%s" % (field, bad) for field in fields)
    found.append(_request(route.method, _path(route) + b"?" + query, known))
    for name in HEADERS if route.path in SPRAYED else HEADERS[:6]:
        values = {"Authorization": b"Bearer " + bad, "Cookie": b"relay_session=" + bad, "Content-Type": b"text/" + bad}
        found.append(_request(route.method, _path(route), [*known[1:], (name.encode(), values.get(name, bad))]))
        found.append(_request(route.method, _path(route), [*known, (name.encode(), values.get(name, bad))], b"{}"))
    model = route.body.model_json_schema()["properties"] if route.body else {}
    each = b",".join(b'"%s": "%s"' % (field.encode(), bad) for field in model)
    found.append(_request(route.method, _path(route), typed, b"{%s}" % each))
    everything = {name: "\ud800\x00" for name in model}
    found.append(_request(route.method, _path(route), typed, json.dumps(everything).encode()))
    found.append(_request(route.method, _path(route), typed, bad))
    found.append(_request(route.method, _path(route), typed, OFFER.encode() + bad))
    return found


def _cookie(page: Page) -> bytes:
    jar = {cookie.key: cookie.value for cookie in page.http.cookie_jar}
    return f"relay_session={jar['relay_session']}".encode()


async def test_no_byte_in_any_place_of_any_route_is_a_mistake_of_ours(tmp_path: Path) -> None:
    async with control_line(tmp_path, http=MANY) as line, line.person("adam", "administrator") as adam:
        await line.enrol("pm-1")
        requests = [request for bad in BAD for route in all_routes() for request in _requests(route, bad, _cookie(adam))]
        at_once = asyncio.Semaphore(8)

        async def play(request: bytes) -> tuple[int, bytes, bytes]:
            async with at_once:
                return *(await exchange(line.url, request)), request[:300]

        answers = await asyncio.gather(*map(play, requests))
        assert not [found for found in answers if found[0] >= 500 and found[0] != 503][:5]
        assert line.control.context.counters.snapshot().get("http_failed", 0) == 0


_BYTES = st.binary(min_size=1, max_size=60).filter(lambda data: not set(data) & set(b"\r\n\0"))
"""Line ends and NUL end a header: aiohttp refuses those before any route."""


async def test_any_bytes_as_path_query_token_cookie_or_body_are_refused(tmp_path: Path) -> None:
    async with control_line(tmp_path, http=MANY) as line:
        loop = asyncio.get_running_loop()

        @given(st.sampled_from(all_routes()), _BYTES.filter(lambda data: b" " not in data), _BYTES, st.binary(max_size=60))
        @settings(max_examples=150)
        def play(route: Route, target: bytes, value: bytes, body: bytes) -> None:
            headers = [(b"Authorization", b"Bearer " + value), (b"Cookie", b"relay_session=" + value)]
            for kind in (b"application/json", b"application/sdp"):
                request = _request(
                    route.method, _path(route, target) + b"?" + target, [*headers, (b"Content-Type", kind)], body
                )
                status, whole = asyncio.run_coroutine_threadsafe(exchange(line.url, request), loop).result(60)
                assert status < 500 or route.path == "/readyz", (request, whole)

        await asyncio.to_thread(play)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Header: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /no/such HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\n\r\n", 417),
        (b"PUT /api/session HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /api/session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n", 413),
        (
            b"POST /api/session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            400,
        ),
    ],
)
async def test_what_is_no_request_gets_a_problem_with_our_headers_and_no_traceback(
    tmp_path: Path, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with control_line(tmp_path, http=MANY) as line:
        found, whole = await exchange(line.url, request_)
        head, _, body = whole.partition(b"\r\n\r\n")
        assert found == status, whole
        assert json.loads(body)["status"] == status
        assert b"\r\nContent-Type: application/problem+json" in head
        assert b"\r\nX-Content-Type-Options: nosniff" in head
        assert re.findall(rb"\r\nServer: ([^\r]*)", head) == [b"relay"]
        assert line.control.context.counters.snapshot().get("http_failed", 0) == 0
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_body_that_is_no_gzip_is_refused(tmp_path: Path) -> None:
    async with control_line(tmp_path, http=MANY) as line:
        for body in (b"\xff" * 50, gzip.compress(b'{"user":"a","password":"b"}')[:-9], gzip.compress(bytes(50 << 20))):
            headers = [(b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip")]
            status, whole = await exchange(line.url, _request("POST", b"/api/session", headers, body))
            assert status in {400, 413, 422}, whole
        assert line.control.context.counters.snapshot().get("http_failed", 0) == 0


async def test_messages_of_a_live_socket_that_hold_bad_bytes_are_counted(tmp_path: Path) -> None:
    packed = msgpack.packb
    bad = (
        b"\xff", b"\xa1\xff", packed({"t": b"\xff"}), packed({b"\xff": 1}), packed({"t": "assign", "camera": b"\xff"}),
        packed({"t": "assign"}).replace(b"assign", b"as\xffgn"), b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 2_000,
    )  # fmt: skip
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await line.enrol("pm-1")
        async with line.page(olga) as page, line.camera("pm-1") as camera:
            for data in bad:
                await page.raw.send_bytes(data)
                await camera.raw.send_bytes(data)
            await page.say(t="time", echo=1)
            await page.hear("time")
        assert line.control.context.counters.snapshot().get("live_failures", 0) == 0
