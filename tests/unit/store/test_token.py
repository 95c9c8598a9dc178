"""Long-term keys in a token: the keyring works as with files, and no key's bytes are in the folder."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.base.errors import OurError, TheirError
from relay.evidence.seal import CERTIFICATE, signature_holds
from relay.evidence.wire import decode
from relay.store.keyring import Keyring
from relay.store.long_term_keys import Places
from relay.store.token import PREFIX, Pin, Token, TokenPlace, open_token
from relay.store.wrapping import FileKek
from tests.support.softhsm import PIN, SoftHsm, module

ONE, DAY = "1" * 32, "2026-12-22"
TOKENS = [f"token-{number}" for number in range(20)]
_labels = iter(TOKENS)
"""One a test: a module lists its tokens once, when the process first uses it."""


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """One folder for the session: a process reads SoftHSM's configuration once."""
    made = SoftHsm(tmp_path_factory.mktemp("softhsm") / "hsm")
    made.prepare()
    for label in TOKENS:
        made.add(label)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(made.conf)
    yield made
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def place(hsm: SoftHsm, tmp_path: Path) -> TokenPlace:
    label = next(_labels)
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{PIN}\n")
    return TokenPlace(module(), label, Pin(pin, None), "relay-signing", "relay-kek")


def everywhere(place: TokenPlace) -> Places:
    return Places(place, kek_in_token=True, signing_in_token=True)


