"""Whether a session that a worker has just opened may still be: its camera and its intervention, read once more.

What this file owns: that last look, and why a recording exists.  What it must never know: the channel, who publishes where.
"""

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.live.capture import Circumstances
from relay.live.publish_sessions import PublishSession
from relay.store.accounts import FindCamera
from relay.store.catalogue import Catalogue


class Admission:
    """Reads what may have changed while recorder and worker were asked, which takes seconds where they are busy."""

    def __init__(self, catalogue: Catalogue, find_camera: FindCamera) -> None:
        self._catalogue = catalogue
        self.find_camera = find_camera

    async def circumstances(self, recording: str | None) -> Circumstances:
        """Return why a recording exists."""
        if recording is None:
            return Circumstances("", "", "", None)
        known = await self._catalogue.recording(recording)
        return Circumstances(known.intervention, known.trigger, known.threat, known.bearer)

    async def check(self, live: PublishSession) -> None:
        """Raise TheirError UNAUTHENTICATED (revoked: SEC-02) or CONFLICT (its intervention was closed: LIV-07)."""
        camera = await self.find_camera(live.camera.camera)
        if camera is None or camera.revoked_ns is not None:
            raise TheirError(Kind.UNAUTHENTICATED, "token revoked", code=Code.TOKEN_REVOKED)
        if (await self._catalogue.intervention(live.why.intervention)).closed_ns is not None:
            raise TheirError(Kind.CONFLICT, "the intervention was closed", code=Code.INTERVENTION_CLOSED)
