"""A whole relay of its own: data folder, keys, people, cameras, processes; made by the commands that an administrator types.

Owns the processes of one test.  Must never import the relay: it is used as a stranger would use it.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.chromium import until

_COMMAND = str(Path(sys.executable).with_name("relay"))
PASSWORD = "une longue phrase de passe 42"
"""What everybody changes their one-time password to."""
_READY_SECONDS = 120
_STOP_SECONDS = 120


def as_user(user: int) -> tuple[str, ...]:
    """Return the beginning of a command that root runs as another user, without groups and capabilities."""
    return ("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


class RelayUnderTest:
    """`relay serve` on free ports of the loopback, with a data folder of its own."""

    def __init__(
        self,
        data: Path,
        environment: Mapping[str, str] | None = None,
        *,
        scheme: str = "http",
        descriptors: int | None = None,
        user: int | None = None,
    ) -> None:
        """`descriptors`: how many each process may have open, at most; `user`: id of the user that it runs as."""
        self.data = data
        self._as_user = () if user is None else as_user(user)
        self._limit = () if descriptors is None else ("prlimit", f"--nofile={descriptors}:{descriptors}")
        http, self.udp_port = _free_port(socket.SOCK_STREAM), _free_port(socket.SOCK_DGRAM)
        self.url = f"{scheme}://127.0.0.1:{http}"
        self._environment = os.environ | {
            "RELAY_DATA": str(data),
            "RELAY_HTTP__PORT": str(http),
            "RELAY_WORKERS__PORT_BASE": str(self.udp_port),
            "RELAY_STORE__PATIENCE_SECONDS": "30",  # a slow machine's disk is no silent one
            **(environment or {}),
        }
        self._process: asyncio.subprocess.Process | None = None

    def run(self, *arguments: str, expect: int | None = 0) -> str:
        """Run `relay ARGUMENTS`; return its standard output; raises AssertionError on another exit code than `expect`."""
        done = self.run_any(*arguments)
        assert expect is None or done.returncode == expect, f"relay {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run_any(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run `relay ARGUMENTS` to its end, `stdin` on its standard input."""
        command, environment = [*self._as_user, _COMMAND, *arguments], self._environment
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, timeout=180, check=False)

    def init(self) -> None:
        """Make keys, database and settings."""
        self.run("init", "--data", str(self.data))

    def copy(self, data: Path, environment: Mapping[str, str] | None = None) -> "RelayUnderTest":
        """Return another relay with the same keys, people and cameras, in another folder; this one must be stopped."""
        shutil.copytree(self.data, data, ignore=shutil.ignore_patterns("run", "serve.log"))
        settings = data / "settings.toml"
        settings.write_text(settings.read_text().replace(str(self.data), str(data)))
        return RelayUnderTest(data, environment)

    def enrol(self, camera: str, *flags: str, label: str = "") -> str:
        """Enrol a camera; return its token."""
        return _secret(self.run("camera", "enrol", camera, "--label", label or camera.upper(), *flags))

    def add_user(self, user: str, role: str) -> str:
        """Add a person; return the one-time password."""
        return _secret(self.run("user", "add", user, "--role", role))

    def verify(self, path: Path, *flags: str) -> tuple[int, dict[str, Any]]:
        """Run `relay verify --json` on a path; return exit code and verdict (empty where it printed none)."""
        key = self.data / "keys" / "signing.pub"
        done = self.run_any("verify", str(path), "--key", str(key), "--json", *flags)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip().startswith("{") else {}

    def recordings(self) -> list[Path]:
        """Return the vault's folders, oldest first."""
        return sorted(path for path in (self.data / "vault").iterdir() if re.fullmatch("[0-9a-f]{32}", path.name))

    async def sealed(self, folder: Path, bytes_more: int = 3000) -> None:
        """Wait until a recording's chain has grown by some links (about 500 bytes each, two a second)."""
        chain = folder / "chain"
        before = chain.stat().st_size

        async def grew() -> bool:
            return chain.stat().st_size >= before + bytes_more

        await until(grew, 120, "the chain to grow")

    def send_signal(self, how: signal.Signals) -> None:
        """Send a signal to `relay serve` itself, the supervisor."""
        assert self._process is not None
        self._process.send_signal(how)

    def pids(self, name: str) -> list[int]:
        """Return the process ids of `control`, `worker` or `recorder`."""
        written = [path.read_text() for path in sorted((self.data / "run").glob(f"{name}*.pid"))]
        return [int(text) for text in written if text.strip()]

    async def start(self) -> None:
        """Start `relay serve` and wait until it is ready."""
        log = (self.data / "serve.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *self._limit,
            *self._as_user,
            _COMMAND,
            "serve",
            "--data",
            str(self.data),
            env=self._environment,
            stdout=log,
            stderr=log,
        )
        log.close()
        try:
            await until(self.ready, _READY_SECONDS, "readiness")
        except TimeoutError as error:
            raise AssertionError(f"{error}; its log ends with {self.log()[-3000:]}") from error

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does; return its exit code."""
        process, self._process = self._process, None
        assert process is not None
        if process.returncode is None:
            process.send_signal(how)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                return await process.wait()
        except TimeoutError:
            self._kill_all()
            process.kill()
            await process.wait()
            raise AssertionError(f"relay did not stop; its log ends with {self.log()[-2000:]}") from None

    async def discard(self) -> None:
        """Stop whatever still runs, without asking how."""
        if self._process is not None:
            with contextlib.suppress(AssertionError):
                await self.stop()
        self._kill_all()

    def log(self) -> str:
        """Return what `relay serve` wrote so far."""
        path = self.data / "serve.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def ready(self) -> bool:
        """Return whether /readyz says so; raises AssertionError where `relay serve` has ended."""
        process = self._process
        if process is None or process.returncode is not None:
            raise AssertionError(f"relay serve ended; its log: {self.log()[-4000:]}")
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/readyz", ssl=False) as response:
                return bool(response.status == 200)
        return False

    def _kill_all(self) -> None:
        """Kill the children by the ids that they wrote themselves."""
        for path in (self.data / "run").glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)


class Person:
    """A signed-in person, by HTTP alone."""

    def __init__(self, relay: RelayUnderTest, http: aiohttp.ClientSession, csrf: str) -> None:
        self._relay = relay
        self._http = http
        self._csrf = csrf

    async def call(self, method: str, path: str, body: object = None, expect: int | None = None) -> Any:
        """Call a JSON route; return the decoded answer (None where empty); raises AssertionError on an unexpected status."""
        headers = {"X-CSRF": self._csrf}
        async with self._http.request(method, self._relay.url + path, json=body, headers=headers) as response:
            text = await response.text()
            good = response.status == expect if expect is not None else response.status < 300
            assert good, f"{method} {path}: {response.status} {text}"
            return json.loads(text) if text and "json" in response.content_type else None

    async def text(self, path: str) -> str:
        """Return what a route says that is not JSON."""
        async with self._http.get(self._relay.url + path) as response:
            assert response.status == 200, f"GET {path}: {response.status}"
            return await response.text()

    async def download(self, path: str) -> int:
        """Read what a route sends to its end; return how many bytes came."""
        async with self._http.get(self._relay.url + path) as response:
            assert response.status == 200, f"GET {path}: {response.status}"
            return sum([len(chunk) async for chunk in response.content.iter_chunked(1 << 16)])

    async def offer(self, path: str, sdp: str) -> tuple[str, str]:
        """Post an SDP offer to `/wall` or `/whep`; return the answer and where the session is; raises AssertionError."""
        headers = self.headers() | {"Content-Type": "application/sdp"}
        async with self._http.post(self._relay.url + path, data=sdp, headers=headers) as response:
            text = await response.text()
            assert response.status == 201, f"POST {path}: {response.status} {text}"
            return text, response.headers["Location"]

    async def leave(self, location: str) -> int:
        """Delete a viewer session; return the status (404: it had ended before)."""
        async with self._http.delete(self._relay.url + location, headers=self.headers()) as response:
            return response.status

    async def live(self) -> aiohttp.ClientWebSocketResponse:
        """Open the page's live socket, as the page does."""
        return await self._http.ws_connect(f"{self._relay.url}/live?states=batch")

    async def read(self, path: str) -> bytes:
        """Return the body of a GET; raises AssertionError unless it is 200."""
        async with self._http.get(self._relay.url + path) as response:
            assert response.status == 200, f"{path}: {response.status}"
            return await response.read()

    async def intervention(self, label: str = "demo", motive: str = "assistance to a patrol") -> str:
        """Open an intervention; return its id."""
        made = await self.call("POST", "/api/interventions", {"label": label, "motive": motive})
        return str(made["intervention"])

    async def camera(self, camera: str) -> dict[str, Any]:
        """Return a camera as the wall shows it."""
        listed = await self.call("GET", "/api/cameras")
        (found,) = [each for each in listed["cameras"] if each["camera"] == camera]
        return dict(found)

    async def sees_live(self, camera: str, seconds: float = 120) -> None:
        """Wait until a camera is live."""

        async def live() -> bool:
            return bool((await self.camera(camera))["state"] == "live")

        await until(live, seconds, f"{camera} to be live")

    def cookies(self) -> list[dict[str, Any]]:
        """Return the session's cookie as Chromium takes it."""
        return [{"name": each.key, "value": each.value, "url": self._relay.url} for each in self._http.cookie_jar]

    def headers(self) -> dict[str, str]:
        """Return the header that unsafe requests need beside the cookie."""
        return {"X-CSRF": self._csrf}


@contextlib.asynccontextmanager
async def signed_in(relay: RelayUnderTest, user: str, password: str) -> AsyncIterator[Person]:
    """Sign in, and change the one-time password as every new account must."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.post(f"{relay.url}/api/session", json={"user": user, "password": password}) as response:
            assert response.status == 200, await response.text()
            session = await response.json()
        person = Person(relay, http, session["csrf"])
        if session["must_change"]:
            await person.call("POST", "/api/session/password", {"old": password, "new": PASSWORD})
        yield person


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _secret(printed: str) -> str:
    """Return the one secret that a command printed."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{16,}\n", printed), f"not just a secret: {printed!r}"
    return printed.strip()
