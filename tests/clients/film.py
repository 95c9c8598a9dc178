"""A film that a camera client publishes without encoding it, and FFmpeg's digests by which it is found again.

Owns: the film's files, and the judgement of what came of them.  Must never know: the relay, a client.

FFmpeg makes the film and judges it.  No two of its pictures and no two of its sound packets are alike, so that a digest says
which one was seen.  It has a keyframe each second, because clients that replay a file answer no PLI, and B-frames only where
they are asked for.
"""

import functools
import hashlib
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av

FPS = 15
_SECONDS = 120
_PICTURE = f"testsrc2=size=320x180:rate={FPS}:duration={_SECONDS}"
_SOUND = f"anoisesrc=sample_rate=48000:duration={_SECONDS}:seed=9:amplitude=0.2"
_HEAD = struct.Struct(">BII")
_X264 = ("-preset", "veryfast", "-pix_fmt", "yuv420p", "-sc_threshold", "0", "-b:v", "150k")
_PLAIN = ("-profile:v", "baseline")
_B_FRAMES = ("-profile:v", "main", "-bf", "2", "-x264-params", "open-gop=0")


@dataclass(frozen=True)
class Film:
    """The film as a file (MP4), in Annex B and Opus packets (`units`: see `_write_units`), and its digests in order."""

    path: Path
    units: Path
    pictures: tuple[str, ...]
    sounds: tuple[str, ...]


def make(folder: Path, *, b_frames: bool = False) -> Film:
    """Let FFmpeg make the film in `folder`."""
    path, units = folder / f"film{b_frames:d}.mp4", folder / f"film{b_frames:d}.units"
    inputs = ("-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", _SOUND)
    codecs = (
        "-c:v",
        "libx264",
        *_X264,
        *(_B_FRAMES if b_frames else _PLAIN),
        "-g",
        str(FPS),
        "-c:a",
        "libopus",
        "-b:a",
        "32k",
        "-ac",
        "2",
    )
    _ffmpeg(*inputs, *codecs, str(path))
    _write_units(path, units)
    return Film(path, units, tuple(pictures_of(path)), tuple(sounds_of(path)))


def pictures_of(path: Path) -> list[str]:
    """Return the digest of each picture that FFmpeg decodes of a file; raises AssertionError where FFmpeg finds a fault."""
    return _digests(path, "0:v", ())


def sounds_of(path: Path) -> list[str]:
    """Return the digest of each sound packet of a file."""
    return _digests(path, "0:a", ("-c", "copy"))


def sounds_of_packets(path: Path) -> list[str]:
    """Return the digest of each packet of a file that holds nothing but packets, each behind its length (2 bytes)."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack_from(">H", data)
        found.append(hashlib.md5(data[2 : 2 + length]).hexdigest())
        data = data[2 + length :]
    return found


def digest_of(picture: bytes) -> str:
    """Return the digest of one decoded picture (I420, without padding), as FFmpeg's `framemd5` has it."""
    return hashlib.md5(picture).hexdigest()


class Unit(NamedTuple):
    """One picture (Annex B) or one Opus packet."""

    kind: Literal["video", "audio"]
    ms: int
    data: bytes


def units_of(path: Path) -> Iterator[Unit]:
    """Yield what `_write_units` wrote."""
    film, place = path.read_bytes(), 0
    while place < len(film):
        kind, ms, length = _HEAD.unpack_from(film, place)
        place += _HEAD.size
        yield Unit("audio" if kind else "video", ms, film[place : place + length])
        place += length


def places(source: Sequence[str], seen: Sequence[str]) -> list[int]:
    """Return which unit of the source each unit seen is; raises AssertionError where one is none of them, or out of order.

    A unit may come twice: a viewer that was sent less gets the last keyframe again when it is sent everything.
    """
    known = {digest: place for place, digest in enumerate(source)}
    assert len(known) == len(source), "the source's units differ from each other"
    strangers = [place for place, digest in enumerate(seen) if digest not in known]
    assert not strangers, f"{len(strangers)} of {len(seen)} units are none of the source: {strangers[:20]}"
    found = [known[digest] for digest in seen]
    assert found == sorted(found), f"not in their order: {found}"
    return found


def missing(source: Sequence[str], seen: Sequence[str]) -> list[int]:
    """Return which units of the source are missing between the first and the last one seen; raises AssertionError as `places`.

    Here no unit may come twice.
    """
    found = places(source, seen)
    assert len(set(found)) == len(found), f"twice: {found}"
    return sorted(set(range(found[0], found[-1] + 1)) - set(found)) if found else []


def _write_units(path: Path, units: Path) -> None:
    """Write picture and sound in the order of their time: kind (0, 1), milliseconds (4 bytes), length (4 bytes), data."""
    rows: list[tuple[int, int, bytes]] = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            kind = int(packet.stream.type == "audio")
            data = bytes(packet)
            rows.append((max(0, round(packet.pts * packet.time_base * 1000)), kind, data if kind else _annexb(packet, data)))
    rows.sort(key=lambda row: row[:2])
    with units.open("wb") as out:
        for ms, kind, data in rows:
            out.write(_HEAD.pack(kind, ms, len(data)) + data)


def _annexb(packet: "av.Packet[Any]", data: bytes) -> bytes:
    """Return an MP4 sample with start codes, parameter sets in front of a keyframe."""
    start, out, place = b"\0\0\0\1", b"", 0
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        out += start + data[place + 4 : place + 4 + length]
        place += 4 + length
    return _parameter_sets(bytes(packet.stream.codec_context.extradata or b"")) + out if packet.is_keyframe else out


@functools.lru_cache
def _parameter_sets(configuration: bytes) -> bytes:
    """Return the one SPS and the one PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) with start codes."""
    (sps,) = struct.unpack_from(">H", configuration, 6)
    (pps,) = struct.unpack_from(">H", configuration, 9 + sps)
    return b"\0\0\0\1" + configuration[8 : 8 + sps] + b"\0\0\0\1" + configuration[11 + sps : 11 + sps + pps]


def _digests(path: Path, stream: str, options: tuple[str, ...]) -> list[str]:
    lines = _ffmpeg(
        "-i", str(path), "-map", f"{stream}?", "-vsync", "passthrough", *options, "-f", "framemd5", "-"
    ).splitlines()
    return [line.split(",")[5].strip() for line in lines if line and line[0] != "#"]


def _ffmpeg(*arguments: str) -> str:
    """Run the ffmpeg program; raises AssertionError on a failure or an error that it names."""
    command = ("ffmpeg", "-nostdin", "-v", "error", "-y", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr, done.stderr[-2000:]
    return done.stdout
