"""Session keys of recorders: how long they are valid, and their renewal in time.

Owns: when a recorder gets a new session key.  Must never know: what is signed with it.

A recorder signs with a session key, certified by the relay's long-term key for a day at most (FORMAT.md §7.2).  A recorder may
run for longer, and a signature after the certificate's end proves no time.  So at half of its life the key is followed by a new
one, which takes over the open recordings by a KeyRollover (FORMAT.md §3.7).  A key also gets a follower when the wall clock was
stepped so far that the certificate does not begin before the new time.

Where no new key can be had (the token is out, control is away), the recorder signs on with the old one and every recording goes
on.  What it signs after the certificate's end is of no proved time, and a verifier says so.
"""

import asyncio
import logging

from relay.base.clock import SECOND_NS, Clock
from relay.base.counters import Counters, declare
from relay.base.errors import RelayError
from relay.channel.messages import Done, RecorderReport, SessionRenew
from relay.evidence.seal import DAY_NS
from relay.live.processes import ProcessClient, Processes
from relay.store.keyring import Keyring

logger = logging.getLogger(__name__)

HOUR_NS = 3600 * SECOND_NS
BACKDATED_NS = 2 * HOUR_NS
"""A certificate begins so long before it is issued: a clock put back by an hour does not make signatures look premature."""
LIFE_NS = DAY_NS - BACKDATED_NS
"""For how long a certificate is valid from its issue."""
RENEW_BEFORE_NS = DAY_NS // 2
"""A session key whose certificate is valid for less than that is renewed; as much is left to repair what prevents it."""
EVERY_SECONDS = 10.0
RETRY_SECONDS = 60.0
"""After a renewal that failed; a token that is out for a night must not fill the log."""

declare(
    sessions_renewed="session keys given to recorders that run",
    sessions_not_renewed="session keys that a recorder should have got and did not; tried again a minute later",
)


def issue(keyring: Keyring, index: int, now_ns: int) -> tuple[bytes, bytes]:
    """Return a new session key for a recorder: (seed of 32 bytes, encoded certificate); raises OurError where a token fails.

    The seed is written to no file: it reaches the recorder over its standard input or its socket.
    """
    return keyring.issue_session("recorder", index, now_ns - BACKDATED_NS, now_ns + LIFE_NS)


def is_due(until_ns: int, now_ns: int) -> bool:
    """Return whether a key whose certificate ends at `until_ns` is to be followed by a new one."""
    remaining_ns = until_ns - now_ns
    return remaining_ns < RENEW_BEFORE_NS or remaining_ns > LIFE_NS + HOUR_NS


class SessionKeys:
    """Hands out new session keys; `tick` is called each `EVERY_SECONDS`."""

    def __init__(self, processes: Processes, keyring: Keyring, clock: Clock, counters: Counters) -> None:
        self._processes = processes
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._until: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        """By recorder, the monotonic time before which a failed renewal is not tried again."""
        processes.on(RecorderReport, self._on_report)

    def remaining(self) -> dict[str, float]:
        """Return the seconds for which each recorder's session key is still valid, by the recorder's name."""
        now_ns = self._clock.utc_ns()
        return {f"recorder-{index}": (until - now_ns) / SECOND_NS for index, until in self._until.items()}

    async def tick(self) -> None:
        """Renew each key that is due; a failure is logged, counted and tried again `RETRY_SECONDS` later."""
        for process in self._processes.recorders:
            until = self._until.get(process.index)
            waits = self._clock.monotonic() < self._not_before.get(process.index, 0.0)
            if process.up and until is not None and not waits and is_due(until, self._clock.utc_ns()):
                await self._renew(process)

    async def _renew(self, process: ProcessClient) -> None:
        now_ns = self._clock.utc_ns()
        try:
            seed, certificate = await asyncio.to_thread(issue, self._keyring, process.index, now_ns)
            await process.ask(SessionRenew(seed, certificate), Done)
        except RelayError as error:
            self._counters.count("sessions_not_renewed")
            self._not_before[process.index] = self._clock.monotonic() + RETRY_SECONDS
            logger.error("a recorder keeps its old session key", extra={"peer": process.name, "detail": error.detail})
        else:
            self._until[process.index] = now_ns + LIFE_NS
            self._counters.count("sessions_renewed")

    def _on_report(self, process: ProcessClient, report: RecorderReport) -> None:
        if report.session_until_ns is not None:
            self._until[process.index] = report.session_until_ns
