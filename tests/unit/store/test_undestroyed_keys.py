"""Replaced keys that a token did not destroy: written down before the attempt, tried again, and no obstacle to anything."""

import errno
from pathlib import Path

import pytest

from relay.store.keyring import Keyring
from relay.store.token import PREFIX
from relay.store.undestroyed_keys import UndestroyedKeys
from relay.store.vault import FileOps
from tests.support.faulty_disk import FaultyOps, Killed, killing
from tests.support.memory_token import MemoryPlaces, MemoryToken

ONE, DAY = "1" * 32, "2026-12-22"


@pytest.fixture
def token() -> MemoryToken:
    return MemoryToken()


def opened(token: MemoryToken, root: Path, ops: FileOps | None = None) -> Keyring:
    return Keyring(root, ops, MemoryPlaces(memory=token))


@pytest.mark.parametrize("refuses", [False, True])
def test_death_at_any_operation_of_a_rotation_in_a_token_loses_no_key_and_forgets_none(
    token: MemoryToken, tmp_path: Path, refuses: bool
) -> None:
    for at in range(1, 120):
        root = tmp_path / f"{at}" / "keys"
        root.parent.mkdir()
        token.keys, token.refuses = {}, refuses
        first = opened(token, root)
        key, before, references = first.create_recording_key(ONE, DAY), first.public_key, set(token.keys)
        dying = opened(token, root, FaultyOps(killing(at)))
        try:
            dying.rotate_signing(1, "yearly")
            dying.rotate_kek()
            done = True
        except Killed:
            done = False
        survivor = opened(token, root)
        assert survivor.recording_key(ONE) == key
        assert survivor.public_key == before or survivor.earlier_keys() == [before]
        in_use = {(root / f"{name}.key").read_bytes() for name in ("signing", "kek")}
        owed = {reference.encode() for reference in survivor.undestroyed()}
        # Each earlier key is in use, or written down where the token refuses, or gone.
        followed = references - in_use
        assert owed == (followed if refuses else set())
        assert in_use | owed <= token.keys.keys()
        token.refuses = False
        assert opened(token, root).undestroyed() == {}
        assert not followed & token.keys.keys()
        if done:
            return
    raise AssertionError("a rotation has more operations than were tried")


def test_a_disk_that_refuses_the_note_of_a_destruction_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = UndestroyedKeys(tmp_path / "leftover", FileOps())
    keys.add("kek", PREFIX + b"01")
    keys.add("kek", PREFIX + b"01")
    failing = UndestroyedKeys(tmp_path / "leftover", FaultyOps(lambda number, name: errno.EIO))
    destroyed: list[bytes] = []
    failing.retry(lambda kind, reference: destroyed.append(reference))
    assert "next opening" in caplog.text
    keys.retry(lambda kind, reference: destroyed.append(reference))
    assert (destroyed, keys.all()) == ([PREFIX + b"01"] * 2, [])
