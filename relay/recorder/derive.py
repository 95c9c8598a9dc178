"""`python -m relay.recorder.derive [--sound] [--picture-drift SHIFTS] [--sound-drift SHIFTS] [--sound-shifts SHIFTS]
[--recording ID] [--camera NAME] [--began-ns NS] [IN...]`: plain segments in, one playable MP4 out.  SHIFTS is
`TICKS:NS,…`, or `TICKS:NS:even` where the track moves there evenly since the shift before.

Owns: remuxing for an export.  Must never know: keys, chains, folders.  It reads the named files, or
standard input where none is named (segments one after the other, each beginning with its init segment), writes standard output
and leaves nothing on disk.  Once its inputs are open it enters a cage: no file but the program's own, no socket.

The copy is derived: it proves nothing.  Nothing is re-encoded.  It begins at time zero.  Tracks are moved as the chain's
corrections and sender reports say (`evidence.lipsync`).  The copy is fragmented, because a pipe cannot be rewound to
complete an index.  `--sound` announces a sound track, even where sound begins after hours of video alone: no track can be added
once the first bytes have gone out.  The file's metadata says what it is a copy of: title (camera), comment (recording id) and
creation time.  They are not sealed.
"""

import argparse
import contextlib
import io
import itertools
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from relay.evidence.lipsync import Moves, Shift
from relay.evidence.records import TrackKind
from relay.record.cut import InitParameters
from relay.recorder.mux import Muxer
from relay.runtime.cage import Cage, Rules, code_folders, confine

MAX_BOX = 1 << 30
NOT_MOVED = Moves()
HELD_SEGMENTS = 16
"""How many segments of sound alone may come before the first picture."""

_OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont",
    "use_editlist": "1",
    "video_track_timescale": "90000",
}
"""With `delay_moov` FFmpeg would hold everything until each track has its first packet; sound may come after hours, or never.
`frag_discont` lets a track that begins later keep its time; FFmpeg does so only with `use_editlist`, but writes none."""
_SECOND = 1_000_000_000
_ROOM = Fraction(1)
"""Seconds before the first sample of a copy whose tracks drifted: a track may have begun so much earlier than the other one."""
_PRE_SKIP = 312
"""FFmpeg states the times of Opus so many ticks early."""


