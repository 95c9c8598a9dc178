"""The client programs of the tests: how each is called as camera and as viewer, and how what it saw is read.

Owns: their processes.  Must never know: the relay.

A program is called in two ways.  `publish URL FILM` publishes the film by WHIP; the token is the first line of its standard
input, and it ends (with a DELETE) with that.  `watch PICTURES SOUNDS` prints its offer as `{"offer": ...}`, reads
`{"answer": ...}`, writes what comes into these files, and ends with its standard input.  Both print a line of JSON for whatever
a test may ask: `version`, `state`, `status`, `deleted`.
"""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.clients.film import Film, pictures_of, sounds_of, sounds_of_packets
from tests.support.ffmpeg_whip import write_certificate

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_LEAVE_SECONDS = 20


@dataclass
class Client:
    """A running client, and the lines that it printed."""

    process: asyncio.subprocess.Process
    said: list[dict[str, Any]]
    noise: list[str] = field(default_factory=list)
    """What it printed beside its lines, and on its standard error."""
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def says(self, key: str, seconds: float = 60) -> Any:
        """Wait until the client has said something under this name; return it; raises AssertionError."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := [line[key] for line in self.said if key in line]):
                    assert not self.process.stdout.at_eof()  # type: ignore[union-attr]
                    self._more.clear()
                    await self._more.wait()
        except (TimeoutError, AssertionError):
            raise AssertionError(f"no {key!r} of {self.said} {''.join(self.noise)[-3000:]}") from None
        return found[0]

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def leave(self) -> None:
        """Have it end; raises AssertionError where it does not."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"did not end: {self.said} {''.join(self.noise)[-3000:]}") from None
        assert self.process.returncode == 0, f"ended with {self.process.returncode}: {''.join(self.noise)[-3000:]}"

    async def listen(self) -> None:
        """Read what the client prints until it ends."""
        await asyncio.gather(self._listen(self.process.stdout, json.loads), self._listen(self.process.stderr, None))

    async def _listen(self, stream: asyncio.StreamReader | None, decode: Callable[[str], Any] | None) -> None:
        assert stream is not None
        async for line in stream:
            text = line.decode(errors="replace")
            if decode is not None and text.startswith("{"):
                self.said.append(decode(text))
            else:
                self.noise.append(text)
            self._more.set()
        self._more.set()


@contextlib.asynccontextmanager
async def running(command: Sequence[str], said: list[dict[str, Any]]) -> AsyncIterator[Client]:
    """Run a client inside the block; `said` gets the lines of JSON that it prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 20)
    client = Client(process, said)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
        await client.leave()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


@dataclass
class Seen:
    """What a viewer saw: digests of pictures and of sound packets as the film has them; None: it keeps no sound packets."""

    pictures: list[str]
    sounds: list[str] | None


class Program(NamedTuple):
    """How a client is called, and how its files are read."""

    publish: Callable[[str, Film, Path], tuple[str, ...]]
    """Of URL, film and a folder of its own."""
    watch: Callable[[Path, Path], tuple[str, ...]]
    saw: Callable[[Path, Path], Seen]


def program(*command: str, film: str, saw: Callable[[Path, Path], Seen]) -> Program:
    """Return a program that is called alike in both ways; `film`: which file of a film it publishes, `path` or `units`."""
    return Program(
        lambda url, shown, _: (*command, "publish", url, str(getattr(shown, film))),
        lambda pictures, sounds: (*command, "watch", str(pictures), str(sounds)),
        saw,
    )


def node() -> str:
    """Return the Node.js that `scripts/test` found or installed."""
    installed = _ROOT / ".cache/node/bin/node"
    return str(installed) if installed.exists() else shutil.which("node") or "node"


def saw_packets(pictures: Path, sounds: Path) -> Seen:
    """Read Annex B, and sound packets behind their lengths."""
    return Seen(pictures_of(pictures), sounds_of_packets(sounds))


def _saw_ogg(pictures: Path, sounds: Path) -> Seen:
    return Seen(pictures_of(pictures), sounds_of(sounds))


def _saw_digests(pictures: Path, _: Path) -> Seen:
    return Seen(pictures.read_text().split(), None)


def _ffmpeg(url: str, film: Film, folder: Path) -> tuple[str, ...]:
    """Publish with FFmpeg's muxer, which needs a certificate of OpenSSL's taste."""
    certificate, key = write_certificate(folder)
    return (sys.executable, "-m", "tests.clients.ffmpeg_camera", url, str(film.path), str(certificate), str(key))


def _no_viewer(*_: Path) -> Any:
    raise AssertionError("FFmpeg has no WHEP client")


_GSTREAMER = ("/usr/bin/python3", str(_HERE / "gstreamer.py"))
_LIBDATACHANNEL = (node(), str(_HERE / "libdatachannel.mjs"))

PROGRAMS = {
    "gstreamer": program(*_GSTREAMER, film="path", saw=_saw_ogg),
    "gstreamer-sets-in-offer": program(*_GSTREAMER, "--sets-in-offer", film="path", saw=_saw_ogg),
    "gstreamer-no-mode": program(*_GSTREAMER, "--no-mode", film="path", saw=_saw_ogg),
    "gstreamer-b-frames": program(*_GSTREAMER, film="path", saw=_saw_ogg),
    "libdatachannel": program(*_LIBDATACHANNEL, film="units", saw=saw_packets),
    "libdatachannel-closes-first": program(*_LIBDATACHANNEL, "--closes-first", film="units", saw=saw_packets),
    "aiortc": program(sys.executable, "-m", "tests.clients.aiortc_client", film="units", saw=_saw_digests),
    "ffmpeg": Program(_ffmpeg, _no_viewer, _no_viewer),
}
"""By make and habit."""
