"""A machine with several addresses: FFmpeg, which tries a single candidate, by UDP, is recorded from each of them."""

import json
from pathlib import Path

import pytest

from relay.app.tls import ensure_certificate
from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.ffmpeg_whip import ffmpeg_whip
from tests.support.relay import RelayUnderTest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOSTS = {"cam1": "127.0.0.2", "cam2": "[::1]"}
"""Neither is the address that the kernel would answer from by itself, or of the same family."""


async def test_a_camera_is_recorded_at_whichever_address_it_calls(installed: Scene, tmp_path: Path) -> None:
    certificate, key = ensure_certificate(tmp_path / "tls", "127.0.0.1")
    environment = {"RELAY_HTTP__HOST": "::", "RELAY_HTTP__TLS_CERT": str(certificate), "RELAY_HTTP__TLS_KEY": str(key)}
    relay = installed.relay.copy(tmp_path / "data", environment)
    relay.url = relay.url.replace("http:", "https:")
    try:
        await relay.start()
        told = json.loads(relay.run("doctor", "--json", expect=None))
        assert told["runs"]
        assert {"127.0.0.1", "::1"} <= set(told["media"])
        for camera, host in HOSTS.items():
            before = set(relay.recordings())
            url = f"{relay.url.replace('127.0.0.1', host)}/whip/{camera}"
            folder = tmp_path / camera
            folder.mkdir()
            async with ffmpeg_whip(url, installed.tokens[camera], folder) as process:
                (recording,) = await until_new(relay, before)
                await relay.sealed(recording)
                assert process.returncode is None
        assert await relay.stop() == 0
        for recording in relay.recordings():
            _code, verdict = relay.verify(recording)  # what a busy machine films late is no matter of addresses
            assert verdict["integrity"] == "intact as stored", verdict
    finally:
        await relay.discard()


async def until_new(relay: RelayUnderTest, before: set[Path]) -> list[Path]:
    """Wait until the vault has another recording with a chain; return it."""

    async def is_there() -> bool:
        return any((path / "chain").exists() for path in set(relay.recordings()) - before)

    await until(is_there, 120, "a recording")
    return sorted(set(relay.recordings()) - before)
