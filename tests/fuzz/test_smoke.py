"""Every target on random and on mangled input for a moment, and on every input that ever broke it."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

CRASHES = sorted(path for path in (Path(__file__).parent / "crashes").iterdir() if path.suffix == ".bin")
SLOW = frozenset({"datagram", "dtls", "handshake", "recording", "sdp"})


def mangle(seed: bytes, number: int) -> bytes:
    """Flip, cut, repeat and splice as a fuzzer would, from one number."""
    dice = random.Random(number)
    data = bytearray(seed)
    for _ in range(dice.randrange(1, 8)):
        at, size = dice.randrange(len(data) + 1), dice.randrange(1, 9)
        replacement = dice.choice([b"", dice.randbytes(size), bytes(data[at : at + size]) * 2, b"\xff" * size, bytes(size)])
        data[at : at + dice.choice([0, size])] = replacement
    return bytes(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_targets_seeds_are_its_kind(name: str) -> None:
    assert SEEDS[name]
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_undocumented_comes_out_of_a_parser(name: str) -> None:
    @settings(max_examples=40 if name in SLOW else 300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=600) | st.builds(mangle, st.sampled_from(SEEDS[name]), st.integers(0, 1 << 40)))
    def smoke(data: bytes) -> None:
        TARGETS[name](data)

    smoke()


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.name)
def test_inputs_that_once_broke_a_parser_do_so_no_more(path: Path) -> None:
    name = path.name.partition("-")[0]
    TARGETS[name](path.read_bytes())
