"""The machine's console: requests of the command line to control, over its Unix socket.

Owns: finding a running control, or opening one for the length of a command.  Must never know: the
requests.  Journal and database have one writer at any time: a console that finds no control takes the lock and the place of
control until its command is done.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from relay.app.control import shut
from relay.app.server import CONSOLE_SOCKET, serving
from relay.app.settings import Settings
from relay.app.supervise import PidLock, is_locked
from relay.app.wiring import wire
from relay.base.codes import Code
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.http.middleware import CONSOLE_HEADER, KIND, PROBLEM
from relay.store.passes import console_pass

WAIT_SECONDS = 10.0


class Console:
    """Makes JSON requests as the machine's console; an answer that is an error is raised as the error that control raised."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, patient: bool = False) -> Any:
        """Return the answer's JSON (None if it has none); raises TheirError or OurError as the relay refused.

        `patient` sets no limit of time, for work that grows with the vault.
        """
        timeout = aiohttp.ClientTimeout(total=None) if patient else self.http.timeout
        async with self.http.request(method, f"http://relay{path}", json=body, timeout=timeout) as response:
            found = await response.json() if response.content_type in ("application/json", PROBLEM) else None
            if response.status >= 400:
                raise error_of(found, response.status)
            return found


def error_of(found: Any, status: int) -> RelayError:
    """Return the error that the relay answered: the kind by its status, the code as the problem says it."""
    detail = found.get("detail", "") if isinstance(found, dict) else f"status {status}"
    name = found.get("code") if isinstance(found, dict) else None
    code = next((code for code in Code if code.value == name), None)
    kind = KIND.get(status)
    if kind is None or kind is Kind.UNAVAILABLE:
        return OurError(detail, code=code)
    return TheirError(kind, detail, code=code)


@asynccontextmanager
async def console(settings: Settings) -> AsyncIterator[Console]:
    """Yield a console; raises OurError if control neither runs nor can be opened."""
    pid_file = settings.run / "control.pid"
    if pid_file.exists() and is_locked(pid_file):
        await _wait_for_socket(settings)
        async with _client(settings) as found:
            yield found
        return
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = PidLock(pid_file)
    try:
        control = await wire(settings, workers=0)
        try:
            async with serving(control.context, settings, public=False), _client(settings) as made:
                yield made
        finally:
            await shut(control)
    finally:
        lock.release()


async def _wait_for_socket(settings: Settings) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    while not (settings.run / CONSOLE_SOCKET).exists():
        if asyncio.get_running_loop().time() > deadline:
            raise OurError("the relay runs but does not answer")
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[Console]:
    headers = {CONSOLE_HEADER: (await asyncio.to_thread(console_pass, settings.data / "keys")).hex()}
    connector = aiohttp.UnixConnector(path=str(settings.run / CONSOLE_SOCKET))
    async with aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Console(http)
