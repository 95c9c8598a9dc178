"""A recording as HLS: which stored bytes make which piece of the playlist.

Owns: the index of one recording and its HLS playlist (RFC 8216).  Must never know: keys, people, HTTP.
One HLS segment is one vault segment (about 60 s, beginning with an IDR), so every segment decodes on its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.archive.quiet import heard_span
from relay.base.clock import SECOND_NS
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.evidence.chain import iterate
from relay.evidence.lipsync import Moves, moves_of
from relay.evidence.records import Link, TrackPart


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
    moves: Moves
    """How far picture and sound are moved so that they play together, and at the pace of the camera."""
    heard: tuple[int, int] | None
    """From when to when there is sound (`quiet.heard_span`)."""


def index_chain(chain: Iterable[bytes]) -> Index:
    """Return the pieces of a recording; raises TheirError(INVALID) where the chain cannot be read."""
    bodies = [record.body for record in iterate(b"".join(chain))]
    moves = moves_of(lambda: bodies)
    links = [body for body in bodies if isinstance(body, Link)]
    return Index(tuple(_pieces(links, moves)), moves, heard_span(links))


def runs(segments: Iterable[int]) -> str:
    """Return segment numbers as runs: `0-3,7`; an empty text for none."""
    found: list[list[int]] = []
    for segment in sorted(segments):
        if found and segment == found[-1][1] + 1:
            found[-1][1] = segment
        else:
            found.append([segment, segment])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _pieces(links: Iterable[Link], moves: Moves) -> list[Piece]:
    by_segment: dict[int, list[Link]] = {}
    for link in links:
        by_segment.setdefault(link.segment, []).append(link)
    return [piece for number, links in sorted(by_segment.items()) if (piece := _piece(number, links, moves)) is not None]


def _piece(segment: int, links: list[Link], moves: Moves) -> Piece | None:
    fragments = tuple(link for link in links if not link.init)
    init = next((link for link in links if link.init), None)
    if init is None or not fragments:
        return None
    return Piece(segment, init, fragments, _seconds(fragments, moves))


def _seconds(fragments: tuple[Link, ...], moves: Moves) -> float:
    """Return how long these fragments are shown; each track where it is moved to."""
    parts = [part for link in fragments for part in link.tracks]
    first = min((_shown(part, part.first, moves) for part in parts), default=0.0)
    return max((_shown(part, part.end, moves) for part in parts), default=0.0) - first


def _shown(part: TrackPart, time: int, moves: Moves) -> float:
    return time / part.kind.clock_rate + moves.at(part.kind, time) / SECOND_NS


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
