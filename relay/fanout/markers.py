"""Markers that lie, put right on the way to viewers (RFC 6184 §5.1: the marker bit ends a picture).

Owns: what was learned of one stream's markers, and its newest packet until it is known whether its picture goes on.
Must never know: legs, sequence numbers on the wire, when feedback is sent.

Viewers end a picture where the marker says so: with one on each slice they decode pieces, without one they show nothing.
An honest stream pays one comparison a packet, in `stream`: a marker, and another timestamp after it, come together.  Where they
do not, slice headers decide (`rtp.picture_ends`).  A stream that was found wrong is held back by one packet from then on,
because only the next packet tells.  Its pictures are then shown when the next one begins, or `END_SECONDS` after their last
packet.
"""

from collections.abc import Sequence

from relay.base.errors import TheirError
from relay.rtp import h264
from relay.rtp.burst import MediaPacket
from relay.rtp.h264 import FU_A
from relay.rtp.picture_ends import HEADED, PictureEnds, Relation, is_beginning

END_SECONDS = 0.1
"""A picture of which nothing came for so long is whole."""
UNMARKED_SECONDS = 5.0
"""Within so long after a picture without a marker, a second one tells that the camera leaves markers out.  One alone may be the
end of a stream that began anew."""


class Markers:
    """The markers of one stream."""

    __slots__ = ("_first", "_reported", "_said", "_timestamp", "_unmarked_at", "are_wrong", "corrected", "ends", "held")

    def __init__(self) -> None:
        self.are_wrong = False
        """Whether they cannot be trusted: every packet goes through `decide`."""
        self.ends = PictureEnds()
        """It must be given every parameter set that comes in force."""
        self.held: MediaPacket | None = None
        """The newest packet, as long as it is not known whether its picture goes on."""
        self.corrected = 0
        """Markers and timestamps that were put right."""
        self._reported = 0
        self._first: bytes | None = None
        """The first slice of the picture that is coming in."""
        self._timestamp: int | None = None
        """Of that picture."""
        self._said = False
        """What the camera said in the held packet."""
        self._unmarked_at = -UNMARKED_SECONDS
        """When a picture came last after one without a marker."""

    def doubt(self, newest: MediaPacket, media: MediaPacket, first: MediaPacket | None, tail: Sequence[MediaPacket]) -> bool:
        """Return whether markers are trusted no longer.

        `media` comes after `newest`, and their timestamps say otherwise than the marker of `newest`, or `media` has a marker
        in the middle of a unit.  `first`: where the last picture's first slice began; `tail`: the last packets before `media`.
        """
        self._first = _first_slice(first.payload) if first is not None and first.timestamp == newest.timestamp else None
        self._timestamp = newest.timestamp
        if media.marker and not _ends_unit(media.payload):
            self.are_wrong = True
        elif newest.marker and not _shows(newest.payload):
            self._mark(newest, False)  # parameter sets, SEI, delimiters and filler end nothing where more of the picture comes
        elif self._goes_on(newest, media):
            self._mark(newest, False)
            self.are_wrong = True
        elif not newest.marker and media.index == newest.index + 1 and _is_unmarked(newest.timestamp, tail):
            self._mark(newest, True)
            self.are_wrong = media.arrival - self._unmarked_at < UNMARKED_SECONDS
            self._unmarked_at = media.arrival
        return self.are_wrong

    def decide(self, media: MediaPacket) -> int:
        """Take the next packet of a stream whose markers are wrong; returns how many pictures are known to have ended."""
        held = self.held
        is_over = not (media.timestamp == self._timestamp if held is None else self._goes_on(held, media))
        is_cut = held is not None and media.index != held.index + 1 and not _ends_unit(held.payload)
        ended = self._end(is_over and not is_cut)
        if is_over:
            self._first, self._timestamp = None, media.timestamp
        elif self._timestamp is not None and media.timestamp != self._timestamp:
            media.timestamp = self._timestamp
            self.corrected += 1
        if self._first is None:
            self._first = _first_slice(media.payload)
        self.held, self._said, media.marker = media, media.marker, False
        return ended

    def decide_late(self, media: MediaPacket, following: MediaPacket | None) -> None:
        """Take a packet that came late into such a stream; `following` is the one behind it."""
        is_last = following is not None and following.timestamp != media.timestamp
        self._mark(media, is_last and _shows(media.payload))

    def release(self, now: float) -> int:
        """Let the held packet go where nothing came after it for `END_SECONDS`; returns how many pictures ended."""
        if self.held is None or now < self.held.arrival + END_SECONDS:
            return 0
        return self._end(True)

    def take_corrected(self) -> int:
        """Return how many were put right since the last call."""
        new, self._reported = self.corrected - self._reported, self.corrected
        return new

    def wait(self, pending: Sequence[MediaPacket], now: float) -> float:
        """Return for how many seconds to wait for the end of the picture that is coming in; 0 where packets can go."""
        held = self.held
        if held is None or pending[0].timestamp != held.timestamp or pending[-1] is not held:
            return 0.0  # a picture is over, or a packet came late
        return max(0.0, held.arrival + END_SECONDS - now)

    # --- one picture and the next --------------------------------------------------------------------------------------

    def _end(self, is_over: bool) -> int:
        """The held packet is the last one of its picture, or is not."""
        held, self.held = self.held, None
        if held is None:
            return 0
        held.marker = is_over and self._first is not None
        self.corrected += held.marker is not self._said
        return held.marker

    def _goes_on(self, before: MediaPacket, media: MediaPacket) -> bool:
        """Whether a packet goes on with the picture of the one before it."""
        first, payload = self._first, media.payload
        try:
            if media.timestamp == before.timestamp:
                return first is None or self.ends.continues(first, payload)
            if first is None or media.index != before.index + 1 or is_beginning(payload):
                return False
            if payload[0] & 31 == FU_A and len(payload) > 1 and payload[1] < 0x80:
                return True
            found = h264.units(payload)
            return bool(found) and self.ends.relation(first, found[0].data) is Relation.SAME
        except TheirError:
            return media.timestamp == before.timestamp

    def _mark(self, media: MediaPacket, marker: bool) -> None:
        self.corrected += media.marker is not marker
        media.marker = marker


def _is_unmarked(timestamp: int, tail: Sequence[MediaPacket]) -> bool:
    """Whether neither the last slice of a timestamp has a marker, nor anything behind it."""
    for media in reversed(tail):
        if media.timestamp != timestamp or media.marker:
            return False
        if _shows(media.payload):
            return True
    return False


def _shows(payload: bytes) -> bool:
    """Whether a payload carries a slice, or a piece of one."""
    try:
        return any(unit.kind in HEADED for unit in h264.units(payload))
    except TheirError:
        return False


def _ends_unit(payload: bytes) -> bool:
    """Whether the unit of a payload, or its last one, is whole with it."""
    return payload[0] & 31 != FU_A or len(payload) < 2 or bool(payload[1] & 0x40)


def _first_slice(payload: bytes) -> bytes | None:
    """Return the beginning of the first slice that a payload begins, with its NAL header."""
    try:
        return next((unit.data for unit in h264.units(payload) if unit.kind in HEADED and unit.start), None)
    except TheirError:
        return None
