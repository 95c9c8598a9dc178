"""The pictures of an interval can be decoded from its first fragment on."""

import io
from dataclasses import replace

import av
import pytest

from relay.archive.export_zip import select_interval
from relay.archive.key_pictures import first_decodable
from relay.base.errors import Kind, TheirError
from relay.evidence.records import Link
from tests.support.copies import recording

BUILT = recording()
"""Links 1 to 5 and 7 to 11 hold ten pictures each; every 25th picture is a key picture."""


def read(link: Link) -> bytes:
    return BUILT.plain[link.fragment]


@pytest.mark.parametrize(("first", "from_there"), [(1, 1), (2, 1), (3, 1), (4, 3), (5, 3), (7, 7), (8, 7), (10, 9)])
def test_it_goes_back_to_the_last_key_picture(first: int, from_there: int) -> None:
    assert first_decodable(BUILT.links, BUILT.links[first], read) == from_there


def test_a_segment_of_sound_alone_begins_where_it_was_asked() -> None:
    links = [replace(link, tracks=link.tracks[1:]) for link in BUILT.links]
    assert first_decodable(links, links[5], read) == 5


def test_a_segment_without_an_idr_is_decoded_from_its_beginning() -> None:
    def refreshed(link: Link) -> bytes:
        return read(link).replace(b"\x65\x88", b"\x61\x88")

    assert first_decodable(BUILT.links, BUILT.links[5], refreshed) == 1
    assert first_decodable(BUILT.links, BUILT.links[10], refreshed) == 7


def test_fragments_that_cannot_be_read_are_no_reason_to_fail() -> None:
    def gone(link: Link) -> bytes:
        raise TheirError(Kind.NOT_FOUND, "gone")

    assert first_decodable(BUILT.links, BUILT.links[5], gone) == 5


def test_an_interval_from_the_middle_of_a_segment_decodes_from_its_first_picture() -> None:
    begin = BUILT.links[5].arrival_start_ns + 1
    selection = select_interval([BUILT.files["chain"]], begin, begin + 100_000_000, read)
    data = b"".join(read(link) for link in selection.links)
    with av.open(io.BytesIO(data), "r") as container:
        pictures = [frame for frame in container.decode(video=0)]
    # Fragment 3 holds pictures 20 to 29: it has five before the key picture, and players leave those out.
    assert (selection.first, selection.last, len(pictures)) == (3, 5, 25)
    assert not any(frame.is_corrupt for frame in pictures)
