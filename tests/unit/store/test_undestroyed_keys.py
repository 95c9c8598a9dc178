"""Keys that a token did not destroy: written down before the try, tried again, and in the way of nothing."""

import errno
from pathlib import Path

import pytest

from relay.base.errors import OurError
from relay.evidence.seal import MemorySigner
from relay.store.keyring import Keyring, Places
from relay.store.token import PREFIX, TokenSigner
from relay.store.undestroyed_keys import UndestroyedKeys
from relay.store.vault import FileOps
from relay.store.wrapping import FileKek
from tests.support.faulty_disk import FaultyOps, Killed, killing

ONE, DAY = "1" * 32, "2026-12-22"


class MemoryToken:
    """What a keyring asks of a token, in memory; `refuses` to destroy where told so."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.refuses = False
        self._made = 0

    def _make(self, kind: bytes, but: list[bytes]) -> bytes:
        found = [name for name in self.keys if name.startswith(PREFIX + kind) and name not in but]
        assert len(found) <= 1, "a real one would say: several keys of this label"
        if found:
            return found[0]
        self._made += 1
        name = PREFIX + kind + b"%04x" % self._made
        self.keys[name] = self._made.to_bytes(32, "big")
        return name

    def make_signing(self, but: list[bytes] | None = None) -> bytes:
        return self._make(b"51", but or [])

    def make_kek(self, but: list[bytes] | None = None) -> bytes:
        return self._make(b"4e", but or [])

    def signer(self, reference: bytes) -> TokenSigner:
        signer = MemorySigner(self.keys[reference])
        return TokenSigner(self, reference, signer.public_key)  # type: ignore[arg-type]

    def sign(self, reference: bytes, message: bytes) -> bytes:
        return MemorySigner(self.keys[reference]).sign(message)

    def kek(self, reference: bytes) -> FileKek:
        return FileKek(self.keys[reference])


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> MemoryToken:
    made = MemoryToken()

    def destroy(token: MemoryToken, reference: bytes) -> None:
        if token.refuses:
            raise OurError("refused")
        token.keys.pop(reference, None)

    monkeypatch.setattr("relay.store.token.Token.destroy_signing", destroy)
    monkeypatch.setattr("relay.store.token.Token.destroy_kek", destroy)
    monkeypatch.setattr(Keyring, "_token", lambda ring: made)
    return made


def opened(root: Path, ops: FileOps | None = None) -> Keyring:
    return Keyring(root, ops, Places(None, kek_in_token=True, signing_in_token=True))


@pytest.mark.parametrize("refuses", [False, True])
def test_death_at_any_operation_of_a_rotation_in_a_token_loses_no_key_and_no_debt(
    token: MemoryToken, tmp_path: Path, refuses: bool
) -> None:
    for at in range(1, 120):
        root = tmp_path / f"{at}" / "keys"
        root.parent.mkdir()
        token.keys, token.refuses = {}, refuses
        first = opened(root)
        key, before, references = first.create_recording_key(ONE, DAY), first.public_key, set(token.keys)
        first._ops = first._leftovers._ops = FaultyOps(killing(at))
        try:
            first.rotate_signing(1, "yearly")
            first.rotate_kek()
            done = True
        except Killed:
            done = False
        survivor = opened(root)
        assert survivor.recording_key(ONE) == key
        assert survivor.public_key == before or survivor.earlier_keys() == [before]
        in_use = {(root / f"{name}.key").read_bytes() for name in ("signing", "kek")}
        owed = {reference for _, reference in survivor._leftovers.all()}
        # Of before, each key is in use, or owed where the token refuses, or gone.
        followed = references - in_use
        assert owed == (followed if refuses else set())
        assert in_use | owed <= token.keys.keys()
        token.refuses = False
        assert opened(root).leftovers() == {}
        assert not followed & token.keys.keys()
        if done:
            return
    raise AssertionError("a rotation has more operations than were tried")


def test_a_disk_that_refuses_the_note_of_a_paid_debt_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    debts = UndestroyedKeys(tmp_path / "leftover", FileOps())
    debts.owe("kek", PREFIX + b"01")
    debts.owe("kek", PREFIX + b"01")
    failing = UndestroyedKeys(tmp_path / "leftover", FaultyOps(lambda number, name: errno.EIO))
    paid: list[bytes] = []
    failing.pay(lambda kind, reference: paid.append(reference))
    assert "next opening" in caplog.text
    debts.pay(lambda kind, reference: paid.append(reference))
    assert (paid, debts.all()) == ([PREFIX + b"01"] * 2, [])
