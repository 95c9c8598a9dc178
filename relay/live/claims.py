"""What workers and recorders say of cameras and recordings that control knows better.

Owns: the count and the log of refused claims, and what control gives a worker to keep.  Must never know: SDP, HTTP.

A worker or recorder parses what strangers send, so that it may have been taken over.  Control believes it about its own
cameras and recordings only.  Two things say, also after a restart of control, which ones these are: the recording's row names
its recorder, and what a worker keeps of a session is authenticated by a key that workers cannot read (`kept`).
"""

import hashlib
import hmac
import logging

import msgspec

from relay.archive.recordings import Recordings
from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.live.circumstances import Circumstances

logger = logging.getLogger(__name__)

_TAG_BYTES = 32

declare(
    claims_refused="what a worker or recorder said of a camera or recording that is not its own: 0 is right, first is logged",
)


class Claims:
    """Counts the claims that are refused, and logs the first of each process."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._logged: set[str] = set()

    def refused(self, process: str, claim: str) -> None:
        """Note that `process` (`worker-0`) said something of what is not its own; `claim`: what, for the log."""
        self._counters.count("claims_refused")
        if process not in self._logged:
            self._logged.add(process)
            logger.error("a process claims what is not its own; it may be taken over", extra={"peer": process, "claim": claim})


class RecordingOwners:
    """Which recorder a recording was begun on, as its row says."""

    def __init__(self, recordings: Recordings, count: int) -> None:
        """`count`: how many recorders there are."""
        self._recordings = recordings
        self._count = count

    async def may_report(self, index: int, recording: str) -> bool:
        """Return whether recorder `index` may report on a recording; raises OurError while the catalogue cannot be read.

        Recorder 0 closes what recorders that are no more left open.  A recording without a row, and one of an older version,
        belongs to nobody: nothing is shown or changed by what is said of the first.
        """
        try:
            row = await self._recordings.row(recording)
        except TheirError:
            return True
        return row.recorder in (None, index) or (index == 0 and row.recorder is not None and row.recorder >= self._count)

    async def may_hold(self, index: int, recording: str, camera: str) -> bool:
        """Return whether recorder `index` may hold a recording of `camera` open; raises OurError as above."""
        try:
            row = await self._recordings.row(recording)
        except TheirError:
            return False
        # A recorder may open late what was given up: that row is closed as refused.
        is_open = row.state == "open" or (row.state == "closed" and row.reason == "refused")
        return is_open and row.camera == camera and row.recorder in (None, index)


class Kept:
    """What a worker keeps for a control that restarts: why a camera publishes, under a tag that only control can make."""

    def __init__(self, key: bytes) -> None:
        """`key`: secret of control, the same after a restart."""
        self._key = key

    def seal(self, worker: int, session: str, camera: str, circumstances: Circumstances) -> bytes:
        """Return what worker `worker` is to keep of a session."""
        body = msgspec.msgpack.encode(circumstances)
        return self._tag(worker, session, camera, body) + body

    def open(self, worker: int, session: str, camera: str, data: bytes) -> Circumstances | None:
        """Return what `seal` was given; None where this control's key did not seal it for this worker, session and camera."""
        tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(worker, session, camera, body)):
            return None
        try:
            return msgspec.msgpack.decode(body, type=Circumstances)
        except msgspec.DecodeError:
            return None

    def _tag(self, worker: int, session: str, camera: str, body: bytes) -> bytes:
        about = msgspec.msgpack.encode((worker, session, camera, body))
        return hmac.digest(self._key, about, hashlib.sha256)
