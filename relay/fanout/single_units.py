"""A stream for viewers that take single units only (RFC 6184 §6.2, packetization-mode 0): no fragments, no aggregates.

Owns: the fragmented unit that is coming in, and the numbers of the packets that come out.  Must never know: sockets, views.

A unit that was sent in fragments becomes one packet, which IP fragments on the way: the relay does not encode, so it cannot
make slices smaller.  A unit that no datagram holds goes on in its fragments; nothing better can be done.  A unit of which a
fragment was lost, or comes late, leaves one number out, so that the viewer sees a gap.
"""

from collections.abc import Iterable, Sequence

from relay.base.errors import TheirError
from relay.rtp import h264
from relay.rtp.burst import MediaPacket
from relay.rtp.h264 import FU_A, STAP_A

MAX_UNIT_BYTES = 60_000
"""A longer unit does not fit into a datagram with its headers and its seal."""
FIRST_INDEX = 65_536


class SingleUnits:
    """The packets of one leg: takes those of its stream, in the order in which they come, and returns those to be sent."""

    def __init__(self) -> None:
        self._next = FIRST_INDEX
        self._newest = -1
        """Index of the newest packet taken."""
        self._pieces: list[MediaPacket] = []
        self._bytes = 0
        self._is_passing = False
        """Whether the fragments of the unit that is coming in go on as they are."""

    def take(self, packets: Iterable[MediaPacket]) -> list[MediaPacket]:
        """Return the packets to send for those of the stream."""
        out: list[MediaPacket] = []
        for media in packets:
            if media.index <= self._newest:  # it came late: its unit was left out already
                continue
            if media.index != self._newest + 1 and self._newest >= 0:
                self._leave_out()
                self._next += 1
            self._newest = media.index
            out += self._taken(media)
        return out

    def _taken(self, media: MediaPacket) -> list[MediaPacket]:
        payload = media.payload
        kind = payload[0] & 31 if payload else 0
        if kind == FU_A and len(payload) > 1:
            return self._fragment(media)
        self._leave_out()
        if kind != STAP_A:
            return [self._numbered(media, payload, media.marker)]
        try:
            units = [unit.data for unit in h264.units(payload)]
        except TheirError:
            units = []
        return self._units(media, units)

    def _units(self, media: MediaPacket, units: Sequence[bytes]) -> list[MediaPacket]:
        return [self._numbered(media, unit, media.marker and at == len(units) - 1) for at, unit in enumerate(units)]

    def _fragment(self, media: MediaPacket) -> list[MediaPacket]:
        payload = media.payload
        if payload[1] & 0x80:
            self._leave_out()
            self._is_passing = False
        elif self._is_passing:
            return [self._numbered(media, payload, media.marker)]
        elif not self._pieces:  # its first fragment is missing
            return []
        self._pieces.append(media)
        self._bytes += len(payload)
        if self._bytes > MAX_UNIT_BYTES:
            pieces, self._pieces, self._bytes, self._is_passing = self._pieces, [], 0, True
            return [self._numbered(piece, piece.payload, piece.marker) for piece in pieces]
        if not payload[1] & 0x40:
            return []
        first = self._pieces[0]
        head = first.payload[0] & 0xE0 | first.payload[1] & 31
        unit = bytes((head,)) + b"".join(piece.payload[2:] for piece in self._pieces)
        self._pieces, self._bytes = [], 0
        return [self._numbered(first, unit, media.marker)]

    def _leave_out(self) -> None:
        """A unit is not complete and never will be."""
        self._next += bool(self._pieces)
        self._pieces, self._bytes = [], 0

    def _numbered(self, media: MediaPacket, payload: bytes, marker: bool) -> MediaPacket:
        index, self._next = self._next, self._next + 1
        return MediaPacket(
            index, media.timestamp, marker, payload, media.arrival,
            keyframe=media.keyframe, idr=media.idr, droppable=media.droppable,
        )  # fmt: skip
