"""A seeded maker of the H.264 streams that cameras send: habits drawn at random, and the pictures that FFmpeg sees in them.

Owns: which habits there are, how a stream of them is packed (RFC 6184), and which packets the radio loses.  Must never know:
the relay.  The bitstream is made by x264, changed as encoders of cameras make theirs, and the reference pictures are those that
FFmpeg decodes from it before anything was packed.
"""

import base64
import random
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from tests.support.rtp_source import VIDEO_SSRC, Timed, annexb_units

START = b"\0\0\0\1"
CLOCK = 90_000
FIRST_SEQUENCE, FIRST_STAMP = 65_400, 4_294_900_000
"""Both wrap early."""
SLICES = {1, 5}
SETS = {7, 8}


@dataclass(frozen=True)
class Habits:
    """What one make of camera does.  The defaults are those of a browser."""

    width: int = 320
    height: int = 240
    fps: int = 30
    gop: int = 30
    seconds: float = 3.0
    slices: int = 1
    b_frames: int = 0
    interlaced: bool = False
    refresh: bool = False
    """No IDR but the first: a column of intra blocks wanders, and a recovery point says when it is through."""
    open_gop: bool = False
    """No IDR but the first: I pictures with a recovery point."""
    crf: int = 28
    """Quality of x264; the smaller, the larger the keyframes."""
    markers: str = "right"
    """`right`; `slice`: on each slice; `unit`: on each packet that ends a unit; `none`; `sometimes`: left out at random."""
    sets: str = "each"
    """`each`: before every IDR; `first`: once; `offer`: only in the offer; `before`: in packets under the picture before's
    timestamp; `joined`: in one unit with the IDR, with start codes between; `alternate`: two identifiers in turn."""
    aggregated: bool = True
    """Small units of a picture travel in a STAP-A."""
    mode: int = 1
    """Packetization mode; 0: single units only, so pictures are cut into slices that fit."""
    mtu: int = 1100
    delimiters: bool = False
    information: bool = False
    """SEI before each picture."""
    ignored: str = ""
    """`0`, `30`, `31`: units to be ignored before each picture; `inside`: in the aggregation packet; `after`: behind."""
    filler: bool = False
    padding: bool = False
    """Bytes of padding (RFC 3550 §5.1) at the end of every fifth packet."""
    extension: str = ""
    """`one`, `two`: a header extension of one-byte or two-byte elements (RFC 8285); `bad`: one that ends too early."""
    skew: float = 0.0
    """By how much the stamps run fast (0.01: 1 %)."""
    jitter_ms: float = 0.0
    loss: float = 0.0
    """How much of the packets never comes; no repair."""
    swaps: float = 0.0
    """How many packets change places with the next."""
    doubles: float = 0.0


@dataclass(frozen=True)
class Picture:
    """One access unit: its NAL units, and when it was taken (seconds) and shown (number of the picture in output order)."""

    number: int
    at: float
    units: tuple[bytes, ...]
    key: bool


@dataclass
class Stream:
    """A made stream: its packets, the pictures in it, and the digests that FFmpeg gives the decoded pictures, as shown."""

    habits: Habits
    packets: list[Timed]
    pictures: tuple[Picture, ...]
    shown: tuple[str, ...]
    parameter_sets: tuple[bytes, ...]
    lost: frozenset[int] = frozenset()
    """Pictures of which the radio lost a packet."""

    @property
    def fmtp(self) -> str:
        """Format parameters of its offer (RFC 6184 §8.1)."""
        sets = ",".join(base64.b64encode(unit).decode() for unit in self.parameter_sets)
        told = f";sprop-parameter-sets={sets}" if self.habits.sets == "offer" else ""
        return f"packetization-mode={self.habits.mode};profile-level-id=42e01f{told}"


