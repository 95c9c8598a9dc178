"""What a playback needs of a chain: which stored bytes make which piece of the playlist.

Owns: the index of one recording and its HLS playlist (RFC 8216).  Must never know: keys, people, HTTP.
One HLS segment is one vault segment (about 60 s, beginning with an IDR), so every segment decodes on its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import iterate
from relay.evidence.records import Link


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment: its init link, its fragment links and its length in seconds."""

    segment: int
    init: Link
    fragments: tuple[Link, ...]
    seconds: float


def index_chain(chain: Iterable[bytes]) -> list[Piece]:
    """Return the pieces of a recording; raises TheirError(INVALID) where the chain cannot be read."""
    by_segment: dict[int, list[Link]] = {}
    for record in iterate(b"".join(chain)):
        if isinstance(record.body, Link):
            by_segment.setdefault(record.body.segment, []).append(record.body)
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


def playlist(pieces: list[Piece]) -> str:
    """Return a VOD playlist whose addresses are relative: `<n>.init.mp4`, `<n>.m4s`; TheirError(NOT_FOUND) without pieces."""
    if not pieces:
        raise TheirError(Kind.NOT_FOUND, "nothing was recorded")
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
