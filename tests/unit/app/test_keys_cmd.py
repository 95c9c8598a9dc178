"""`relay keys rotate-signing` and `revoke`, called as the command line calls them, where the pin is elsewhere."""

from pathlib import Path

import pytest

from relay.app.keyrings import keyring_of, pinned_elsewhere
from relay.app.keys_cmd import revocations, revoke, rotate_signing
from relay.app.revoked import revoked_file
from relay.app.settings import Settings, settings_of
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.keys import public_key_from
from relay.evidence.seal import key_id
from relay.evidence.statement import RevokedKey, read_revocations, revocations_hold
from relay.store.revocations import revoked_keys
from tests.support.recordings import build, session


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
        revoke(old.hex(), "stolen", data=settings.data)
    assert caught.value.kind is Kind.CONFLICT
    rotate_signing("stolen", None, settings.data)
    revoke(old.hex(), "stolen", data=settings.data)
    with pytest.raises(TheirError, match="already"):
        revoke(old.hex(), "again", data=settings.data)
    with pytest.raises(TheirError, match="--key"):
        revoke("abc", "a typo", data=settings.data)
    assert revoked_keys(revoked_file(settings)) == [old]


def mistyped(key: bytes) -> str:
    return (key[:-1] + bytes([key[-1] ^ 1])).hex()


def test_a_mistyped_key_is_refused_and_the_known_ones_are_named(settings: Settings) -> None:
    old = keyring_of(settings).public_key
    rotate_signing("stolen", None, settings.data)
    new = keyring_of(settings).public_key
    (settings.data / "vault").mkdir(exist_ok=True)
    recording = build("SIPE")
    recording.write(settings.data / "vault" / recording.recording)
    with pytest.raises(TheirError, match="--unknown") as caught:
        revoke(mistyped(old), "stolen", data=settings.data)
    assert caught.value.kind is Kind.NOT_FOUND
    for named in (old.hex(), new.hex(), session().public_key.hex(), recording.recording):
        assert named in caught.value.detail
    assert revoked_keys(revoked_file(settings)) == []


def test_the_id_of_a_key_is_distinguished_from_the_key(settings: Settings) -> None:
    old = keyring_of(settings).public_key
    rotate_signing("stolen", None, settings.data)
    with pytest.raises(TheirError, match=f"the id of {old.hex()}"):
        revoke(key_id(old).hex(), "stolen", data=settings.data)


def test_a_session_key_is_known_by_the_recordings_that_it_signed(settings: Settings) -> None:
    (settings.data / "vault").mkdir(exist_ok=True)
    recording = build("SIPKPE")
    recording.write(settings.data / "vault" / recording.recording)
    for name in ("session", "second session"):
        revoke(session(name).public_key.hex(), "its machine was stolen", data=settings.data)
    assert revoked_keys(revoked_file(settings)) == [session(name).public_key for name in ("session", "second session")]
    assert recording.links[0].plain_digest in recording.files["chain"]
    with pytest.raises(TheirError, match="--unknown"):
        revoke(recording.links[0].plain_digest.hex(), "bytes of a chain that are no key", data=settings.data)


def test_an_expert_is_given_todays_list_about_a_chain(settings: Settings, tmp_path: Path) -> None:
    old, head, out = keyring_of(settings).public_key, bytes(range(32)), tmp_path / "revocations"
    rotate_signing("stolen", None, settings.data)
    revoke(old.hex(), "stolen", data=settings.data)
    revocations(head.hex(), out, data=settings.data)
    found = read_revocations(out.read_bytes())
    assert revocations_hold(found, keyring_of(settings).public_key)
    assert (found.head, found.keys) == (head, (RevokedKey(old, attested=False),))
    with pytest.raises(TheirError, match="not the recording's id"):
        revocations("0" * 32, out, data=settings.data)


def test_a_key_known_from_elsewhere_is_revoked_with_the_option_unknown(settings: Settings) -> None:
    foreign = session("a thief's").public_key
    revoke(foreign.hex(), "on a forged recording", unknown=True, data=settings.data)
    assert revoked_keys(revoked_file(settings)) == [foreign]
    assert b'"unknown":true' in (settings.data / "relay.db").read_bytes()
