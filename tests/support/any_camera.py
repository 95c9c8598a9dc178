"""The law of every camera: its recording decodes to the pictures of the source, or what is missing lies in a signed gap.

Owns: recording a made stream with a real recorder, and the comparison.  Must never know: how the recorder reads H.264.  The
judge is FFmpeg: it decodes the sealed media, and it decoded the source.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.base.ids import new_id
from relay.channel import messages
from relay.evidence.chain import Gap, Link
from tests.support.camera_streams import Picture, Stream, shown_in
from tests.support.recorder_line import KEY, Place, feed, plan, running, taken
from tests.support.rtp_source import VIDEO_SSRC

NEAR = 0.15
"""A gap is found by arrival; jitter may move its ends by so much, seconds."""
SUMMED = 0.6
"""Short gaps before one fragment are one record, which begins with the first of them: the others lie so much later at most."""


@dataclass(frozen=True)
class Recorded:
    """What a recording holds: digests of its pictures as FFmpeg shows them, and its gaps (seconds from the first packet)."""

    pictures: tuple[str, ...]
    gaps: tuple[tuple[float, float, str], ...]
    segments: int
    folder: Path


def tracks(stream: Stream) -> tuple[messages.Track, ...]:
    """Return the video track as the camera offers it."""
    return (messages.Track(VIDEO_SSRC, "video", 102, 90_000, stream.fmtp),)


async def recorded(root: Path, stream: Stream) -> Recorded:
    """Record a stream with a recorder of its own."""
    place, recording = Place(root), new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", tracks(stream)))
        origin = time.time_ns()
        await feed(tap, recording, stream.packets)
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", None))
    links = [record.body for record in place.bodies(recording, Link)]
    gaps = [record.body for record in place.bodies(recording, Gap)]
    media = place.plain(recording) if links else b""
    return Recorded(
        shown_in(media, "mp4") if media else (),
        tuple(
            ((gap.start_ns - origin) / 1e9, (gap.start_ns + gap.length_ns - origin) / 1e9, gap.cause.value)
            for gap in gaps
            if isinstance(gap, Gap) and gap.track in (None, 1)
        ),
        len({link.segment for link in links if isinstance(link, Link)}),
        root / "vault" / recording,
    )


def faults(stream: Stream, found: Recorded, *, first: int = 0) -> list[str]:
    """Return what breaks the law; `first`: the picture (in decode order) with which the camera began."""
    expected = [stream.shown[picture.number] for picture in sorted(stream.pictures[first:], key=lambda each: each.number)]
    missing = set(expected) - set(found.pictures)
    unexplained = [picture for picture in _unexplained(stream, found, missing, first)]
    out = [f"picture {picture.number} at {picture.at:.3f} s is missing, and in no gap" for picture in unexplained]
    if not stream.lost and not first:
        if found.gaps:
            out.append(f"gaps although nothing was lost: {found.gaps}")
        if list(found.pictures) != expected:
            strange = sum(digest not in expected for digest in found.pictures)
            out.append(f"{len(found.pictures)} pictures of {len(expected)}, {strange} of them not the source's")
    known = [expected.index(digest) for digest in found.pictures if digest in expected]
    if known != sorted(known):
        out.append("pictures in another order")
    return out


def _unexplained(stream: Stream, found: Recorded, missing: set[str], first: int) -> Sequence[Picture]:
    """Return the missing pictures that neither lie in a gap nor need one that does (they decode, damaged, after it)."""
    out, damaged = [], 0
    for picture in stream.pictures[first:]:
        if picture.key:
            damaged = 0
        if stream.shown[picture.number] not in missing:
            damaged = max(0, damaged - 1) if stream.habits.refresh else 0
            continue
        if any(begin - NEAR <= picture.at <= end + SUMMED for begin, end, _ in found.gaps):
            damaged = 2 * stream.habits.gop if stream.habits.refresh else 1 << 30
        elif not damaged:
            out.append(picture)
        elif stream.habits.refresh:
            damaged -= 1
    return out
