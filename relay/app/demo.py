"""`scripts/run`: a relay with simulated cameras, from nothing to a picture.

Owns: demo people, demo cameras, and the start and stop of two child processes (relay, cameras).
Must never know: how either works.  It runs the commands that a person would type; `relay serve` alone has none of this.
"""

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from relay.app import cli
from relay.app.console import Console
from relay.app.settings import Settings, settings_of
from relay.app.terminal import ask
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.runtime.cage import keep_private

PEOPLE = {"operator": ("demo-operator", "Opérateur (démo)"), "commander": ("demo-commander", "Commandant (démo)")}
READY_SECONDS = 20.0
END_SECONDS = 20.0

Passwords = dict[str, str]


async def furnish(found: Console, cameras: list[str], known: dict[str, str]) -> tuple[Passwords, dict[str, str]]:
    """Make the demo people and cameras that are missing; return one-time passwords by user and tokens by camera."""
    passwords = {}
    for role, (user, name) in PEOPLE.items():
        body: dict[str, Any] = {"user": user, "name": name, "role": role, "act_ref": "demo"}
        try:
            passwords[user] = (await found.call("POST", "/api/users", body))["password"]
        except TheirError as error:
            if error.kind is not Kind.CONFLICT:
                raise
            passwords[user] = (await found.call("PATCH", f"/api/users/{user}", {"reset_password": True}))["password"]
    tokens = dict(known)
    for number, camera in enumerate(cameras, 1):
        if camera not in tokens:
            body = {
                "camera": camera,
                "label": f"Patrouille {number}",
                "regime": "bodycam_pm",
                "original": "relay",
                "live_audio": True,
            }
            tokens[camera] = (await found.call("POST", "/api/cameras", body))["token"]
    return passwords, tokens


def read_tokens(path: Path) -> dict[str, str]:
    """Return the tokens that earlier runs made for the demo cameras."""
    if not path.exists():
        return {}
    return dict(line.split() for line in path.read_text(encoding="utf-8").splitlines() if line)


def write_tokens(path: Path, tokens: dict[str, str]) -> None:
    """Write the tokens of the demo cameras, mode 0600."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{camera} {token}\n" for camera, token in tokens.items())


def start(*arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start a Python program in a POSIX session of its own, so that Ctrl-C reaches this process alone."""
    with log.open("ab") as sink:
        return subprocess.Popen([sys.executable, *arguments], stdout=sink, stderr=sink, start_new_session=True)


async def until_ready(url: str, certificate: Path | None, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for `/readyz`; raises OurError with the reason and the log's path if the relay ends or does not answer in time."""
    earlier = await asyncio.to_thread(lambda: log.stat().st_size)
    tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(certificate)) if certificate else True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
            while process.poll() is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{url}/readyz", ssl=tls) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)
    raise OurError(f"the relay did not start{last_words(log, earlier)}; see {log}")


def last_words(log: Path, since: int) -> str:
    """Return ": " and the newest OurError in the log behind byte `since` (a port that is taken, say), else ""."""
    marks = f"{OurError.__module__}.{OurError.__name__}: "
    details = [
        line.split(marks, 1)[1]
        for line in log.read_bytes()[since:].decode(errors="replace").splitlines()
        if line.startswith(marks)
    ]
    return f": {details[-1]}" if details else ""


async def end(process: "subprocess.Popen[bytes] | None") -> None:
    """Stop a child and wait for its end, because the relay closes its recordings meanwhile."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(process.wait, END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        typer.echo("a process had to be killed; `relay verify` will say *open* for what it held", err=True)


class Demo:
    """One run of the relay and its cameras, until Ctrl-C."""

    def __init__(self, settings: Settings, camera_options: list[str], *, open_page: bool) -> None:
        self.settings = settings
        self.camera_options = camera_options
        self.open_page = open_page
        self.tokens = settings.data / "demo-cameras"
        self.certificate = settings.http.tls_cert
        scheme = "https" if self.certificate else "http"
        self.url = f"{scheme}://{settings.http.host}:{settings.http.port}"

    async def run(self, cameras: list[str]) -> None:
        """Run until SIGINT or SIGTERM."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        relay = cameras_process = None
        log = self.settings.data / "relay.log"
        try:
            relay = start("-m", "relay.app", *self._serve_options(), log=log)
            await until_ready(self.url, self.certificate, relay, log)
            cameras_process = self._start_cameras(cameras)
            typer.echo(f"ready {self.url}")
            if self.open_page:
                await asyncio.to_thread(webbrowser.open, self.url)
            await self._watch(stop, relay, log)
        finally:
            await end(cameras_process)
            await end(relay)
        typer.echo(f"stopped; recordings in {self.settings.data / 'vault'} are closed: check one with `relay verify`")

    def _serve_options(self) -> list[str]:
        options = ["serve", "--data", str(self.settings.data), "--port", str(self.settings.http.port)]
        return [*options, "--tls"] if self.certificate else options

    def _start_cameras(self, cameras: list[str]) -> "subprocess.Popen[bytes]":
        options = ["--url", self.url, "--tokens", str(self.tokens), "--cameras", str(len(cameras)), *self.camera_options]
        if self.certificate:
            options += ["--ca", str(self.certificate)]
        return start("-m", "sim_cameras", *options, log=self.settings.data / "cameras.log")

    async def _watch(self, stop: asyncio.Event, relay: "subprocess.Popen[bytes]", log: Path) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()
            if relay.poll() is not None:
                raise OurError(f"the relay ended by itself; see {log}")


def main(
    port: Annotated[int, typer.Option(help="TCP port of the page.")] = 8080,
    data: Annotated[Path, typer.Option(help="Data folder.")] = Path("data/demo"),
    cameras: Annotated[int, typer.Option(min=1, max=64, help="How many simulated cameras.")] = 4,
    footage: Annotated[Path | None, typer.Option(help="Film that the last camera plays.")] = None,
    idle: Annotated[bool, typer.Option("--idle", help="Cameras wait for a request instead of pressing their button.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Serve over TLS with a certificate made here.")] = False,
) -> None:
    """Run a relay with simulated cameras until Ctrl-C; recordings are then closed and verifiable."""
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (data / "settings.toml").exists():
        cli.init(data=data, service="Service de démonstration")
    http: dict[str, object] = {"port": port}
    settings = cli.tls_settings(None, data, http) if tls else settings_of(None, data, http)
    names = [f"cam-{number}" for number in range(1, cameras + 1)]
    options = ["--idle"] if idle else []
    if footage is not None:
        options += ["--footage", f"{names[-1]}={footage}"]
    demo = Demo(settings, options, open_page=not no_open)
    known = read_tokens(demo.tokens)
    passwords, tokens = ask(settings, lambda found: furnish(found, names, known))
    write_tokens(demo.tokens, tokens)
    for role, (user, _) in PEOPLE.items():
        typer.echo(f"one-time sign-in ({role}): {user} / {passwords[user]}")
    asyncio.run(demo.run(names))


def run() -> None:
    """Run the command line; an error becomes one line."""
    keep_private()
    try:
        typer.run(main)
    except RelayError as error:
        typer.echo(f"error: {error.detail}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    run()
