"""The small pure parts of a camera: pauses, the relay's clock, tokens, NTP, drawing."""

from pathlib import Path

import aioice
import aioice.ice
import numpy as np
import pytest
from aiortc import RTCRtpSender, rtcrtpsender
from hypothesis import given
from hypothesis import strategies as st

from sim_cameras import font
from sim_cameras.device import Backoff
from sim_cameras.fleet import TokensError, read_tokens
from sim_cameras.live import RelayClock
from sim_cameras.ntp import ntp64
from sim_cameras.whip import WhipRefused

SECOND = 1_000_000_000


@given(st.integers(0, 100), st.integers(1, 30))
def test_pauses_grow_and_stay_bounded(seed: int, failures: int) -> None:
    backoff = Backoff(seed)
    pauses = [backoff.pause() for _ in range(failures)]
    assert 0.125 <= pauses[0] <= 0.25
    assert max(pauses) <= 5
    backoff.succeeded()
    assert backoff.pause() <= 0.25


def test_a_pause_is_never_shorter_than_the_server_asked() -> None:
    assert Backoff(1).pause(retry_after=7) == 7


@pytest.mark.parametrize(
    ("status", "final"), [(401, True), (403, True), (404, True), (406, True), (409, False), (429, False), (503, False)]
)
def test_refusals_that_time_will_not_mend_are_final(status: int, final: bool) -> None:
    assert WhipRefused(status, "", None).final is final


@given(st.integers(-(10**15), 10**15), st.integers(0, SECOND), st.floats(0, 1))
def test_the_relays_clock_is_within_its_uncertainty(offset: int, trip: int, skew: float) -> None:
    clock = RelayClock()
    clock.update(SECOND, SECOND + int(trip * skew) + offset, SECOND + trip)
    assert clock.offset_ns is not None
    assert abs(clock.offset_ns - offset) <= clock.uncertainty_ns + 1


def test_a_better_exchange_wins_and_a_worse_one_does_not() -> None:
    clock = RelayClock()
    clock.update(SECOND, SECOND + 40_000_000, SECOND + 80_000_000)
    clock.update(2 * SECOND, 2 * SECOND + 5_000_000, 2 * SECOND + 10_000_000)
    clock.update(3 * SECOND, 3 * SECOND + 90_000_000, 3 * SECOND + 100_000_000)
    assert clock.uncertainty_ns == 5_000_000
    assert clock.offset_ns == 0


def test_tokens_are_read_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# demo\ncam1 abc\n\ncam2 def # second\n")
    assert read_tokens(path) == {"cam1": "abc", "cam2": "def"}


@pytest.mark.parametrize("text", ["cam1\n", "cam1 a b\n", "cam1 a\ncam1 b\n"])
def test_a_broken_tokens_file_names_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(TokensError, match=r"line \d"):
        read_tokens(path)


def test_a_missing_tokens_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="none"):
        read_tokens(tmp_path / "none")


def test_ntp_of_a_known_instant() -> None:
    assert ntp64(SECOND // 2) == 2_208_988_800 << 32 | 1 << 31


def test_text_is_drawn_to_scale() -> None:
    small, large = font.mask("A1", 1), font.mask("A1", 3)
    assert small.shape == (7, 12)
    assert large.shape == (21, 36)
    assert np.array_equal(large[::3, ::3], small)
    assert font.mask("", 2).shape == (14, 0)
    assert font.mask("\u20ac", 1).any()


def test_the_private_names_we_hook_exist() -> None:
    assert hasattr(aioice.ice, "get_host_addresses")
    assert hasattr(rtcrtpsender, "RTP_HISTORY_SIZE")
    assert hasattr(RTCRtpSender, "_handle_rtcp_packet")
    assert hasattr(RTCRtpSender, "_send_rtcp")
    names = RTCRtpSender._run_rtcp.__code__.co_names
    assert "_RTCRtpSender__lsr" in names
    assert "_RTCRtpSender__lsr_time" in names
    assert "_protocols" in aioice.Connection.__init__.__code__.co_names
