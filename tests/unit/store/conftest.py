"""A real database and journal in a temporary folder, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.store.database import Database
from relay.store.journal import Journal

ORIGIN = "relay.test/journal"


class KeySigner:
    """An Ed25519 key held in memory."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def signer() -> KeySigner:
    return KeySigner()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def database(tmp_path: Path, counters: Counters) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{tmp_path}/relay.db", counters)
    yield opened
    await opened.close()


@pytest.fixture
async def journal(
    database: Database, signer: KeySigner, clock: ManualClock, counters: Counters, tmp_path: Path
) -> AsyncIterator[Journal]:
    path = tmp_path / "journal" / "checkpoints"
    opened = await Journal.open(database, signer, ORIGIN, path, clock, counters)
    yield opened
    opened.release()
