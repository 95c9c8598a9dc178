"""Attackers at the HTTP port: rubbish offers, guesses, odd tokens, floods of probes, huge texts, acts that are not theirs.

Owns: what they ask.  Must never import the relay.  `hostile_http` holds connections; these make requests.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web

from tests.support.hostile_target import Target, paced

WORKERS = 16
HUGE = "é" * 25_000
"""50 kB of text."""
Ask = Callable[[aiohttp.ClientSession, int], Awaitable[object]]


async def idle(target: Target, over: asyncio.Event) -> int:
    """Be an honest neighbour: requests as fast as they are answered, to a server of one's own in this process."""
    app = web.Application()
    app.router.add_get("/", _well)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, target.source, 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        return await _repeat(target, over, lambda http, _: _get(http, f"http://{target.source}:{port}/"), 400)
    finally:
        await runner.cleanup()


async def _well(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def offers(target: Target, over: asyncio.Event) -> int:
    """Publish rubbish with a camera's own token, 50 times a second."""
    bodies = ["", "v=0\r\n", "v=0\r\n" + "a=x\r\n" * 3000, "\0" * 999, _offer("VP8"), _offer("H264", fingerprint="00")]

    async def ask(http: aiohttp.ClientSession, number: int) -> None:
        headers = {**target.as_camera(), "Content-Type": "application/sdp"}
        await _request(http, "POST", f"{target.url}/whip/{target.camera}", headers, data=bodies[number % len(bodies)])

    return await _repeat(target, over, ask, 50)


def _offer(codec: str, fingerprint: str = "11:" * 31 + "11") -> str:
    return (
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
        f"c=IN IP4 127.0.0.1\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 24}\r\n"
        f"a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=rtpmap:96 {codec}/90000\r\n"
    )


async def guesses(target: Target, over: asyncio.Event) -> int:
    """Guess the password of one name and of many, 32 at a time."""

    async def ask(http: aiohttp.ClientSession, number: int) -> None:
        user = target.user if number % 2 else secrets.token_hex(4)
        await _request(http, "POST", f"{target.url}/api/session", json={"user": user, "password": secrets.token_hex(8)})

    return await _repeat(target, over, ask, 200, workers=32)


async def tokens(target: Target, over: asyncio.Event) -> int:
    """Tokens and cookies of bytes that are no text, by hand: no client library sends them."""
    sent = 0
    heads = [
        b"POST /whip/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"GET /api/cameras HTTP/1.1\r\nHost: a\r\nCookie: relay_session=\xff\xff\r\n\r\n",
        b"GET /live/camera HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \x80\r\n\r\n",
        b"GET /\xff\xfe%ff HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ]
    async for number in paced(200, over):
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(target.source, 0))
            writer.write(heads[number % len(heads)])
            await asyncio.wait_for(reader.read(2000), 5)
            writer.transport.abort()
            sent += 1
    return sent


async def probes(target: Target, over: asyncio.Event) -> int:
    """Ask /readyz, /metrics, /healthz and the description of the API as fast as they are answered."""
    paths = ("/readyz", "/metrics", "/healthz", "/openapi.json")
    return await _repeat(target, over, lambda http, number: _get(http, target.url + paths[number % len(paths)]), 2000)


async def texts(target: Target, over: asyncio.Event) -> int:
    """An operator's requests with 50 kB in every field that takes text."""
    bodies: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("/api/interventions", {"label": HUGE, "motive": HUGE}),
        (f"/api/interventions/{target.intervention}/join", {"motive": "\0\u202e" * 2000}),
        (f"/api/cameras/{target.watched}/request", {"intervention": target.intervention, "reason": HUGE, "threat": HUGE}),
        ("/api/view-tokens", {"camera": HUGE, "intervention": HUGE}),
        ("/api/session/password", {"old": HUGE, "new": HUGE}),
    )

    async def ask(http: aiohttp.ClientSession, number: int) -> None:
        path, body = bodies[number % len(bodies)]
        await _request(http, "POST", target.url + path, target.signed_in(), json=body)

    return await _repeat(target, over, ask, 50)


async def refused(target: Target, over: asyncio.Event) -> int:
    """An operator's attempts at what only others may do."""
    acts = (
        ("POST", "/api/users", {"user": "mallory", "name": "mallory", "role": "administrator"}),
        ("POST", "/api/cameras", {"camera": "mine", "label": "mine", "live_audio": True}),
        ("DELETE", f"/api/cameras/{target.watched}", None),
        ("GET", "/api/journal", None),
        ("GET", "/api/holds", None),
        ("POST", "/api/check", None),
        ("DELETE", f"/api/users/{target.user}", None),
    )

    async def ask(http: aiohttp.ClientSession, number: int) -> None:
        method, path, body = acts[number % len(acts)]
        await _request(http, method, target.url + path, target.signed_in(), json=body)

    return await _repeat(target, over, ask, 200)


async def _get(http: aiohttp.ClientSession, url: str) -> None:
    await _request(http, "GET", url)


async def _request(
    http: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str] | None = None, **body: object
) -> None:
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with http.request(method, url, headers=headers, **body) as response:  # type: ignore[arg-type]
            await response.read()


async def _repeat(target: Target, over: asyncio.Event, ask: Ask, rate: float, workers: int = WORKERS) -> int:
    """Ask again and again, so many at once, until it is over; return how often."""
    done = 0
    async with target.client() as http:

        async def one() -> None:
            nonlocal done
            async for _ in paced(rate / workers, over):
                await ask(http, done)
                done += 1

        tasks = [asyncio.create_task(one()) for _ in range(workers)]
        await over.wait()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
    return done
