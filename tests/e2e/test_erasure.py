"""After erasure no file of a real relay's data folder holds the recording's key, plain or wrapped, nor its day's."""

from datetime import date
from pathlib import Path

import pytest

from relay.app.settings import settings_of
from relay.app.wiring import open_stores
from relay.archive.retention import Retention
from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.people.authorize import Authorizer
from relay.policy.retention import due_ns
from relay.store.keyring import Keyring
from relay.store.wrapping import FileKek, day_context
from tests.e2e.conftest import Scene

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def holding(data: Path, secrets: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return (what, file) for each file that holds one of these byte strings, raw or in hexadecimal."""
    files = [path for path in data.rglob("*") if path.is_file()]
    assert {"relay.db", "checkpoints", "serve.log"} <= {path.name for path in files}
    found = []
    for path in files:
        content = path.read_bytes()
        for what, secret in secrets.items():
            if secret in content or secret.hex().encode() in content.lower():
                found.append((what, path.name))
    return found


async def test_erased_means_that_no_file_holds_the_key(scene: Scene) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
    assert await scene.relay.stop() == 0
    data = scene.relay.data
    (recording,) = scene.relay.recordings()
    keyring = Keyring(data / "keys")
    day = keyring.expires_on(recording.name)
    assert day is not None
    wrapped, of_day = data / "keys" / "wrapped" / day / f"{recording.name}.key", data / "keys" / "days" / f"{day}.key"
    secrets = {
        "plain": keyring.recording_key(recording.name),
        "wrapped": wrapped.read_bytes(),
        "day, wrapped": of_day.read_bytes(),
        "day, plain": FileKek((data / "keys" / "kek.key").read_bytes()).unwrap(of_day.read_bytes(), day_context(day)),
    }
    assert set(holding(data, secrets)) == {("wrapped", wrapped.name), ("day, wrapped", of_day.name)}
    clock, counters = ManualClock(due_ns(date.fromisoformat(day)) + 1), Counters()
    stores = await open_stores(settings_of(None, data), clock, counters)

    async def nobody_watches(_recording: str, _reason: str) -> None:
        """The relay stands still."""

    catalogue, journal, vault = stores.catalogue, stores.journal, stores.vault
    retention = Retention(
        catalogue, journal, Authorizer(journal, clock), vault, stores.keyring, clock, counters, end_views=nobody_watches
    )
    try:
        assert (await retention.sweep()).erased == (recording.name,)
        assert holding(data, secrets) == []
    finally:
        await journal.close()
        await stores.database.close()
    assert not recording.exists()
    assert holding(data, secrets) == []
