"""CPU of the packet path per packet, without sockets, in this tree and in another one: what a change costs.

    scripts/bench way [--against FOLDER] [--rounds 10] [--seconds 8]

A camera of 720p30, 2 Mbit/s, whose packets are whole in memory; they go through the source, into bursts and to one leg, and are
sealed.  Interpreter steps are counted, which no neighbour changes; they decide: the run fails where this tree takes more than
`MOST` times those of the other.  The CPU times stand beside them.  The two trees run in turn, each run in a process of its own,
and of each time the lowest counts, because on a busy machine everything else is the machine.

Owns: the stream and the ratio.  Must never know: sockets, how many legs a worker serves.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from relay.base.counters import Counters
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.source import Source
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp.burst import Burst, HeaderTemplate, bursts
from relay.transport.srtp import GcmSession
from tests.support.steps import steps

MOST = 1.05
FPS = 30
PIECE = 1100
VIDEO = TrackSpec(
    "video", "0", 96, 90_000, rtx_payload_type=97, nack=True, pli=True, mid_id=1, transport_cc_id=5, rtx=((2, 1),)
)  # fmt: skip
SPS = bytes.fromhex("6742c01f8c8d40a00b742000000300200000078c18d4")
FIGURES = ("receive", "leg")
STEPS_SECONDS = 2


def stream(seconds: int) -> list[list[bytes]]:
    """Return the packets of each picture."""
    dice = random.Random(7)
    pictures, sequence, number = [], 0, 0
    for picture in range(seconds * FPS):
        key = picture % (2 * FPS) == 0
        payloads = [SPS, b"\x68\xce\x3c\x80"] if key else []
        payloads += fragments(b"\x65\x88" if key else b"\x41\x9a", 60_000 if key else dice.randrange(5000, 9000))
        made = []
        for payload in payloads:
            number += 1
            block = rtp.build_extensions({1: b"0", 5: (number & 0xFFFF).to_bytes(2, "big")})
            fields = {"payload_type": 96, "sequence": sequence & 0xFFFF, "timestamp": picture * 3000, "ssrc": 1}
            head = rtp.build(**fields, marker=payload is payloads[-1], extension_block=block)
            made.append(head + payload)
            sequence += 1
        pictures.append(made)
    return pictures


def fragments(head: bytes, size: int) -> list[bytes]:
    """Return a slice as FU-A packets."""
    indicator, kind = head[0] & 0xE0 | 28, head[0] & 31
    body = head[1:] + bytes(size)
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    marks = [0x80 * (at == 0) | 0x40 * (at == len(pieces) - 1) for at in range(len(pieces))]
    return [bytes((indicator, mark | kind)) + piece for mark, piece in zip(marks, pieces, strict=True)]


class Way:
    """Source, leg and seal, fed one picture after the other."""

    def __init__(self) -> None:
        self._source = Source((VIDEO,), 7, Counters(), 8_000_000, lambda stream, packet, now: None)
        self._leg = Leg(LegSpec(9, 90_000, HeaderTemplate(102), 10, 103), 1, 1, 1)
        self._session = GcmSession(bytes(28), bytes(range(28)))
        self._batch: list[Burst] = []
        self._stream: Stream | None = None

    def receive(self, picture: list[bytes], now: float) -> None:
        """Take the packets of a picture, and make bursts of them."""
        for packet in picture:
            found = self._stream = self._source.receive(packet, now)
        assert found is not None
        found.gathering(now)
        self._batch = bursts(found.take())

    def leg(self, picture: list[bytes], now: float) -> None:
        """Seal the bursts for one leg."""
        leg = self._leg
        if not leg.running:
            assert self._stream is not None
            leg.start(self._stream.cache.replay(), now)
            return
        for burst in self._batch:
            admitted = leg.admit(burst, now)
            assert admitted is not None
            self._session.seal_layout(admitted.layout((leg.spec.template, 16), now), 9, leg.shift, leg.timestamp_shift)


def run(seconds: int) -> dict[str, float]:
    """Return µs of CPU and interpreter steps per packet: in the source, and in one leg with its seal."""
    pictures = stream(seconds)
    packets = sum(map(len, pictures))
    return _measured(pictures, _timed, "µs", 1e6 / packets) | _counted(pictures[: STEPS_SECONDS * FPS])


def _measured(
    pictures: list[list[bytes]], cost: Callable[[Callable[[], None]], float], unit: str, scale: float
) -> dict[str, float]:
    way = Way()
    spent = {f"{figure} {unit}": 0.0 for figure in FIGURES}
    for number, picture in enumerate(pictures):
        for figure in FIGURES:
            spent[f"{figure} {unit}"] += cost(partial(getattr(way, figure), picture, 1 + number / FPS))
    return {name: value * scale for name, value in spent.items()}


def _counted(pictures: list[list[bytes]]) -> dict[str, float]:
    return _measured(pictures, steps, "steps", 1 / sum(map(len, pictures)))


def _timed(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def best(folder: Path, rounds: dict[str, float], seconds: int) -> dict[str, float]:
    """Run once in a tree; return the lowest figures so far."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, __file__, "--child", "--seconds", str(seconds)]
    out = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S603 - this file
    return {name: min(rounds.get(name, value), value) for name, value in json.loads(out).items()}


def main() -> None:
    """Measure, print, and fail where this tree is dearer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another tree of this project")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run(options.seconds)))
        return
    trees = {"this tree": Path(__file__).resolve().parents[2]}
    if options.against is not None:
        trees["the other"] = options.against.resolve()
    found: dict[str, dict[str, float]] = {name: {} for name in trees}
    for _ in range(options.rounds):
        for name, folder in trees.items():
            found[name] = best(folder, found[name], options.seconds)
    names = list(found["this tree"])
    for name, figures in found.items():
        print(f"{name:<12}" + "   ".join(f"{figure} {figures[figure]:8.2f}" for figure in names) + "   per packet")
    if options.against is not None:
        ratios = {figure: found["this tree"][figure] / found["the other"][figure] for figure in names}
        print(f"{'ratio':<12}" + "   ".join(f"{figure} {ratio:8.3f}" for figure, ratio in ratios.items()))
        if max(ratio for figure, ratio in ratios.items() if figure.endswith("steps")) > MOST:
            raise SystemExit(f"this tree takes more than {MOST} times the steps of the other")


if __name__ == "__main__":
    main()