def test_keys_in_a_token_wrap_sign_and_are_found_again(place: TokenPlace, tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys", places=everywhere(place))
    key = ring.create_recording_key(ONE, DAY)
    again = Keyring(tmp_path / "keys", places=everywhere(place))
    assert again.recording_key(ONE) == key
    assert again.public_key == ring.public_key
    assert again.broken() == {}
    _, encoded = again.issue_session("recorder", 0, 1, 2)
    assert decode(CERTIFICATE, encoded).issued_by(ring.public_key)
    assert signature_holds(ring.public_key, b"message", again.signer.sign(b"message"))
    for name in ("kek.key", "signing.key"):
        assert (tmp_path / "keys" / name).read_bytes().startswith(PREFIX)


def test_a_playback_asks_the_token_once(place: TokenPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(tmp_path / "keys", places=everywhere(place))
    key, asked = ring.create_recording_key(ONE, DAY), []
    run = Token.run

    def counted(token: Token, work: Any) -> Any:
        asked.append(work)
        return run(token, work)

    monkeypatch.setattr(Token, "run", counted)
    assert {ring.recording_key(ONE) for _ in range(150)} == {key}
    assert len(asked) == 1
    ring.destroy_recording(ONE)
    with pytest.raises(TheirError):
        ring.recording_key(ONE)
    assert len(asked) == 1


def test_another_token_opens_nothing_of_it(place: TokenPlace, tmp_path: Path) -> None:
    Keyring(tmp_path / "keys", places=everywhere(place)).create_recording_key(ONE, DAY)
    other = TokenPlace(place.module, next(_labels), place.pin, place.signing_label, place.kek_label)
    with pytest.raises(OurError, match="0 keys of the id"):
        Keyring(tmp_path / "keys", places=everywhere(other))
    with pytest.raises(OurError, match="the settings name none"):
        Keyring(tmp_path / "keys")


def test_a_key_made_at_a_ceremony_is_taken_and_two_of_a_label_are_refused(place: TokenPlace, tmp_path: Path) -> None:
    token = open_token(place)
    made = token.make_signing()
    ring = Keyring(tmp_path / "keys", places=everywhere(place))
    assert (tmp_path / "keys" / "signing.key").read_bytes() == made
    assert ring.public_key == token.signer(made).public_key
    second = token.make_signing(but=[made])
    assert second != made
    with pytest.raises(OurError, match="2 keys of this label"):
        Keyring(tmp_path / "other", places=everywhere(place))


def test_an_escrowed_key_imported_opens_what_the_file_wrapped(place: TokenPlace, tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    key = ring.create_recording_key(ONE, DAY)
    path = tmp_path / "keys" / "kek.key"
    path.write_bytes(open_token(place).import_kek(path.read_bytes()))
    assert Keyring(tmp_path / "keys", places=everywhere(place)).recording_key(ONE) == key


def test_a_rotation_moves_the_key_encryption_key_into_the_token(place: TokenPlace, tmp_path: Path) -> None:
    key = Keyring(tmp_path / "keys").create_recording_key(ONE, DAY)
    assert Keyring(tmp_path / "keys", places=Places(place, kek_in_token=True)).rotate_kek() == 1
    first = (tmp_path / "keys" / "kek.key").read_bytes()
    assert first.startswith(PREFIX)
    ring = Keyring(tmp_path / "keys", places=Places(place, kek_in_token=True))
    assert ring.recording_key(ONE) == key
    references = {first}
    for _ in range(3):
        ring.rotate_kek()
        references.add((tmp_path / "keys" / "kek.key").read_bytes())
    assert len(references) == 4, "a replaced key is never taken again: the token does not hold it any more"
    with pytest.raises(OurError, match="0 keys of the id"):
        open_token(place).kek(first).wrap(b"k" * 32, b"day")
    assert Keyring(tmp_path / "keys", places=Places(place)).recording_key(ONE) == key


def test_token_and_file_wrap_to_the_same_form(place: TokenPlace) -> None:
    token, secret = open_token(place), bytes(range(32))
    plain = b"k" * 32
    kek = token.kek(token.import_kek(plain))
    assert FileKek(plain).unwrap(kek.wrap(secret, b"day"), b"day") == secret
    assert kek.unwrap(FileKek(plain).wrap(secret, b"day"), b"day") == secret
    with pytest.raises(OurError):
        kek.unwrap(FileKek(plain).wrap(secret, b"day"), b"another day")


# The library complains while it tidies up a search that the lost session took with it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_a_lost_session_it_logs_in_again(place: TokenPlace) -> None:
    token = open_token(place)
    signer = token.signer(token.make_signing())
    token.run(lambda session: session.close())
    assert signature_holds(signer.public_key, b"x", signer.sign(b"x"))


def test_a_wrong_pin_is_refused_and_never_shown(place: TokenPlace, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("99999999")
    token = Token(TokenPlace(place.module, place.token, Pin(wrong, None), "relay-signing", "relay-kek"))
    with caplog.at_level(logging.DEBUG), pytest.raises(OurError) as caught:
        token.make_kek()
    assert "99999999" not in str(caught.value) + caught.value.detail + caplog.text + repr(caught.value.__cause__)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o666])
def test_a_pin_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "pin"
    path.write_text(PIN)
    path.chmod(mode)
    with pytest.raises(TheirError, match="open to others"):
        Pin(path, None).read()


def test_a_pin_may_stand_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_PIN", PIN)
    assert Pin(None, "TOKEN_PIN").read() == PIN
    with pytest.raises(TheirError):
        Pin(None, "NO_SUCH_PIN").read()


def test_a_rotation_moves_the_signing_key_into_the_token_and_destroys_the_one_before(place: TokenPlace, tmp_path: Path) -> None:
    first = Keyring(tmp_path / "keys").public_key
    ring = Keyring(tmp_path / "keys", places=Places(place, signing_in_token=True))
    for number in range(3):
        before = (tmp_path / "keys" / "signing.key").read_bytes()
        ring.rotate_signing(number, "yearly")
        assert signature_holds(ring.public_key, b"message", ring.signer.sign(b"message"))
    assert before.startswith(PREFIX)
    with pytest.raises(OurError, match="0 keys of the id"):
        open_token(place).signer(before)
    again = Keyring(tmp_path / "keys", places=Places(place, signing_in_token=True))
    assert again.public_key == ring.public_key
    assert (len(again.earlier_keys()), again.earlier_keys()[-1]) == (3, first)
    back = Keyring(tmp_path / "keys", places=Places(place))
    back.rotate_signing(9, "out of the token")
    assert not (tmp_path / "keys" / "signing.key").read_bytes().startswith(PREFIX)


def add_keys_for_ever(place: TokenPlace) -> None:
    """Put a signing key and a key-encryption key into the token that it refuses to destroy (CKA_DESTROYABLE, PKCS #11 v3.0)."""
    from pkcs11 import Attribute, KeyType, Mechanism
    from pkcs11.util.ec import encode_named_curve_parameters

    never = {Attribute.DESTROYABLE: False}

    def make(session: Any) -> None:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
        parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
        kind = {"mechanism": Mechanism.EC_EDWARDS_KEY_PAIR_GEN, "store": True, "label": place.signing_label, "id": b"for ever"}
        parameters.generate_keypair(**kind, private_template=never, public_template=never)
        session.generate_key(KeyType.AES, 256, store=True, label=place.kek_label, id=b"for ever", template=never)

    open_token(place).run(make)


FOR_EVER = PREFIX + b"for ever".hex().encode()


def test_a_token_that_refuses_to_destroy_the_old_signing_key_does_not_stop_the_new_one(
    place: TokenPlace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_keys_for_ever(place)
    places = Places(place, signing_in_token=True)
    ring = Keyring(tmp_path / "keys", places=places)
    assert (tmp_path / "keys" / "signing.key").read_bytes() == FOR_EVER
    seen = [ring.public_key]
    for number in range(2):
        ring.rotate_signing(number, "stolen")
        for each in (ring, Keyring(tmp_path / "keys", places=places)):
            assert each.public_key not in seen
            assert signature_holds(each.public_key, b"message", each.signer.sign(b"message"))
            assert each.undestroyed() == {FOR_EVER.decode(): "signing key"}
        seen.append(ring.public_key)
    assert "still in the token" in caplog.text
    assert not (tmp_path / "keys" / "signing.old").exists()


def test_a_token_that_refuses_to_destroy_the_old_key_encryption_key_does_not_stop_the_new_one(
    place: TokenPlace, tmp_path: Path
) -> None:
    add_keys_for_ever(place)
    places = Places(place, kek_in_token=True)
    ring = Keyring(tmp_path / "keys", places=places)
    key, references = ring.create_recording_key(ONE, DAY), {FOR_EVER}
    for _ in range(2):
        ring.rotate_kek()
        references.add((tmp_path / "keys" / "kek.key").read_bytes())
        again = Keyring(tmp_path / "keys", places=places)
        assert (again.recording_key(ONE), again.undestroyed()) == (key, {FOR_EVER.decode(): "key-encryption key"})
    assert len(references) == 3


def test_a_refused_destruction_is_tried_again_at_the_next_opening(
    place: TokenPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(token: Token, reference: bytes) -> None:
        raise OurError("the token refused")

    with monkeypatch.context() as refusing:
        refusing.setattr(Token, "destroy_signing", refuse)
        ring = Keyring(tmp_path / "keys", places=everywhere(place))
        before = (tmp_path / "keys" / "signing.key").read_bytes()
        ring.rotate_signing(1, "yearly")
        # As a crash leaves it before the key is written down as undestroyed.
        (tmp_path / "keys" / "leftover").rename(tmp_path / "keys" / "signing.old")
        (tmp_path / "keys" / "signing.old").write_bytes(before)
        assert Keyring(tmp_path / "keys", places=everywhere(place)).undestroyed() == {before.decode(): "signing key"}
    again = Keyring(tmp_path / "keys", places=everywhere(place))
    assert (again.undestroyed(), again.public_key) == ({}, ring.public_key)
    assert not (tmp_path / "keys" / "leftover").exists()
    with pytest.raises(OurError, match="0 keys of the id"):
        open_token(place).signer(before)


def test_a_damaged_list_of_undestroyed_keys_destroys_no_key_in_use(place: TokenPlace, tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys", places=everywhere(place))
    references = [(tmp_path / "keys" / f"{name}.key").read_bytes() for name in ("signing", "kek")]
    text = b"signing %s\nkek %s\nnonsense\n\nkek pkcs11:\nkek pkcs11:zz\n" % tuple(references)
    (tmp_path / "keys" / "leftover").write_bytes(text)
    again = Keyring(tmp_path / "keys", places=everywhere(place))
    assert signature_holds(ring.public_key, b"message", again.signer.sign(b"message"))
    assert again.create_recording_key(ONE, DAY) == again.recording_key(ONE)
    assert (tmp_path / "keys" / "leftover").read_bytes() == text
