"""One outgoing copy of one camera's track to one viewer slot: everything that is rewritten on the way.

Owns: the SSRC, sequence and time base of a leg, and which packets it sends.  Must never know: keys,
sockets, leases, people.

Indices (48 bits, ROC << 16 | SEQ) rise without a gap of our making: over a switch of camera, and over frames left out on
purpose.  A range that the camera's own loss left open stays open and may be filled late, once.  An index is given out only
where it is above every index before, or lies in an open range (I10 by construction).

A frame that is left out takes no index, so packets before and after it have different shifts.  A late packet gets the shift of
its own stretch, and fills its place even where its frame is not wanted, because the viewer sees a gap there.

The time base goes on with our clock over a switch.  Packets replayed at a start carry compressed timestamps, so that the
viewer shows the newest picture at once.

A burst that a leg admits is sent with `index + leg.shift` and `timestamp + leg.timestamp_shift`.  In the ordinary case this
costs a few comparisons per burst.  Late packets, a replay, and bursts with frames left out are put into a burst of the leg's
own, whose packets are renumbered so that the same two sums hold.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from struct import Struct

from relay.base.missing_ranges import MissingRanges
from relay.fanout.resend import History
from relay.rtp.burst import MAX_BURST_PACKETS, Burst, HeaderTemplate, MediaPacket, Part

MAX_MISSING_RANGES = 512
"""Ranges of indices left open by the camera's losses."""
MAX_BACK = 1000
"""How far behind the newest index a late packet is still sent: less than a replay window (`transport.srtp.WINDOW`)."""
MAX_EARLIER = 64
"""Stretches between packets left out that are remembered: 2 s of every other frame at 60 a second."""
REPLAY_STEP = 90
"""RTP ticks (1 ms of video) between two replayed pictures."""
START_MASK = 0x7FFF
"""First sequence numbers stay in the lower half: a lost first packet cannot upset the roll-over count (RFC 3711 §3.3.1)."""
_M32 = 0xFFFFFFFF

_pack = Struct(">BBHII").pack
_start = itemgetter(0)


@dataclass(frozen=True, slots=True)
class LegSpec:
    """What was agreed with the viewer for one m-line."""

    ssrc: int
    clock_rate: int
    template: HeaderTemplate
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None


