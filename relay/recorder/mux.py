"""Fragmented MP4 (ISO/IEC 14496-12) from samples; no coded byte is changed.

Owns: the init segment, one `moof` + `mdat` per fragment.  Must never know: packets, keys, files.

FFmpeg makes the init segment: it knows how parameter sets become `avcC`, and only an opened libopus context yields the dOps box
that Opus needs.  This file makes the fragments, so that boundaries and bytes depend on nothing but the samples.  FFmpeg decides
by itself when a fragment ends, and holds packets back to interleave them (one fragment of 132 frames was seen, and a silent
track stalls the other).  An FFmpeg muxer opened for each fragment costs 600 µs; these boxes cost 60 µs.
"""

import io
import struct
from fractions import Fraction
from typing import NamedTuple

import av

from relay.base.errors import OurError, RelayError
from relay.evidence.chain import TrackKind, TrackPart
from relay.evidence.seal import sample_digest
from relay.record.cut import Fragment, InitParameters, Placed, durations
from relay.record.line import AUDIO, CLOCKS, VIDEO
from relay.rtp.h264 import parse_sps

_BASES = {track: Fraction(1, rate) for track, rate in CLOCKS.items()}
_TYPICAL = {VIDEO: 3000, AUDIO: 960}
_START_CODE = b"\x00\x00\x00\x01"
_OPTIONS = {
    "movflags": "empty_moov+default_base_moof+frag_custom+skip_trailer",
    "fflags": "+bitexact",
    "video_track_timescale": str(CLOCKS[VIDEO]),
    "use_stream_ids_as_track_ids": "1",
    "use_editlist": "0",
}

_BASE_IS_MOOF = 0x020000
_DEFAULT_FLAGS = 0x000020
_TRUN = 0x000001 | 0x000100 | 0x000200 | 0x000400
"""Data offset; duration, size and flags of each sample (ISO/IEC 14496-12 §8.8.8)."""
_SHIFTS = 0x000800
"""A composition offset of each sample, too."""
_SYNC = 0x02000000
_NOT_SYNC = 0x01010000


class Muxed(NamedTuple):
    """The bytes of one fragment, and the digests of its tracks."""

    data: bytes
    tracks: tuple[TrackPart, ...]


class Muxer:
    """Muxes the fragments of one segment; `init` is its init segment (`ftyp` + `moov`)."""

    def __init__(self, parameters: InitParameters) -> None:
        """Raises OurError where FFmpeg refuses the parameter sets."""
        try:
            self.init = _init_segment(parameters)
        except (av.FFmpegError, ValueError) as error:
            raise OurError(f"no init segment from these parameter sets: {error}") from error

    def fragment(self, fragment: Fragment, number: int) -> Muxed:
        """Return `moof` + `mdat` of one fragment, `number` (from 1) in its segment, and its tracks' digests."""
        tracks = [(track, samples) for track, samples in ((VIDEO, fragment.video), (AUDIO, fragment.audio)) if samples]
        runs = [(track, samples, durations(samples, _TYPICAL[track])) for track, samples in tracks]
        payload = [sample.data for _, samples, _ in runs for sample in samples]
        size = len(_moof(number, runs, 0))
        moof = _moof(number, runs, size + 8)
        mdat = struct.pack(">I4s", 8 + sum(map(len, payload)), b"mdat")
        return Muxed(b"".join((moof, mdat, *payload)), tuple(_part(*run) for run in runs))


_Run = tuple[int, list[Placed], list[int]]
"""Track, its samples, their durations in ticks."""


def _part(track: int, samples: list[Placed], lengths: list[int]) -> TrackPart:
    kind = TrackKind.VIDEO if track == VIDEO else TrackKind.AUDIO
    digest = sample_digest(sample.data for sample in samples)
    return TrackPart(track, kind, len(samples), digest, samples[0].time, sum(lengths))


def _moof(number: int, runs: list[_Run], offset: int) -> bytes:
    """Return the `moof`; `offset` is where the first sample's bytes lie, counted from its own beginning (§8.8.4)."""
    boxes = [_full(b"mfhd", 0, 0, struct.pack(">I", number))]
    for track, samples, lengths in runs:
        boxes.append(_traf(track, samples, lengths, offset))
        offset += sum(len(sample.data) for sample in samples)
    return _box(b"moof", b"".join(boxes))


def _traf(track: int, samples: list[Placed], lengths: list[int], offset: int) -> bytes:
    shifted = any(sample.shift for sample in samples)
    table: list[int] = []
    for sample, length in zip(samples, lengths, strict=True):
        table += (length, len(sample.data), _SYNC if sample.keyframe else _NOT_SYNC)
        if shifted:
            table.append(sample.shift & 0xFFFFFFFF)
    header = _full(b"tfhd", 0, _BASE_IS_MOOF | _DEFAULT_FLAGS, struct.pack(">II", track, _SYNC))
    decode_time = _full(b"tfdt", 1, 0, struct.pack(">Q", samples[0].time))
    flags = _TRUN | (_SHIFTS if shifted else 0)
    run = _full(b"trun", int(shifted), flags, struct.pack(f">II{len(table)}I", len(samples), offset, *table))
    return _box(b"traf", header + decode_time + run)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">I4sI", 12 + len(body), kind, version << 24 | flags) + body


def _init_segment(parameters: InitParameters) -> bytes:
    sink = io.BytesIO()
    container = av.open(sink, "w", format="mp4", options=_OPTIONS)
    if parameters.sets is not None:
        width, height = _size(parameters.sets.sps[0])
        video = container.add_mux_stream("h264", width=width, height=height, time_base=_BASES[VIDEO])
        video.id = VIDEO
    if parameters.audio:
        audio = container.add_stream("libopus", rate=CLOCKS[AUDIO])
        audio.id = AUDIO
    if parameters.sets is not None:
        packet = av.Packet(b"".join(_START_CODE + unit for unit in parameters.sets.units))
        packet.stream, packet.time_base, packet.is_keyframe = video, _BASES[VIDEO], True
        packet.pts = packet.dts = 0
        packet.duration = _TYPICAL[VIDEO]
        container.mux_one(packet)
    else:
        container.start_encoding()
    container.close()
    return _before_moof(sink.getvalue())


def _size(sps: bytes) -> tuple[int, int]:
    try:
        parsed = parse_sps(sps)
    except RelayError as error:
        raise OurError(f"unreadable parameter set: {error}") from error
    return parsed.width, parsed.height


def _before_moof(data: bytes) -> bytes:
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"moof":
        at += int.from_bytes(data[at : at + 4], "big") or len(data)
    return data[:at]