class Source(io.RawIOBase):
    """One segment of a stream of boxes, as a file that cannot be rewound: it ends where the next `ftyp` begins."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._ready = head
        self._left = _size(head) - len(head)
        self.next_head: bytes | None = None
        """The first bytes of the segment after this one, once this one has ended."""

    def readable(self) -> bool:
        """Return True: the source can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, at most to the end of the present box."""
        if not self._ready and self._left == 0 and not self._next_box():
            return 0
        piece = self._ready[: len(buffer)] if self._ready else self._stream.read(min(len(buffer), self._left))
        if self._ready:
            self._ready = self._ready[len(piece) :]
        else:
            self._left = self._left - len(piece) if piece else 0
        buffer[: len(piece)] = piece
        return len(piece)

    def _next_box(self) -> bool:
        if self.next_head is not None:
            return False
        head = self._stream.read(8)
        if len(head) < 8 or head[4:] == b"ftyp":
            self.next_head = head if len(head) == 8 else b""
            return False
        self._ready, self._left = head, _size(head) - 8
        return True

    def drain(self) -> bytes:
        """Read to the end of this segment; return the head of the next one, b"" where there is none."""
        while self.read(1 << 20):
            pass
        return self.next_head or b""


def _size(head: bytes) -> int:
    size = int.from_bytes(head[:4], "big")
    if not 8 <= size <= MAX_BOX:
        raise ValueError(f"box of {size} bytes")
    return size


def segments(stream: BinaryIO) -> Iterator[InputContainer]:
    """Yield each segment of a stream opened for demuxing; raises ValueError where it does not begin with one."""
    head = stream.read(8)
    if head[4:] != b"ftyp":
        raise ValueError("does not begin with an init segment")
    while head:
        source = Source(stream, head)
        yield av.open(source, "r", format="mp4")  # held packets keep it open
        head = source.drain()


class Remuxer:
    """Writes packets of many segments into one file."""

    def __init__(self, out: BinaryIO, moves: Moves, *, sound: bool = False, metadata: Mapping[str, str] | None = None) -> None:
        self._out = out
        self._metadata = dict(metadata or {})
        self._sound = sound
        self._moves = moves
        self._margin = Fraction(max((abs(shift.offset_ns) for shift in moves.lips), default=0), _SECOND)
        self._margin += _ROOM if moves.picture or moves.sound else 0
        self._container: OutputContainer | None = None
        self._streams: dict[str, Stream] = {}
        self._origin: Fraction | None = None
        self._last: dict[str, int] = {}
        self._held: list[list[Packet[Stream]]] = []

    def segment(self, container: InputContainer) -> None:
        """Take one segment; the first with video decides which tracks the file has."""
        if self._container is not None:
            for packet in container.demux():
                self._write(packet)
            return
        if container.streams.video or len(self._held) >= HELD_SEGMENTS:
            self._begin(container)
            for packet in itertools.chain(*self._held, container.demux()):
                self._write(packet)
            self._held.clear()
            return
        self._held.append([packet for packet in container.demux() if packet.dts is not None])

    def finish(self) -> None:
        """Write the rest; raises ValueError where no segment was given."""
        if self._container is None and self._held:
            first = next((packet for held in self._held for packet in held), None)
            if first is not None:
                self._open([first.stream])
                for held in self._held:
                    for packet in held:
                        self._write(packet)
        if self._container is None:
            raise ValueError("nothing to remux")
        self._container.close()

    def _begin(self, container: InputContainer) -> None:
        if not self._sound or container.streams.audio:
            self._open(list(container.streams))
            return
        with av.open(io.BytesIO(Muxer(InitParameters(None, audio=True)).init), "r", format="mp4") as opus:
            self._open([*container.streams, opus.streams.audio[0]])

    def _open(self, streams: list[Stream]) -> None:
        self._container = av.open(self._out, "w", format="mp4", options=_OPTIONS)
        self._container.metadata.update(self._metadata)
        for stream in streams:
            assert isinstance(stream, VideoStream | AudioStream)
            self._streams[stream.type] = self._container.add_stream_from_template(stream, opaque=True)

    def _write(self, packet: "Packet[Stream]") -> None:
        target = self._streams.get(packet.stream.type)
        if packet.dts is None or packet.time_base is None or target is None or self._container is None:
            return
        base = packet.time_base
        kind = TrackKind(packet.stream.type)
        shift = Fraction(0)
        if self._moves.moves(kind):
            pre_skip = _PRE_SKIP if kind is TrackKind.AUDIO else 0
            shift = Fraction(self._moves.at(kind, round(packet.dts * base * kind.clock_rate) + pre_skip), _SECOND)
        if self._origin is None:
            drift = shift if kind is TrackKind.VIDEO else Fraction(0)
            self._origin = packet.dts * base + drift - self._margin
        time = round((packet.dts * base + shift - self._origin) / base)
        time = max(time, self._last.get(packet.stream.type, -1) + 1)
        self._last[packet.stream.type] = time
        copy = av.Packet(bytes(packet))
        copy.dts = time
        copy.pts = time + self._lead(packet, packet.dts, shift)
        copy.duration = packet.duration
        copy.time_base = base
        copy.is_keyframe = packet.is_keyframe
        copy.stream = target
        self._container.mux_one(copy)

    def _lead(self, packet: "Packet[Stream]", dts: int, shift: Fraction) -> int:
        """Return how long before it is shown a packet is decoded, in its own ticks; `shift`: by how much it is moved (s)."""
        lead = max((packet.pts or dts) - dts, 0)
        if not lead or not self._moves.picture or packet.time_base is None:
            return lead
        base = packet.time_base
        shown = Fraction(self._moves.at(TrackKind.VIDEO, round((dts + lead) * base * TrackKind.VIDEO.clock_rate)), _SECOND)
        return max(lead + round((shown - shift) / base), 0)


def derive(
    inputs: Iterator[BinaryIO],
    out: BinaryIO,
    moves: Moves = NOT_MOVED,
    *,
    sound: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Remux all of `inputs` into `out`; raises ValueError or av.FFmpegError for bytes that are no segments of the relay.

    `metadata`: texts of the file, by FFmpeg's names (`title`, `comment`, `creation_time`).
    """
    remuxer = Remuxer(out, moves, sound=sound, metadata=metadata)
    for stream in inputs:
        for container in segments(stream):
            remuxer.segment(container)
    remuxer.finish()


def _shifts(text: str) -> tuple[Shift, ...]:
    """Read `TICKS:NS,…` or `TICKS:NS:even,…`; raises ValueError."""
    found = []
    for piece in text.split(","):
        if piece:
            since, offset, *even = piece.split(":")
            if even not in ([], ["even"]):
                raise ValueError(piece)
            found.append(Shift(int(since), int(offset), bool(even)))
    return tuple(found)


def _metadata(recording: str | None, camera: str | None, began_ns: int | None) -> dict[str, str]:
    told = {}
    if camera:
        told["title"] = camera
    if recording:
        told["comment"] = f"recording {recording}"
    if began_ns is not None:
        told["creation_time"] = f"{datetime.fromtimestamp(began_ns // _SECOND, UTC):%Y-%m-%dT%H:%M:%S}Z"
    return told


def main() -> int:
    """Return the exit code: 0, or 2 for input that cannot be read."""
    parser = argparse.ArgumentParser(prog="relay.recorder.derive", description="remux plain segments into one playable MP4")
    parser.add_argument("--sound", action="store_true", help="there is sound, perhaps later")
    for name in ("picture-drift", "sound-drift", "sound-shifts"):
        parser.add_argument(f"--{name}", type=_shifts, default=())
    parser.add_argument("--recording", help="id of the recording, for the file's metadata")
    parser.add_argument("--camera", help="name of the camera, for the file's metadata")
    parser.add_argument("--began-ns", type=int, help="when the first fragment arrived (UTC ns), for the file's metadata")
    parser.add_argument("inputs", nargs="*", type=Path)
    arguments = parser.parse_args()
    try:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in arguments.inputs]
            for missing in confine(Cage(Rules(read=code_folders()))).missing:
                print(f"derive: {missing}", file=sys.stderr)  # noqa: T201 - a command
            told = _metadata(arguments.recording, arguments.camera, arguments.began_ns)
            inputs = iter(files or [sys.stdin.buffer])
            moves = Moves(arguments.picture_drift, arguments.sound_drift, arguments.sound_shifts)
            derive(inputs, sys.stdout.buffer, moves, sound=arguments.sound, metadata=told)
    except (ValueError, OSError, av.FFmpegError) as error:
        print(f"derive: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
