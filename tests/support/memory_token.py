"""A token in memory: what a keyring asks of it, counted, and refused when a test says so."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from relay.base.errors import OurError
from relay.evidence.seal import MemorySigner
from relay.store.long_term_keys import KeyToken, Places
from relay.store.token import PREFIX
from relay.store.wrapping import FileKek


class MemoryToken:
    """Keys by reference; `refuses` to destroy, and does `meanwhile` during an unwrapping."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.refuses = False
        self.kek_calls = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self._made = 0

    def make_signing(self, but: Collection[bytes] = ()) -> bytes:
        return self._make(b"51", but)

    def make_kek(self, but: Collection[bytes] = ()) -> bytes:
        return self._make(b"4e", but)

    def signer(self, reference: bytes) -> MemorySigner:
        return MemorySigner(self.keys[reference])

    def kek(self, reference: bytes) -> "CountingKek":
        return CountingKek(self, FileKek(self.keys[reference]))

    def destroy_signing(self, reference: bytes) -> None:
        self._destroy(reference)

    def destroy_kek(self, reference: bytes) -> None:
        self._destroy(reference)

    def _make(self, kind: bytes, but: Collection[bytes]) -> bytes:
        found = [name for name in self.keys if name.startswith(PREFIX + kind) and name not in but]
        assert len(found) <= 1, "a real one would say: several keys of this label"
        if found:
            return found[0]
        self._made += 1
        name = PREFIX + kind + b"%04x" % self._made
        self.keys[name] = self._made.to_bytes(32, "big")
        return name

    def _destroy(self, reference: bytes) -> None:
        if self.refuses:
            raise OurError("refused")
        self.keys.pop(reference, None)


@dataclass(frozen=True, slots=True)
class CountingKek:
    """A key-encryption key of a `MemoryToken`; counts its calls there."""

    token: MemoryToken
    kek: FileKek

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        self.token.kek_calls += 1
        return self.kek.wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        self.token.kek_calls += 1
        secret = self.kek.unwrap(wrapped, context)
        self.token.meanwhile()
        return secret


@dataclass(frozen=True, slots=True)
class MemoryPlaces(Places):
    """Both long-term keys in a token in memory."""

    kek_in_token: bool = True
    signing_in_token: bool = True
    memory: KeyToken | None = None

    def open_token(self) -> KeyToken:
        assert self.memory is not None
        return self.memory
