"""One outgoing copy of one camera's track to one viewer slot: everything that is rewritten on the way.

What this file owns: the SSRC, sequence and time base of a leg, and which packets it sends.  What it must never know: keys,
sockets, leases, people.

The rules.  Indices (48 bits, ROC << 16 | SEQ) rise without a hole of our making: over a switch of camera, over frames left out
on purpose.  A hole that the camera's own loss left stays open and may be filled late, once: an index is returned only when it
is above every index before, or is one of those holes (I10 by construction).  The time base runs on with our clock over a
switch.  What is replayed at a start carries compressed timestamps, so that the viewer shows the newest picture at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from relay.fanout.media import Media
from relay.fanout.resend import History
from relay.rtp.header import build_extensions

Part: TypeAlias = tuple[bytes, bytes, int]
"""(header with extensions, payload, index), as the SRTP session seals it."""

MAX_HOLES = 512
REPLAY_STEP = 90
"""RTP ticks (1 ms of video) between two replayed pictures."""
START_MASK = 0x7FFF
"""First sequence numbers stay in the lower half: a lost first packet cannot upset the roll-over count (RFC 3711 §3.3.1)."""

_pack = Struct(">BBHII").pack


@dataclass(frozen=True, slots=True)
class LegSpec:
    """What was agreed with the viewer for one m-line; extension ids are None where the viewer does not have them."""

    ssrc: int
    payload_type: int
    clock_rate: int
    mid: str
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None
    mid_id: int | None = None
    abs_send_time_id: int | None = None
    playout_delay_id: int | None = None
    playout_delay_max_ms: int = 400


class Leg:
    """See the module.  `start` when a source (or another layer) is given, `forward` for each batch, `stop` when it is taken."""

    def __init__(self, spec: LegSpec, first_sequence: int, first_timestamp: int, first_rtx: int) -> None:
        """The firsts are random numbers of the caller's (RFC 3550 §5.1)."""
        self.spec = spec
        self.high = (first_sequence & START_MASK) - 1
        self.rtx_high = (first_rtx & START_MASK) - 1
        self.running = False
        self.packets = 0
        self.octets = 0
        self.timestamp_shift = 0
        self.history: History[Part] = History()
        self._holes: dict[int, None] = {}
        self._shift = 0
        self._first = 0
        self._compressed: dict[int, int] = {}
        self._last_timestamp = first_timestamp & 0xFFFFFFFF
        self._last_at: float | None = None
        self._extensions = b""
        self._extensions_at = -1

    # --- source --------------------------------------------------------------------------------------------------------

    def start(self, replay: Sequence[Media], now: float) -> list[Part]:
        """Begin with a source: send `replay` (in order, beginning a keyframe; for sound just the newest packet) at once.

        Returns the parts to send; packets that come later go through `forward`.  `replay` must not be empty.
        """
        pictures = list(dict.fromkeys(media.timestamp for media in replay))
        newest = self._new_base(len(pictures), now)
        self.timestamp_shift = (newest - pictures[-1]) & 0xFFFFFFFF
        self._compressed = {
            timestamp: (newest - (len(pictures) - 1 - place) * REPLAY_STEP) & 0xFFFFFFFF
            for place, timestamp in enumerate(pictures[:-1])
        }
        self._last_timestamp = newest
        self._first = replay[0].index
        self._shift = self.high + 1 - self._first
        self._holes.clear()
        self.running = True
        return self.forward(replay, now)

    def stop(self) -> None:
        """The source is gone; a new one continues sequence and time.  Nothing of the old one is resent."""
        self.running = False
        self.history = History()
        self._compressed = {}
        self._holes.clear()

    def _new_base(self, pictures: int, now: float) -> int:
        """Where the newest replayed picture stands: our clock ran on since the last packet, and time never goes back."""
        if self._last_at is None:
            return (self._last_timestamp + pictures * REPLAY_STEP) & 0xFFFFFFFF
        elapsed = int((now - self._last_at) * self.spec.clock_rate)
        return (self._last_timestamp + max(elapsed, pictures * REPLAY_STEP)) & 0xFFFFFFFF

    # --- packets -------------------------------------------------------------------------------------------------------

    def forward(self, batch: Sequence[Media], now: float) -> list[Part]:
        """Return the parts to seal and send for a batch of the current source, in order of arrival."""
        if not self.running:
            return []
        spec, block = self.spec, self._block(now)
        first = 0x90 if block else 0x80
        keep = self.history.keep if spec.rtx_ssrc is not None else None
        parts: list[Part] = []
        for media in batch:
            index = media.index + self._shift
            if media.index < self._first or not self._claim(index):
                continue
            timestamp = self._timestamp(media)
            second = spec.payload_type | 0x80 if media.marker else spec.payload_type
            part = (_pack(first, second, index & 0xFFFF, timestamp, spec.ssrc) + block, media.payload, index)
            parts.append(part)
            if keep is not None:
                keep(index, part)
            self.octets += len(media.payload)
        if parts:
            self.packets += len(parts)
            self._last_at = now
        return parts

    def skip(self, media: Media) -> None:
        """Leave a packet out on purpose: the viewer must see no hole.  Packets before it are not sent late any more."""
        if self.running and media.index >= self._first:
            self._shift = self.high - media.index
            self._first = media.index + 1

    def _claim(self, index: int) -> bool:
        high = self.high
        if index == high + 1:
            self.high = index
            return True
        if index > high:
            holes = self._holes
            for hole in range(max(high + 1, index - MAX_HOLES), index):
                holes[hole] = None
            while len(holes) > MAX_HOLES:
                del holes[next(iter(holes))]
            self.high = index
            return True
        return self._holes.pop(index, self) is None

    def _timestamp(self, media: Media) -> int:
        compressed = self._compressed.get(media.timestamp) if self._compressed else None
        if compressed is not None:
            return compressed
        timestamp = (media.timestamp + self.timestamp_shift) & 0xFFFFFFFF
        if (timestamp - self._last_timestamp) & 0xFFFFFFFF < 0x80000000:
            self._last_timestamp = timestamp
        return timestamp

    def _block(self, now: float) -> bytes:
        """Header extensions, the same for all packets of a batch; abs-send-time counts 1/262144 s (24 bits)."""
        spec = self.spec
        stamp = int(now * 262144) & 0xFFFFFF
        if stamp != self._extensions_at:
            values: dict[int, bytes] = {}
            if spec.mid_id is not None:
                values[spec.mid_id] = spec.mid.encode()
            if spec.abs_send_time_id is not None:
                values[spec.abs_send_time_id] = stamp.to_bytes(3, "big")
            if spec.playout_delay_id is not None:
                values[spec.playout_delay_id] = (spec.playout_delay_max_ms // 10).to_bytes(3, "big")
            self._extensions = build_extensions(values)
            self._extensions_at = stamp
        return self._extensions

    # --- resending -----------------------------------------------------------------------------------------------------

    def resend(self, sequences: Sequence[int], now: float) -> list[Part]:
        """Return RTX parts (RFC 4588 §4) for NACKed sequence numbers; empty where the viewer has no RTX."""
        spec = self.spec
        if spec.rtx_ssrc is None or spec.rtx_payload_type is None:
            return []
        parts: list[Part] = []
        for header, payload, index in self.history.answer(sequences, self.high, now):
            self.rtx_high += 1
            second = spec.rtx_payload_type | header[1] & 0x80
            timestamp = int.from_bytes(header[4:8], "big")
            head = _pack(header[0], second, self.rtx_high & 0xFFFF, timestamp, spec.rtx_ssrc) + header[12:]
            parts.append((head, (index & 0xFFFF).to_bytes(2, "big") + payload, self.rtx_high))
        return parts
