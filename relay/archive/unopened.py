"""Recordings that an earlier control began and no recorder ever opened.

Owns: when they are looked for: once, a minute after the start of control, when every recorder has said what it holds.
Must never know: how a row is closed, keys.
"""

import asyncio
from collections.abc import Callable, Set

from relay.archive.recordings import Recordings
from relay.base.clock import SECOND_NS, Clock
from relay.store.vault import Vault

SETTLED_NS = 60 * SECOND_NS
"""An order of the earlier control may still be on its way into the vault."""


class Unopened:
    """Looks once."""

    def __init__(
        self,
        recordings: Recordings,
        vault: Vault,
        clock: Clock,
        *,
        held: Callable[[], Set[str]],
        is_ready: Callable[[], bool],
    ) -> None:
        """`held`: what recorders hold open; `is_ready`: whether all of them have said so."""
        self._recordings = recordings
        self._vault = vault
        self._clock = clock
        self._held = held
        self._is_ready = is_ready
        self._started_ns = clock.utc_ns()
        self._done = False

    async def tick(self) -> None:
        """Enter them as not opened, once it is time; call every few seconds.  Raises OurError where the disk refuses."""
        if self._done or self._clock.utc_ns() - self._started_ns < SETTLED_NS or not self._is_ready():
            return
        folders = set(await asyncio.to_thread(self._vault.recordings))
        held = self._held()
        await self._recordings.abandon_unopened(self._started_ns, lambda recording: recording in folders or recording in held)
        self._done = True
