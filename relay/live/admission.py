"""Whether a publish session that a worker has just opened may still begin.

Owns: the second look at camera, token and intervention, and why a recording exists.
Must never know: the channel, who publishes where.
"""

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.live.capture import Circumstances
from relay.live.publish_sessions import PublishSession
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.accounts import Accounts, Camera
from relay.store.catalogue import Catalogue


class Admission:
    """Reads again what may have changed while recorder and worker were asked, which takes seconds where they are busy.

    Every read raises OurError once its deadline has passed.
    """

    def __init__(self, catalogue: Catalogue, accounts: Accounts) -> None:
        self._catalogue = catalogue
        self._accounts = accounts
        self._revocations: dict[str, int] = {}

    def revoke(self, camera: str) -> None:
        """Note that a camera's token was revoked or replaced."""
        self._revocations[camera] = self.revocations(camera) + 1

    def revocations(self, camera: str) -> int:
        """Return how often a camera's token was revoked or replaced since the start."""
        return self._revocations.get(camera, 0)

    async def camera(self, camera: str, deadline: Deadline = NO_DEADLINE) -> Camera | None:
        """Return a camera's enrolment, None where it is not enrolled or its token was revoked (SEC-02)."""
        found = await self._accounts.within(deadline).camera(camera)
        return found if found is not None and found.revoked_ns is None else None

    async def circumstances(self, recording: str | None, deadline: Deadline = NO_DEADLINE) -> Circumstances:
        """Return why a recording exists."""
        if recording is None:
            return Circumstances("", "", "", None)
        known = await self._catalogue.within(deadline).recordings.get(recording)
        return Circumstances(known.intervention, known.trigger, known.threat, known.bearer)

    async def is_begun(self, recording: str) -> bool:
        """Return whether the catalogue knows a recording."""
        try:
            await self._catalogue.recordings.get(recording)
        except TheirError:
            return False
        return True

    async def is_recording_of(self, recording: str, camera: str, recorder: int) -> bool:
        """Return whether a recording, not erased, is of this camera and was begun on this recorder, or on one not known."""
        try:
            row = await self._catalogue.recordings.get(recording)
        except TheirError:
            return False
        return row.camera == camera and row.state != "erased" and row.recorder in (None, recorder)

    async def check(self, publish_session: PublishSession, revocations: int, deadline: Deadline) -> None:
        """Check a publish session that began when `revocations` was the camera's count.

        Raises TheirError UNAUTHENTICATED (revoked: SEC-02) or CONFLICT (its intervention was closed: LIV-07).
        """
        camera = await self.camera(publish_session.camera.camera, deadline)
        if camera is None:
            raise TheirError(Kind.UNAUTHENTICATED, "token revoked", code=Code.TOKEN_REVOKED)
        interventions = self._catalogue.within(deadline).interventions
        if (await interventions.get(publish_session.circumstances.intervention)).closed_ns is not None:
            raise TheirError(Kind.CONFLICT, "the intervention was closed", code=Code.INTERVENTION_CLOSED)
        if self.revocations(camera.camera) != revocations:
            raise TheirError(Kind.UNAUTHENTICATED, "token revoked", code=Code.TOKEN_REVOKED)
