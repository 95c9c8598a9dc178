"""A real recorder in a folder of its own, fed over its socket as a worker feeds it.

Owns the recorder's task and its connections.  Must never know what a test claims.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import framing, messages
from relay.channel.framing import Connection
from relay.channel.messages import Message
from relay.evidence.chain import Link, Record, iterate
from relay.evidence.seal import sha256
from relay.recorder.config import RecorderConfig
from relay.recorder.recorder import Recorder
from relay.store.keyring import Keyring
from relay.store.vault import CHAIN, Vault
from tests.support.passes import CONTROL, TAP
from tests.support.ports import until
from tests.support.rtp_source import AUDIO_SSRC, VIDEO_SSRC, Timed

KEY = bytes(range(32))
TRACKS = (
    messages.Track(VIDEO_SSRC, "video", 102, 90000, "packetization-mode=1"),
    messages.Track(AUDIO_SSRC, "audio", 111, 48000, ""),
)


@dataclass
class Place:
    """The folders of one installation."""

    root: Path
    heard: list[Message] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)

    def config(self, **changes: object) -> RecorderConfig:
        """Return a recorder's configuration with a certified session key."""
        now = time.time_ns()
        seed, certificate = Keyring(self.root / "keys").issue_session("recorder", 0, now - 10**9, now + 10**13)
        values: dict[str, object] = {
            "index": 0,
            "run_dir": str(self.root),
            "vault": str(self.root / "vault"),
            "session_seed": seed,
            "session_certificate": certificate,
            "control_pass": CONTROL,
            "tap_pass": TAP,
            "reserve_bytes": 1 << 16,
        }
        return RecorderConfig(**{**values, **changes})  # type: ignore[arg-type]

    async def connect(self, shown: bytes = CONTROL) -> Connection:
        """Connect to the recorder once it listens, as control or with another pass; what it posts goes to `heard`."""

        async def refuse(_connection: Connection, _message: Message) -> Message:
            raise TheirError(Kind.INVALID, "nothing is asked here")

        socket = self.root / "recorder-0.sock"
        hear = lambda _connection, message: self.heard.append(message)  # noqa: E731
        async with asyncio.timeout(90):
            while True:
                try:
                    connection = await framing.connect(socket, shown, on_post=hear, on_ask=refuse, counters=Counters())
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                self._reading = asyncio.create_task(connection.run())
                return connection

    def chain(self, recording: str) -> list[Record]:
        """Return every record of a chain."""
        return list(iterate((self.root / "vault" / recording / CHAIN).read_bytes()))

    def bodies(self, recording: str, kind: type) -> list[Record]:
        """Return the records of one kind."""
        return [record for record in self.chain(recording) if isinstance(record.body, kind)]

    def plain(self, recording: str) -> bytes:
        """Decrypt everything, checking every digest on the way."""
        vault = Vault(self.root / "vault")
        out = []
        for record in self.bodies(recording, Link):
            link = record.body
            assert isinstance(link, Link)
            stored = vault.read_stored(recording, link.segment, link.offset, link.stored_length)
            assert sha256(stored) == link.stored_digest
            plain = vault.read_plain(recording, KEY, link.fragment, link.segment, link.offset, link.stored_length)
            assert sha256(plain) == link.plain_digest
            out.append(plain)
        return b"".join(out)


@contextlib.asynccontextmanager
async def running(config: RecorderConfig) -> AsyncIterator[Recorder]:
    """Run a recorder as a task of this process; stop it afterwards."""
    recorder = Recorder(config)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        recorder.stop("test")
        await task


def plan(recording: str, **changes: object) -> messages.Plan:
    """Return the plan of a recording of `cam-1`, with changes."""
    values: dict[str, object] = {
        "recording": recording,
        "camera": "cam-1",
        "camera_label": "Camera 1",
        "regime": "police_municipale",
        "service": "PM Ville",
        "original": "relay",
        "bearer": None,
        "intervention": "1",
        "trigger": "bearer",
        "threat": "a crowd",
        "expires_on": "2027-01-01",
        "previous": None,
        "started_ns": time.time_ns(),
    }
    return messages.Plan(**{**values, **changes})  # type: ignore[arg-type]


async def feed(connection: Connection, recording: str, packets: list[Timed], *, realtime: float = 0.0) -> None:
    """Post packets in batches; `realtime` seconds per second of media, arrival times always as if in real time."""
    origin = time.monotonic_ns()
    batch: list[tuple[int, bytes]] = []
    until = 0.02
    for timed in packets:
        if timed.at >= until or len(batch) >= 256:
            connection.post(messages.TapPackets(recording, batch))
            await connection.drain()
            batch, until = [], max(until, timed.at + 0.02)
            await asyncio.sleep(0.02 * realtime)
        batch.append((origin + int(timed.at * 1e9), timed.packet))
    connection.post(messages.TapPackets(recording, batch))
    await connection.drain()


async def taken(connection: Connection, recorder: Recorder) -> None:
    """Wait until the recorder has read everything posted on this connection: a message about nothing comes last."""
    before = recorder.counters.values["recorder_taps_unknown"]
    connection.post(messages.TapLost("nothing", 0))
    await until(lambda: recorder.counters.values["recorder_taps_unknown"] > before)