def drawn(seed: int, *, most_seconds: float = 3.0) -> Habits:
    """Draw the habits of one make."""
    dice = random.Random(seed)
    size = dice.choice([(320, 180), (320, 240), (352, 288), (640, 360), (322, 182), (480, 270)])
    habits = Habits(
        *size,
        fps=dice.choice([15, 20, 25, 30, 30, 50, 60]),
        gop=dice.choice([5, 15, 30, 60, 300]),
        seconds=most_seconds,
        slices=dice.choice([1, 1, 1, 2, 4, 8]),
        b_frames=dice.choice([0, 0, 0, 0, 2]),
        interlaced=dice.random() < 0.08,
        refresh=dice.random() < 0.1,
        markers=dice.choice(["right"] * 5 + ["slice", "unit", "none", "sometimes"]),
        sets=dice.choice(["each"] * 3 + ["first", "offer", "before", "joined", "alternate"]),
        aggregated=dice.random() < 0.7,
        mode=dice.choice([1, 1, 1, 1, 0]),
        mtu=dice.choice([300, 900, 1100, 1200, 1400]),
        delimiters=dice.random() < 0.3,
        information=dice.random() < 0.3,
        ignored=dice.choice([""] * 4 + ["0", "30", "31", "inside", "after"]),
        filler=dice.random() < 0.1,
        padding=dice.random() < 0.2,
        extension=dice.choice(["", "", "one", "two", "bad"]),
        jitter_ms=dice.choice([0, 0, 5, 40]),
    )
    radio = dice.choice([(0.0, 0.0, 0.0)] * 3 + [(0.002, 0.0, 0.0), (0.02, 0.01, 0.01), (0.0, 0.05, 0.02)])
    if habits.interlaced:
        habits = replace(habits, height=habits.height // 32 * 32)
    if habits.refresh:
        habits = replace(habits, sets="each" if habits.sets == "alternate" else habits.sets)
    habits = replace(habits, loss=radio[0], swaps=radio[1], doubles=radio[2])
    return replace(habits, b_frames=0) if habits.refresh or habits.interlaced else habits


# --- the bitstream ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _encoded(habits: Habits, identifier: int = 0) -> tuple[tuple[bytes, int, bool], ...]:
    """Return (Annex B access unit, output number, keyframe) in decode order."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = habits.width, habits.height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, habits.fps), Fraction(habits.fps), habits.gop
    encoder.thread_count = 1
    slices = f"slice-max-size={habits.mtu - 100}" if habits.mode == 0 else f"slices={habits.slices}"
    detail = [
        slices,
        "sliced-threads=0",
        f"bframes={habits.b_frames}",
        "rc-lookahead=0",
        "scenecut=0",
        "repeat-headers=1",
        f"sps-id={identifier}",
    ]
    detail += ["intra-refresh=1"] if habits.refresh else []
    detail += ["open-gop=1"] if habits.open_gop else []
    detail += ["interlaced=1"] if habits.interlaced else []
    options = {"preset": "ultrafast", "crf": str(habits.crf), "x264-params": ":".join(detail)}
    encoder.options = options if habits.b_frames else {**options, "tune": "zerolatency"}
    noise = np.random.default_rng(11).integers(0, 255, (habits.height, habits.width, 3), dtype=np.uint8)
    out = []
    frames: list[av.VideoFrame | None] = [None]
    for number in range(round(habits.seconds * habits.fps)):
        image = np.roll(noise // 8 + (np.arange(habits.width, dtype=np.uint8) * 2)[None, :, None], 3 * number, axis=1)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = number
        frames.insert(number, frame)
    for each in frames:
        out += [(bytes(packet), int(packet.pts or 0), packet.is_keyframe) for packet in encoder.encode(each)]
    return tuple(out)


def shown_in(data: bytes, form: str = "h264") -> tuple[str, ...]:
    """Return the digest of each picture that FFmpeg decodes, in the order in which it shows them."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"in.{form}")
        source.write_bytes(data)
        command = ("ffmpeg", "-v", "error", "-flags", "+output_corrupt", "-f", form, "-i", source)
        done = subprocess.run((*command, "-map", "0:v", "-vsync", "passthrough", "-f", "framemd5", "-"), capture_output=True)
        lines = done.stdout.decode().splitlines()
    return tuple(line.split(",")[-1].strip() for line in lines if line and line[0] != "#")


def _pictures(habits: Habits) -> tuple[tuple[Picture, ...], tuple[bytes, ...]]:
    """Return the access units as the camera sends them, without parameter sets, and the sets."""
    pictures, sets = [], []
    one, other = _encoded(habits), _encoded(habits, 1 if habits.sets == "alternate" else 0)
    groups = -1
    for number, (first, second) in enumerate(zip(one, other, strict=True)):
        groups += first[2]
        data, shown, key = second if groups % 2 else first
        units = annexb_units(data)
        sets += [unit for unit in units if unit[0] & 31 in SETS and unit not in sets]
        kept = tuple(
            unit for unit in units if unit[0] & 31 in SLICES or (unit[0] & 31 == 6 and (habits.refresh or habits.open_gop))
        )
        pictures.append(Picture(shown, number / habits.fps, kept, key))
    return tuple(pictures), tuple(sets)


# --- packing ----------------------------------------------------------------------------------------------------------


class _Packer:
    """Cuts the units of one picture into payloads with their markers."""

    def __init__(self, habits: Habits, sets: Sequence[bytes], dice: random.Random) -> None:
        self.habits, self.sets, self.dice = habits, sets, dice
        self._ids = 0

    def picture(self, picture: Picture) -> list[tuple[bytes, bool]]:
        """Return (payload, marker) of one picture."""
        habits, units = self.habits, list(picture.units)
        begins = picture.key or (habits.refresh and picture.number == 0)
        if begins and habits.sets == "joined":
            units[0] = START.join([*self.sets, units[0]])
        elif begins and (habits.sets == "each" or (habits.sets in {"first", "alternate"} and picture.number == 0)):
            units = [*self.sets, *units]
        if habits.information:
            units.insert(len(units) - len(picture.units), b"\x06\x05\x04abcd\x80")
        if habits.delimiters:
            units.insert(0, b"\x09\xf0")
        if habits.filler:
            units.append(b"\x0c" + b"\xff" * 40 + b"\x80")
        if habits.ignored in {"0", "30", "31"}:
            units.insert(0, bytes([0x60 | int(habits.ignored)]) + b"whatever")
        elif habits.ignored == "after":
            units.append(b"\x7f\x01\x02")
        return self._marked(units)

    def _marked(self, units: list[bytes]) -> list[tuple[bytes, bool]]:
        groups: list[list[bytes]] = []
        small: list[bytes] = []
        for unit in units:
            if self.habits.aggregated and self.habits.mode and unit[0] & 31 not in {0, 30, 31} and len(unit) < 200:
                small.append(unit)
                continue
            groups += [small] if small else []
            groups.append([unit])
            small = []
        groups += [small] if small else []
        out: list[tuple[bytes, bool]] = []
        for at, group in enumerate(groups):
            payloads = self._payloads(group)
            last = at == len(groups) - 1
            out += [(payload, False) for payload in payloads[:-1]]
            out.append((payloads[-1], self._marker(group, last)))
        return out

    def _marker(self, group: list[bytes], last: bool) -> bool:
        kind = self.habits.markers
        if kind == "slice":
            return last or group[-1][0] & 31 in SLICES
        if kind == "unit":
            return True
        if kind == "sometimes":
            return last and self.dice.random() < 0.7
        return last and kind == "right"

    def _payloads(self, group: list[bytes]) -> list[bytes]:
        inside = [b"\x7f\x01"] if self.habits.ignored == "inside" else []
        if len(group) > 1 or (inside and len(group[0]) < 200 and self.habits.mode and group[0][0] & 31 not in {0, 30, 31}):
            whole = b"".join(struct.pack(">H", len(unit)) + unit for unit in [*inside, *group])
            if len(whole) < self.habits.mtu:
                return [b"\x78" + whole]
            return [payload for unit in group for payload in self._payloads([unit])]
        unit = group[0]
        if self.habits.mode == 0 or len(unit) <= self.habits.mtu + 1:  # a fragment alone is none (RFC 6184 §5.8)
            return [unit]
        room = self.habits.mtu - 2  # so that a unit that does not fit has two pieces at least
        pieces = [unit[1 + at : 1 + at + room] for at in range(0, len(unit) - 1, room)]
        ends = {0: 0x80, len(pieces) - 1: 0x40}
        head = unit[0] & 0xE0 | 28
        return [bytes((head, ends.get(at, 0) | unit[0] & 31)) + piece for at, piece in enumerate(pieces)]


def _header(habits: Habits, number: int, stamp: int, marker: bool, payload: bytes) -> bytes:
    first, extension = 0x80, b""
    if habits.extension:
        first |= 0x10
        extension = {
            "one": struct.pack(">HH", 0xBEDE, 1) + b"\x10\x30\x00\x00",
            "two": struct.pack(">HH", 0x1000, 1) + b"\x01\x01\x30\x00",
            "bad": struct.pack(">HH", 0xBEDE, 1) + b"\x10\x30\x00\x0f",
        }[habits.extension]
    tail = b""
    if habits.padding and number % 5 == 0:
        first |= 0x20
        tail = b"\0\0\0\4"
    second = 102 | (0x80 if marker else 0)
    fixed = struct.pack(">BBHII", first, second, FIRST_SEQUENCE + number & 0xFFFF, FIRST_STAMP + stamp & 0xFFFFFFFF, VIDEO_SSRC)
    return fixed + extension + payload + tail


def _packed(habits: Habits, pictures: Sequence[Picture], sets: Sequence[bytes], dice: random.Random) -> list[tuple[int, Timed]]:
    """Return (index of the picture, packet) in the order of sending."""
    packer = _Packer(habits, sets, dice)
    out: list[tuple[int, Timed]] = []
    number, before = 0, 0
    for index, picture in enumerate(pictures):
        stamp = round(picture.number / habits.fps * CLOCK * (1 + habits.skew))
        payloads = [(payload, marker, stamp) for payload, marker in packer.picture(picture)]
        if habits.sets == "before" and picture.key:
            payloads = [(unit, False, before) for unit in sets] + payloads
        late = dice.random() * habits.jitter_ms / 1000
        for at, (payload, marker, its) in enumerate(payloads):
            sent = picture.at + late + at * 1e-5
            out.append((index, Timed(sent, _header(habits, number, its, marker, payload))))
            number += 1
        before = stamp
    return out


def _over_the_radio(habits: Habits, sent: list[tuple[int, Timed]], dice: random.Random) -> tuple[list[Timed], frozenset[int]]:
    """Lose, double and swap packets; what is lost is named by its picture."""
    came: list[Timed] = []
    lost: set[int] = set()
    for index, timed in sent:
        if dice.random() < habits.loss:
            lost.add(index)
            continue
        came.append(timed)
        if dice.random() < habits.doubles:
            came.append(timed)
    packets = [timed.packet for timed in came]
    for at in range(len(packets) - 1):
        if dice.random() < habits.swaps:
            packets[at], packets[at + 1] = packets[at + 1], packets[at]
    times = sorted(timed.at for timed in came)
    return [Timed(at, packet) for at, packet in zip(times, packets, strict=True)], frozenset(lost)


def made(habits: Habits, seed: int = 0) -> Stream:
    """Make the stream of these habits; the same for the same seed."""
    dice = random.Random(seed)
    pictures, sets = _pictures(habits)
    whole = START + START.join([*sets, *(unit for picture in pictures for unit in picture.units)])
    packets, lost = _over_the_radio(habits, _packed(habits, pictures, sets, dice), dice)
    return Stream(habits, packets, pictures, shown_in(whole), sets, lost)


def streams(first: int, count: int) -> Iterator[tuple[int, Stream]]:
    """Yield (seed, stream) of so many seeds."""
    for seed in range(first, first + count):
        yield seed, made(drawn(seed), seed)
