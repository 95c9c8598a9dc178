"""Serials, ids, clocks, counters, redaction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import ManualClock, paris_day, rfc3339
from relay.base.counters import Counters, declare
from relay.base.ids import is_slug, new_id, new_token, token_digest
from relay.base.redact import redact
from relay.base.serials import Unwrapper, unwrap


@given(near=st.integers(-(1 << 40), 1 << 40), offset=st.integers(-(1 << 15) + 1, 1 << 15))
def test_a_serial_unwraps_to_the_nearest_integer(near: int, offset: int) -> None:
    assert unwrap((near + offset) & 0xFFFF, near, 16) == near + offset


@given(first=st.integers(0, 0xFFFF), steps=st.lists(st.integers(-100, 1000), max_size=200))
def test_an_unwrapped_stream_keeps_its_differences(first: int, steps: list[int]) -> None:
    unwrapper = Unwrapper(16)
    true = first
    base = unwrapper.extend(first) - first
    highest = true
    for step in steps:
        true = highest + step
        assert unwrapper.extend(true & 0xFFFF) == true + base
        highest = max(highest, true)


@given(utc_ns=st.integers(0, (1 << 48) * 1_000_000 - 1))
def test_ids_are_uuid_version_7_and_carry_their_time(utc_ns: int) -> None:
    text = new_id(utc_ns)
    assert len(text) == 32
    assert text[12] == "7"
    assert text[16] in "89ab"
    assert int(text[:12], 16) == utc_ns // 1_000_000


def test_tokens_differ_and_are_kept_as_digests() -> None:
    one, other = new_token(), new_token()
    assert one != other
    assert len(token_digest(one)) == 64
    assert token_digest(one) != token_digest(other)


@pytest.mark.parametrize(
    ("text", "good"),
    [("cam-1", True), ("-cam", False), ("cam-", False), ("Cam", False), ("", False), ("a" * 41, False), ("../x", False)],
)
def test_slugs_name_cameras_and_nothing_else(text: str, good: bool) -> None:
    assert is_slug(text) is good


def test_the_manual_clock_moves_both_clocks_and_steps_one() -> None:
    clock = ManualClock(utc_ns=0, monotonic=1.0)
    clock.advance(2.5)
    clock.step_utc(-1)
    assert clock.monotonic() == 3.5
    assert clock.utc_ns() == 1_500_000_000


def test_times_are_written_in_utc_with_microseconds() -> None:
    assert rfc3339(1_795_381_450_123_456_789) == "2026-11-22T21:04:10.123456Z"


def test_the_day_of_recording_is_the_day_in_paris() -> None:
    late_evening_utc = 1_795_390_200 * 1_000_000_000  # 2026-11-22T23:30:00Z
    assert paris_day(late_evening_utc).isoformat() == "2026-11-23"


def test_counting_an_undeclared_name_is_our_bug() -> None:
    with pytest.raises(KeyError):
        Counters().count("never_declared")


def test_a_counter_has_one_meaning() -> None:
    declare(test_base_only="counted by a test")
    declare(test_base_only="counted by a test")
    with pytest.raises(ValueError, match="declared twice"):
        declare(test_base_only="something else")


@given(address=st.ip_addresses())
def test_no_address_and_no_token_survives_redaction(address: object) -> None:
    token = new_token()
    clean = redact(f"peer {address} closed at 21:04:10, token {token}")
    assert str(address) not in clean
    assert token not in clean
    assert "21:04:10" in clean
