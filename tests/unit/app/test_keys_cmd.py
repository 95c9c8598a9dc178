"""`relay keys rotate-signing` and `revoke`, called as the command line calls them, where the pin is elsewhere."""

from pathlib import Path

import pytest

from relay.app.keyrings import keyring_of, pinned_elsewhere
from relay.app.keys_cmd import revoke, rotate_signing
from relay.app.revoked import revoked_file
from relay.app.settings import Settings, settings_of
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.keys import public_key_from
from relay.store.revocations import revoked_keys


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    pin = tmp_path / "etc" / "pinned.hex"
    pin.parent.mkdir()
    monkeypatch.setenv("RELAY_EVIDENCE__PUBLIC_KEY", str(pin))
    made = settings_of(None, tmp_path / "data")
    made.data.mkdir()
    pin.write_text(keyring_of(made).public_key.hex())
    return made


def test_a_pin_elsewhere_follows_the_key(settings: Settings) -> None:
    pin = settings.evidence.public_key
    assert pin is not None
    old = public_key_from(pin.read_bytes())
    rotate_signing("yearly", None, settings.data)
    keyring = keyring_of(settings)
    assert public_key_from(pin.read_bytes()) == keyring.public_key
    assert keyring.earlier_keys() == [old]


def test_a_pin_that_could_not_follow_stops_it_before_anything_is_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OurError, match="could not be pinned"):
        rotate_signing("yearly", None, settings.data)
    assert keyring_of(settings).successions() == []


def test_the_pin_in_the_key_folder_is_the_keyrings_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_EVIDENCE__PUBLIC_KEY", str(settings.data / "keys" / "signing.pub"))
    assert pinned_elsewhere(settings_of(None, settings.data)) is None


def test_the_key_that_signs_is_not_revoked_and_a_followed_one_once(settings: Settings) -> None:
    old = keyring_of(settings).public_key
    with pytest.raises(TheirError, match="rotate-signing") as caught:
        revoke(old.hex(), "stolen", None, settings.data)
    assert caught.value.kind is Kind.CONFLICT
    rotate_signing("stolen", None, settings.data)
    revoke(old.hex(), "stolen", None, settings.data)
    with pytest.raises(TheirError, match="already"):
        revoke(old.hex(), "again", None, settings.data)
    with pytest.raises(TheirError, match="--key"):
        revoke("abc", "a typo", None, settings.data)
    assert revoked_keys(revoked_file(settings)) == [old]
