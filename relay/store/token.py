"""Long-term keys behind PKCS#11 (OASIS PKCS #11 v3.0): they sign and wrap, and never leave the token.

Owns: the one session with the token, finding and making keys there.  Must never know: what is signed or
wrapped, and any file except the one with the PIN.

A key is named by a *reference*, `pkcs11:<CKA_ID in hex>`, which stands in the key's file instead of its bytes.  Signing is
CKM_EDDSA on edwards25519 (RFC 8032).  Wrapping is CKM_AES_GCM with a random 96-bit nonce of the relay, in the form of
`wrapping`.  Every call blocks, for a second perhaps on a slow token: callers on a loop use a thread.  The PIN is read again at
each log-in, and is in no message and no error.

`pkcs11` is imported inside functions: only an installation with a token loads that library.
"""

import functools
import os
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.seal import KEY, SIGNATURE

PREFIX = b"pkcs11:"
_NONCE = 12
_TAG_BITS = 128
_ID_BYTES = 16
_ED25519_OID = "1.3.101.112"
_OTHERS = 0o037
"""Mode bits that let others read the PIN, or the group change it.  Credentials of systemd are readable by the group at most."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pin:
    """Where the PIN is read from: a file that only its owner and group may read, or an environment variable."""

    file: Path | None
    variable: str | None

    def read(self) -> str:
        """Return the PIN; raises TheirError where it is missing, or where others may read the file."""
        if self.file is not None:
            return _private_line(self.file)
        found = os.environ.get(self.variable or "")
        if not found:
            raise TheirError(Kind.INVALID, f"the token's PIN is neither in a file nor in the variable {self.variable!r}")
        return found


def _private_line(path: Path) -> str:
    try:
        if path.stat().st_mode & _OTHERS:
            raise TheirError(Kind.INVALID, f"{path}: the file of the PIN is open to others; chmod 600")
        found = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TheirError(Kind.NOT_FOUND, f"{path}: {error.strerror}") from error
    if not found:
        raise TheirError(Kind.INVALID, f"{path}: no PIN in it")
    return found


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A token, and the labels under which its keys are found."""

    module: Path
    token: str
    pin: Pin
    signing_label: str
    kek_label: str


@functools.cache
def open_token(place: TokenPlace) -> "Token":
    """Return this process's one session with a token: PKCS#11 has one log-in per process and token."""
    return Token(place)


