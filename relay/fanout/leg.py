"""One outgoing copy of one camera's track to one viewer slot: everything that is rewritten on the way.

What this file owns: the SSRC, sequence and time base of a leg, and which packets it sends.  What it must never know: keys,
sockets, leases, people.

The rules.  Indices (48 bits, ROC << 16 | SEQ) rise without a hole of our making: over a switch of camera, over frames left out
on purpose.  A hole that the camera's own loss left stays open and may be filled late, once: an index is given out only when it
is above every index before, or is one of those holes (I10 by construction).  The time base runs on with our clock over a
switch.  What is replayed at a start carries compressed timestamps, so that the viewer shows the newest picture at once.

A burst that a leg takes is sent with `index + leg.shift` and `timestamp + leg.timestamp_shift`.  The rule costs a few
comparisons per burst; everything else (late packets, a replay, frames left out) is put into a burst of the leg's own, whose
packets are renumbered so that the same two sums hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from relay.fanout.burst import LIMIT, Burst, Dress
from relay.fanout.media import Media
from relay.fanout.resend import History

Part: TypeAlias = tuple[bytes, bytes, int]
"""(header with extensions, payload, index), as the SRTP session seals it."""

MAX_HOLES = 512
REPLAY_STEP = 90
"""RTP ticks (1 ms of video) between two replayed pictures."""
START_MASK = 0x7FFF
"""First sequence numbers stay in the lower half: a lost first packet cannot upset the roll-over count (RFC 3711 §3.3.1)."""
_M32 = 0xFFFFFFFF

_pack = Struct(">BBHII").pack


@dataclass(frozen=True, slots=True)
class LegSpec:
    """What was agreed with the viewer for one m-line."""

    ssrc: int
    clock_rate: int
    dress: Dress
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None


class Leg:
    """See the module.  `start` when a source (or another layer) is given, `admit` for each burst, `stop` when it is taken."""

    def __init__(self, spec: LegSpec, first_sequence: int, first_timestamp: int, first_rtx: int) -> None:
        """The firsts are random numbers of the caller's (RFC 3550 §5.1)."""
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
        self._holes: dict[int, None] = {}
        self._first = 0
        self._replayed = -1
        self._compressed: dict[int, int] = {}
        self._last_timestamp = first_timestamp & _M32
        self._last_at: float | None = None

    # --- source --------------------------------------------------------------------------------------------------------

    def start(self, replay: Sequence[Media], now: float) -> list[Burst]:
        """Begin with a source: return the bursts that replay what has been (in order, beginning with a keyframe; for sound
        just the newest packet).  Packets that come later go through `admit`.  `replay` must not be empty.
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
        self._holes.clear()
        self._last_timestamp = newest
        self.running = True
        return [self._note(burst, now) for burst in self._own(replay, lambda media: self._claim(media.index + self.shift))]

    def stop(self) -> None:
        """The source is gone; a new one continues sequence and time.  Nothing of the old one is resent."""
        self.running = False
        self.history.clear()
        self._compressed = {}
        self._holes.clear()

    def _new_base(self, pictures: int, now: float) -> int:
        """Where the newest replayed picture stands: our clock ran on since the last packet, and time never goes back."""
        elapsed = int((now - self._last_at) * self.spec.clock_rate) if self._last_at is not None else 0
        return (self._last_timestamp + max(elapsed, pictures * REPLAY_STEP)) & _M32

    # --- packets -------------------------------------------------------------------------------------------------------

    def admit(self, burst: Burst, now: float) -> Burst | None:
        """Return what to seal and send for a burst of the current source: itself (the rule), what of it is new, or None."""
        if not self.running:
            return None
        first = burst.first + self.shift
        if first <= self.high or burst.first < self._first:
            own = self._own(burst.packets, lambda media: media.index >= self._first and self._claim(media.index + self.shift))
            return self._note(own[0], now) if own else None
        if first > self.high + 1:
            self._open_holes(first)
        if burst.gapped:
            for media in burst.packets:
                self._claim(media.index + self.shift)
        self.high = burst.last + self.shift
        self._last_timestamp = burst.timestamp + self.timestamp_shift & _M32
        return self._note(burst, now)

    def thin(self, burst: Burst, wanted: Callable[[Media], bool], now: float) -> Burst | None:
        """As `admit`, leaving out what is not wanted: the viewer sees no hole.

        Packets from before the last one left out are not sent late any more: their place in the sequence is gone.
        """
        if not self.running:
            return None
        kept: list[tuple[int, Media]] = []
        for media in burst.packets:
            if media.index < self._first:
                continue
            if wanted(media):
                if self._claim(media.index + self.shift):
                    kept.append((media.index + self.shift, media))
            elif media.index + self.shift > self.high:
                self.shift = self.high - media.index
                self._first = media.index + 1
        return self._note(Burst([self._renumbered(index, media) for index, media in kept]), now) if kept else None

    def _note(self, burst: Burst, now: float) -> Burst:
        self.packets += burst.count
        self.octets += burst.octets
        self._last_at = now
        if self._keeps:
            self.history.keep(burst, self.shift, self.timestamp_shift)
        return burst

    def _own(self, packets: Sequence[Media], wanted: Callable[[Media], bool]) -> list[Burst]:
        kept = [self._renumbered(media.index + self.shift, media) for media in packets if wanted(media)]
        return [Burst(kept[at : at + LIMIT]) for at in range(0, len(kept), LIMIT)]

    def _renumbered(self, index: int, media: Media) -> Media:
        """Return the packet such that both shifts give `index` and, where its picture was replayed, that picture's time."""
        timestamp = media.timestamp
        if index <= self._replayed:
            timestamp = self._compressed.get(timestamp, timestamp)
        if timestamp == media.timestamp and index - self.shift == media.index:
            return media
        return Media(index - self.shift, timestamp, media.marker, media.payload, media.arrival)

    def _claim(self, index: int) -> bool:
        if index <= self.high:
            return self._holes.pop(index, self) is None
        if index > self.high + 1:
            self._open_holes(index)
        self.high = index
        return True

    def _open_holes(self, index: int) -> None:
        holes = self._holes
        for hole in range(max(self.high + 1, index - MAX_HOLES), index):
            holes[hole] = None
        while len(holes) > MAX_HOLES:
            del holes[next(iter(holes))]

    # --- resending -----------------------------------------------------------------------------------------------------

    def resend(self, sequences: Sequence[int], now: float) -> list[Part]:
        """Return RTX parts (RFC 4588 §4) for NACKed sequence numbers; empty where the viewer has no RTX."""
        spec = self.spec
        if spec.rtx_ssrc is None or spec.rtx_payload_type is None:
            return []
        block = spec.dress.extensions(now)
        parts: list[Part] = []
        for media, index, timestamp in self.history.answer(sequences, self.high, now):
            self.rtx_high += 1
            second = spec.rtx_payload_type | media.marker << 7
            head = _pack(0x90 if block else 0x80, second, self.rtx_high & 0xFFFF, timestamp, spec.rtx_ssrc) + block
            parts.append((head, (index & 0xFFFF).to_bytes(2, "big") + media.payload, self.rtx_high))
        return parts
