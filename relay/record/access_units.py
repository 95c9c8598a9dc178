"""RTP packets of one H.264 track become access units: which units belong to a picture, and where it ends.

Owns: units (RFC 6184) of the picture that is coming in, and of the one after it.  Must never know: wall time, files, the other
track.

A picture is whole once it ended: with its marker where the stream's markers can be trusted, else where the next one begins
(`relay.rtp.picture_ends`).  If a marker was believed and proves wrong, the rest of its picture follows as `Rest`.  Units that
go before a picture (parameter sets, SEI, delimiters) wait for its first slice, also under another timestamp.  A marker on
them ends nothing.  Units that a receiver ignores (RFC 6184 §5.2) are left out and counted.  They cost no picture.
"""

from relay.record.assemble import Event, Packet, Rest, Sample, Track
from relay.record.decode_times import DecodeTimes
from relay.rtp.h264 import AUD, FU_A, IDR, IGNORED, PARTITION_A, PPS, SLICE, SPS, START_CODE, is_b_slice, split, units
from relay.rtp.parameter_sets import ParameterSets, Sets
from relay.rtp.picture_ends import HEADED, TRAILING, PictureEnds, Relation, is_beginning

MAX_UNIT_BYTES = 8 << 20
"""A longer access unit is dropped.  No camera that the relay accepts makes one."""
MAX_PIECES = 16_384
"""Packets of one fragmented unit, and units in one access unit: a byte in a packet of its own takes more memory than a byte."""
MAX_PENDING_BYTES, MAX_PENDING = 1 << 18, 256
"""Bytes and units that may wait for the first slice of their picture; beyond them all that wait are dropped."""
IDLE_NS = 800_000_000
"""Where markers cannot be trusted, an access unit ends when nothing of it came for so long.  It is less than the second by
which arrival times may go back in the chain (FORMAT.md §7.4)."""


_SEARCHED = 300
"""Units: ten seconds of pictures and more."""


class _Pending:
    """Units that came after the last slice, and go with the next one."""

    __slots__ = ("_bytes", "_units")

    def __init__(self) -> None:
        self._units: list[bytes] = []
        self._bytes = 0

    def put(self, kind: int, unit: bytes) -> int:
        """Add a unit; return how many had to be dropped for it.  A delimiter comes first (H.264 §7.4.1.2.3)."""
        dropped = 0
        if len(self._units) >= MAX_PENDING or self._bytes + len(unit) > MAX_PENDING_BYTES:
            dropped = len(self.take())
        if kind == AUD:
            self._units[: self._delimiters] = [unit]
        else:
            self._units.append(unit)
        self._bytes += len(unit)
        return dropped

    def precede(self, sets: list[bytes]) -> None:
        """Put parameter sets before the units, those that are not among them: the next picture may be the first to use them."""
        missing = [unit for unit in sets if unit not in self._units]
        self._units[self._delimiters : self._delimiters] = missing

    def take(self) -> list[bytes]:
        """Return all, and keep none."""
        units, self._units, self._bytes = self._units, [], 0
        return units

    @property
    def _delimiters(self) -> int:
        return int(bool(self._units) and self._units[0][0] & 31 == AUD)


