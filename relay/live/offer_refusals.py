"""Refused offers in the journal: the first of each kind at once, those like it within a minute as one entry (I3).

Owns: what an entry says of a refused offer: its code, and nothing that the camera has written.  Must never know: HTTP, SDP,
why an offer is refused.
"""

from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.runtime.background import Background
from relay.store.journal import Journal

declare(offers_refused="offers of known cameras that were refused")


class OfferRefusals:
    """Enters refused offers."""

    def __init__(self, journal: Journal, background: Background, counters: Counters) -> None:
        self._journal = journal
        self._background = background
        self._counters = counters

    def take(self, camera: str, error: TheirError) -> None:
        """Take a refusal.  Never waits, never raises."""
        self._counters.count("offers_refused")
        self._background.spawn(self._enter(camera, error))

    async def _enter(self, camera: str, error: TheirError) -> None:
        await self._journal.refuse(
            camera, "camera", "publish", error.kind.value, error.code.value, object_type="camera", object_id=camera
        )
