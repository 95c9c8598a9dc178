"""Transport-wide feedback, read back by a decoder written from the draft for this test alone."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.transport_cc import build_feedback


def decode(packet: bytes) -> tuple[int, int, dict[int, float | None]]:
    """Return base, feedback count and arrival (seconds, None where not received) by 16-bit number."""
    base, count, reference = struct.unpack_from(">HHI", packet, 12)
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        (chunk,) = struct.unpack_from(">H", packet, at)
        at += 2
        if chunk >> 15 == 0:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        else:
            assert chunk >> 14 == 3
            symbols += [chunk >> 12 - 2 * place & 3 for place in range(7)]
    clock = (reference >> 8) * 0.064
    arrivals: dict[int, float | None] = {}
    for offset, symbol in enumerate(symbols[:count]):
        if symbol:
            (step,) = struct.unpack_from(">B" if symbol == 1 else ">h", packet, at)
            at += symbol
            clock += step * 0.00025
        arrivals[(base + offset) & 0xFFFF] = clock if symbol else None
    return base, reference & 0xFF, arrivals


@given(
    st.integers(0, 0x1FFFF),
    st.floats(0, 1_000_000),
    st.lists(st.tuples(st.integers(1, 30), st.floats(-0.05, 0.3)), max_size=60),
)
def test_every_arrival_is_reported_within_a_quarter_millisecond(
    first: int, start: float, steps: list[tuple[int, float]]
) -> None:
    arrivals = {first: start}
    number, at = first, start
    for ahead, later in steps:
        number, at = number + ahead, max(0.0, at + later)
        arrivals[number] = at
    packet, covered = build_feedback(1, 2, 7, arrivals)
    base, count, reported = decode(packet)
    assert (base, count, covered) == (first & 0xFFFF, 7, number + 1)
    assert len(packet) % 4 == 0
    assert int.from_bytes(packet[2:4], "big") == len(packet) // 4 - 1
    wrap = (1 << 24) * 0.064
    for wanted in range(first, number + 1):
        answer = reported[wanted & 0xFFFF]
        if wanted in arrivals:
            assert answer is not None
            assert abs((answer - arrivals[wanted] + wrap / 2) % wrap - wrap / 2) < 0.0003
        else:
            assert answer is None


def test_a_step_too_large_for_the_format_ends_the_packet() -> None:
    packet, covered = build_feedback(1, 2, 0, {10: 1.0, 11: 1.1, 12: 20.0})
    assert covered == 12
    assert set(decode(packet)[2]) == {10, 11}
