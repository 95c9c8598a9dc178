"""A sealed fragment as a player gets it: its tracks moved as the chain says.

Owns: which numbers of our own boxes are changed for it.  Must never know: keys, people, HTTP, which fragment comes next.

Only copies are changed, on their way out: `tfdt` of each track that is moved, and the durations in `trun` where a picture's
pace is corrected.  Sound keeps its durations: its packets always last as long as they last.
"""

import struct

from relay.base.clock import SECOND_NS
from relay.evidence.boxes import Box, full_box, walk
from relay.evidence.lipsync import Moves
from relay.evidence.records import Link, TrackKind

_DURATIONS, _COMPOSITION = 0x100, 0x800


def move_tracks(data: bytes, link: Link, moves: Moves) -> bytes:
    """Return a plain fragment for a player, every track where the chain's records move it.

    If something moves to before time zero anywhere in the recording, all tracks are delayed by that time.
    Raises TheirError(INVALID) for bytes that are no fragment.
    """
    if not any(moves):
        return data
    delay, kinds = delay_of(moves), {part.track: part.kind for part in link.tracks}
    track, time, moved = 0, 0, bytearray(data)
    for _, box in walk(data):
        if box.kind == b"tfhd":
            track = int.from_bytes(data[box.payload + 4 : box.payload + 8], "big")
        elif box.kind == b"tfdt" and track in kinds:
            time = int.from_bytes(data[box.payload + 4 : box.payload + 12], "big")  # our own boxes: always 64 bits
            struct.pack_into(">Q", moved, box.payload + 4, _moved(moves, kinds[track], time, delay))
        elif box.kind == b"trun" and kinds.get(track) is TrackKind.VIDEO and moves.picture:
            _pace(moved, box, time, moves)
    return bytes(moved)


def delay_of(moves: Moves) -> int:
    """Return by how much (ns) all tracks must be delayed so that nothing is shown before time zero."""
    earliest = [0]
    for kind, shifts in ((TrackKind.VIDEO, moves.picture), (TrackKind.AUDIO, moves.sound), (TrackKind.AUDIO, moves.lips)):
        earliest += [shift.since * SECOND_NS // kind.clock_rate + moves.at(kind, shift.since) for shift in shifts]
    return -min(earliest)


def _moved(moves: Moves, kind: TrackKind, time: int, delay: int = 0) -> int:
    """Return a decode time (ticks) where it is moved to."""
    return time + (moves.at(kind, time) + delay) * kind.clock_rate // SECOND_NS


def _pace(moved: bytearray, box: Box, time: int, moves: Moves) -> None:
    """Give each picture the duration that it has where it is moved to; its composition offset is stretched alike."""
    flags, count = full_box(bytes(moved), box)[1], int.from_bytes(moved[box.payload + 4 : box.payload + 8], "big")
    at = box.payload + 8 + 4 * (flags & 0x1) + (4 if flags & 0x4 else 0)
    width = 4 * (flags >> 8 & 0xF).bit_count()
    for _ in range(count if flags & _DURATIONS else 0):
        (duration,) = struct.unpack_from(">I", moved, at)
        shown = _moved(moves, TrackKind.VIDEO, time)
        after = _moved(moves, TrackKind.VIDEO, time + duration)
        struct.pack_into(">I", moved, at, max(after - shown, 1))
        if flags & _COMPOSITION:
            (shift,) = struct.unpack_from(">i", moved, at + width - 4)
            struct.pack_into(">i", moved, at + width - 4, _moved(moves, TrackKind.VIDEO, time + shift) - shown)
        time, at = time + duration, at + width
