"""Files of successions, and for which keys a trusted one vouches."""

from itertools import pairwise

import pytest

from relay.base.errors import TheirError
from relay.evidence.seal import MemorySigner
from relay.evidence.statement import predecessors, sign_succession, succession_line, successions_in

KEYS = [MemorySigner(bytes([number]) * 32) for number in range(4)]
PUBLIC = [key.public_key for key in KEYS]
PAPERS = [sign_succession(old, new, at_ns=number, reason="y") for number, (old, new) in enumerate(pairwise(KEYS))]


def test_one_paper_alone_or_several_a_line_each() -> None:
    assert successions_in(PAPERS[0]) == [PAPERS[0]]
    assert successions_in(b"".join(map(succession_line, PAPERS))) == PAPERS
    assert successions_in(b"") == []


@pytest.mark.parametrize("data", [PAPERS[0][:-1], b"!!\n", succession_line(PAPERS[0][:-1]), succession_line(PAPERS[0]) * 33])
def test_what_is_no_file_of_successions_is_refused(data: bytes) -> None:
    with pytest.raises(TheirError):
        successions_in(data)


def test_a_key_vouches_for_those_it_followed_and_for_none_that_follow() -> None:
    assert predecessors(PUBLIC[3], PAPERS) == [PUBLIC[2], PUBLIC[1], PUBLIC[0]]
    assert predecessors(PUBLIC[3], PAPERS[::-1]) == [PUBLIC[2], PUBLIC[1], PUBLIC[0]]
    assert predecessors(PUBLIC[1], PAPERS) == [PUBLIC[0]]
    assert predecessors(PUBLIC[3], [PAPERS[0], PAPERS[2]]) == [PUBLIC[2]]
    assert predecessors(PUBLIC[0], PAPERS) == []


def test_a_paper_that_only_one_key_signed_attests_nothing_and_a_ring_ends() -> None:
    forged = bytearray(PAPERS[2])
    forged[-1] ^= 1
    assert predecessors(PUBLIC[3], [*PAPERS[:2], bytes(forged)]) == []
    ring = [*PAPERS, sign_succession(KEYS[3], KEYS[0], at_ns=9, reason="y")]
    assert predecessors(PUBLIC[3], ring) == [PUBLIC[2], PUBLIC[1], PUBLIC[0]]
