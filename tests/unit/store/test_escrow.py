"""Shares of the key-encryption key: enough of them restore it; too few or the wrong ones change nothing."""

from itertools import combinations
from pathlib import Path

import pytest

from relay.base.errors import Kind, OurError, TheirError
from relay.store.escrow import combine, split
from relay.store.keyring import Keyring
from relay.store.long_term_keys import Places

ONE, DAY = "1" * 32, "2026-12-22"


def test_any_enough_shares_bring_a_lost_key_back(tmp_path: Path) -> None:
    key = Keyring(tmp_path).create_recording_key(ONE, DAY)
    lost = (tmp_path / "kek.key").read_bytes()
    shares = split(tmp_path, 2, 4)
    assert len(set(shares)) == 4
    for pair in combinations(shares, 2):
        (tmp_path / "kek.key").unlink()
        with pytest.raises(OurError):
            Keyring(tmp_path)
        assert combine(tmp_path, list(pair), Places()) == 1
        assert (tmp_path / "kek.key").read_bytes() == lost
        assert Keyring(tmp_path).recording_key(ONE) == key


def test_too_few_mistyped_or_foreign_shares_change_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Keyring(tmp_path / name).create_recording_key(ONE, DAY)
    mine, foreign = split(tmp_path / "a", 2, 3), split(tmp_path / "b", 2, 3)
    before = (tmp_path / "a" / "kek.key").read_bytes()
    words = mine[0].split()
    words[10] = "academic" if words[10] != "academic" else "acid"
    for texts in (mine[:1], [" ".join(words), mine[1]], [mine[0], foreign[0]], ["no words"], [], foreign[:2]):
        with pytest.raises(TheirError):
            combine(tmp_path / "a", texts, Places())
        assert (tmp_path / "a" / "kek.key").read_bytes() == before


@pytest.mark.parametrize(("needed", "shares"), [(1, 3), (4, 3), (2, 17), (0, 0)])
def test_a_split_that_protects_nothing_is_refused(tmp_path: Path, needed: int, shares: int) -> None:
    Keyring(tmp_path)
    with pytest.raises(TheirError) as caught:
        split(tmp_path, needed, shares)
    assert caught.value.kind is Kind.INVALID
