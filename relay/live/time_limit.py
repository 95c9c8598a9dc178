"""LIV-07: the need for a live transmission ends with the threat.

What this file owns: its longest time, the announcement of its end, and who confirms that the threat goes on.  What it must
never know: HTTP, workers, how a session ends.
"""

import asyncio

from relay.base.clock import SECOND_NS, Clock
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.channel.messages import PeerCloseReason
from relay.live.publish_sessions import PublishSession
from relay.live.streams import Streams
from relay.people.authorize import Authorizer
from relay.policy.access import Facts
from relay.policy.motives import check_motive
from relay.policy.roles import Action, Person
from relay.store.accounts import Camera
from relay.store.journal import Entry, Journal, Operation

WARNS_BEFORE = 600.0
"""Seconds before the end at which an alarm says so; half of a longest time that is shorter than twice that."""
ENDS_SOON = "the transmission ends soon unless it is confirmed"


class TimeLimit:
    """How long a transmission may go on; `seconds` from its beginning, or from its last confirmation."""

    def __init__(self, streams: Streams, guard: Authorizer, journal: Journal, clock: Clock, seconds: float) -> None:
        self._streams = streams
        self._authorizer = guard
        self._journal = journal
        self._clock = clock
        self._seconds = seconds
        self.warns_before = min(WARNS_BEFORE, seconds / 2)

    def ends_ns(self, live: PublishSession | None) -> int | None:
        """Return when (UTC ns, to the second) a session ends unless it is confirmed; None without a session."""
        if live is None:
            return None
        return round(self._clock.utc_ns() / SECOND_NS + self._left(live)) * SECOND_NS

    async def confirm(self, person: Person, camera: Camera, motive: str | None) -> None:
        """Let a transmission go on for its longest time from now; the entry is durable before it does.

        Raises TheirError FORBIDDEN and INCOMPLETE (journalled), CONFLICT where the camera is not live; OurError (no journal).
        """
        facts = Facts(regime=camera.regime, service=camera.service, commune=camera.commune)
        await self._authorizer.require(person, Action.CONFIRM_STREAM, facts, object_type="camera", object_id=camera.camera)
        reason = await self._motive(person, camera, motive)
        live = self._require(camera)
        details: dict[str, str | int | bool | None] = {
            "event": "transmission confirmed", "recording": live.recording, "intervention": live.why.intervention,
        }  # fmt: skip
        await self._journal.append(
            Entry(
                Operation.MODIFICATION, person.user, person.role.value, motive=reason, object_type="camera",
                object_id=camera.camera, details=details,
            )
        )  # fmt: skip
        live = self._require(camera)
        live.warned = False
        self._streams.confirm(live)

    async def tick(self) -> None:
        """Announce the ends that are near, end what was not confirmed; call about once a second."""
        over = []
        for live in self._streams.all():
            left = self._left(live)
            if left < 0:
                over.append(live.camera.camera)
            elif left <= self.warns_before and not live.warned:
                live.warned = True
                self._streams.on.notify_alarm(live.camera.camera, ENDS_SOON)
        reason = PeerCloseReason.TIME_LIMIT
        await asyncio.gather(*(self._streams.stop(camera, reason, "stopped", None) for camera in over))

    def _left(self, live: PublishSession) -> float:
        return live.confirmed + self._seconds - self._clock.monotonic()

    def _require(self, camera: Camera) -> PublishSession:
        live = self._streams.live(camera.camera)
        if live is None:
            raise TheirError(Kind.CONFLICT, "this camera is not live", code=Code.CAMERA_NOT_LIVE)
        return live

    async def _motive(self, person: Person, camera: Camera, motive: str | None) -> str:
        try:
            return check_motive(motive)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, Action.CONFIRM_STREAM, error, object_type="camera", object_id=camera.camera
            ) from None
