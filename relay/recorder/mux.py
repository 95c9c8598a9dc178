"""Fragmented MP4 (ISO/IEC 14496-12) out of samples, with PyAV and without touching a coded byte.

What this file owns: the init segment of a layout, one `moof` + `mdat` per fragment.  What it must never know: packets, keys,
files.

FFmpeg's muxer decides by itself when a fragment ends and holds packets back to interleave them (one fragment for 132 frames was
seen, and a silent track stalls the others).  So each fragment gets a muxer of its own, opened from the streams of its init
segment and closed at once: the boundaries are ours, the bytes depend on nothing but the samples, and no state can go bad.
`frag_discont` makes it write the decode times that it is given.  Opus needs its dOps box, which only an opened libopus context
yields.
"""

import io
from fractions import Fraction
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from relay.base.errors import OurError, RelayError
from relay.evidence.chain import TrackKind, TrackPart
from relay.evidence.seal import sample_digest
from relay.record.cut import Fragment, Layout, Placed, durations
from relay.record.line import AUDIO, CLOCKS, VIDEO
from relay.rtp.h264 import parse_sps

_BASES = {track: Fraction(1, rate) for track, rate in CLOCKS.items()}
_TYPICAL = {VIDEO: 3000, AUDIO: 960}
_FLAGS = "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer"
_START_CODE = b"\x00\x00\x00\x01"


class Muxed(NamedTuple):
    """The bytes of one fragment and what they hold."""

    data: bytes
    tracks: tuple[TrackPart, ...]


class Muxer:
    """Muxes the fragments of one segment; `init` is its init segment (`ftyp` + `moov`)."""

    def __init__(self, layout: Layout) -> None:
        """Raises OurError where FFmpeg refuses the parameter sets."""
        try:
            self.init = _init_segment(layout)
            self._template: InputContainer = av.open(io.BytesIO(self.init), "r", format="mp4")
        except (av.FFmpegError, ValueError) as error:
            raise OurError(f"no init segment from these parameter sets: {error}") from error
        self._number = 0

    def fragment(self, fragment: Fragment) -> Muxed:
        """Return `moof` + `mdat` of one fragment and its tracks' digests; raises OurError where FFmpeg refuses it."""
        self._number += 1
        sink = io.BytesIO()
        tracks = [(VIDEO, fragment.video), (AUDIO, fragment.audio)]
        try:
            container = av.open(sink, "w", format="mp4", options=_options(self._number))
            streams = {found.id: _copy(container, found) for found in self._template.streams}
            parts = [self._track(container, streams[track], track, samples) for track, samples in tracks if samples]
            container.close()
        except (av.FFmpegError, ValueError, KeyError) as error:
            raise OurError(f"fragment does not mux: {error}") from error
        return Muxed(_after_moov(sink.getvalue()), tuple(parts))

    def close(self) -> None:
        """Free FFmpeg's memory."""
        self._template.close()

    def _track(self, container: OutputContainer, stream: Stream, track: int, samples: list[Placed]) -> TrackPart:
        base = _BASES[track]
        lengths = durations(samples, _TYPICAL[track])
        for sample, length in zip(samples, lengths, strict=True):
            packet = av.Packet(sample.data)
            packet.stream = stream
            packet.time_base = base
            packet.pts = packet.dts = sample.time
            packet.duration = length
            packet.is_keyframe = sample.keyframe
            container.mux_one(packet)
        kind = TrackKind.VIDEO if track == VIDEO else TrackKind.AUDIO
        digest = sample_digest(sample.data for sample in samples)
        return TrackPart(track, kind, len(samples), digest, samples[0].time, sum(lengths))


def _options(number: int) -> dict[str, str]:
    return {
        "movflags": _FLAGS,
        "fflags": "+bitexact",
        "fragment_index": str(number),
        "video_track_timescale": str(CLOCKS[VIDEO]),
        "use_stream_ids_as_track_ids": "1",
        "use_editlist": "0",
        "avoid_negative_ts": "disabled",
    }


def _copy(container: OutputContainer, stream: Stream) -> Stream:
    assert isinstance(stream, VideoStream | AudioStream)
    copied = container.add_stream_from_template(stream, opaque=True)
    copied.id = stream.id
    return copied


def _init_segment(layout: Layout) -> bytes:
    sink = io.BytesIO()
    container = av.open(sink, "w", format="mp4", options=_options(1))
    if layout.sps is not None and layout.pps is not None:
        width, height = _size(layout.sps)
        video = container.add_mux_stream("h264", width=width, height=height, time_base=_BASES[VIDEO])
        video.id = VIDEO
    if layout.audio:
        audio = container.add_stream("libopus", rate=CLOCKS[AUDIO])
        audio.id = AUDIO
    if layout.sps is not None and layout.pps is not None:
        packet = av.Packet(_START_CODE + layout.sps + _START_CODE + layout.pps)
        packet.stream, packet.time_base, packet.is_keyframe = video, _BASES[VIDEO], True
        packet.pts = packet.dts = 0
        packet.duration = _TYPICAL[VIDEO]
        container.mux_one(packet)
    else:
        container.start_encoding()
    container.close()
    whole = sink.getvalue()
    return whole[: _moof(whole)]


def _size(sps: bytes) -> tuple[int, int]:
    try:
        parsed = parse_sps(sps)
    except RelayError as error:
        raise OurError(f"unreadable parameter set: {error}") from error
    return parsed.width, parsed.height


def _after_moov(data: bytes) -> bytes:
    return data[_moof(data) :]


def _moof(data: bytes) -> int:
    """Return where the first `moof` begins, the end where there is none."""
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"moof":
        at += int.from_bytes(data[at : at + 4], "big") or len(data)
    return min(at, len(data))