class Token:
    """A logged-in token; thread-safe; logs in again after the token was pulled out."""

    def __init__(self, place: TokenPlace) -> None:
        self._place = place
        self._one = threading.Lock()
        self._session: Any = None

    # --- signing ------------------------------------------------------------------------------------------------------

    def make_signing(self, but: Collection[bytes] = ()) -> bytes:
        """Return the reference of the one signing key under our label that is not among `but`; make one where there is none.

        Raises OurError where there are several, because the choice would be arbitrary.
        """
        from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
        from pkcs11.util.ec import encode_named_curve_parameters

        label = self._place.signing_label

        def make(session: Any) -> bytes:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_ED25519_OID)}
            parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
            name = secrets.token_bytes(_ID_BYTES)
            parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label, id=name)
            return name

        query = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC_EDWARDS, Attribute.LABEL: label}
        return self._adopt_or(query, but, make)

    def signer(self, reference: bytes) -> "TokenSigner":
        """Return the signer of a key; raises OurError where the token has no such key."""
        from pkcs11 import Attribute, ObjectClass

        def point(session: Any) -> bytes:
            found = _one(session, {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: _id(reference)})
            # A DER octet string around the 32 bytes (RFC 8032 §5.1.5); some tokens give the bare bytes.
            return bytes(found[Attribute.EC_POINT])[-KEY:]

        return TokenSigner(self, reference, self.run(point))

    def destroy_signing(self, reference: bytes) -> None:
        """Destroy both halves of a signing key; idempotent.  Raises OurError where the token refuses."""
        self._destroy("EC_EDWARDS", reference)

    def destroy_kek(self, reference: bytes) -> None:
        """Destroy a key-encryption key; idempotent.  Raises OurError where the token refuses."""
        self._destroy("AES", reference)

    def _destroy(self, kind: str, reference: bytes) -> None:
        from pkcs11 import Attribute, KeyType

        def work(session: Any) -> None:
            for found in list(session.get_objects({Attribute.KEY_TYPE: KeyType[kind], Attribute.ID: _id(reference)})):
                found.destroy()

        self.run(work)

    def sign(self, reference: bytes, message: bytes) -> bytes:
        """Return an Ed25519 signature (64 bytes)."""
        from pkcs11 import Attribute, Mechanism, ObjectClass

        def work(session: Any) -> bytes:
            key = _one(session, {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: _id(reference)})
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))

        signature = self.run(work)
        if len(signature) != SIGNATURE:
            raise OurError(f"the token's signature has {len(signature)} bytes, not {SIGNATURE}")
        return signature

    # --- wrapping -----------------------------------------------------------------------------------------------------

    def make_kek(self, but: Collection[bytes] = ()) -> bytes:
        """Return the reference of the one AES key under our label that is not among `but`; else make one, not extractable."""
        from pkcs11 import Attribute, KeyType, ObjectClass

        label = self._place.kek_label

        def make(session: Any) -> bytes:
            name = secrets.token_bytes(_ID_BYTES)
            session.generate_key(KeyType.AES, KEY * 8, store=True, label=label, id=name)
            return name

        query = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.LABEL: label}
        return self._adopt_or(query, but, make)

    def import_kek(self, key: bytes) -> bytes:
        """Put a key-encryption key (32 bytes, from its shares) into the token, not extractable; return its reference."""
        from pkcs11 import Attribute, KeyType, ObjectClass

        name = secrets.token_bytes(_ID_BYTES)
        yes = (Attribute.TOKEN, Attribute.PRIVATE, Attribute.SENSITIVE, Attribute.ENCRYPT, Attribute.DECRYPT)
        template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.VALUE: key,
            Attribute.LABEL: self._place.kek_label,
            Attribute.ID: name,
            Attribute.EXTRACTABLE: False,
            **dict.fromkeys(yes, True),
        }
        self.run(lambda session: session.create_object(template))
        return PREFIX + name.hex().encode()

    def kek(self, reference: bytes) -> "TokenKek":
        """Return a key-encryption key; raises OurError where the token has no such key."""
        self.run(lambda session: _aes(session, reference))
        return TokenKek(self, reference)

    def crypt(self, reference: bytes, nonce: bytes, data: bytes, context: bytes, *, encrypt: bool) -> bytes:
        """Encrypt (to ciphertext ‖ tag) or decrypt `data` with AES-256-GCM; raises OurError where it does not open."""
        from pkcs11 import GCMParams, Mechanism

        parameters = GCMParams(nonce=nonce, aad=context, tag_bits=_TAG_BITS)

        def work(session: Any) -> bytes:
            key = _aes(session, reference)
            does = key.encrypt if encrypt else key.decrypt
            return bytes(does(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))

        return self.run(work)

    # --- the session --------------------------------------------------------------------------------------------------

    def run(self, work: Callable[[Any], T]) -> T:
        """Run `work` in the session; on failure log in again and run it once more.  Raises OurError where the token refuses."""
        import pkcs11

        with self._one:
            for last in (False, True):
                try:
                    if self._session is None:
                        self._session = self._log_in()
                    return work(self._session)
                except (pkcs11.PKCS11Error, RuntimeError) as error:
                    self._session = None
                    if last:
                        # Not the error's text: a module may put secrets there.
                        raise OurError(f"the token {self._place.token!r} refused: {type(error).__name__}") from None
        raise AssertionError("unreachable")

    def _log_in(self) -> Any:
        import pkcs11

        pin = self._place.pin.read()
        token = pkcs11.lib(str(self._place.module)).get_token(token_label=self._place.token)
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            # The process is still logged in through a lost session: PKCS#11 logs in processes, not sessions.
            return token.open(rw=True)

    def _adopt_or(self, query: dict[Any, Any], but: Collection[bytes], make: Callable[[Any], bytes]) -> bytes:
        from pkcs11 import Attribute

        def work(session: Any) -> list[bytes]:
            return [bytes(found[Attribute.ID]) for found in session.get_objects(query)]

        known = {_id(each) for each in but if each.startswith(PREFIX)}
        found = sorted(set(self.run(work)) - known)
        if len(found) > 1:
            raise OurError(f"the token has {len(found)} keys of this label: give the key to be used a label of its own")
        return PREFIX + (found[0] if found else self.run(make)).hex().encode()


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A `Signer` whose key stays in the token."""

    token: Token
    reference: bytes
    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature; raises OurError."""
        return self.token.sign(self.reference, message)


@dataclass(frozen=True, slots=True)
class TokenKek:
    """A key-encryption key that stays in the token."""

    token: Token
    reference: bytes

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return nonce ‖ ciphertext ‖ tag; raises OurError."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self.token.crypt(self.reference, nonce, secret, context, encrypt=True)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret; raises OurError where it does not open."""
        return self.token.crypt(self.reference, wrapped[:_NONCE], wrapped[_NONCE:], context, encrypt=False)


def _id(reference: bytes) -> bytes:
    try:
        return bytes.fromhex(reference.removeprefix(PREFIX).decode("ascii").strip())
    except ValueError as error:
        raise OurError("a reference to a token's key is malformed") from error


def _aes(session: Any, reference: bytes) -> Any:
    from pkcs11 import Attribute, ObjectClass

    return _one(session, {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.ID: _id(reference)})


def _one(session: Any, query: dict[Any, Any]) -> Any:
    found = list(session.get_objects(query))
    if len(found) != 1:
        raise OurError(f"the token has {len(found)} keys of the id in the key's file, not one")
    return found[0]
