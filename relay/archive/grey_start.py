"""A grey picture before a segment whose first picture is no IDR, so that a browser plays it.

Owns: the fragment that is put before such a segment on its way to a player.  Must never know: keys, people, HTTP.

A camera that sends no IDR is recorded from a recovery point on.  Browsers begin at an IDR only, and would play nothing of it.
Only what is played is changed: neither sealed bytes nor copies for extraction have this picture.
"""

import struct

from relay.archive.key_pictures import unit_kinds
from relay.base.errors import RelayError
from relay.evidence.boxes import movie_tracks, walk
from relay.evidence.layout import Remarks
from relay.evidence.movie import read_movie
from relay.evidence.parameters import PictureConfiguration
from relay.evidence.records import TrackKind
from relay.evidence.samples import fragment_samples
from relay.rtp.grey import grey_picture
from relay.rtp.h264 import IDR
from relay.rtp.parameter_sets import ParameterSets

TICKS = 90
"""How long it is shown, in ticks of 1/90 000 s: a millisecond before the first picture."""
_BASE_IS_MOOF = 0x020000
_SYNC = 0x02000000
_TRUN = 0x000001 | 0x000100 | 0x000200 | 0x000400
"""Data offset; duration, size and flags of the sample (ISO/IEC 14496-12 §8.8.8)."""


def grey_before(init: bytes, fragment: bytes) -> bytes:
    """Return a fragment to play before the first one of a segment; empty where none is needed, or none can be made.

    `init` is the plain init segment; `fragment` is as it is played: its times decide that of the grey picture.
    """
    try:
        return _grey_before(init, fragment)
    except RelayError:
        return b""


def _grey_before(init: bytes, fragment: bytes) -> bytes:
    moov = next((init[box.start : box.end] for _, box in walk(init) if box.kind == b"moov"), b"")
    videos = [track for track in read_movie(moov, Remarks()).tracks.values() if track.kind is TrackKind.VIDEO]
    configuration = videos[0].entries[0].configuration if videos and videos[0].entries else None
    if not isinstance(configuration, PictureConfiguration) or not configuration.sps:
        return b""
    number = videos[0].header.track
    samples = fragment_samples(fragment, movie_tracks(moov)).get(number, [])
    if not samples or samples[0].time < TICKS:
        return b""
    first = samples[0]
    if IDR in unit_kinds(fragment[first.offset : first.offset + first.size]):
        return b""
    free = ParameterSets((*configuration.sps, *configuration.pps)).free_pps
    picture = grey_picture(configuration.sps[0], free) if free is not None else None
    return b"" if picture is None else _fragment(number, first.time - TICKS, picture)


def _fragment(track: int, time: int, units: tuple[bytes, ...]) -> bytes:
    """Return `moof` and `mdat` with one sample."""
    sample = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    def moof(offset: int) -> bytes:
        run = struct.pack(">IIIII", 1, offset, TICKS, len(sample), _SYNC)
        boxes = (
            _box(b"tfhd", struct.pack(">II", _BASE_IS_MOOF, track)),
            _box(b"tfdt", struct.pack(">IQ", 1 << 24, time)),
            _box(b"trun", struct.pack(">I", _TRUN) + run),
        )
        return _box(b"moof", _box(b"mfhd", bytes(8)) + _box(b"traf", b"".join(boxes)))

    return moof(len(moof(0)) + 8) + _box(b"mdat", sample)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body