class H264Track(Track):
    """H.264 of packetization-mode 1 and 0."""

    def __init__(self, window_ns: int, sets: ParameterSets | None = None) -> None:
        """`sets`: those in force already, from the offer or from an earlier connection; it is kept up to date."""
        super().__init__(window_ns)
        self._ends = PictureEnds()
        self._decoded = DecodeTimes()
        self._sets = ParameterSets() if sets is None else sets
        for unit in self._sets.units:
            self._ends.learn(unit)
        self._fresh: list[bytes] = []
        """Sets that came in force since the last sample, at most `MAX_PENDING`."""
        self._carried: list[bytes] = []
        """Those of them that the access unit has."""
        self._in_force: Sets | None = None
        """With a keyframe: the parameter sets in force when it began."""
        self._timestamp: int | None = None
        """Of the last packet."""
        self._time = self._arrival = 0
        """Of the picture: its timestamp, and when it came."""
        self._touched = 0
        """Arrival of the last packet of the access unit."""
        self._timed_out = False
        """Whether the last access unit ended because nothing more of it came."""
        self._units: list[bytes] = []
        self._pending = _Pending()
        self._first: bytes | None = None
        """The first slice of the access unit."""
        self._pieces: list[bytes] | None = None
        self._search = _SEARCHED
        """In how many further fragmented units start codes are looked for, whatever their kind."""
        self._bytes, self._damaged = 0, False
        self._keyframe = False
        self._marks = False
        """Whether the camera sets the marker bit at all."""
        self._omits = False
        """Whether a whole picture had none."""
        self._marked = False
        """Whether the last packet had it."""
        self._ended = True
        self._is_rest = False
        """Whether what comes in belongs to a picture that was given out already."""
        self._given = False
        """Whether the last access unit was given out as a sample."""

    @property
    def wrong_markers(self) -> int:
        """Markers that came before the end of their picture."""
        return self._ends.wrong

    @property
    def is_arriving(self) -> bool:
        """Whether an access unit has begun to come that may still become whole."""
        begun = self._first is not None or self._pieces is not None
        return begun and not self._ended and not self._damaged

    def advance(self, now: int) -> list[Event]:
        """Let time pass; return the events that became complete."""
        out = super().advance(now)
        if self._waits_for_the_next and now - self._touched >= IDLE_NS:
            self._timed_out = True
            self._end_unmarked(out)
        return out

    def deadline(self) -> int | None:
        """Return when `advance` has something to do (monotonic nanoseconds), None while nothing waits."""
        held = super().deadline()
        return self._touched + IDLE_NS if held is None and self._waits_for_the_next else held

    def flush(self) -> list[Event]:
        """Return everything that waits; the last access unit only where the camera set a marker, or never sets one."""
        out = super().flush()
        self._end_unmarked(out)
        return out

    @property
    def _waits_for_the_next(self) -> bool:
        """Whether only the next picture ends this one, because no marker does."""
        return not self._ended and (not self._marks or self._omits or self._marked or not self._ends.trusted)

    def _end_unmarked(self, out: list[Event]) -> None:
        """End an access unit of which no more came: it is whole where it has a marker, or where the camera omits markers."""
        if self._marked:
            self._complete_pieces(out)
        if not (self._marked or self._omits) and (self._marks or self._last is None):
            self._damaged = True
        self._finish(out)

    def _interrupted(self) -> None:
        if not self._ended:
            self._damaged = True
        self._pieces = None
        self._pending.take()

    def _depacketise(self, item: Packet, after_loss: bool, out: list[Event]) -> None:
        timestamp, marker, payload, arrival = item
        if not payload:
            return
        if timestamp != self._timestamp or self._ended:
            self._next(item, after_loss, out)
        elif arrival - self._arrival > IDLE_NS:
            self._arrival = arrival
        self._touched = arrival
        self._marked = marker
        if payload[0] & 31 == FU_A and len(payload) > 1 and payload[1] < 0x80:
            self._continue(payload, out)
        else:
            self._add(payload, out)
        if marker:
            self._marks = True
            if self._first is not None and self._ends.trusted and self._pieces is None:
                self._finish(out)

    # --- where one picture ends and another begins ---------------------------------------------------------------------

    def _next(self, item: Packet, after_loss: bool, out: list[Event]) -> None:
        """Take note of a packet that came after a marker, or that has another timestamp than the one before it."""
        timestamp, _, payload, arrival = item
        if self._goes_on(timestamp, payload, arrival, after_loss):
            self._timestamp = timestamp
            if self._ended:
                self._ends.contradicted()
                self._reopen(after_loss)
            return
        if not after_loss:
            self._complete_pieces(out)
        if arrival - self._touched > IDLE_NS:
            self._end_unmarked(out)
        elif not (after_loss or self._ended or self._damaged or self._marked or self._first is None):
            self._omits = True
        self._finish(out)
        is_rest = self._timed_out and timestamp == self._timestamp
        self._begin(timestamp, arrival)
        self._damaged = is_rest or (after_loss and not _begins_picture(payload))

    def _goes_on(self, timestamp: int, payload: bytes, arrival: int, after_loss: bool) -> bool:
        """Return whether a packet belongs to the picture before it although that ended, or has another timestamp."""
        first = self._first
        if timestamp == self._timestamp:
            return first is not None and not self._timed_out and self._ends.continues(first, payload)
        if after_loss or is_beginning(payload) or arrival - self._touched > IDLE_NS:
            return False
        if self._pieces is not None:
            return payload[0] & 31 == FU_A
        found = units(payload)
        return bool(first and found and found[0].start and self._ends.relation(first, found[0].data) is Relation.SAME)

    def _begin(self, timestamp: int, arrival: int) -> None:
        self._timestamp = self._time = timestamp
        self._arrival, self._ended, self._timed_out, self._is_rest, self._damaged = arrival, False, False, False, False
        self._units, self._pieces, self._bytes, self._first = [], None, 0, None
        self._keyframe, self._in_force = False, None

    def _reopen(self, after_loss: bool) -> None:
        """Take the rest of a picture that a wrong marker ended."""
        self._is_rest, self._ended, self._units = True, False, []
        self._damaged = after_loss or not self._given

    def _finish(self, out: list[Event]) -> None:
        if self._ended:
            return
        self._ended = True
        self._given = False
        if self._damaged or self._pieces is not None:
            if not self._lost:
                self._lost = self._broken = 1
            self._pieces = None
        elif self._is_rest:
            if self._units and self._last is not None:
                out.append(Rest(self._last, b"".join(self._units)))
            self._given = True
        elif self._first is not None:
            if self._carried:
                self._fresh = [unit for unit in self._fresh if unit not in self._carried]
            time, data = self._clock.extend(self._time), b"".join(self._units)
            lead = self._lead(time, self._first)
            self._complete(Sample(time, self._arrival, data, self._keyframe, 0, self._in_force, lead), out)
            self._given = True
        self._units = []

    def _lead(self, time: int, first: bytes) -> int | None:
        decoded = self._decoded
        if self._keyframe:
            decoded.state(self._ends.held_back(first) or 0)
        lead = decoded.take(time, reordered=decoded.goes_back(time) and is_b_slice(first))
        return lead if decoded.frames else None

    # --- units ---------------------------------------------------------------------------------------------------------

    def _continue(self, payload: bytes, out: list[Event]) -> None:
        """Take a later piece of a fragmented unit (FU-A).  Most packets are such pieces."""
        self._bytes += len(payload)
        pieces = self._pieces
        if pieces is None or self._bytes > MAX_UNIT_BYTES or len(pieces) >= MAX_PIECES:
            self._damaged, self._pieces = True, None
            self.unusable += 1
            return
        pieces.append(payload[2:])
        if payload[1] & 0x40:
            self._complete_pieces(out)

    def _complete_pieces(self, out: list[Event]) -> None:
        """End a fragmented unit: at its end bit, or where that is missing and no packet was lost, before the next unit."""
        if self._pieces is None:
            return
        data, self._pieces = b"".join(self._pieces), None
        if self._is_searched(data[0] & 31) and START_CODE in data:
            self._search = _SEARCHED
            for unit in split(data):
                self._unit(unit[0] & 31, unit, out)
        else:
            self._unit(data[0] & 31, data, out)

    def _is_searched(self, kind: int) -> bool:
        """Return whether to look for start codes in a fragmented unit.

        A camera that packs a byte stream does so in keyframes, too.  So ordinary slices are searched only at the beginning, and
        for a while after one was found: that costs as much as everything else about a picture.
        """
        self._search -= self._search > 0
        return self._search > 0 or kind not in (SLICE, PARTITION_A)

    def _add(self, payload: bytes, out: list[Event]) -> None:
        self._complete_pieces(out)
        self._bytes += len(payload)
        found = units(payload)
        if not found:
            self.ignored += 1
        for kind, _, _, end, data in found:
            if end:
                self._unit(kind, data, out)
            else:
                self._pieces = [data]

    def _unit(self, kind: int, data: bytes, out: list[Event]) -> None:
        if self._bytes > MAX_UNIT_BYTES or len(self._units) >= 2 * MAX_PIECES:
            self._damaged, self._units = True, []
        elif kind in HEADED:
            self._slice(kind, data, out)
        elif kind in IGNORED:
            self.ignored += 1
        elif kind in TRAILING and self._first is not None:
            self._append(data)
        else:
            self._wait(kind, data)

    def _slice(self, kind: int, data: bytes, out: list[Event]) -> None:
        if self._first is not None and data[1:2] > b"\x7f" and not self._ends.joins(self._first, data):
            self._finish(out)  # two pictures under one timestamp
            self._begin(self._time, self._touched)
        if self._first is None:
            self._first = data
            self._carried = self._fresh[:]
            self._pending.precede(self._fresh)
        for unit in self._pending.take():
            self._append(unit)
        if kind == IDR and not self._keyframe:
            self._keyframe = True
            self._in_force = self._sets.sets(data) or self._sets.sets()
        self._append(data)

    def _append(self, data: bytes) -> None:
        self._units.append(len(data).to_bytes(4, "big"))
        self._units.append(data)

    def _wait(self, kind: int, data: bytes) -> None:
        """Keep a unit for the picture that it goes before."""
        if kind in (SPS, PPS):
            self._learn(data)
        self.unusable += self._pending.put(kind, data)

    def _learn(self, data: bytes) -> None:
        if self._sets.take(data):
            self._ends.learn(data)
            self._fresh.append(data)
            if len(self._fresh) > MAX_PENDING:
                self._fresh = list(self._sets.units)


def _begins_picture(payload: bytes) -> bool:
    """Return whether a payload can be the first of its access unit (H.264 §7.4.1.2.3): a unit that goes before a picture, or
    macroblock 0."""
    found = units(payload)
    return is_beginning(payload) and bool(found) and found[0].kind not in TRAILING
