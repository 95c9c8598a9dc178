"""A recording from tapped RTP packets to jobs, under any sequence of packets and pauses.

Owns: a camera whose counters and clocks do what a program says, and the verdict on what was recorded.
Must never know: atheris.

The real `Recording` with its line, cutter and muxer gets the packets.  What comes out is judged by the verifier's own rules
(`evidence.continuity`).  What must hold:

- nothing raises, and everything that waits is bounded by what came within the last seconds;
- every fragment has samples; each track's times only grow; samples lie in their fragment's arrival;
- what was not recorded is a gap with a cause: the verifier finds nothing unexplained, retimed or set back.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Final
from unittest.mock import patch

from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel.messages import Plan, RecordMeta, TapDropped, TapOpen, TapPackets, TapSender, Track
from relay.evidence.chain import Reason
from relay.evidence.continuity import Continuity, Scope
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Gap, Link
from relay.evidence.verdict import Code
from relay.record.cut import InitParameters
from relay.record.line import LineSettings
from relay.record.wall_clock import WallClock
from relay.recorder import mux
from relay.recorder import recording as module
from relay.recorder.jobs import FragmentJob, GapJob, Job
from relay.recorder.recording import Recording
from tests.fuzz.program import Program, steps
from tests.support.rtp_source import encode_audio, rtp

SECOND: Final = 1_000_000_000
START: Final = 50 * SECOND
UTC: Final = 1_767_225_600 * SECOND
PLAN: Final = Plan(
    "r", "cam", "Cam", "police_municipale", "PM", "relay", None, "1", "bearer", "a crowd", "2027-01-01", None, UTC
)
SETTINGS: Final = LineSettings(segment_ns=5 * SECOND)
SPS: Final = (
    bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8"),
    bytes.fromhex("6742c015da0507e84000000300400000078080"),
    b"\x67\x42",
    b"\x67" + bytes(range(1, 40)),
)
PPS: Final = (b"\x68\xce\x3c\x80", b"\x68\xce\x06\xe2")
SOUND: Final = encode_audio(4)


@functools.lru_cache(256)
def _muxer(parameters: InitParameters) -> mux.Muxer | OurError:
    try:
        return mux.Muxer(parameters)
    except OurError as error:
        return error


def _cached(parameters: InitParameters) -> mux.Muxer:
    """FFmpeg makes an init segment in milliseconds: the same parameters give the same one."""
    found = _muxer(parameters)
    if isinstance(found, OurError):
        raise OurError(found.detail)  # an error that is raised again keeps the frames of every time before
    return found


class Camera:
    """Two streams with their counters and clocks, and the recording that they go into."""

    def __init__(self) -> None:
        self.now = START
        self.jobs: list[Job] = []
        self.ssrcs = [1, 2]
        self.sequences = [100, 200]
        self.stamps = [0, 0]
        self.kept: list[bytes] = []
        """Packets that are held back, to come later or twice."""
        self.counters = Counters()
        self.recording = Recording(PLAN, SETTINGS, WallClock(UTC, START), START, self.jobs.append, self.counters)
        self.connect(3)

    def connect(self, which: int) -> None:
        """Open the tap with the picture (1), the sound (2) or both (3)."""
        tracks = (Track(self.ssrcs[0], "video", 102, 90000, ""), Track(self.ssrcs[1], "audio", 111, 48000, ""))
        self.recording.open(TapOpen("r", "cam", tuple(track for bit, track in enumerate(tracks) if which >> bit & 1)), self.now)

    def send(self, packet: bytes) -> None:
        """A packet arrives."""
        self.recording.packets(TapPackets("r", [(self.now, packet)]), self.now)

    def next(self, track: int, marker: bool, payload: bytes) -> bytes:
        """Return the next packet of a track."""
        self.sequences[track] += 1
        return rtp((102, 111)[track], self.sequences[track], self.stamps[track], self.ssrcs[track], marker, payload)

    def wait(self, length: int) -> None:
        """Let time pass as the recorder does, every 50 ms; beyond a second in one leap."""
        until = self.now + length
        while self.now < until:
            self.now = min(until, self.now + (SECOND // 20 if until - self.now < SECOND else until - self.now))
            self.recording.advance(self.now)


# --- steps ----------------------------------------------------------------------------------------------------------------


def _picture(camera: Camera, program: Program) -> None:
    """One access unit: whole, in pieces, with or without parameter sets, and one packet of it maybe missing."""
    shape, missing, milliseconds = program.byte(), program.byte(), program.byte()
    payloads = []
    if shape & 1:
        sps, pps = SPS[shape >> 5 & 3], PPS[shape >> 7]
        payloads.append(b"\x78" + b"".join(len(one).to_bytes(2, "big") + one for one in (sps, pps)))
    kind = 5 if shape & 2 else 1
    body = b"\x88" + bytes((shape,)) * (900 if shape & 4 else 30)
    if shape & 8:
        payloads += [bytes((0x7C, flags | kind)) + body[1:] for flags in (0x80, 0, 0x40)]
        payloads[-3] = payloads[-3][:2] + body
    else:
        payloads.append(bytes((0x60 | kind,)) + body)
    for number, payload in enumerate(payloads):
        packet = camera.next(0, number == len(payloads) - 1 and not shape & 16, payload)
        if missing & 128 and number == missing % len(payloads):
            camera.kept.append(packet)
        else:
            camera.send(packet)
    _pass(camera, milliseconds)


def _sound(camera: Camera, program: Program) -> None:
    which, milliseconds = program.byte(), program.byte()
    packet = camera.next(1, False, SOUND[which % len(SOUND)] if which < 250 else bytes(which - 250))
    if which & 64:
        camera.kept.append(packet)
    else:
        camera.send(packet)
    _pass(camera, milliseconds)


def _pass(camera: Camera, milliseconds: int) -> None:
    """Time passes on all clocks."""
    camera.stamps = [camera.stamps[0] + 90 * milliseconds, camera.stamps[1] + 48 * milliseconds]
    camera.wait(milliseconds * SECOND // 1000)


def _film(camera: Camera, program: Program) -> None:
    """A while of an honest camera."""
    pictures = program.byte() % 40
    for number in range(pictures):
        _picture(camera, Program(bytes((3 if number == 0 else 0, 0, 13))))
        _sound(camera, Program(bytes((0, 20))))


def _late(camera: Camera, program: Program) -> None:
    index = program.byte()
    if camera.kept:
        camera.send(camera.kept[index % len(camera.kept)] if index & 128 else camera.kept.pop(index % len(camera.kept)))


def _raw(camera: Camera, program: Program) -> None:
    camera.send(program.chunk())


def _payload(camera: Camera, program: Program) -> None:
    track, marker = program.byte() & 1, program.byte()
    camera.send(camera.next(track, bool(marker & 1), program.chunk()))


def _idle(camera: Camera, program: Program) -> None:
    _pass(camera, program.number(2))


def _stall(camera: Camera, program: Program) -> None:
    """Time passes for the relay only: delay, or a clock that stands."""
    camera.wait(program.number(2) * SECOND // 1000)


def _jump_counter(camera: Camera, program: Program) -> None:
    track, by = program.byte() & 1, program.number(2)
    camera.sequences[track] = camera.sequences[track] + by & 0xFFFF


def _jump_clock(camera: Camera, program: Program) -> None:
    track, by = program.byte() & 1, program.number(4)
    camera.stamps[track] = camera.stamps[track] + by & 0xFFFFFFFF


def _report(camera: Camera, program: Program) -> None:
    track, wall, rtp_time = program.byte() & 1, program.number(8) >> 1, program.number(4)
    wall = UTC + camera.now - START + wall % SECOND if wall & 1 else wall
    stamp = camera.stamps[track] if rtp_time & 1 else rtp_time
    camera.recording.sender(TapSender("r", camera.ssrcs[track], wall, stamp & 0xFFFFFFFF, UTC + camera.now - START, None))


def _lost(camera: Camera, program: Program) -> None:
    camera.recording.lost(camera.now)
    _pass(camera, program.number(2))
    _reconnect(camera, program)


def _reconnect(camera: Camera, program: Program) -> None:
    how, which = program.byte(), program.byte() % 4
    if how & 1:
        camera.ssrcs = [ssrc + 10 for ssrc in camera.ssrcs]
    if how & 2:
        camera.sequences = [program.number(2), program.number(2)]
    if how & 4:
        camera.stamps = [program.number(4), program.number(4)]
    camera.connect(which or 3)


def _overflow(camera: Camera, program: Program) -> None:
    packets = program.byte()
    if packets % 2:
        camera.recording.overflow(packets)
    else:
        camera.recording.dropped(TapDropped("r", packets, camera.now - packets * SECOND // 100, camera.now))


def _meta(camera: Camera, program: Program) -> None:
    camera.recording.meta(RecordMeta("r", 0, {program.chunk().decode("latin-1"): program.chunk().decode("latin-1")}))


def _step_clock(camera: Camera, program: Program) -> None:
    camera.recording.observe(UTC + camera.now - START + program.number(2) * SECOND // 1000, camera.now)


STEPS: Final[Sequence[Callable[[Camera, Program], None]]] = (
    _picture,
    _sound,
    _film,
    _late,
    _raw,
    _payload,
    _idle,
    _stall,
    _jump_counter,
    _jump_clock,
    _report,
    _lost,
    _reconnect,
    _overflow,
    _meta,
    _step_clock,
)


# --- the verdict ----------------------------------------------------------------------------------------------------------


def check(jobs: Sequence[Job]) -> None:
    """Judge what was recorded as the verifier would, and a little closer."""
    collector = FindingCollector()
    continuity, links = Continuity(collector, Scope(None)), 0
    reached: dict[int, int] = {}
    for job in jobs:
        if isinstance(job, GapJob):
            assert job.length_ns >= 0
            assert job.detail
            continuity.gap(Gap(job.start_ns, job.length_ns, job.track, job.cause, job.detail))
        elif isinstance(job, FragmentJob):
            assert job.length_ns >= 0
            for part in job.tracks:
                assert part.samples > 0
                assert part.first > reached.get(part.track, -1), "a track's times went back"
                reached[part.track] = part.first
            head = (links, job.segment, job.init, 0, 1, 17, bytes(32), bytes(32), job.tracks)
            continuity.link(Link(*head, job.start_ns, job.length_ns, job.clocks, job.suspect))
            links += 1
    continuity.finish(links)
    # What was received and not recorded is a gap with its cause; the verifier names each.
    findings = [finding.text("en") for finding in collector.findings if finding.code is not Code.NOT_RECORDED]
    assert not findings, findings


def run(data: bytes) -> None:
    """Play one program, end the recording, and judge it."""
    with patch.object(module, "Muxer", _cached):
        camera = Camera()
        program = Program(data)
        while program:
            program.pick(STEPS)(camera, program)
        camera.recording.finish(Reason.STOPPED, None, camera.now)
    check(camera.jobs)


(PICTURE, SOUND_, FILM, LATE, RAW, PAYLOAD, IDLE, STALL, COUNTER, CLOCK, REPORT, LOST, RECONNECT, OVERFLOW, META, STEP) = range(
    len(STEPS)
)
_FILM: Final = (FILM, 39)
SEEDS: Final = [
    steps(_FILM, _FILM, (IDLE, 8, 0), _FILM),
    steps(_FILM, (PICTURE, 0, 128, 33), (PICTURE, 8, 129, 33), (LATE, 0), _FILM),
    steps((PICTURE, 15, 0, 33), (SOUND_, 0, 20), (COUNTER, 0, 20, 0), _FILM, (CLOCK, 0, 1, 0, 0, 0), _FILM),
    steps(_FILM, (LOST, 2, 0, 7, 3, 1, 2, 3, 4, 0, 0, 1, 0, 0, 0, 2, 0), _FILM, (RECONNECT, 0, 1), _FILM),
    steps(_FILM, (REPORT, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1), _FILM, (STALL, 4, 0), _FILM, (OVERFLOW, 9), (STEP, 9, 9)),
    steps(
        (PICTURE, 0x23, 0, 33), _FILM, (PICTURE, 0x43, 0, 33), (PICTURE, 0xE3, 0, 33), (PICTURE, 3, 0, 33), (META, 1, 65, 1, 66)
    ),
    steps((PAYLOAD, 0, 1, 4, 0x7C, 0x85, 1, 2), (RAW, 14, *rtp(102, 9, 9, 1, True, b"\x65\x88")), _FILM),
]