class Leg:
    """State of one leg: `start` with a source (or another layer), `admit` or `thin` for each burst, `stop` at its end."""

    def __init__(self, spec: LegSpec, first_sequence: int, first_timestamp: int, first_rtx: int) -> None:
        """The three firsts are random numbers (RFC 3550 §5.1)."""
        self.spec = spec
        self.high = (first_sequence & START_MASK) - 1
        self.rtx_high = (first_rtx & START_MASK) - 1
        self.running = False
        self.packets = 0
        self.octets = 0
        self.shift = 0
        self.timestamp_shift = 0
        self.history = History()
        self._keeps = spec.rtx_ssrc is not None
        self._missing = MissingRanges(MAX_MISSING_RANGES)
        self._first = 0
        """Where the current stretch begins, in the camera's indices."""
        self._earlier: list[tuple[int, int, int]] = []
        """(start, end, shift) of the stretches before it in which indices may still be open."""
        self._left_out: int | None = None
        """Timestamp of the last picture left out."""
        self._replayed = -1
        self._compressed: dict[int, int] = {}
        self._last_timestamp = first_timestamp & _M32
        self._last_at: float | None = None

    @property
    def missing_ranges(self) -> int:
        """How many ranges of indices the camera's losses left open."""
        return len(self._missing)

    # --- source --------------------------------------------------------------------------------------------------------

    def start(self, replay: Sequence[MediaPacket], now: float) -> list[Burst]:
        """Begin with a source: return the bursts that replay its packets in order.

        `replay` begins with a keyframe; of sound it is the newest packet.  It must not be empty.  Later packets go through
        `admit`.
        """
        pictures = list(dict.fromkeys(media.timestamp for media in replay))
        newest = self._new_base(len(pictures), now)
        self.timestamp_shift = (newest - pictures[-1]) & _M32
        self._compressed = {
            timestamp: (pictures[-1] - (len(pictures) - 1 - place) * REPLAY_STEP) & _M32
            for place, timestamp in enumerate(pictures[:-1])
        }
        self._first = replay[0].index
        self.shift = self.high + 1 - self._first
        self._replayed = replay[-1].index + self.shift
        self._forget_source()
        self._last_timestamp = newest
        self.running = True
        return [self._note(burst, now) for burst in self._own(replay)]

    def stop(self) -> None:
        """End the source.  A new one continues sequence and time; packets of the old one are not resent."""
        self.running = False
        self.history.clear()
        self._compressed = {}
        self._forget_source()

    def _forget_source(self) -> None:
        self._missing.clear()
        self._earlier.clear()
        self._left_out = None

    def _new_base(self, pictures: int, now: float) -> int:
        """Return the timestamp of the newest replayed picture: later by our clock than the last packet, and never earlier."""
        elapsed = int((now - self._last_at) * self.spec.clock_rate) if self._last_at is not None else 0
        return (self._last_timestamp + max(elapsed, pictures * REPLAY_STEP)) & _M32

    # --- packets -------------------------------------------------------------------------------------------------------

    def admit(self, burst: Burst, now: float) -> Burst | None:
        """Return the burst to seal and send for one of the source: the same (the rule), one of its new packets, or None."""
        if not self.running:
            return None
        first = burst.first + self.shift
        if first <= self.high or burst.first < self._first:
            own = self._own(burst.packets)
            return self._note(own[0], now) if own else None
        if burst.gapped:
            for media in burst.packets:
                self._claim(media.index + self.shift)
        elif first > self.high + 1:
            self._missing.add(self.high + 1, first)
        self.high = last = burst.last + self.shift
        self._last_timestamp = burst.timestamp + self.timestamp_shift & _M32
        self._last_at = now
        self.packets += burst.count
        self.octets += burst.octets
        if self._keeps:
            self.history.keep_in_order((first, last, burst.arrival, (burst, self.shift, self.timestamp_shift)))
        return burst

    def thin(self, burst: Burst, wanted: Callable[[MediaPacket], bool], now: float, *, alone: bool = False) -> Burst | None:
        """As `admit`, without the packets that are not wanted; the viewer sees no gap.

        `alone`: wanted packets need no others, so that losses between two packets left out need no open range.
        """
        if not self.running:
            return None
        kept: list[tuple[int, MediaPacket]] = []
        for media in burst.packets:
            if media.index + self.shift > self.high and not wanted(media):
                self._leave_out(media, alone)
            elif (index := self._place(media)) is not None:
                kept.append((index, media))
        return self._note(Burst([self._renumbered(index, media) for index, media in kept]), now) if kept else None

    def _leave_out(self, media: MediaPacket, alone: bool) -> None:
        """Let the next packet follow the last one sent; ranges that the camera lost in between stay open."""
        before = media.index + self.shift - 1
        is_sent_between = self.high - self.shift >= self._first
        if before > self.high and (is_sent_between or not (alone or media.timestamp == self._left_out)):
            self._missing.add(self.high + 1, before + 1)
            self.high = before
        if not self._missing:
            self._earlier.clear()
        elif self.high - self.shift >= self._first:
            self._earlier.append((self._first, self.high - self.shift + 1, self.shift))
            del self._earlier[:-MAX_EARLIER]
        self.shift = self.high - media.index
        self._first = media.index + 1
        self._left_out = media.timestamp

    def _note(self, burst: Burst, now: float) -> Burst:
        self.packets += burst.count
        self.octets += burst.octets
        self._last_at = now
        if self._keeps:
            self.history.keep(burst, self.shift, self.timestamp_shift)
        return burst

    def _own(self, packets: Iterable[MediaPacket]) -> list[Burst]:
        placed = ((self._place(media), media) for media in packets)
        kept = [self._renumbered(index, media) for index, media in placed if index is not None]
        return [Burst(kept[at : at + MAX_BURST_PACKETS]) for at in range(0, len(kept), MAX_BURST_PACKETS)]

    def _renumbered(self, index: int, media: MediaPacket) -> MediaPacket:
        """Return the packet such that both shifts give `index` and, where its picture was replayed, that picture's time."""
        timestamp = media.timestamp
        if index <= self._replayed:
            timestamp = self._compressed.get(timestamp, timestamp)
        if timestamp == media.timestamp and index - self.shift == media.index:
            return media
        return MediaPacket(index - self.shift, timestamp, media.marker, media.payload, media.arrival)

    def _place(self, media: MediaPacket) -> int | None:
        """Claim the index of a packet; None where it was used already, or is too old."""
        shift = self.shift if media.index >= self._first else self._earlier_shift(media.index)
        return media.index + shift if shift is not None and self._claim(media.index + shift) else None

    def _earlier_shift(self, index: int) -> int | None:
        at = bisect_right(self._earlier, index, key=_start) - 1
        if at < 0 or index >= self._earlier[at][1]:
            return None
        return self._earlier[at][2]

    def _claim(self, index: int) -> bool:
        if index <= self.high:
            return index > self.high - MAX_BACK and self._missing.fill(index)
        if index > self.high + 1:
            self._missing.add(self.high + 1, index)
        self.high = index
        return True

    # --- resending -----------------------------------------------------------------------------------------------------

    def resend(self, sequences: Sequence[int], now: float) -> list[Part]:
        """Return RTX parts (RFC 4588 §4) for NACKed sequence numbers; empty where the viewer has no RTX."""
        spec = self.spec
        if spec.rtx_ssrc is None or spec.rtx_payload_type is None:
            return []
        block = spec.template.extensions(now)
        parts: list[Part] = []
        for media, index, timestamp in self.history.answer(sequences, self.high, now):
            self.rtx_high += 1
            second = spec.rtx_payload_type | media.marker << 7
            head = _pack(0x90 if block else 0x80, second, self.rtx_high & 0xFFFF, timestamp, spec.rtx_ssrc) + block
            parts.append((head, (index & 0xFFFF).to_bytes(2, "big") + media.payload, self.rtx_high))
        return parts
