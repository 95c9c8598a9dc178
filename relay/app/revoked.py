"""The revoked keys of an installation, and the recordings for which each still vouches.

Owns: which files and keys of the data folder are read.  Must never know: private keys, nor how they are
judged (`relay.store.revocations`).
"""

from pathlib import Path

from relay.app.settings import Settings
from relay.app.wiring import database_url, journal_name
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.evidence.statement import predecessors, successions_in
from relay.store.database import Database
from relay.store.revocations import Attested, attested, revoked_keys


def revoked_file(settings: Settings) -> Path:
    """Return the path of the list of revoked keys."""
    return settings.data / "keys" / "revoked"


async def attested_here(settings: Settings, public_key: bytes) -> Attested:
    """Return each revoked key with the heads attested before; `public_key` is the pinned one.  Raises OurError, TheirError."""
    revoked = revoked_keys(revoked_file(settings))
    if not revoked:
        return {}
    successions = settings.data / "keys" / "successions"
    keys = [public_key, *predecessors(public_key, successions_in(successions.read_bytes()) if successions.exists() else [])]
    database = await Database.open(database_url(settings), Counters())
    try:
        checkpoints = settings.data / "journal" / "checkpoints"
        return await attested(database, checkpoints, keys, journal_name(keys[-1]), SystemClock().utc_ns(), revoked)
    finally:
        await database.close()
