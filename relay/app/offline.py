"""Commands that take the place of control: they hold its lock, and enter what they did in the journal.

Owns: the lock and the entry.  Must never know: the command.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from relay.app.settings import Settings
from relay.app.supervise import PidLock
from relay.app.wiring import open_stores
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.store.journal import Entry, Operation


@contextmanager
def standing_still(settings: Settings) -> Iterator[None]:
    """Hold control's lock inside the block; raises OurError if the relay runs."""
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = PidLock(settings.run / "control.pid")
    try:
        yield
    finally:
        lock.release()


async def enter(settings: Settings, event: str, reason: str, **details: str | int | bool | None) -> None:
    """Open the journal and make one entry; raises OurError."""
    stores = await open_stores(settings, SystemClock(), Counters())
    try:
        entry = Entry(
            Operation.CONFIGURATION, "console", "system", motive=reason, object_type="keys", details={"event": event, **details}
        )
        await stores.journal.append(entry)
    finally:
        await stores.journal.close()
        await stores.database.close()
