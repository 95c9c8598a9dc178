"""Where long-term keys live: in a file, or in a PKCS#11 token with its reference in the file (`store/token.py`).

Owns: making, opening and destroying a long-term key at either place, and the list of replaced keys that a token
has not destroyed yet.  Must never know: what a key signs or wraps, when it is replaced.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relay.base.errors import OurError
from relay.evidence.seal import MemorySigner, Signer
from relay.store.key_files import KeyFiles
from relay.store.token import PREFIX, TokenPlace, open_token
from relay.store.undestroyed_keys import NAMES, UndestroyedKeys
from relay.store.wrapping import KEY, FileKek, Kek


class KeyToken(Protocol):
    """The calls that the keyring makes to a token; `token.Token` describes them.  Each may raise OurError."""

    def make_signing(self, but: Collection[bytes] = ()) -> bytes:
        """Return the reference of a signing key that is not among `but`."""
        ...

    def make_kek(self, but: Collection[bytes] = ()) -> bytes:
        """Return the reference of a key-encryption key that is not among `but`."""
        ...

    def signer(self, reference: bytes) -> Signer:
        """Return the signer of a key."""
        ...

    def kek(self, reference: bytes) -> Kek:
        """Return a key-encryption key."""
        ...

    def destroy_signing(self, reference: bytes) -> None:
        """Destroy a signing key; idempotent."""
        ...

    def destroy_kek(self, reference: bytes) -> None:
        """Destroy a key-encryption key; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """Where long-term keys are made and found; without a `token` they are in files."""

    token: TokenPlace | None = None
    kek_in_token: bool = False
    signing_in_token: bool = False

    def open_token(self) -> KeyToken:
        """Return this process's session with the token; raises OurError where the settings name no token."""
        if self.token is None:
            raise OurError("a long-term key is in a token, and the settings name none (section `keys`)")
        return open_token(self.token)


class LongTermKeys:
    """Makes, opens and destroys long-term keys.  A key's *content* is what its file holds: 32 bytes, or a token's reference."""

    def __init__(self, files: KeyFiles, places: Places) -> None:
        self._files = files
        self._places = places
        self._undestroyed = UndestroyedKeys(files.root / "leftover", files.ops)

    def make_signing(self, but: Collection[bytes] = ()) -> bytes:
        """Return the content of a new signing key at its place; a token's key that is among `but` is not taken."""
        if self._places.signing_in_token:
            return self._places.open_token().make_signing([*but, *self._undestroyed.of("signing")])
        return MemorySigner.generate().private_bytes

    def make_kek(self, but: Collection[bytes] = ()) -> bytes:
        """Return the content of a new key-encryption key at its place; a token's key that is among `but` is not taken."""
        if self._places.kek_in_token:
            return self._places.open_token().make_kek([*but, *self._undestroyed.of("kek")])
        return secrets.token_bytes(KEY)

    def signer_of(self, content: bytes) -> Signer:
        """Open a signing key; raises OurError where it is damaged or the token refuses."""
        if content.startswith(PREFIX):
            return self._places.open_token().signer(content)
        return MemorySigner(_exact(content, "signing.key"))

    def kek_of(self, content: bytes) -> Kek:
        """Open a key-encryption key; raises OurError where it is damaged or the token refuses."""
        if content.startswith(PREFIX):
            return self._places.open_token().kek(content)
        return FileKek(_exact(content, "kek.key"))

    def retire(self, kind: str, old: Path) -> None:
        """Destroy the replaced key in file `old`, if there is one: bytes at once, a token's key by `retry_destructions`.

        The reference is in `leftover`, durably, before its file goes.
        """
        if old.exists():
            content = old.read_bytes()
            if content.startswith(PREFIX):
                self._undestroyed.add(kind, content)
            self._files.shred(old)

    def retry_destructions(self) -> None:
        """Destroy the replaced keys that are still in the token.  A refusal is logged, and the key stays on the list."""
        self._undestroyed.retry(self._destroy)

    def undestroyed(self) -> dict[str, str]:
        """Return the replaced keys that are still in the token: reference to the kind of key, in words."""
        return {reference.decode("ascii", "replace"): NAMES.get(kind, kind) for kind, reference in self._undestroyed.all()}

    def _destroy(self, kind: str, reference: bytes) -> None:
        if kind not in NAMES or not reference.startswith(PREFIX) or reference == PREFIX:
            raise OurError("keys/leftover is damaged")
        if reference == (self._files.root / f"{kind}.key").read_bytes().strip():
            raise OurError("keys/leftover names a key that is in use")
        token = self._places.open_token()
        (token.destroy_signing if kind == "signing" else token.destroy_kek)(reference)


def _exact(key: bytes, name: str) -> bytes:
    if len(key) != KEY:
        raise OurError(f"key file {name} has {len(key)} bytes, not {KEY}")
    return key
