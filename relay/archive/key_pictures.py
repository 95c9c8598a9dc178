"""From which fragment on the pictures of an interval can be decoded.

Owns: finding key pictures (IDR, ITU-T H.264 §7.4.1.2.4) in sealed fragments.  Must never know: people, files, keys.

A segment begins with a key picture; a camera sends further ones only when asked.  So the pictures of an interval that begins
inside a segment need fragments from before it.  Where the camera sends no IDR, the segment begins at a recovery point.
"""

from collections.abc import Callable, Sequence

from relay.base.errors import RelayError
from relay.evidence.boxes import TrackHeader, movie_tracks
from relay.evidence.records import Link, TrackKind
from relay.evidence.samples import fragment_samples

_IDR = 5


def first_decodable(links: Sequence[Link], first: Link, read: Callable[[Link], bytes]) -> int:
    """Return the number of the fragment at or before `first`, in its segment, from which its pictures can be decoded.

    `links` are all of the recording; `read` returns a link's plain bytes.  Where no fragment before `first` has a key picture,
    it is the first one of the segment; where they cannot be read, it is `first` itself.
    """
    segment = [link for link in links if link.segment == first.segment and link.fragment <= first.fragment]
    video = [part.track for link in segment for part in link.tracks if part.kind is TrackKind.VIDEO]
    if not segment or not segment[0].init or not video:
        return first.fragment
    try:
        headers = movie_tracks(read(segment[0]))
        for link in reversed(segment[1:]):
            keys = _key_pictures(read(link), headers, video[0])
            if keys[:1] == [True] or (link is not first and any(keys)):
                return link.fragment
        return segment[min(1, len(segment) - 1)].fragment
    except (RelayError, OSError):
        return first.fragment


def _key_pictures(fragment: bytes, headers: dict[int, TrackHeader], track: int) -> list[bool]:
    """Return of each picture whether it is a key picture."""
    samples = fragment_samples(fragment, headers).get(track, [])
    return [_IDR in unit_kinds(fragment[sample.offset : sample.offset + sample.size]) for sample in samples]


def unit_kinds(sample: bytes) -> list[int]:
    """Return the type of each NAL unit of a sample with 4-byte lengths."""
    at, kinds = 0, []
    while at + 4 < len(sample):
        kinds.append(sample[at + 4] & 31)
        at += 4 + int.from_bytes(sample[at : at + 4], "big")
    return kinds
