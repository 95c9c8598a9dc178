"""CPU of the packet path per packet, without sockets, in this tree and in another one: what a change costs.

    scripts/bench way [--against FOLDER] [--rounds 5] [--seconds 20]

A camera of 720p30, 2 Mbit/s, whose packets are whole in memory; they go through the source, into bursts and to one leg, and are
sealed.  The two trees run in turn, each run in a process of its own; of each figure the lowest of its runs counts, because on a
busy machine everything else is the machine.  Fails where this tree costs more than `MOST` times the other.

Owns: the stream and the ratio.  Must never know: sockets, how many legs a worker serves.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from relay.base.counters import Counters
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.source import Source
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp.burst import HeaderTemplate, bursts
from relay.transport.srtp import GcmSession

MOST = 1.05
FPS = 30
PIECE = 1100
VIDEO = TrackSpec(
    "video", "0", 96, 90_000, rtx_payload_type=97, nack=True, pli=True, mid_id=1, transport_cc_id=5, rtx=((2, 1),)
)  # fmt: skip
SPS = bytes.fromhex("6742c01f8c8d40a00b742000000300200000078c18d4")
FIGURES = ("receive", "leg")


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


def run(seconds: int) -> dict[str, float]:
    """Return µs of CPU per packet: in the source, and in one leg with its seal."""
    pictures = stream(seconds)
    source = Source((VIDEO,), 7, Counters(), 8_000_000, lambda stream, packet, now: None)
    leg = Leg(LegSpec(9, 90_000, HeaderTemplate(102), 10, 103), 1, 1, 1)
    session = GcmSession(bytes(28), bytes(range(28)))
    spent = dict.fromkeys(FIGURES, 0.0)
    packets = 0
    for number, picture in enumerate(pictures):
        now = 1 + number / FPS
        begun = time.process_time()
        for packet in picture:
            found = source.receive(packet, now)
        assert found is not None
        found.gathering(now)
        batch = bursts(found.take())
        spent["receive"] += time.process_time() - begun
        begun = time.process_time()
        if not leg.running:
            leg.start(found.cache.replay(), now)
        else:
            for burst in batch:
                admitted = leg.admit(burst, now)
                assert admitted is not None
                session.seal_layout(admitted.layout((leg.spec.template, 16), now), 9, leg.shift, leg.timestamp_shift)
        spent["leg"] += time.process_time() - begun
        packets += len(picture)
    return {name: value / packets * 1e6 for name, value in spent.items()}


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20)
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
    for name, figures in found.items():
        print(f"{name:<12}" + "   ".join(f"{figure} {figures[figure]:6.2f} µs" for figure in FIGURES) + "   per packet")
    if options.against is not None:
        ratios = {figure: found["this tree"][figure] / found["the other"][figure] for figure in FIGURES}
        print(f"{'ratio':<12}" + "   ".join(f"{figure} {ratio:9.3f}" for figure, ratio in ratios.items()))
        if max(ratios.values()) > MOST:
            raise SystemExit(f"this tree costs more than {MOST} times the other")


if __name__ == "__main__":
    main()
