"""A revoked key vouches for the heads that a checkpoint held before; for none where the journal cannot show it."""

from functools import partial
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.errors import OurError
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from relay.store.revocations import CLOSED, REVOKED, add_revoked, attested, revoked_keys
from tests.unit.store.conftest import ORIGIN, KeySigner

OLD, OTHER = bytes([7]) * 32, bytes([8]) * 32
HEADS = [bytes([number]) * 32 for number in range(4)]


async def closed(journal: Journal, head: bytes) -> None:
    details = {"event": CLOSED, "head": head.hex()}
    await journal.append(Entry(Operation.SYSTEME, "relay", "system", object_type="recording", details=details))


async def revoked(journal: Journal, key: bytes) -> None:
    details = {"event": REVOKED, "key": key.hex()}
    await journal.append(Entry(Operation.CONFIGURATION, "console", "system", object_type="keys", details=details))


async def test_only_a_head_under_a_checkpoint_before_the_first_revocation_counts(
    database: Database, journal: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    await closed(journal, HEADS[0])
    await journal.checkpoint()
    await closed(journal, HEADS[1])
    await revoked(journal, OLD)
    await journal.checkpoint()
    await closed(journal, HEADS[2])
    await journal.checkpoint()
    await revoked(journal, OLD)
    await revoked(journal, OTHER)
    await journal.close()
    path = tmp_path / "journal" / "checkpoints"
    asked = partial(attested, database, path, [signer.public_key], ORIGIN, clock.utc_ns())
    assert await asked([OLD]) == {OLD: frozenset(HEADS[:1])}
    assert await asked([OLD, OTHER]) == {OLD: frozenset(HEADS[:1]), OTHER: frozenset(HEADS[:3])}
    assert await asked([]) == {}
    assert await asked([HEADS[3]]) == {HEADS[3]: frozenset()}


async def test_a_journal_that_is_not_intact_attests_nothing(
    database: Database, journal: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    await closed(journal, HEADS[0])
    await journal.checkpoint()
    await revoked(journal, OLD)
    await journal.close()
    path = tmp_path / "journal" / "checkpoints"
    assert await attested(database, path, [OTHER], ORIGIN, clock.utc_ns(), [OLD]) == {OLD: frozenset()}
    assert await attested(database, path, [signer.public_key], ORIGIN, clock.utc_ns(), [OLD]) == {OLD: frozenset(HEADS[:1])}


def test_revoked_keys_are_written_down_once_and_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    assert revoked_keys(path) == []
    for key in (OLD, OTHER, OLD):
        add_revoked(path, key)
    assert revoked_keys(path) == [OLD, OTHER]


@pytest.mark.parametrize("text", ["zz", "ab", "é"])
def test_a_damaged_file_of_revoked_keys_is_not_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "revoked").write_text(text)
    with pytest.raises(OurError, match="damaged"):
        revoked_keys(tmp_path / "revoked")
