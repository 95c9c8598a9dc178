"""The law of every late viewer: from the last keyframe before it came, it sees each picture of the source, and no other.

Owns: the comparison.  Must never know: how the fan-out reads H.264.  The judge is FFmpeg: it decodes what the viewer assembled,
and it decoded the source.
"""

from relay.fanout.tracks import TrackSpec
from tests.support.camera_streams import Stream, shown_in
from tests.support.strict_viewer import Watched

NEAR = 0.15
"""A key picture that came so near to the viewer, in seconds, may be its first one, or not."""


def spec(stream: Stream) -> TrackSpec:
    """Return the video track as it was agreed with the camera."""
    return TrackSpec("video", "0", 102, 90_000, stream.fmtp, nack=True)


def faults(stream: Stream, watched: Watched, since: float) -> list[str]:
    """Return what a viewer missed that came `since` seconds after the camera; nothing may be lost on the way to the relay."""
    keys = [picture for picture in stream.pictures if picture.key]
    sure = max(picture.number for picture in keys if picture.at <= since - NEAR)
    near = max(picture.number for picture in keys if picture.at <= since + NEAR)
    expected, found = stream.shown[near:], shown_in(watched.film())
    missing = [near + number for number, digest in enumerate(expected) if digest not in found]
    extra = len(found) - len(stream.shown[sure:])
    return [f"missing: {missing}" for _ in [0] if missing] + [f"{extra} more pictures" for _ in [0] if extra > 0]
