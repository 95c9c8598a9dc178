"""A recording as HLS: which stored bytes make which piece of the playlist.

Owns: the index of one recording and its HLS playlist (RFC 8216).  Must never know: keys, people, HTTP.
One HLS segment is one vault segment (about 60 s, beginning with an IDR), so every segment decodes on its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.base.clock import SECOND_NS
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.evidence.boxes import walk
from relay.evidence.chain import iterate
from relay.evidence.lipsync import Shift, offset_at, sound_shifts
from relay.evidence.records import Link, TrackKind


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment: its init link, its fragment links and its length in seconds."""

    segment: int
    init: Link
    fragments: tuple[Link, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Index:
    """The pieces of a recording, read from its chain."""

    pieces: tuple[Piece, ...]
    shifts: tuple[Shift, ...]
    """How far the sound is moved so that it plays with its picture."""


def index_chain(chain: Iterable[bytes]) -> Index:
    """Return the pieces of a recording; raises TheirError(INVALID) where the chain cannot be read."""
    links = [record.body for record in iterate(b"".join(chain)) if isinstance(record.body, Link)]
    return Index(tuple(_pieces(links)), sound_shifts(links))


def move_sound(data: bytes, link: Link, shifts: Sequence[Shift]) -> bytes:
    """Return a plain fragment for a player: its sound is moved by the offset that the chain's sender reports give.

    If sound moves to an earlier time anywhere in the recording, all tracks are delayed by that time, so that no time is below
    zero.  Raises TheirError(INVALID) for bytes that are no fragment.
    """
    if not shifts:
        return data
    delay = max(0, -min(shift.offset_ns for shift in shifts))
    times = {}
    for part in link.tracks:
        offset = offset_at(shifts, part.first) if part.kind is TrackKind.AUDIO else 0
        times[part.track] = part.first + (delay + offset) * part.kind.clock_rate // SECOND_NS
    track, moved = 0, bytearray(data)
    for _, box in walk(data):
        if box.kind == b"tfhd":
            track = int.from_bytes(data[box.payload + 4 : box.payload + 8], "big")
        elif box.kind == b"tfdt" and track in times:
            moved[box.payload + 4 : box.payload + 12] = times[track].to_bytes(8, "big")  # our own boxes: always 64 bits
    return bytes(moved)


def runs(segments: Iterable[int]) -> str:
    """Return segment numbers as runs: `0-3,7`; an empty text for none."""
    found: list[list[int]] = []
    for segment in sorted(segments):
        if found and segment == found[-1][1] + 1:
            found[-1][1] = segment
        else:
            found.append([segment, segment])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _pieces(links: Iterable[Link]) -> list[Piece]:
    by_segment: dict[int, list[Link]] = {}
    for link in links:
        by_segment.setdefault(link.segment, []).append(link)
    return [piece for number, links in sorted(by_segment.items()) if (piece := _piece(number, links)) is not None]


def _piece(segment: int, links: list[Link]) -> Piece | None:
    fragments = tuple(link for link in links if not link.init)
    init = next((link for link in links if link.init), None)
    if init is None or not fragments:
        return None
    return Piece(segment, init, fragments, _seconds(fragments))


def _seconds(fragments: tuple[Link, ...]) -> float:
    parts = [part for link in fragments for part in link.tracks]
    first = min((part.first / part.kind.clock_rate for part in parts), default=0.0)
    return max((part.end / part.kind.clock_rate for part in parts), default=0.0) - first


def playlist(pieces: Sequence[Piece]) -> str:
    """Return a VOD playlist whose addresses are relative: `<n>.init.mp4`, `<n>.m4s`; TheirError(NOT_FOUND) without pieces."""
    if not pieces:
        raise TheirError(Kind.NOT_FOUND, "nothing was recorded", code=Code.NOTHING_RECORDED)
    longest = max(piece.seconds for piece in pieces)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{int(longest) + 1}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    lines += ["#EXT-X-INDEPENDENT-SEGMENTS"]
    known = b""
    for piece in pieces:
        if piece.init.plain_digest != known:
            lines += ["#EXT-X-DISCONTINUITY"] if known else []
            lines += [f'#EXT-X-MAP:URI="{piece.segment}.init.mp4"']
            known = piece.init.plain_digest
        lines += [f"#EXTINF:{piece.seconds:.3f},", f"{piece.segment}.m4s"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])
