"""Session keys of recorders: how long they are valid, and their renewal in time.

Owns: when a recorder gets a new session key.  Must never know: what is signed with it.

A recorder signs with a session key, certified by the relay's long-term key for 31 days.  A recorder may run for longer, and a
signature after the certificate's end proves no time.  So each week the recorder is given a new session key, which takes over
the open recordings by a KeyRollover (FORMAT.md §3.7).
"""

import asyncio
import logging

from relay.base.clock import SECOND_NS, Clock
from relay.base.counters import Counters, declare
from relay.base.errors import RelayError
from relay.channel.messages import Done, RecorderReport, SessionRenew
from relay.live.processes import ProcessClient, Processes
from relay.store.keyring import Keyring

logger = logging.getLogger(__name__)

DAY_NS = 86_400 * SECOND_NS
LIFE_NS = 31 * DAY_NS
RENEW_BEFORE_NS = 24 * DAY_NS
"""A session key that is valid for less than that is renewed: weekly, with three weeks left to repair what prevents it."""
EVERY_SECONDS = 600.0

declare(
    sessions_renewed="session keys given to recorders that run",
    sessions_not_renewed="session keys that a recorder should have got and did not; tried again ten minutes later",
)


def issue(keyring: Keyring, index: int, now_ns: int) -> tuple[bytes, bytes]:
    """Return a new session key for a recorder: (seed of 32 bytes, encoded certificate); raises OurError where a token fails.

    The certificate begins a day ago, so that a wall clock that is stepped back (a wrong hour, a wrong time zone) does not make
    signatures look premature.
    """
    return keyring.issue_session("recorder", index, now_ns - DAY_NS, now_ns + LIFE_NS)


class SessionKeys:
    """Hands out new session keys; `tick` is called each `EVERY_SECONDS`."""

    def __init__(self, processes: Processes, keyring: Keyring, clock: Clock, counters: Counters) -> None:
        self._processes = processes
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._until: dict[int, int] = {}
        processes.on(RecorderReport, self._on_report)

    def remaining(self) -> dict[str, float]:
        """Return the seconds for which each recorder's session key is still valid, by the recorder's name."""
        now_ns = self._clock.utc_ns()
        return {f"recorder-{index}": (until - now_ns) / SECOND_NS for index, until in self._until.items()}

    async def tick(self) -> None:
        """Renew each key that ends soon; a failure is logged, counted and tried again the next time."""
        for process in self._processes.recorders:
            until = self._until.get(process.index)
            if process.up and until is not None and until - self._clock.utc_ns() < RENEW_BEFORE_NS:
                await self._renew(process)

    async def _renew(self, process: ProcessClient) -> None:
        try:
            seed, certificate = await asyncio.to_thread(issue, self._keyring, process.index, self._clock.utc_ns())
            await process.ask(SessionRenew(seed, certificate), Done)
        except RelayError as error:
            self._counters.count("sessions_not_renewed")
            logger.error("a recorder keeps its old session key", extra={"peer": process.name, "detail": error.detail})
        else:
            self._counters.count("sessions_renewed")

    def _on_report(self, process: ProcessClient, report: RecorderReport) -> None:
        if report.session_until_ns is not None:
            self._until[process.index] = report.session_until_ns
