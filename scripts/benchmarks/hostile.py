"""A camera that is authenticated and tries to cost its neighbours their recordings.

Owns: what it sends.  Must never know: what is measured, the relay's limits.  It is a `Source` of the load: the same offer, the
same keys; only its packets are odd.
"""

import random

from scripts.benchmarks.load import HEADER, Source
from scripts.benchmarks.thin import VIDEO_PT
from scripts.benchmarks.video import MTU, frames

SLOTS = 200
"""Bursts a second."""
KEYFRAME_BYTES = 16 << 20
TINY_RATE, STORM_RATE, CLOCK_RATE = 10_000, 400, 1_000
"""Packets, access units of three packets, and access units of one packet, a second."""
TRICKS = {
    "sps": "another SPS at every IDR, 1200 packets/s",
    "huge": "keyframes of 16 MB, one a second",
    "tiny": "10 000 tiny packets/s",
    "clock": "1000 pictures/s with random timestamps",
    "numbers": "1000 pictures/s, each 1 to 20 000 sequence numbers after the last",
    "all": "each of these in turn, a second each",
}

_IDR, _SLICE = 0x65, 0x41
_FU = 28


class Hostile(Source):
    """A camera that plays one of `TRICKS`."""

    def __init__(self, host: str, index: int, trick: str) -> None:
        super().__init__(host, index, 64, 30, spread=False)
        self.interval = 1 / SLOTS
        self.trick = trick
        self.slot = self.stamp = self.piece = 0
        unit = frames(64, 30, 1, 160, 96)[0]
        self.sps, self.pps = (next(nal for nal in unit if nal[0] & 31 == kind) for kind in (7, 8))

    def _make_frame(self, due: float) -> None:
        """Send one burst."""
        tricks = [name for name in TRICKS if name != "all"]
        trick = tricks[self.slot // SLOTS % len(tricks)] if self.trick == "all" else self.trick
        if self.slot == 0:
            self._keyframe(0)
        getattr(self, f"_{trick}")()
        self.slot += 1

    def _put(self, payload: bytes, *, marker: bool, stamp: int | None = None) -> None:
        time = self.stamp if stamp is None else stamp
        header = HEADER.pack(0x80, VIDEO_PT | marker << 7, self.sequence & 0xFFFF, time & 0xFFFFFFFF, self.ssrc)
        self._send(self.seal(header + payload))
        self.number += 1
        self.sequence += 1

    def _keyframe(self, variant: int) -> None:
        """An IDR behind an SPS whose level is `variant` away from the usual one."""
        sps = self.sps[:3] + bytes((30 + variant % 2,)) + self.sps[4:]
        for payload in (sps, self.pps):
            self._put(payload, marker=False)
        self._put(bytes((_IDR, 0x88)) + bytes(40), marker=True)

    def _sps(self) -> None:
        for _ in range(STORM_RATE // SLOTS):
            self.stamp += 90_000 // STORM_RATE
            self._keyframe(self.number)

    def _huge(self) -> None:
        pieces = KEYFRAME_BYTES // MTU
        for _ in range(pieces // SLOTS + 1):
            begins, ends = self.piece == 0, self.piece == pieces
            self._put(bytes((0x60 | _FU, 5 | begins << 7 | ends << 6)) + bytes(MTU - 2), marker=ends)
            self.piece += 1
            if ends:
                self.piece = 0
                self.stamp += 90_000

    def _tiny(self) -> None:
        for _ in range(TINY_RATE // SLOTS):
            self.stamp += 90_000 // TINY_RATE
            self._put(bytes((_SLICE, 0x80)) + bytes(20), marker=True)

    def _clock(self) -> None:
        for _ in range(CLOCK_RATE // SLOTS):
            self._put(bytes((_SLICE, 0x80)) + bytes(20), marker=True, stamp=random.getrandbits(32))

    def _numbers(self) -> None:
        for _ in range(CLOCK_RATE // SLOTS):
            self.stamp += 90_000 // CLOCK_RATE
            self.sequence += random.randrange(20_000)
            self._put(bytes((_SLICE, 0x80)) + bytes(20), marker=True)
