"""Parameter sets are known by their numbers, whenever and by whichever way they came."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.parameter_sets import MAX_BYTES, ParameterSets, Sets, offered_sets

SPS = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8")
OTHER_SPS = bytes.fromhex("6742c015da0507e84000000300400000078080")
PPS = b"\x68\xce\x3c\x80"


def ue(value: int) -> str:
    """An Exp-Golomb number in binary digits (H.264 §9.1)."""
    return "0" * (len(f"{value + 1:b}") - 1) + f"{value + 1:b}"


def unit(header: bytes, *numbers: int) -> bytes:
    """A unit that begins with these numbers."""
    bits = "".join(map(ue, numbers)) + "1"
    return header + int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def sps(number: int, *rest: int) -> bytes:
    return unit(b"\x67\x42\xc0\x1f", number, *rest)


def pps(number: int, of: int, *rest: int) -> bytes:
    return unit(b"\x68", number, of, *rest)


def slice_of(number: int) -> bytes:
    return unit(b"\x65", 0, 7, number)


def test_sets_of_several_numbers_are_remembered_and_the_latest_of_a_number_counts() -> None:
    sets = ParameterSets()
    assert sets.sets() is None
    assert sets.take(sps(0))
    assert sets.sets() is None
    assert sets.take(pps(0, 0))
    assert sets.take(sps(3))
    assert sets.take(pps(9, 3))
    assert not sets.take(sps(0)), "it is in force already"
    assert sets.take(pps(9, 3, 5))
    assert sets.sets() == Sets((sps(0), sps(3)), (pps(0, 0), pps(9, 3, 5)))
    assert sets.units == (sps(0), sps(3), pps(0, 0), pps(9, 3, 5))


def test_the_set_that_a_picture_uses_comes_first() -> None:
    sets = ParameterSets((sps(0), sps(3), pps(0, 0), pps(9, 3)))
    assert sets.sets(slice_of(9)) == Sets((sps(3), sps(0)), (pps(0, 0), pps(9, 3)))
    assert sets.sets(slice_of(0)) == Sets((sps(0), sps(3)), (pps(0, 0), pps(9, 3)))
    assert sets.sets(slice_of(1)) is None
    assert sets.sets(b"\x65") is None


def test_a_picture_set_without_its_sequence_set_is_of_no_use_yet() -> None:
    sets = ParameterSets((sps(0), pps(0, 0), pps(1, 7)))
    assert sets.sets() == Sets((sps(0),), (pps(0, 0),))
    sets.take(sps(7))
    assert sets.sets() == Sets((sps(0), sps(7)), (pps(0, 0), pps(1, 7)))


@pytest.mark.parametrize("absurd", [b"", b"\x67", b"\x68", sps(32), pps(256, 0), b"\x67" + bytes(40), sps(1) + bytes(5000)])
def test_absurd_sets_are_not_taken(absurd: bytes) -> None:
    sets = ParameterSets((SPS, PPS))
    assert not sets.take(absurd)
    assert sets.units == (SPS, PPS)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda head, tail: head + tail,
                st.sampled_from((sps(0), sps(9), pps(0, 0), pps(200, 9), b"\x67", b"\x68")),
                st.binary(max_size=3000),
            ),
        ),
        max_size=40,
    )
)
def test_any_units_cost_a_bounded_memory_and_raise_nothing(units: list[bytes]) -> None:
    sets = ParameterSets(units)
    assert sum(map(len, sets.units)) <= MAX_BYTES
    found = sets.sets()
    assert found is None or set(found.units) <= set(sets.units)


def test_the_sets_of_an_offer_are_read() -> None:
    both = ",".join(base64.b64encode(one).decode() for one in (SPS, PPS))
    assert offered_sets(f"packetization-mode=1;sprop-parameter-sets={both};profile-level-id=42c01f") == (SPS, PPS)
    assert offered_sets(f'profile-level-id=42c01f; Sprop-Parameter-Sets = "{both.replace("=", "")}"') == (SPS, PPS)
    assert offered_sets("packetization-mode=1") == ()
    assert offered_sets("sprop-parameter-sets=,!!,Z,%") == ()


@given(st.text(max_size=200))
def test_no_offer_breaks_the_reading_of_its_sets(text: str) -> None:
    assert all(one[0] & 31 in (7, 8) for one in offered_sets(f"sprop-parameter-sets={text}"))
