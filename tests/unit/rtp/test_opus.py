"""Opus packets: their length, against libopus, and hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.rtp import opus
from tests.support.worker_line import tone


def test_what_libopus_makes_lasts_twenty_milliseconds() -> None:
    assert {opus.samples(packet) for packet in tone()} == {960}


@pytest.mark.parametrize(
    ("toc", "samples"), [(0x00, 480), (0x18, 2880), (0x60, 480), (0x68, 960), (0x80, 120), (0x99, 1920), (0x02, 960)]
)
def test_the_table_of_rfc_6716(toc: int, samples: int) -> None:
    assert opus.samples(bytes((toc,))) == samples


def test_many_frames_are_counted_up_to_120_ms() -> None:
    assert opus.samples(bytes((0x9B, 6))) == 5760
    with pytest.raises(TheirError):
        opus.samples(bytes((0x9B, 7)))


@given(st.binary(max_size=4))
def test_any_bytes_have_a_length_or_are_their_error(payload: bytes) -> None:
    try:
        assert 0 < opus.samples(payload) <= 5760
    except TheirError:
        return
