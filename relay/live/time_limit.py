"""LIV-07: the need for a live transmission ends with the threat.

Owns: the time limit of a transmission, the announcement of its end, and the confirmation that the threat goes
on.  Must never know: HTTP, workers, how a publish session ends.
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
from relay.protocol.page import AlarmReason
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.accounts import Camera
from relay.store.journal import Entry, Journal, Operation

WARNS_BEFORE_SECONDS = 600.0
"""Seconds before the end at which an alarm announces it; half of a time limit that is shorter than twice that."""


class TimeLimit:
    """How long a transmission may go on: `seconds` from its beginning, or from its last confirmation."""

    def __init__(
        self,
        streams: Streams,
        authorizer: Authorizer,
        journal: Journal,
        clock: Clock,
        seconds: float,
        *,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the journal."""
        self._deadline = deadline
        self._streams = streams
        self._authorizer = authorizer
        self._journal = journal
        self._clock = clock
        self._seconds = seconds
        self._announced: set[str] = set()
        """The secrets of the publish sessions whose near end was announced since their last confirmation."""
        self.warns_before = min(WARNS_BEFORE_SECONDS, seconds / 2)

    def ends_ns(self, publish_session: PublishSession | None) -> int | None:
        """Return when (UTC ns, to the second) a publish session ends unless it is confirmed; None without one."""
        if publish_session is None:
            return None
        return round(self._clock.utc_ns() / SECOND_NS + self._left(publish_session)) * SECOND_NS

    async def confirm(self, person: Person, camera: Camera, motive: str | None) -> None:
        """Let a transmission go on for its time limit from now; the journal entry is durable before it does.

        Raises TheirError FORBIDDEN and INCOMPLETE (journalled), CONFLICT where the camera is not live; OurError (no journal).
        """
        facts = Facts().of(camera)
        await self._authorizer.require(person, Action.CONFIRM_STREAM, facts, object_type="camera", object_id=camera.camera)
        reason = await self._motive(person, camera, motive)
        publish_session = self._require(camera)
        details: dict[str, str | int | bool | None] = {
            "event": "transmission confirmed", "recording": publish_session.recording_id,
            "intervention": publish_session.circumstances.intervention,
        }  # fmt: skip
        await self._journal.append(
            Entry(
                Operation.MODIFICATION, person.user, person.role.value, motive=reason, object_type="camera",
                object_id=camera.camera, details=details,
            ),
            deadline=self._deadline,
        )  # fmt: skip
        publish_session = self._require(camera)
        self._announced.discard(publish_session.secret)
        self._streams.confirm(publish_session)

    async def tick(self) -> None:
        """Announce the ends that are near, end what was not confirmed; call about once a second."""
        publish_sessions, over = self._streams.all(), []
        self._announced &= {publish_session.secret for publish_session in publish_sessions}
        for publish_session in publish_sessions:
            left = self._left(publish_session)
            if left < 0:
                over.append(publish_session.camera.camera)
            elif left <= self.warns_before and publish_session.secret not in self._announced:
                self._announced.add(publish_session.secret)
                self._streams.on.notify_alarm(publish_session.camera.camera, AlarmReason.ENDS_SOON)
        reason = PeerCloseReason.TIME_LIMIT
        await asyncio.gather(*(self._streams.stop(camera, reason, "stopped", None) for camera in over))

    def _left(self, publish_session: PublishSession) -> float:
        return publish_session.confirmed + self._seconds - self._clock.monotonic()

    def _require(self, camera: Camera) -> PublishSession:
        publish_session = self._streams.live(camera.camera)
        if publish_session is None:
            raise TheirError(Kind.CONFLICT, "this camera is not live", code=Code.CAMERA_NOT_LIVE)
        return publish_session

    async def _motive(self, person: Person, camera: Camera, motive: str | None) -> str:
        try:
            return check_motive(motive)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, Action.CONFIRM_STREAM, error, object_type="camera", object_id=camera.camera
            ) from None
