"""A small sealed recording with real H.264 and Opus, playable copies of it, and a box editor for forgers.

Owns: media that FFmpeg can judge.  Must never know: what a checker says of it.
"""

import io
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from relay.evidence.chain import ChainWriter
from relay.evidence.lipsync import Moves, Shift, moves_of
from relay.evidence.records import ClockMap, Correction, Link, Point, Reason, SyncSource, TrackKind
from relay.evidence.samples import track_parts
from relay.evidence.seal import encrypt_fragment, sha256
from relay.record.cut import Fragment, InitParameters, Placed
from relay.recorder.derive import derive
from relay.recorder.mux import Muxer
from relay.rtp.parameter_sets import Sets
from tests.support.recordings import RECORDING_KEY, SECOND, T0, Built, session, start_record
from tests.support.rtp_source import annexb_units, encode_audio

FPS, FRAMES, PACKETS = 25, 10, 20
"""Pictures a second; pictures and sound packets of a fragment of 0.4 s."""
PER_SEGMENT, FRAGMENTS = 5, 10


@dataclass(frozen=True)
class Pictures:
    """Access units in Annex B, and their parameter sets."""

    units: tuple[bytes, ...]
    sps: bytes
    pps: bytes
    places: tuple[int, ...]
    """The place of each in the order of showing."""


