"""Both clocks are read together, and a step forward never makes an erasure early."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import DOUBT_NS, SECOND_NS, ConservativeClock, ManualClock, SteadyClock, read_both


class SetAside(ManualClock):
    """A process that the scheduler takes off the core for a second in the middle of its first reading."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = 1

    def utc_ns(self) -> int:
        read = super().utc_ns()
        if self.rest:
            self.rest -= 1
            self.advance(1.0)
        return read


def test_a_process_that_is_set_aside_between_the_clocks_sees_no_step() -> None:
    clock = SetAside()
    utc_ns, mono_ns = read_both(clock)
    assert utc_ns - mono_ns == ManualClock().utc_ns() - round(ManualClock().monotonic() * SECOND_NS)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-10_000, 10_000)), max_size=20))
def test_the_conservative_clock_is_never_ahead_of_the_wall_nor_of_time_that_passed(moves: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    conservative = ConservativeClock(clock)
    begun, passed, allowed = clock.utc_ns(), 0, 0
    for seconds, step in moves:
        clock.advance(seconds)
        clock.step_utc(step)
        passed += seconds
        allowed += 1 + seconds // 1000 + (step if 0 < step <= 1 + seconds // 1000 else 0)
        now_ns = conservative.utc_ns()
        assert now_ns <= clock.utc_ns()
        if passed * SECOND_NS < DOUBT_NS:
            assert now_ns <= begun + (passed + allowed) * SECOND_NS


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-100_000, 100_000)), max_size=20))
def test_the_steady_clock_knows_time_that_passed_and_no_step(moves: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    steady = SteadyClock(clock)
    begun, passed = steady.utc_ns(), 0
    assert begun == clock.utc_ns()
    for seconds, step in moves:
        clock.advance(seconds)
        clock.step_utc(step)
        passed += seconds
        assert steady.utc_ns() == begun + passed * SECOND_NS
        assert steady.wall_ns(steady.utc_ns() + 5) == clock.utc_ns() + 5


def test_a_system_without_time_zones_ends_in_a_sentence() -> None:
    hidden = "import sys; sys.modules['tzdata'] = None; import zoneinfo; zoneinfo.reset_tzpath([]); import relay.base.clock"
    ran = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == (
        "the time zone Europe/Paris is missing: install the time zones of the system, or the Python package tzdata\n"
    )


def test_the_package_tzdata_serves_a_system_without_time_zones() -> None:
    hidden = "import zoneinfo; zoneinfo.reset_tzpath([]); import relay.base.clock"
    subprocess.run([sys.executable, "-c", hidden], check=True)
