"""A segment that begins without an IDR is played behind a grey picture; FFmpeg decodes it."""

import io

import av

from relay.archive.grey_start import TICKS, grey_before
from relay.evidence.boxes import movie_tracks, walk
from relay.evidence.samples import fragment_samples
from tests.support.copies import recording

BUILT = recording()
INIT, FIRST, LATER = BUILT.plain[0], BUILT.plain[1], BUILT.plain[7]
NO_IDR = LATER.replace(b"\x65\x88", b"\x61\x88")


def test_a_grey_idr_goes_directly_before_the_first_picture() -> None:
    grey = grey_before(INIT, NO_IDR)
    moov = next(INIT[box.start : box.end] for _, box in walk(INIT) if box.kind == b"moov")
    headers = movie_tracks(moov)
    (made,), (first, *_) = fragment_samples(grey, headers)[1], fragment_samples(NO_IDR, headers)[1]
    assert (made.time, made.duration) == (first.time - TICKS, TICKS)
    with av.open(io.BytesIO(INIT + grey), "r") as container:
        (picture,) = container.decode(video=0)
    assert picture.key_frame
    assert not picture.is_corrupt
    assert picture.to_ndarray(format="gray").std() == 0


def test_what_a_browser_can_play_is_left_alone() -> None:
    assert grey_before(INIT, LATER) == b"", "an IDR"
    assert grey_before(INIT, FIRST.replace(b"\x65\x88", b"\x61\x88")) == b"", "there is no time before it"
    assert grey_before(INIT, b"rubbish") == b""
    assert grey_before(b"", NO_IDR) == b""