@lru_cache
def pictures(
    count: int,
    width: int = 96,
    height: int = 64,
    *,
    black: bool = False,
    in_band: bool = False,
    number: int = 0,
    b_pictures: int = 0,
) -> Pictures:
    """Encode noise that moves, or black; parameter sets, of this number, are only beside the pictures unless `in_band`.

    `b_pictures`: so many between others, in decode order.
    """
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, FPS), Fraction(FPS), FPS
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"crf=30:scenecut=0:sei=0:sps-id={number}"}
    if b_pictures:
        encoder.options = {"preset": "ultrafast", "x264-params": f"crf=30:scenecut=0:sei=0:bframes={b_pictures}:b-adapt=0"}
    if not in_band:
        encoder.flags |= av.codec.context.Flags.global_header
    noise, coded = np.random.default_rng(7), []
    for index in range(count):
        picture = np.zeros((height, width, 3), np.uint8) if black else noise.integers(0, 255, (height, width, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        coded += encoder.encode(frame)
    coded += encoder.encode(None)
    units = [bytes(packet) for packet in coded]
    header = annexb_units(bytes(encoder.extradata or b"") + (units[0] if in_band else b""))
    sps, pps = (next(unit for unit in header if unit[0] & 31 == kind) for kind in (7, 8))
    return Pictures(tuple(units), sps, pps, tuple(int(packet.pts) for packet in coded))


def length_prefixed(unit: bytes) -> bytes:
    """Return an access unit as it stands in a sample; an encoder's SEI is left out."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in annexb_units(unit) if nal[0] & 31 != 6)


def _point(kind: TrackKind, seconds: int, moved_ms: int) -> Point:
    track, source = (1 if kind is TrackKind.VIDEO else 2), SyncSource.ARRIVAL
    return Point(track, source, seconds * kind.clock_rate, moved_ms * 1_000_000, gradual=seconds > 0)


DRIFTED = (
    *(_point(TrackKind.VIDEO, 0, 0), _point(TrackKind.VIDEO, 4, 400)),
    *(_point(TrackKind.AUDIO, 0, 0), _point(TrackKind.AUDIO, 2, -200)),
)


@lru_cache
def recording(
    *,
    late_sound_ms: int = 0,
    other_sets: bool = False,
    silent: bool = False,
    drifted: bool = False,
    second_number: bool = False,
    told: bool = True,
    b_pictures: bool = False,
) -> Built:
    """Seal four seconds in two segments.

    `late_sound_ms`: the camera's reports say that sound belongs so much later (from 1.2 s on: 100 ms more).
    `drifted`: a correction says that pictures ran a tenth too fast, and sound a tenth too slow for two seconds.
    `other_sets`: the second segment has another resolution; its parameter sets are in its pictures too.
    `second_number`: its pictures have sets of another number, which its init segment lists before those of the first.
    `told`: these are in its first picture, too.
    `b_pictures`: two are shown before one that came before them.
    """
    half = FRAMES * PER_SEGMENT
    shot = [pictures(2 * half)] * 2 if not other_sets else [pictures(half, in_band=True), pictures(half, 128, 80, in_band=True)]
    if second_number:
        shot = [pictures(half, in_band=True), pictures(half, in_band=told, number=1)]
    if b_pictures:
        shot = [pictures(2 * half, b_pictures=2)] * 2
    sound = encode_audio(PACKETS * FRAGMENTS)
    writer = ChainWriter(session(), start_record(session()))
    built = Built({"chain": writer.start()}, {})
    muxer, init = None, b""
    for number in range(FRAGMENTS):
        segment, at = divmod(number, PER_SEGMENT)
        mine = shot[segment]
        if at == 0:
            parameters = InitParameters(_sets(shot, segment, both=second_number), not silent)
            muxer = Muxer(parameters)
            init = muxer.init
            _seal(built, writer, init, segment, number, init)
        base = number * FRAMES
        video = [
            Placed(
                (base + n) * 3600,
                length_prefixed(mine.units[base + n - (half * segment if other_sets or second_number else 0)]),
                (base + n) % FPS == 0,
                3600,
                0,
                3600 * (mine.places[base + n] - base - n + 1) if b_pictures else 0,
            )
            for n in range(FRAMES)
        ]
        audio = [Placed((number * PACKETS + n) * 960, sound[number * PACKETS + n], True, 960, 0) for n in range(PACKETS)]
        assert muxer is not None
        whole = Fragment(segment, at == 0, parameters, 0, video, [] if silent else audio)
        plain = muxer.fragment(whole, at + 1).data
        extra = 100 if number >= 3 else 0
        offset = (late_sound_ms + extra) * 1_000_000
        clocks = (
            ClockMap(1, SyncSource.SENDER_REPORT, T0 + number * 400_000_000, 0, base * 3600, 0, 0),
            ClockMap(2, SyncSource.SENDER_REPORT, T0 + number * 400_000_000 + offset, 0, number * PACKETS * 960, 0, 0),
        )
        _seal(built, writer, init, segment, number, plain, clocks if late_sound_ms and number in (1, 3) else ())
    built.files["chain"] += writer.correction(Correction(DRIFTED)) if drifted else b""
    built.files["chain"] += writer.end(Reason.STOPPED, "op-1", T0 + 4 * SECOND)
    return built


def _sets(shot: list[Pictures], segment: int, *, both: bool) -> Sets:
    """The sets in force in a segment, its own first; `both`: those of the segment before, too."""
    used = shot[: segment + 1][::-1] if both else [shot[segment]]
    return Sets(tuple(each.sps for each in used), tuple(each.pps for each in used))


def _seal(
    built: Built, writer: ChainWriter, init: bytes, segment: int, number: int, plain: bytes, clocks: tuple[ClockMap, ...] = ()
) -> None:
    fragment, name = writer.links, f"{segment:05d}.seg"
    stored = encrypt_fragment(RECORDING_KEY, built.recording, fragment, plain)
    before = built.files.get(name, b"")
    link = Link(
        fragment=fragment,
        segment=segment,
        init=plain is init,
        offset=len(before),
        plain_length=len(plain),
        stored_length=len(stored),
        plain_digest=sha256(plain),
        stored_digest=sha256(stored),
        tracks=() if plain is init else track_parts(init, plain),
        arrival_start_ns=T0 + number * 400_000_000,
        arrival_length_ns=0 if plain is init else 400_000_000,
        clocks=clocks,
    )
    built.files["chain"] += writer.link(link)
    built.files[name] = before + stored
    built.plain[fragment] = plain
    built.links.append(link)


# --- honest copies ----------------------------------------------------------------------------------------------------


def sealed_files(built: Built) -> list[bytes]:
    """Return the plain segments."""
    files = built.export()
    return [files[name] for name in sorted(files) if name.endswith(".mp4")]


def derived_copy(
    built: Built,
    *,
    moved: bool = True,
    of: Sequence[Link] | None = None,
    shifts: Sequence[Shift] | None = None,
    moves: Moves | None = None,
) -> bytes:
    """Return the relay's own playable copy; `of`: the links whose clock records move the sound, if not its own."""
    out = io.BytesIO()
    if shifts is not None:
        moves = Moves(lips=tuple(shifts))
    elif moves is None and moved:
        bodies = [record.body for record in built.records()]
        if of is not None:
            bodies = [*of, *(body for body in bodies if not isinstance(body, Link))]
        moves = moves_of(lambda: bodies)
    derive(iter([io.BytesIO(b"".join(sealed_files(built)))]), out, moves or Moves(), sound=True)
    return out.getvalue()


def ffmpeg(data: bytes, *arguments: str, name: str = "out.mp4", again: str | None = None) -> bytes:
    """Return what `ffmpeg -c copy` makes of a file; `again`: through a file of this name first."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.mp4")
        source.write_bytes(data)
        if again is not None:
            _run("ffmpeg", "-i", source, "-c", "copy", Path(folder, again))
            source = Path(folder, again)
        _run("ffmpeg", "-i", source, "-c", "copy", *arguments, Path(folder, name))
        return Path(folder, name).read_bytes()


def hls(data: bytes) -> bytes:
    """Return the init segment and the media segments of FFmpeg's HLS packager, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        source, index = Path(folder, "in.mp4"), Path(folder, "index.m3u8")
        source.write_bytes(data)
        options = ("-c", "copy", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_list_size", "0")
        _run("ffmpeg", "-i", source, *options, index)
        parts = [Path(folder, "init.mp4"), *sorted(Path(folder).glob("index*.m4s"), key=lambda path: int(path.stem[5:]))]
        return b"".join(part.read_bytes() for part in parts)


def _run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ValueError(done.stderr[-2000:])
    return done.stdout


# --- the judge --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """What FFmpeg shows of a file: the time (ms) and digest of each decoded picture, and the decoded sound."""

    pictures: tuple[tuple[int, str], ...]
    sound: tuple[tuple[int, str], ...]


def shown(data: bytes) -> Shown:
    """Decode a file with the `ffmpeg` program: pictures at their display size and orientation, sound as it is played."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.mp4")
        source.write_bytes(data)
        found = {}
        for kind, select in (("pictures", "v:0"), ("sound", "a:0")):
            command = (
                "ffmpeg",
                "-v",
                "error",
                "-copyts",
                "-i",
                source,
                "-map",
                f"0:{select}?",
                "-vsync",
                "passthrough",
                "-autoscale",
                "0",
            )
            more = ("-vf", "scale=iw*sar:ih,setsar=1") if kind == "pictures" else ("-c:a", "pcm_s16le")
            try:
                lines = _run(*command, *more, "-f", "framemd5", "-").splitlines()
            except ValueError:
                lines = []
            scale = next((Fraction(line.split()[-1]) for line in lines if line.startswith("#tb")), Fraction(1))
            rows = [line.split(",") for line in lines if line and line[0] != "#"]
            found[kind] = tuple((round(int(row[2]) * scale * 1000), row[5].strip()) for row in rows)
        return Shown(**found)
